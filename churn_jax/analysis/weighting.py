"""Means over examples that count differently, and how certain they are.

With weights w of the examples, whose mean is 1, every mean over examples is Σ w z / N. Its error is
to first order the mean of w (z − z̄): values z̄ + w (z − z̄) have the weighted mean as their plain
mean, and its error as their spread (Särndal, Swensson & Wretman, Model Assisted Survey Sampling,
1992, §5.7). A heavy example draws the mean to itself, so that Σ q² (z − z̄)² with q = w / N is too
small on average, by 1 − 2 Σ q³ / Σ q² + Σ q² where weights tell nothing of values (1 − 1/N where
they are equal); the spread is made as much larger. So whatever makes an interval from values of
examples does so of weighted ones, once `linear` has turned them into these. N examples of such
weights are as good as Kish's (Σ w)² / Σ w² equal ones (`effective`), which is the count that t
quantiles and what never happened go by.

Weights None are all equal.
"""

import math

import numpy as np


def relative(weights: np.ndarray | None) -> np.ndarray | None:
    """The same weights of fewer examples, so that their mean is 1 again."""
    return None if weights is None else weights / weights.mean()


def mean(values: np.ndarray, weights: np.ndarray | None, keepdims: bool = False) -> np.ndarray:
    """The mean over the examples, which are the last axis.

    Of what is the same in all examples it is that exactly, so that nothing passes for spread.
    """
    if weights is None:
        return values.mean(-1, dtype=np.float64, keepdims=keepdims)
    first = values[..., :1].astype(np.float64)
    first = np.where(np.isfinite(first), first, 0)
    found = first + ((values - first) @ weights)[..., None] / len(weights)
    return found if keepdims else found[..., 0]


def counts(codes: np.ndarray, weights: np.ndarray | None, size: int) -> np.ndarray:
    """How much weight each of `size` codes has, [code]."""
    return np.bincount(codes, weights, size)


def linear(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values whose plain mean is the weighted mean, and whose spread is its error."""
    means = mean(values, weights, keepdims=True)
    with np.errstate(invalid="ignore"):
        # An infinite loss makes the mean infinite, and no spread of it is known.
        apart = _spread(weights) * weights * (values - means)
        return np.where(np.isfinite(means), means + apart, means)


def _spread(weights: np.ndarray) -> float:
    """How much larger the spread must be, beside what N − 1 instead of N does already."""
    squares = float(weights @ weights)
    cubes = float((weights * weights) @ weights)
    kept = 1 - 2 * cubes / squares / len(weights) + squares / len(weights) ** 2
    return math.sqrt((1 - 1 / len(weights)) / kept) if kept > 0 else 1.0


def effective(weights: np.ndarray) -> float:
    """How many examples of equal weight are as good: (Σ w)² / Σ w², Kish 1965."""
    return float(as_good_as(weights.sum(), weights @ weights))


def as_good_as(sums: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The same from sums of the weights and of their squares; 0 where there are none."""
    some = squares > 0
    return np.divide(sums**2, squares, out=np.zeros(np.shape(squares)), where=some)
