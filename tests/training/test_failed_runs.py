"""Runs whose numbers go wrong are stopped and named; those beside them keep their bits."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.storage.workdir import FailedRun, read_failed_runs
from churn_jax.training import loop
from churn_jax.training.checkpoints import Checkpoints, folder
from churn_jax.training.experiment import Experiment
from churn_jax.training.failed_runs import failed_runs
from churn_jax.training.feeds import make_feed
from tests.fixtures.experiments import (
    PAIR,
    assert_equal,
    digits,
    make_config,
    make_experiment,
)

PAIRS = {key.replace(".", "__"): value for key, value in PAIR.items()}


def poisoned(state, run, member=0):
    """The state with weights of one member so large that the next loss overflows."""
    params = jax.tree.map(lambda leaf: leaf.at[run, member].multiply(1e25), state.params)
    return dataclasses.replace(state, params=params)


def train_steps(config, steps, poison_at=None):
    """The state after so many steps and the metrics of each; run 1 is poisoned before one."""
    experiment = make_experiment(config)
    feed = make_feed(experiment, digits(config.data.num_train), 0)
    state, metrics = experiment.init_state(), []
    for step in range(steps):
        if step == poison_at:
            shardings = experiment.state_shardings()
            state = jax.device_put(poisoned(state, run=1), shardings)
        state, of_step = feed.advance(state, step)
        metrics.append(jax.device_get(of_step))
    return jax.device_get(state), metrics


def run_of(tree, run):
    return jax.tree.map(lambda leaf: leaf[run], tree)


@pytest.mark.usefixtures("as_users_compile")
@pytest.mark.parametrize(
    ("mesh", "pipeline"),
    [((1, 1, 1), "resident"), ((1, 2, 1), "resident"), ((2, 1, 2), "streaming")],
    ids=str,
)
def test_a_run_that_fails_is_frozen_and_the_other_keeps_its_bits(mesh, pipeline):
    run, member, data = mesh
    config = make_config(
        **PAIRS, mesh__run=run, mesh__member=member, mesh__data=data, data__pipeline=pipeline
    )
    whole, whole_metrics = train_steps(config, 3)
    state, metrics = train_steps(config, 3, poison_at=1)
    np.testing.assert_array_equal(state.failed_at, [[0, 0], [2, 2]])
    for trained in ("params", "batch_stats", "opt_state"):
        assert_equal(run_of(getattr(state, trained), 0), run_of(getattr(whole, trained), 0))
    before, _ = train_steps(config, 1)
    frozen = jax.device_get(poisoned(jax.tree.map(jnp.asarray, before), run=1))
    assert_equal(run_of(state.params, 1), run_of(frozen.params, 1))
    for of_step, of_whole in zip(metrics, whole_metrics, strict=True):
        assert_equal(run_of(of_step, 0), run_of(of_whole, 0))
    for of_step in metrics[1:]:
        assert all(np.isnan(value[1]).all() for value in of_step.values())


@pytest.fixture
def failing(monkeypatch):
    """Makes run 1 fail at its first step."""
    init_state = Experiment.init_state

    def init(self):
        return jax.device_put(poisoned(init_state(self), run=1), self.state_shardings())

    monkeypatch.setattr(Experiment, "init_state", init)


CONFIG = {"runs": 3, "checkpoint_every": 1.0, "log_every": 2}


def test_a_training_marks_the_run_and_leaves_it_out(failing, tmp_path, capsys):
    loop.train(make_config(**CONFIG), tmp_path)
    said = capsys.readouterr().err
    assert "run 1 failed: its loss or gradients were not finite at step 1" in said
    assert read_failed_runs(tmp_path) == {1: FailedRun(1, None)}
    files = sorted(path.name for path in prediction_file.step_dir(tmp_path, 8).iterdir())
    assert files == ["run_000.safetensors", "run_002.safetensors"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in lines[:2]] == [("failed_run", 1), ("train", 2)]
    assert lines[0]["run"] == 1
    assert lines[1]["cross_entropy"][1] == [None]
    assert lines[-1]["accuracy"][1] == [None]


@pytest.mark.usefixtures("as_users_compile")
def test_a_failure_survives_resuming(failing, tmp_path, capsys):
    loop.train(make_config(**CONFIG), tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    folder(tmp_path / "cut").joinpath("8").rename(tmp_path / "8")
    (tmp_path / "cut/failed_runs.json").unlink()
    capsys.readouterr()
    loop.train(make_config(**CONFIG), tmp_path / "cut")
    assert "run 1 failed" in capsys.readouterr().err
    for name in ("failed_runs.json", "predictions/00000008/run_002.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_mark_of_what_did_not_fail_is_taken_back(tmp_path):
    (tmp_path / "failed_runs.json").write_text('{"1": {"step": 5, "last_good_checkpoint": 4}}')
    loop.train(make_config(), tmp_path)
    assert read_failed_runs(tmp_path) == {}


@pytest.mark.parametrize("config", [{"on_failed_run": "stop"}, {"runs": 2}], ids=str)
def test_all_stop_where_the_config_says_so_or_too_few_are_left(failing, tmp_path, config):
    for _ in range(2):
        with pytest.raises(UserError, match=r"runs \[1\] failed, \d of \d are left"):
            loop.train(make_config(**(CONFIG | config)), tmp_path)
    assert not (tmp_path / "predictions").exists()


def test_a_checkpoint_of_before_there_were_failures_has_none(tmp_path):
    """Written by Orbax itself: every leaf by its path, but for the one that came later."""
    experiment = make_experiment(make_config())
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="."): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(experiment.init_state())
    }
    del leaves["failed_at"]
    args = ocp.args.Composite(state=ocp.args.StandardSave(leaves), meta=ocp.args.JsonSave({}))
    with ocp.CheckpointManager(folder(tmp_path)) as manager:
        manager.save(2, args=args)
    with Checkpoints(tmp_path) as checkpoints:
        state = checkpoints.restore(2, experiment.abstract_state())
    assert failed_runs(experiment, state) == {}
    assert_equal(jax.device_get(state), jax.device_get(experiment.init_state()))
