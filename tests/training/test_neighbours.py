"""Labels smoothed over nearest neighbours, by loops over the examples."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from churn_jax.errors import UserError
from churn_jax.training import previous
from churn_jax.training.neighbours import label_shares
from churn_jax.training.validation import validate
from tests.fixtures.experiments import digits, make_config, make_experiment

ANCHOR = {"method__anchor": "neighbours", "method__gamma": 0.3, "method__anchor_neighbours": 3}


def by_hand(log_probs, labels, neighbours):
    """[example, class] of one run."""
    logits = log_probs - log_probs.mean(-1, keepdims=True)
    shares = np.zeros(log_probs.shape)
    for i, own in enumerate(logits):
        far = ((logits - own) ** 2).sum(-1)
        far[i] = np.inf
        for j in np.argsort(far)[:neighbours]:
            shares[i, labels[j]] += 1 / neighbours
    return shares


@pytest.mark.parametrize("classes", [3, 40])  # by a tree, and by all distances
def test_shares_are_of_the_labels_of_the_nearest_others(classes):
    rng = np.random.default_rng(0)
    logits, labels = 3 * rng.normal(size=(2, 60, classes)), rng.integers(0, classes, 60)
    logits[1] += 50 * rng.normal(size=(60, 1))  # a constant that predictions do not tell
    found = label_shares(np.float32(logits), labels, 5)
    assert found.dtype == np.float32
    for run in range(2):
        assert_allclose(np.exp(found[run]), by_hand(logits[run], labels, 5), atol=1e-6)


def test_a_training_is_held_to_its_neighbours_labels(tmp_path):
    train = digits(64).train
    logits = np.random.default_rng(1).normal(size=(64, 10))
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.savez(tmp_path / "first.npz", probs=probs, ids=train.ids)
    config = make_config(**ANCHOR, previous__source=str(tmp_path / "first.npz"))
    found = previous.load(make_experiment(config), digits(64))
    expected = by_hand(np.log(probs), train.labels, 3)
    for run in range(2):  # one first model for all
        assert_allclose(np.exp(found.log_probs[run]), expected, atol=1e-6)


def test_what_has_no_neighbours_is_refused_in_a_line():
    anchor = {**ANCHOR, "previous__source": "W"}
    with pytest.raises(UserError, match=r"^config\.method\.anchor: 'neighbours' would tell labels"):
        make_config(**anchor, data__sample="bootstrap")

    def refused(config, num_train):
        experiment = make_experiment(config)
        with pytest.raises(UserError) as error:
            validate(config, experiment.info, num_train, experiment.mesh, True)
        return str(error.value)

    line = refused(make_config(**anchor | {"method__anchor_neighbours": 64}), 64)
    assert line == "config.method.anchor_neighbours: 64 is not below the 64 training examples"
    assert "'neighbours' looks for them among 200,000" in refused(make_config(**anchor), 200_001)
