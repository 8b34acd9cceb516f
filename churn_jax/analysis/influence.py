"""Measures that are no means over examples, as values of examples.

An interval needs to know what each example contributes. For a ratio, a calibration error or κ, each
function here gives values whose mean over the examples is the measure exactly and whose spread is
its error to first order (the infinitesimal jackknife). All are [example] or [run, example] float64.
"""

import numpy as np

from churn_jax.metrics import bin_indices
from churn_jax.metrics.calibration import NUM_BINS


def calibration_equal_width(top: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """ECE over bins of equal width of the top probability."""
    return _signed_gaps(top, correct, bin_indices(top, NUM_BINS))


def calibration_equal_mass(top: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """ECE over bins of equally many examples."""
    return _signed_gaps(top, correct, equal_mass_bins(top))


def equal_mass_bins(top: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """The bin of each example, by the rank of its top probability; ties in their order."""
    ranks = np.empty(len(top), np.int64)
    ranks[np.argsort(top, kind="stable")] = np.arange(len(top))
    return ranks * num_bins // len(top)


def calibration_without_bins(top: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """The Kolmogorov–Smirnov calibration error: the largest gap of the two cumulative sums."""
    order = np.argsort(top, kind="stable")
    gaps = correct - top
    sums = np.cumsum(gaps[order])
    # Examples of equal top probability cannot be told apart: a sum counts after the last of them.
    ends = np.append(np.diff(top[order]) > 0, True)
    largest = int(np.argmax(np.where(ends, np.abs(sums), -1)))
    values = np.zeros(len(top))
    counted = order[: largest + 1]
    values[counted] = np.sign(sums[largest]) * gaps[counted]
    return values


def kappa(ours: np.ndarray, theirs: np.ndarray, num_classes: int) -> np.ndarray:
    """Cohen's κ = 1 − churn / expected churn of one run's predicted classes with several others'.

    Args:
      ours: [example] predicted classes.
      theirs: [other, example] predicted classes.
      num_classes: how many classes there are.

    Returns:
      [other, example] values.
    """
    examples = len(ours)
    our_rates = np.bincount(ours, minlength=num_classes) / examples
    values = np.ones(theirs.shape)
    for other, classes in enumerate(theirs):
        their_rates = np.bincount(classes, minlength=num_classes) / examples
        agreement = our_rates @ their_rates
        if agreement == 1:  # both predict the same one class only: nothing is left to agree on
            continue
        differ = ours != classes
        churn, expected = differ.mean(), 1 - agreement
        of_expected = 2 * agreement - their_rates[ours] - our_rates[classes]
        values[other] -= churn / expected * (1 - of_expected / expected)
        values[other] -= (differ - churn) / expected
    return values


def relative_flips(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """P(old right and new wrong) / (P(old right) · P(new wrong)), [other, example] values.

    Args:
      right: [example] whether the old run is right.
      wrong: [other, example] whether each new run is wrong.

    Returns:
      NaN where the old run is never right, or a new one never wrong.
    """
    flips = right & wrong
    old, new = right.mean(), wrong.mean(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = flips.mean(1, keepdims=True) / (old * new)
        return flips / (old * new) + ratio * (2 - right / old - wrong / new)


def _signed_gaps(top: np.ndarray, correct: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """In a bin the error is |Σ (correct − top)| / N: each example counts with the bin's sign."""
    gaps = correct - top
    signs = np.sign(np.bincount(bins, gaps, NUM_BINS))
    return signs[bins] * gaps
