"""Predictions of a split: what leaves the devices, and in how little memory they are written."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from churn_jax.training import averaging, prediction
from churn_jax.training.loop import evaluate_members
from tests.fixtures.experiments import ROOT, digits, make_config, make_experiment

# Stands in for the devices: batches of made-up log-probabilities of a pair, of which only those of
# the first 100 classes differ from a constant, so that making them takes no time.
GENERATED = """
import resource, sys
from pathlib import Path
import jax, jax.numpy as jnp, numpy as np
from churn_jax.predictions import prediction_file
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.training import inference

examples, classes, batch = 24_426, 8_142, 512

@jax.jit
def block(start):
    made = jax.random.normal(jax.random.key(start), (1, 2, batch, 100))
    return jnp.full((1, 2, batch, classes), -9.0).at[..., :100].set(made)

def batches(experiment, models, split):
    for start in range(0, examples, batch):
        yield block(start), min(batch, examples - start)

inference.batches = batches
block(0).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = {"group": "pair", "config_hash": "0", "run": 0, "seed": 0, "step": 1, "dataset": "d",
        "split": "test", "data_fingerprint": "f"}
path = Path(sys.argv[1]) / "run_000.safetensors"
with inference._on_disk(None, None, range(examples)) as log_probs:
    labels = np.zeros(examples, np.int32)
    ids = np.arange(examples).astype(str)
    prediction_file.write(path, Predictions(log_probs[0], labels, ids, made))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
found = prediction_file.read(path).log_probs
assert found.shape == (2, examples, classes)
for start in (0, 512 * 20, 512 * 47):
    there = found[:, start : start + batch]
    np.testing.assert_array_equal(there, np.asarray(block(start))[0, :, : there.shape[1]])
"""


def test_scores_are_those_of_the_log_probabilities_on_the_host():
    experiment = make_experiment(make_config(method__members=2, eval_batch_size=70))
    state, split = experiment.init_state(), digits(64).test
    models = averaging.predicting(experiment, state, digits(64))
    log_probs = prediction.predict(experiment, models, split)
    labels = np.asarray(split.labels)
    correct, own = prediction.scores(experiment, models, split)
    np.testing.assert_array_equal(correct, log_probs.argmax(-1) == labels)
    picked = np.take_along_axis(log_probs, labels[None, None, :, None], axis=-1)[..., 0]
    np.testing.assert_array_equal(own, picked)
    found = evaluate_members(experiment, state, digits(64))
    np.testing.assert_array_equal(found["nll"], -picked.mean(-1, dtype=np.float64))


def test_no_log_probabilities_leave_the_devices_for_metrics(monkeypatch):
    experiment = make_experiment(make_config())
    fetched = []
    to_host = prediction.sharding.to_host

    def noting(tree):
        fetched.extend(leaf.ndim for leaf in jax.tree.leaves(tree))
        return to_host(tree)

    monkeypatch.setattr(prediction.sharding, "to_host", noting)
    models = averaging.predicting(experiment, experiment.init_state(), digits(64))
    prediction.scores(experiment, models, digits(64).test)
    assert set(fetched) == {3}  # [run, member, example]


@pytest.mark.slow
def test_a_pairs_predictions_of_inaturalist_are_written_in_little_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", GENERATED, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 500  # MiB beyond what JAX itself takes; the file is 1,590 MB
