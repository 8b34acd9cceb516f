"""Random configs: each trains two steps, or is refused in one line before anything is written."""

import collections
import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.config import Config
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.predictions import prediction_file
from churn_jax.training import loop
from churn_jax.training.experiment import Experiment
from churn_jax.training.validation import validate
from tests.fixtures.experiments import TINY

# {key: (values that may well work, values that can't)}; which of them do depends on the others.
SPACE = {
    "runs": ([1, 2, 3, 4], [0, -1, 10**6, 10**12]),
    "first_run": ([0, 1, 1000, 2**31 - 8], [-1, 2**31]),
    "seed": ([0, 1, 2**31, 2**32 - 1], [-1, 2**32]),
    "batch_size": ([1, 2, 7, 16, 48, 64], [0, 65, 2**25]),
    "eval_batch_size": ([1200, 500, 333], [0]),
    "epochs": ([0.01, 1.0, 2.5, 1e5], [0.0, 1e12, math.inf, math.nan]),
    "eval_every": ([0.0, 1e-9, 0.25], [-1.0]),
    "checkpoint_every": ([0.0, 1e-9, 1e30], [-1.0]),
    "log_every": ([1, 10**12], [0]),
    "log_distances": ([True, False], ["yes"]),
    "deterministic": ([True, False], [2]),
    "data.image_size": ([0, 4, 9, 12], [1, 3, -1, 5000]),
    "data.num_train": ([64, 100, 597], [1, 598, -1]),
    "data.num_validation": ([0, 1, 30], [597, -1]),
    "data.skip_train": ([0, 1, 30], [597, -1]),
    "data.label_noise": ([0.0, 0.1, 1.0], [-0.1, 1.1]),
    "data.crop": (["pad", "none"], ["resized", "cut"]),
    "data.crop_padding": ([0, 1, 4, 8], [9, -1, 2000]),
    "data.flip": ([True, False], [None]),
    "data.mixup": ([0.0, 0.2, 1e-3], [-1.0, math.nan]),
    "data.cutout": ([0, 3, 8], [-1, 5000]),
    "data.sample": (["all", "bootstrap", "bootstrap_members"], ["some"]),
    "data.pipeline": (["auto", "resident", "streaming"], ["tape"]),
    "model.name": (["lenet5", "resnet8"], ["resnet7"]),
    "model.dtype": (["float32", "bfloat16"], ["float8"]),
    "model.activation": (["relu", "smelu"], ["tanh"]),
    "model.activation_width": ([1.0, 1e-30, 1e30], [0.0, -1.0]),
    "model.norm_group": ([0, 1, 4, 16], [3, -1]),
    "optimizer.learning_rate": ([0.0, 0.1, 1e-30, 1e30], [-1.0, 1e300, math.nan]),
    "optimizer.momentum": ([0.0, 0.9, 1.0], [1.5]),
    "optimizer.nesterov": ([True, False], []),
    "optimizer.weight_decay": ([0.0, 1e-4, 1e30], [-1e-4]),
    "optimizer.sam_radius": ([0.0, 1e-30, 0.05, 1e30], [-1.0, math.nan]),
    "optimizer.clip_norm": ([0.0, 1e-30, 5.0, 1e30], [-1.0]),
    "optimizer.warmup_epochs": ([0.0, 0.1, 1e6], [1e12, -1.0]),
    "optimizer.decay_epochs": ([(), (0.0,), (0.001, 0.002), (1.0, 1e5)], [(2.0, 1.0), (-1.0,)]),
    "optimizer.schedule": (["stepped", "cosine", "cycles", "constant"], ["straight"]),
    "optimizer.cycles": ([1, 2, 1000], [0]),
    "optimizer.warmup_percent": ([0.0, 10.0, 100.0], [101.0, math.nan]),
    "optimizer.decay_percent": ([(), (50.0,), (50.0, 200.0)], [(60.0, 50.0)]),
    "optimizer.tail_percent": ([0.0, 30.0, 100.0], [-1.0]),
    "optimizer.decay_factor": ([0.0, 0.1, 1.0, 1e30], [-0.1]),
    "randomness.vary": ([(), ("init",), ("order", "augmentation")], [("weather",), "init"]),
    "randomness.perturb": (["none", "one_ulp"], ["a lot"]),
    "mesh.run": ([0, 1, 2], [3, -1, 10**9]),
    "mesh.member": ([0, 1, 2], [3]),
    "mesh.data": ([0, 1, 2, 4], [3, 16]),
    "method.label": (["baseline", "näme {}%s"], ["", "a/b"]),
    "method.members": ([1, 2, 3], [0, 10**6]),
    "method.prediction": (["first", "mean", "ema", "swa_mean", "snapshots"], ["last"]),
    "method.views": (["one", "flip", "shift", "flip_shift"], ["two"]),
    "method.label_smoothing": ([0.0, 0.1, 0.99], [1.0, -0.1]),
    "method.agree_with": (["pairs", "mean"], ["none"]),
    "method.regularizer": (["none", "entropy", "skl_to_uniform"], ["l3"]),
    "method.alpha": ([0.0, 0.3, 0.999], [1.0, -0.1]),
    "method.alpha_ramp": (["constant", "linear", "step"], ["cubic"]),
    "method.alpha_ramp_epochs": ([0.0, 0.01, 1e5], [1e12, -1.0]),
    "method.convex": ([True, False], []),
    "method.top_k": ([0, 1, 3, 10], [11, -1]),
    "method.renormalise": ([True, False], []),
    "method.agreement": (["none", "symmetric_kl", "l1", "cross_entropy"], ["l3"]),
    "method.beta": ([0.0, 1.0, 1e30], [-1.0]),
    "method.beta_ramp": (["constant", "linear", "step"], ["cubic"]),
    "method.beta_ramp_epochs": ([0.0, 0.01, 1e5], [1e12]),
    "method.update": (["joint", "stale"], ["never"]),
    "method.refresh_steps": ([1, 2, 10**9], [0]),
    "method.temperature": ([1.0, 1e-30, 1e30], [0.0]),
    "method.teacher_weight": ([0.0], [0.5, 1.1]),
}
# One value in so many of those drawn is one that can't be.
ABSURD = 25


