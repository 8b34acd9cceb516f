"""Accuracy and proper scores by hand, beside scikit-learn, and for every type of array."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import brier_score_loss, log_loss

from churn_jax import metrics
from churn_jax.errors import UserError

PROBS = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.4, 0.2, 0.4]])
LABELS = np.array([0, 1, 2])


def test_by_hand():
    assert_array_equal(metrics.predictions(PROBS), [0, 1, 0])
    assert_array_equal(metrics.correct(PROBS, LABELS), [True, True, False])
    assert metrics.accuracy(PROBS, LABELS) == 2 / 3
    assert_allclose(metrics.prediction_confidence(PROBS), [0.5, 1, 0])
    assert metrics.prediction_entropy(PROBS)[1] == 0
    assert metrics.negative_log_likelihood(PROBS, LABELS)[1] == 0
    assert metrics.negative_log_likelihood(PROBS, np.array([0, 0, 0]))[1] == np.inf


def test_equals_scikit_learn():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(5), 300), rng.integers(0, 5, 300)
    score = metrics.negative_log_likelihood(probs, labels).mean()
    assert_allclose(score, log_loss(labels, probs), rtol=1e-12)
    score = metrics.brier_score(probs, labels).mean()
    one_hot = np.eye(5)[labels]
    expected = sum(brier_score_loss(one_hot[:, k], probs[:, k]) for k in range(5))
    assert_allclose(score, expected, rtol=1e-12)


@pytest.mark.parametrize("convert", [jnp.asarray, np.float32, np.float16, jnp.bfloat16])
def test_any_float_type(convert):
    rng = np.random.default_rng(0)
    narrow = np.asarray(convert(rng.dirichlet(np.ones(5), 300)))
    wide = narrow.astype(np.float64)
    assert_array_equal(metrics.prediction_entropy(narrow), metrics.prediction_entropy(wide))
    other = wide[::-1]
    assert metrics.surrogate_churn(narrow, other) == metrics.surrogate_churn(wide, other)


def test_more_rows_than_are_read_at_once_have_each_its_own_value():
    probs = np.random.default_rng(0).dirichlet(np.ones(4), 1000)
    many = np.tile(probs, (150, 1))  # 600,000 numbers: more than two blocks
    assert_array_equal(
        metrics.prediction_entropy(many), np.tile(metrics.prediction_entropy(probs), 150)
    )


def test_log_probabilities_become_probabilities():
    log_probs = np.log(np.array([[0.25, 0.75]])).astype(np.float32)
    probs = metrics.from_log_probs(log_probs)
    assert probs.dtype == np.float64
    assert_allclose(probs, [[0.25, 0.75]], rtol=1e-6)
    assert_allclose(probs.sum(), 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.churn(PROBS, PROBS[:2]), "must have the same shape"),
        (lambda: metrics.churn(PROBS[0], PROBS[0]), r"shape \[example, class\]"),
        (lambda: metrics.predictions(PROBS[:0]), "at least 1 example"),
        (lambda: metrics.predictions(PROBS[:, :1]), "2 classes"),
        (lambda: metrics.predictions(np.array([[0.5, 0.5], [np.nan, 1]])), r"probs\[1\] is not"),
        (lambda: metrics.predictions(np.array([[3.0, -2.0]])), r"probs\[0\] is not"),
        (lambda: metrics.churn(PROBS, np.log(PROBS + 0.1)), r"probs_b\[0\] is not"),
        (lambda: metrics.accuracy(PROBS, LABELS[:2]), r"integers of shape \[3\]"),
        (lambda: metrics.accuracy(PROBS, LABELS + 0.5), r"integers of shape \[3\]"),
        (lambda: metrics.accuracy(PROBS, LABELS + 1), r"labels must lie in 0 … 2"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(UserError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
