"""Whether a model that says 80 % is right 80 % of the time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.errors import UserError
from churn_jax.metrics.accuracy import correct
from churn_jax.metrics.arrays import checked_probs

NUM_BINS = 15


@dataclass(frozen=True)
class ReliabilityBins:
    """A reliability diagram: one value per bin of the top probability, each an array [bin]."""

    counts: np.ndarray  # examples in the bin
    accuracy: np.ndarray  # the fraction of them predicted right; 0 where the bin is empty
    confidence: np.ndarray  # the mean top probability of them; 0 where the bin is empty


def bin_indices(top_probs: np.ndarray, num_bins: int = NUM_BINS) -> np.ndarray:
    """The bin of each top probability: `num_bins` of equal width over (0, 1], right-closed."""
    if num_bins < 1:
        raise UserError(f"num_bins must be at least 1, not {num_bins}")
    # k / n, unlike k times a rounded 1 / n, is the float64 nearest to each edge.
    edges = np.arange(num_bins + 1) / num_bins
    return np.clip(np.searchsorted(edges, top_probs, side="left") - 1, 0, num_bins - 1)


def reliability_bins(
    probs: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS
) -> ReliabilityBins:
    """Groups examples by top probability and compares it with accuracy, bin by bin.

    Arguments and errors as in `expected_calibration_error`, which is the mean of
    |accuracy − confidence| weighted by the counts.
    """
    top_probs = checked_probs(probs).max(axis=-1).astype(np.float64)
    index = bin_indices(top_probs, num_bins)
    counts = np.bincount(index, minlength=num_bins)
    right = np.bincount(index, correct(probs, labels), minlength=num_bins)
    total = np.bincount(index, top_probs, minlength=num_bins)
    members = np.maximum(counts, 1)
    return ReliabilityBins(counts, right / members, total / members)


def expected_calibration_error(
    probs: ArrayLike, labels: ArrayLike, num_bins: int = NUM_BINS
) -> float:
    """Expected calibration error (Guo et al., 2017): the gap between confidence and accuracy.

        ECE = Σ_bins (n_bin / N) · | accuracy_bin − mean top probability_bin |

    over bins of equal width of the top probability. The paper does not give their number; 15 is
    Guo's.

    Args:
      probs: probabilities, [example, class].
      labels: true classes, integers [example].
      num_bins: bins over (0, 1], each closed on the right.

    Returns:
      A fraction in [0, 1].

    Raises:
      UserError: if the shapes differ, a row is not a probability vector, a label is not a class, or
        there is no bin.
    """
    bins = reliability_bins(probs, labels, num_bins)
    return float(np.average(np.abs(bins.accuracy - bins.confidence), weights=bins.counts))
