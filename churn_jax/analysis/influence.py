"""Measures that are no means over examples, as values of examples.

An interval needs to know what each example contributes. For a ratio, a calibration error or κ, each
function here gives values whose mean over the examples is the measure exactly and whose spread is
its error to first order (the infinitesimal jackknife). All are [example] or [run, example] float64.
With weights, as of `weighting`, both means are weighted ones.
"""

import numpy as np

from churn_jax.analysis import weighting
from churn_jax.metrics import bin_indices
from churn_jax.metrics.calibration import NUM_BINS


def calibration_equal_width(
    top: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """ECE over bins of equal width of the top probability."""
    return _signed_gaps(top, correct, bin_indices(top, NUM_BINS), weights)


def calibration_equal_mass(top: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """ECE over bins of equally many examples."""
    return _signed_gaps(top, correct, equal_mass_bins(top), None)


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


def ratio_values(
    numerator: np.ndarray, denominator: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Linearised values of Σ numerator / Σ denominator over the examples, one ratio for each row.

    Their mean over the examples is the ratio r itself; their spread is that of the ratio, to first
    order: r + (numerator − r·denominator) / mean(denominator). NaN where a denominator sums to 0.

    Args:
      numerator, denominator: [run, example]; one row of the denominator may serve all.
      weights: [example], by which these means are.
    """
    total = weighting.mean(denominator, weights, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = weighting.mean(numerator, weights, keepdims=True) / total
        return ratio + (numerator - ratio * denominator) / total


def kappa(
    ours: np.ndarray, theirs: np.ndarray, num_classes: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Cohen's κ = 1 − churn / expected churn of one run's predicted classes with several others'.

    Args:
      ours: [example] predicted classes.
      theirs: [other, example] predicted classes.
      num_classes: how many classes there are.
      weights: of the examples.

    Returns:
      [other, example] values.
    """
    examples = len(ours)
    our_rates = weighting.counts(ours, weights, num_classes) / examples
    values = np.ones(theirs.shape)
    for other, classes in enumerate(theirs):
        their_rates = weighting.counts(classes, weights, num_classes) / examples
        agreement = our_rates @ their_rates
        if agreement == 1:  # both predict the same one class only: nothing is left to agree on
            continue
        differ = ours != classes
        churn, expected = weighting.mean(differ, weights), 1 - agreement
        of_expected = 2 * agreement - their_rates[ours] - our_rates[classes]
        values[other] -= churn / expected * (1 - of_expected / expected)
        values[other] -= (differ - churn) / expected
    return values


def relative_flips(
    right: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """P(old right and new wrong) / (P(old right) · P(new wrong)), [other, example] values.

    Args:
      right: [example] whether the old run is right.
      wrong: [other, example] whether each new run is wrong.
      weights: of the examples.

    Returns:
      NaN where the old run is never right, or a new one never wrong.
    """
    flips = right & wrong
    old, new = weighting.mean(right, weights), weighting.mean(wrong, weights, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = weighting.mean(flips, weights, keepdims=True) / (old * new)
        return flips / (old * new) + ratio * (2 - right / old - wrong / new)


def _signed_gaps(
    top: np.ndarray, correct: np.ndarray, bins: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """In a bin the error is |Σ (correct − top)| / N: each example counts with the bin's sign."""
    gaps = correct - top
    signs = np.sign(np.bincount(bins, gaps if weights is None else weights * gaps, NUM_BINS))
    return signs[bins] * gaps


def class_rate(
    measure: str,
    predicted: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    of: int | None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Recall, precision or F1 of one class, or the mean over those that have examples.

    For a class c all three are Σ hits / Σ d: over the examples the hits are [ŷ = y = c], for F1
    twice that, and d is [y = c] for recall, [ŷ = c] for precision and the sum of both for F1. An
    example has a part in the ratios of its label and of its prediction alone, which is why all
    classes together cost no more than one.

    Args:
      measure: 'recall', 'precision' or 'f1'.
      predicted, labels: [example] classes.
      num_classes: how many there are.
      of: the class, or None for all that have examples.
      weights: of the examples.

    Returns:
      NaN where the class's d sums to 0; in the mean that counts 0.
    """
    examples, hits = len(labels), predicted == labels
    by_label, by_prediction = measure != "precision", measure != "recall"
    of_label = weighting.counts(labels, weights, num_classes)
    counts = by_label * of_label
    if by_prediction:
        counts = counts + weighting.counts(predicted, weights, num_classes)
    gain = by_label + by_prediction
    of_hits = None if weights is None else weights[hits]
    right = gain * weighting.counts(labels[hits], of_hits, num_classes)
    chosen = of_label > 0 if of is None else np.arange(num_classes) == of
    if of is not None and not counts[of]:
        return np.full(examples, np.nan)
    rates = np.divide(right, counts, out=np.zeros(num_classes), where=counts > 0)
    # What one example counts in its class's part of the mean; nothing in the classes left out.
    share = np.divide(chosen, counts, out=np.zeros(num_classes), where=counts > 0)
    share *= examples / chosen.sum()
    values = gain * hits * share[labels]
    if by_label:
        values -= (share * rates)[labels]
    if by_prediction:
        values -= (share * rates)[predicted]
    return float(rates[chosen].mean()) + values


def area_under_curve(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """The area under the ROC curve, by DeLong's structural components.

    A positive example's component is the share of negatives with a smaller score, a negative one's
    that of positives with a larger; equal scores count half. The area is the mean of either kind,
    and the variance of the values' mean here is DeLong's, S₁/m + S₀/n.

    Args:
      scores: [example].
      positive: [example] bool.
      weights: of the examples; None for equal ones.

    Returns:
      NaN where all or no examples are positive.
    """
    values = np.full(len(scores), np.nan)
    if positive.all() or not positive.any():
        return values
    weights = np.ones(len(scores)) if weights is None else weights
    ones, others = weights[positive], weights[~positive]
    above = _share_below(scores[~positive], others, scores[positive])
    below = 1 - _share_below(scores[positive], ones, scores[~positive])
    area = np.average(above, weights=ones)
    values[positive] = area + len(scores) / ones.sum() * (above - area)
    values[~positive] = area + len(scores) / others.sum() * (below - area)
    return values


def _share_below(values: np.ndarray, weights: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The share of the values' weight that is below each score, of equal ones half."""
    order = np.argsort(values, kind="stable")
    ordered, sums = values[order], np.append(0.0, np.cumsum(weights[order]))
    smaller, upto = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (sums[smaller] + sums[upto]) / (2 * sums[-1])
