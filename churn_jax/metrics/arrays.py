"""What every metric does first: check its arrays, and work through them in float64.

Arrays may be NumPy's or JAX's, of any float type. They are read a block of rows at a time, so the
float64 copies stay at a few megabytes even for probabilities [24426, 8142] in a memory-mapped file.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.errors import UserError

# Rows of half-precision probabilities add up to 1 only roughly; logits miss by far more than this.
SUM_TOLERANCE = 0.02
_BLOCK_ELEMENTS = 1 << 18  # of float64: 2 MiB, which stays in a core's cache


def checked_probs(probs: ArrayLike, name: str = "probs") -> np.ndarray:
    """Returns `probs` as an array [example, class], unchanged, after checking that it is one.

    Raises `UserError` if it is not 2-dimensional, has no example or fewer than 2 classes, or if a
    row is not a probability vector (a NaN, a value outside [0, 1], a sum that is not 1 within 2 %).
    """
    array = np.asarray(probs)
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise UserError(
            f"{name} must have shape [example, class] with at least 1 example and 2 classes, "
            f"not {list(array.shape)}"
        )
    valid = over_rows(_are_probabilities, array)
    if not valid.all():
        row = int(np.argmin(valid))
        raise UserError(
            f"{name}[{row}] is not a probability vector (values in [0, 1] that sum to 1); "
            "take the softmax of logits, or the exponential of log-probabilities, first"
        )
    return array


def checked_pair(probs_a: ArrayLike, probs_b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """`checked_probs` of both, which must agree in shape."""
    a, b = checked_probs(probs_a, "probs_a"), checked_probs(probs_b, "probs_b")
    if a.shape != b.shape:
        raise UserError(
            f"probs_a {list(a.shape)} and probs_b {list(b.shape)} must have the same shape: "
            "the same examples and classes in the same order"
        )
    return a, b


def checked_labels(labels: ArrayLike, probs: np.ndarray) -> np.ndarray:
    """Returns `labels` as integers [example] after checking that each is a class of `probs`."""
    array = np.asarray(labels)
    num_examples, num_classes = probs.shape
    if array.shape != (num_examples,) or not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            f"labels must be integers of shape [{num_examples}] as the probabilities have "
            f"{num_examples} examples, not {array.dtype} {list(array.shape)}"
        )
    if array.min() < 0 or array.max() >= num_classes:
        raise UserError(
            f"labels must lie in 0 … {num_classes - 1} as the probabilities have {num_classes} "
            f"classes, not {array.min()} … {array.max()}"
        )
    return array


def over_rows(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Applies `function` to blocks of rows, in float64, and concatenates what it returns.

    `function` takes as many [rows, class] arrays as are given and returns one value per row.
    """
    rows = max(1, _BLOCK_ELEMENTS // arrays[0].shape[1])
    blocks = [
        function(*(_float64(array[start : start + rows]) for array in arrays))
        for start in range(0, len(arrays[0]), rows)
    ]
    return np.concatenate(blocks)


def from_log_probs(log_probs: ArrayLike) -> np.ndarray:
    """Probabilities, float64 [..., class], of natural log-probabilities, as prediction files hold.

    Each row is divided by its sum, which removes the rounding of the stored type.
    """
    probs = np.exp(_float64(log_probs))
    return probs / probs.sum(axis=-1, keepdims=True)


def _are_probabilities(probs: np.ndarray) -> np.ndarray:
    # A NaN fails both comparisons.
    inside = (probs >= 0).all(axis=-1) & (probs <= 1 + SUM_TOLERANCE).all(axis=-1)
    return inside & (np.abs(probs.sum(axis=-1) - 1) <= SUM_TOLERANCE)


def _float64(array: Any) -> np.ndarray:
    return np.asarray(array).astype(np.float64, copy=False)
