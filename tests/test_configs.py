"""The config files: every one builds, every method of every one, and ImageNet's lowers."""

from pathlib import Path
from runpy import run_path

import jax
import jax.numpy as jnp
import pytest

from churn_jax import config as config_lib
from churn_jax.data import DatasetInfo
from churn_jax.data.batch import Batch
from churn_jax.methods import catalogue
from churn_jax.parallel import sharding
from churn_jax.training.experiment import Experiment

CONFIGS = Path(__file__).parents[1] / "configs"
DATASETS = ["digits", "fashion_mnist", "cifar10", "cifar100", "svhn", "imagenet", "inaturalist"]


def get(name, arg):
    return config_lib.check(run_path(str(CONFIGS / f"{name}.py"))["get_config"](arg))


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("method", catalogue.METHODS)
def test_every_method_of_every_config_is_valid_tiny_or_not(name, method):
    config, tiny = get(name, method), get(name, f"{method},tiny")
    assert config.data.name == tiny.data.name == name
    assert config.method.label == tiny.method.label == method
    assert tiny.runs * tiny.epochs * tiny.data.num_train <= 2 * 8 * 64


@pytest.mark.parametrize("name", ["digits", "imagenet"])
def test_presets_are_their_data_sets_codistillation(name):
    assert get(f"{name}_codistill", "") == get(name, "codistill_skl")
    assert get(f"{name}_codistill", "tiny") == get(name, "codistill_skl,tiny")


def test_the_full_imagenet_step_lowers_over_eight_devices():
    """A co-distilled pair of ResNet-v2-50 at 224×224, batch 1,024: shapes alone, nothing is run."""
    config = get("imagenet_codistill", "")
    names = tuple(str(i) for i in range(1000))
    info = DatasetInfo("imagenet", names, (224, 224, 3), (0.5,) * 3, (0.25,) * 3)
    experiment = Experiment(config, info, 1_281_167, sharding.make_mesh(config))
    assert dict(experiment.mesh.shape) == {"run": 1, "member": 2, "data": 4}
    assert experiment.total_steps == 112_603
    batch = Batch(
        jax.ShapeDtypeStruct((1, 1024, 224, 224, 3), jnp.uint8),
        jax.ShapeDtypeStruct((1, 1024), jnp.int32),
    )
    state = experiment.abstract_state()
    assert all(leaf.shape[:2] == (1, 2) for leaf in jax.tree.leaves(state.params))
    new_state, metrics = experiment.streaming_step.lower(state, batch).out_info
    assert jax.tree.structure(new_state) == jax.tree.structure(state)
    assert metrics["cross_entropy"].shape == (1, 2)
