"""Predicted classes, and how well a model's probabilities fit the labels."""

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.metrics.arrays import checked_labels, checked_probs, over_rows


def predictions(probs: ArrayLike) -> np.ndarray:
    """The predicted class of each example, argmax_j p_j, ties to the lowest index: [example]."""
    return checked_probs(probs).argmax(axis=-1)


def correct(probs: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Whether each predicted class is the label: bool [example]. Its mean is `accuracy`."""
    probs = checked_probs(probs)
    return probs.argmax(axis=-1) == checked_labels(labels, probs)


def accuracy(probs: ArrayLike, labels: ArrayLike) -> float:
    """The fraction of examples whose predicted class is the label.

    Args:
      probs: probabilities, [example, class].
      labels: true classes, integers [example].

    Raises:
      UserError: if the shapes differ, a row is not a probability vector, or a label is not a class.
    """
    return float(correct(probs, labels).mean())


def negative_log_likelihood(probs: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """−log p_y of each example, in nats: float64 [example].

    Infinite where the label has probability 0. Arguments and errors as in `accuracy`.
    """
    probs = checked_probs(probs)
    with np.errstate(divide="ignore"):
        # Subtracting from 0 turns the −0 of a certain prediction into 0.
        return 0.0 - np.log(_label_probs(probs, checked_labels(labels, probs)))


def brier_score(probs: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """The Brier score of each example, ‖p − onehot(y)‖₂²: float64 [example] in [0, 2], 0 is best.

    Arguments and errors as in `accuracy`.
    """
    probs = checked_probs(probs)
    label_probs = _label_probs(probs, checked_labels(labels, probs))
    return over_rows(lambda p: (p**2).sum(axis=-1), probs) - 2 * label_probs + 1


def _label_probs(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(probs, labels[:, None], axis=-1)[:, 0].astype(np.float64)
