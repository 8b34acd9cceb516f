"""Calibration errors without their bias: against what is known, and by simulation."""

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.analysis import calibration, intervals
from churn_jax.analysis.intervals import EXAMPLES_ONLY, RUNS_AND_EXAMPLES


def runs(rng, num_runs, num_examples, gap):
    """Runs whose accuracy lies `gap` below their confidence everywhere, so that the ECE is that."""
    tops = rng.uniform(0.4, 0.95, (num_runs, num_examples))
    return tops, rng.random(tops.shape) < tops - gap


@pytest.mark.parametrize("key", calibration.CALIBRATION_ERRORS)
def test_many_examples_leave_no_bias_to_take_away(key):
    tops, correct = runs(np.random.default_rng(0), 2, 40_000, 0.1)
    found = calibration.sample(key, tops, correct, "a")
    plain = calibration.CALIBRATION_ERRORS[key].values
    expected = np.mean([plain(t, c).mean() for t, c in zip(tops, correct, strict=True)])
    assert found.mean == pytest.approx(expected, abs=3e-4)
    assert found.known.covers == RUNS_AND_EXAMPLES
    assert found.known.low < 0.1 < found.known.high


def test_a_calibrated_model_has_an_error_near_zero_and_not_the_noise():
    rng, estimates, plains = np.random.default_rng(1), [], []
    for _ in range(40):
        tops, correct = runs(rng, 1, 600, 0.0)
        found = calibration.sample("ece", tops, correct, "a")
        assert found.known.covers == EXAMPLES_ONLY
        estimates.append(found.mean)
        probs = np.stack([tops[0], *[(1 - tops[0]) / 2] * 2], 1)
        plains.append(metrics.expected_calibration_error(probs, np.where(correct[0], 0, 1)))
    assert np.mean(plains) > 0.03
    assert np.mean(estimates) < 0.6 * np.mean(plains)
    assert np.median(estimates) < np.median(plains) / 3


@pytest.mark.parametrize("gap", [0.005, 0.08])
def test_the_interval_holds_the_true_error(gap):
    rng, hits, trials = np.random.default_rng(2), 0, 150
    for _ in range(trials):
        found = calibration.sample("ece", *runs(rng, 3, 500, gap), "a").known
        hits += found.low <= gap <= found.high
    assert hits / trials >= 0.9


def test_a_difference_of_a_group_with_itself_is_none():
    found = calibration.sample("ece", *runs(np.random.default_rng(3), 3, 500, 0.05), "a")
    nothing = intervals.difference(found, found, 0, 1)
    assert (nothing.mean, nothing.p) == (0, 1)
    twice = found + found
    assert intervals.interval(twice).standard_error == pytest.approx(
        2 * intervals.interval(found * 1.0).standard_error
    )


def test_perfect_and_certain_predictions_may_still_be_wrong():
    found = calibration.sample("ece", np.ones((1, 100)), np.ones((1, 100), bool), "a").known
    assert (found.mean, found.low) == (0, 0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 100))
