"""The fused pass gives what churn_jax.metrics defines, run by run and pair by pair."""

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.measure import Run, measure

EXAMPLES, CLASSES = 700, 60
GROUPS = [0, 0, 0, 1, 1]


@pytest.fixture(scope="module")
def logits():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(EXAMPLES, CLASSES)) * 3
    return shared + rng.normal(size=(len(GROUPS), EXAMPLES, CLASSES)) * 1.5


@pytest.fixture(scope="module")
def labels(logits):
    guesses = logits.mean(0).argmax(1)
    return np.where(np.arange(EXAMPLES) % 4 == 0, 1, guesses).astype(np.int32)


@pytest.fixture(scope="module")
def probs(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@pytest.fixture(scope="module", params=["probs", "log_probs", "logits"])
def measured(request, logits, probs, labels):
    values = {"probs": probs, "log_probs": np.log(probs).astype(np.float32), "logits": logits}
    runs = [
        Run(lambda rows, v=v: v[rows], request.param, g)
        for v, g in zip(values[request.param], GROUPS, strict=True)
    ]
    return measure(runs, labels, CLASSES)


def test_measures_of_runs(measured, probs, labels):
    for i, p in enumerate(probs):
        np.testing.assert_array_equal(measured.predictions[i], metrics.predictions(p))
        for name, expected in {
            "gap": metrics.prediction_confidence(p),
            "entropy": metrics.prediction_entropy(p),
            "nll": metrics.negative_log_likelihood(p, labels),
            "brier": metrics.brier_score(p, labels),
            "confidence": p.max(1),
        }.items():
            np.testing.assert_allclose(getattr(measured, name)[i], expected, atol=2e-6, rtol=1e-6)


def test_measures_of_pairs(measured, probs):
    for i, a in enumerate(probs):
        for j, b in enumerate(probs):
            assert measured.churn.pairs[i, j] == metrics.churn(a, b)
            assert abs(measured.schurn.pairs[i, j] - metrics.surrogate_churn(a, b)) < 1e-6
            assert measured.lemma1[i, j]
            assert measured.lemma2[i, j]


def test_means_over_the_pairs_with_a_group(measured, probs):
    distance = metrics.surrogate_distance
    for group, partners in {0: [1, 2], 1: [3, 4]}.items():
        expected = np.mean([distance(probs[0], probs[j]) for j in partners], axis=0)
        np.testing.assert_allclose(measured.schurn.means[0, group], expected, atol=1e-5)
        differ = np.mean([metrics.disagreement(probs[0], probs[j]) for j in partners], axis=0)
        np.testing.assert_allclose(measured.churn.means[0, group], differ, atol=1e-6)


def test_impossible_classes_and_certain_predictions(labels):
    certain = np.eye(3)[[0, 1, 2, 0]]
    with np.errstate(divide="ignore"):
        log_probs = np.log(certain).astype(np.float32)
    for values, kind in [(certain, "probs"), (log_probs, "log_probs"), (log_probs, "logits")]:
        runs = [Run(lambda rows, v=values: v[rows], kind)] * 2
        found = measure(runs, np.array([0, 1, 2, 1]), 3)
        np.testing.assert_array_equal(found.entropy, 0)
        np.testing.assert_array_equal(found.gap, 1)
        np.testing.assert_array_equal(found.nll, [[0, 0, 0, np.inf]] * 2)
        np.testing.assert_allclose(found.brier, [[0, 0, 0, 2]] * 2)
        assert found.schurn.pairs.max() == 0


def test_huge_logits_stay_finite():
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 9999.0]])
    found = measure([Run(lambda rows: logits[rows], "logits")], np.array([0, 1]), 3)
    np.testing.assert_allclose(found.gap[0], [1, np.tanh(0.5)], atol=1e-6)
    assert np.isfinite(found.nll).all()
