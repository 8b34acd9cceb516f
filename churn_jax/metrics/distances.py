"""Distances between two models' probabilities, one value for each example."""

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.metrics.arrays import checked_pair, over_rows


def jensen_shannon_divergence(probs_a: ArrayLike, probs_b: ArrayLike) -> np.ndarray:
    """½ KL(p¹‖m) + ½ KL(p²‖m) with m = (p¹ + p²)/2: nats, float64 [example] in [0, log 2].

    Args:
      probs_a: probabilities of one model, [example, class].
      probs_b: of another, on the same examples.

    Raises:
      UserError: if shapes differ or a row is not a probability vector.
    """

    def divergence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        middle = (a + b) / 2
        return np.maximum((_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2, 0)

    return over_rows(divergence, *checked_pair(probs_a, probs_b))


def symmetric_kl_divergence(probs_a: ArrayLike, probs_b: ArrayLike) -> np.ndarray:
    """KL(p¹‖p²) + KL(p²‖p¹) = Σ_j (p¹_j − p²_j)(log p¹_j − log p²_j): nats, float64 [example].

    Infinite where one model excludes a class that the other does not. Arguments and errors as in
    `jensen_shannon_divergence`.
    """

    def divergence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _relative_entropy(a, b) + _relative_entropy(b, a)

    return over_rows(divergence, *checked_pair(probs_a, probs_b))


def _relative_entropy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """KL(a‖b), with 0 · log 0 = 0."""
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(a > 0, a, 1.0)) - np.log(np.where(a > 0, b, 1.0))
    return (a * logs).sum(axis=-1)