@st.composite
def config_values(draw):
    """Values for up to a dozen keys, as {dotted key: value}."""
    keys = draw(st.lists(st.sampled_from(sorted(SPACE)), max_size=12, unique=True))
    values = {}
    for key in keys:
        sensible, absurd = SPACE[key]
        out_of_place = absurd and draw(st.integers(1, ABSURD)) == 1
        values[key] = draw(st.sampled_from(absurd if out_of_place else sensible))
    return values


def checked(values):
    nested = config_lib.default().to_dict()
    base = {key: value for key, value in TINY.items() if not key.startswith("mesh.")}
    for key, value in (base | values).items():
        *groups, name = key.split(".")
        at = nested
        for group in groups:
            at = at[group]
        at[name] = value
    return config_lib.check(nested)


def prepared(config: Config) -> Experiment:
    """All that can refuse a config, without compiling or writing."""
    dataset = data.load(config.data)
    experiment = Experiment(config, dataset.info, len(dataset.train), sharding.make_mesh(config))
    validate(config, dataset.info, len(dataset.train), experiment.mesh, dataset.train.in_memory)
    return experiment


def refused(values) -> str | None:
    """The line of the refusal, or None."""
    try:
        prepared(checked(values)).abstract_state()
    except UserError as error:
        return line_of(error)
    return None


def line_of(error: UserError) -> str:
    line = str(error)
    assert line.isprintable()
    assert any(key.split(".")[-1] in line for key in SPACE), line
    return line


def train_two_steps(values, workdir) -> str:
    """What became of it: 'refused', 'failed' (its numbers went wrong, and it says so) or 'trained'.

    Every other exception is a bug.
    """
    path = workdir / "failed_runs.json"
    try:
        config = checked(values)
        experiment = prepared(config)
        config = dataclasses.replace(config, epochs=1.5 / experiment.steps_per_epoch)
        loop.train(config, workdir)
    except UserError as error:
        line = line_of(error)
        if path.exists():  # too few runs are left to compare: all stop
            return "failed"
        assert not workdir.exists(), f"refused late: {line}"
        return "refused"
    failed = json.loads(path.read_text()) if path.exists() else {}
    for run in experiment.runs:
        file = prediction_file.step_dir(workdir, 2) / prediction_file.file_name(int(run))
        assert file.exists() != (str(run) in failed)
        if file.exists():
            assert np.isfinite(prediction_file.read(file).counted()).all()
    return "failed" if failed else "trained"


ONCE = settings(
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@given(values=config_values())
@settings(ONCE, max_examples=100)
def test_random_configs_are_taken_or_refused_in_one_line(values):
    refused(values)


def run_many(count, folder):
    outcomes = collections.Counter()

    @given(values=config_values())
    @settings(ONCE, max_examples=count)
    def one(values):
        workdir = folder / "work"
        outcomes[train_two_steps(values, workdir)] += 1
        shutil.rmtree(workdir, ignore_errors=True)

    one()
    return outcomes


def test_a_few_random_configs_train_two_steps(tmp_path):
    assert sum(run_many(6, tmp_path).values()) == 6


@pytest.mark.slow
def test_five_hundred_random_configs_train_two_steps(tmp_path):
    outcomes = run_many(500, tmp_path)
    print(dict(outcomes))
    assert sum(outcomes.values()) == 500
    assert outcomes["trained"] > 200
    assert outcomes["refused"] > 50
