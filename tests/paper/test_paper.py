"""The 29 rows of Table 2: each config, built by its name, has what the paper says of it."""

import runpy
from pathlib import Path

import pytest

from churn_jax import config as config_lib
from churn_jax import paper

CONFIGS = Path(__file__).parents[2] / "configs"
ROWS = paper.tables()["table2_and_5"]

# Appendix A. SVHN's recipe is not given, so only what is the same everywhere is checked.
CIFAR = {
    "batch_size": 1024, "epochs": 450.0, "learning_rate": 1.0, "warmup_epochs": 15.0,
    "decay_epochs": (200.0, 300.0, 400.0), "nesterov": True,
}  # fmt: skip
IMAGENET = {
    "batch_size": 1024, "epochs": 90.0, "learning_rate": 0.8, "warmup_epochs": 5.0,
    "decay_epochs": (30.0, 60.0, 80.0), "nesterov": False,
}  # fmt: skip
RECIPES = {
    "cifar10": CIFAR, "cifar100": CIFAR, "imagenet": IMAGENET, "inaturalist": IMAGENET, "svhn": {},
}  # fmt: skip
MODELS = {"resnet56": "resnet56", "resnet50_v2": "resnet_v2_50", "lenet5": "lenet5"}


def build(dataset, method):
    """The checked config, as `--config=configs/DATASET.py:METHOD` has it."""
    get_config = runpy.run_path(str(CONFIGS / f"{dataset}.py"))["get_config"]
    return config_lib.check(get_config(method))


def test_all_rows_are_there():
    assert len(ROWS) == 29


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['dataset']}-{row['method']}" for row in ROWS])
def test_the_config_is_the_papers(row):
    config = build(row["dataset"], row["method"])
    method, published = config.method, row["hyperparameters"]
    assert method.label == row["method"]
    assert config.data.name == row["dataset"]
    assert config.model.name == MODELS[row["model"]]
    assert method.alpha == (published["alpha"] or 0.0)
    assert method.beta == (published["beta"] or 0.0)
    assert method.temperature == (published["temperature"] or 1.0)
    assert method.training_cost == row["training_cost"]
    assert method.inference_cost == row["inference_cost"]
    assert config.optimizer.momentum == 0.9
    assert config.optimizer.weight_decay == 1e-4
    assert config.optimizer.decay_factor == 0.1
    for key, value in RECIPES[row["dataset"]].items():
        there = getattr(config, key) if hasattr(config, key) else getattr(config.optimizer, key)
        assert there == value, key
    assert method.top_k == (
        10 if row["dataset"] == "imagenet" and method.regularizer != "none" else 0
    )


def test_each_table_7_row_has_its_costs():
    for row in paper.tables()["table7_with_ensemble"]:
        method = build(row["dataset"], row["method"]).method
        costs = (method.training_cost, method.inference_cost)
        assert costs == (row["training_cost"], row["inference_cost"])
