"""How sure of itself a model is, whatever the label."""

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.metrics.arrays import checked_probs, over_rows


def prediction_entropy(probs: ArrayLike) -> np.ndarray:
    """The entropy of each prediction, H(p) = −Σ_j p_j log p_j with 0 · log 0 = 0.

    Args:
      probs: probabilities, [example, class].

    Returns:
      Nats, float64 [example], in [0, log K] for K classes.

    Raises:
      UserError: if a row is not a probability vector.
    """
    return over_rows(_entropy, checked_probs(probs))


def prediction_confidence(probs: ArrayLike) -> np.ndarray:
    """The confidence of each prediction, γ: largest minus second-largest probability (eq. 5).

    It is not the margin, which is taken against the label's probability.

    Args:
      probs: probabilities, [example, class].

    Returns:
      float64 [example] in [0, 1]; 0 where two classes tie for the largest probability.

    Raises:
      UserError: if a row is not a probability vector.
    """
    return over_rows(_confidence, checked_probs(probs))


def _entropy(probs: np.ndarray) -> np.ndarray:
    log_probs = np.log(np.where(probs > 0, probs, 1.0))
    return np.abs((probs * log_probs).sum(axis=-1))  # the sum is at most 0; abs avoids −0


def _confidence(probs: np.ndarray) -> np.ndarray:
    second, first = np.partition(probs, (-2, -1), axis=-1)[:, -2:].T
    return first - second
