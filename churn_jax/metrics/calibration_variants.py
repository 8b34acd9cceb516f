"""Calibration errors beside the usual ECE: other bins, all classes, or no bins."""

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.metrics.accuracy import correct
from churn_jax.metrics.arrays import checked_labels, checked_probs
from churn_jax.metrics.calibration import NUM_BINS, bin_indices


def equal_mass_calibration_error(
    probs: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS
) -> float:
    """ECE over bins that hold equally many examples, by rank of the top probability.

    Bin b holds ranks [b·N/n, (b+1)·N/n); ties keep the order of the examples.

    Args:
      probs: probabilities, [example, class].
      labels: true classes, integers [example].
      num_bins: how many bins.

    Returns:
      A fraction in [0, 1].
    """
    top, right = _top_and_correct(probs, labels)
    order = np.argsort(top, kind="stable")
    bins = np.arange(len(top)) * num_bins // len(top)
    return float(np.abs(np.bincount(bins, (right - top)[order])).sum() / len(top))


def kolmogorov_smirnov_calibration_error(probs: ArrayLike, labels: ArrayLike) -> float:
    """The largest gap between cumulated confidence and cumulated accuracy (Gupta et al., 2021).

        max over s of | Σ over the examples with p̂ ≤ s of (1[ŷ = y] − p̂) | / N,   p̂ = max_j p_j

    It needs no bins. Arguments as in `equal_mass_calibration_error`.
    """
    top, right = _top_and_correct(probs, labels)
    order = np.argsort(top, kind="stable")
    sums = np.abs(np.cumsum((right - top)[order]))
    last_of_equals = np.append(np.diff(top[order]) > 0, True)
    return float(sums[last_of_equals].max() / len(top))


def classwise_calibration_error(
    probs: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS
) -> float:
    """The mean over the classes of the calibration error of each class's probability (Kull, 2019).

        1/K Σ_j Σ_bins n_bin/N · | frequency of j in the bin − mean p_j in the bin |

    over bins of equal width of p_j. Arguments as in `equal_mass_calibration_error`.
    """
    probs = checked_probs(probs)
    labels = checked_labels(labels, probs)
    errors = []
    for j in range(probs.shape[1]):
        of_class = probs[:, j].astype(np.float64)
        gaps = np.bincount(bin_indices(of_class, num_bins), (labels == j) - of_class)
        errors.append(np.abs(gaps).sum() / len(labels))
    return float(np.mean(errors))


def _top_and_correct(probs: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    probs = checked_probs(probs)
    return probs.max(axis=-1).astype(np.float64), correct(probs, labels)
