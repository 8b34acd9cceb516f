"""The split of accuracy's variance: by hand, and in a simulation whose parts are known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from churn_jax import metrics
from churn_jax.errors import UserError


def test_by_hand():
    found = metrics.accuracy_variance([[True, True, False, True], [True, False, False, True]])
    # Accuracies 3/4 and 2/4; examples 1, 1/2, 0, 1; one of four examples has a variance, 1/2.
    assert_allclose(found.over_runs, 1 / 32)
    assert_allclose(found.over_examples, np.var([1, 0.5, 0, 1], ddof=1) / 4)
    assert_allclose(found.of_the_distribution, (1 / 32 - 1 / 32) * 4 / 3)


def test_runs_that_are_right_by_chance_are_no_better_or_worse_than_others():
    """Each example is right with 0.9 by itself: runs differ on a test set, not on all examples."""
    rng = np.random.default_rng(0)
    found = metrics.accuracy_variance(rng.random((2000, 300)) < 0.9)
    assert_allclose(found.over_runs, 0.09 / 300, rtol=0.1)
    assert abs(found.of_the_distribution) < 0.1 * 0.09 / 300


def test_runs_of_different_quality_differ_on_the_distribution():
    rng = np.random.default_rng(1)
    quality = np.where(np.arange(2000) % 2, 0.8, 0.9)[:, None]
    found = metrics.accuracy_variance(rng.random((2000, 300)) < quality)
    assert_allclose(found.of_the_distribution, 0.0025, rtol=0.1)


@pytest.mark.parametrize("bad", [[True], [[True, False]], [[True], [False]]])
def test_one_run_or_one_example_has_no_variance(bad):
    with pytest.raises(UserError, match="at least 2 runs"):
        metrics.accuracy_variance(bad)
