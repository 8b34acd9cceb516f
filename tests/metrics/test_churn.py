"""Churn and surrogate churn against their definitions and the properties the paper gives them."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from churn_jax import metrics
from churn_jax.errors import UserError

A = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0], [0.1, 0.3, 0.6], [0.2, 0.2, 0.6]])
B = np.array([[0.1, 0.8, 0.1], [0.0, 0.5, 0.5], [0.2, 0.2, 0.6], [0.6, 0.2, 0.2]])
LABELS = np.array([0, 1, 2, 0])  # the first model is right on the first and third


def test_by_hand():
    # Ties go to the lowest index: the second example is predicted 0 by A and 1 by B.
    assert metrics.churn(A, B) == 3 / 4
    assert metrics.churn_correct(A, B, LABELS) == 1 / 2
    assert metrics.churn_incorrect(A, B, LABELS) == 1
    first = 0.5 * ((1 - 1 / 8) + (1 - 2 / 7) + (1 / 7 - 1 / 8))
    assert_allclose(metrics.surrogate_distance(A, B)[0], first)
    assert_allclose(metrics.surrogate_distance(A, B)[1], 1)


def test_conditions_that_never_hold_give_nan():
    right = A.argmax(axis=-1)
    assert np.isnan(metrics.churn_incorrect(A, B, right))
    assert np.isnan(metrics.churn_correct(A, B, (right + 1) % 3))


@pytest.mark.parametrize("alpha", [0, -1, float("nan")])
def test_refuses_alpha(alpha):
    with pytest.raises(UserError, match="alpha must be above 0"):
        metrics.surrogate_churn(A, B, alpha=alpha)


def test_metrics_import_no_jax():
    code = "import churn_jax.metrics, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
