"""Churn, its surrogate, and churn given that the first model was right or wrong."""

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.errors import UserError
from churn_jax.metrics.accuracy import correct
from churn_jax.metrics.arrays import checked_pair, checked_probs, over_rows


def disagreement(probs_a: ArrayLike, probs_b: ArrayLike) -> np.ndarray:
    """Whether the two models predict different classes: bool [example]. Its mean is `churn`."""
    a, b = checked_pair(probs_a, probs_b)
    return a.argmax(axis=-1) != b.argmax(axis=-1)


def churn(probs_a: ArrayLike, probs_b: ArrayLike) -> float:
    """The fraction of examples on which two models predict different classes (Definition 1).

        Churn(w1, w2) = E[ ŷ1 ≠ ŷ2 ],   ŷ = argmax_j p_j, ties to the lowest index

    Args:
      probs_a: probabilities of the first model, [example, class].
      probs_b: probabilities of the second model for the same examples in the same order.

    Returns:
      A fraction in [0, 1]. Symmetric in the two models.

    Raises:
      UserError: if the shapes differ or a row is not a probability vector.
    """
    return float(disagreement(probs_a, probs_b).mean())


def relative_probabilities(probs: ArrayLike, alpha: float = 1.0) -> np.ndarray:
    """(p_j / max_i p_i)^α, element-wise: float64 [example, class], largest value 1 in each row.

    Where one model meets many others, compute this once per model: `surrogate_distance` of two
    models is half the L1 distance between their relative probabilities.
    """
    _check_alpha(alpha)
    return _relative(checked_probs(probs).astype(np.float64), alpha)


def surrogate_distance(probs_a: ArrayLike, probs_b: ArrayLike, alpha: float = 1.0) -> np.ndarray:
    """Each example's share of surrogate churn: float64 [example]; its mean is `surrogate_churn`."""
    _check_alpha(alpha)
    return over_rows(
        lambda a, b: 0.5 * np.abs(_relative(a, alpha) - _relative(b, alpha)).sum(axis=-1),
        *checked_pair(probs_a, probs_b),
    )


def surrogate_churn(probs_a: ArrayLike, probs_b: ArrayLike, alpha: float = 1.0) -> float:
    """Surrogate churn, SChurn_α: churn made continuous in the probabilities (Definition 2, eq. 4).

        SChurn_α(w1, w2) = ½ E[ ‖ (p¹ / max_j p¹_j)^α − (p² / max_j p²_j)^α ‖₁ ]

    As α → ∞ only the most probable class survives the power, so SChurn_α → churn wherever that
    class is unique.

    Args:
      probs_a: probabilities of the first model, [example, class].
      probs_b: probabilities of the second model for the same examples in the same order.
      alpha: the power, above 0. The paper reports 1.

    Returns:
      A value in [0, K/2] for K classes: it may exceed 1, and is not clipped. Symmetric.

    Raises:
      UserError: if the shapes differ, a row is not a probability vector, or alpha is not above 0.
    """
    return float(surrogate_distance(probs_a, probs_b, alpha).mean())


def churn_correct(probs_a: ArrayLike, probs_b: ArrayLike, labels: ArrayLike) -> float:
    """Churn among the examples that the *first* model gets right (Table 2's "Churn correct").

        P( ŷ1 ≠ ŷ2 | ŷ1 = y )

    The paper does not say which model the condition is on; its numbers do, as with this definition
    accuracy₁ · churn_correct + (1 − accuracy₁) · churn_incorrect = churn. So it is not symmetric:
    over a set of runs, average it over ordered pairs.

    Args:
      probs_a: probabilities of the first model, the one conditioned on, [example, class].
      probs_b: probabilities of the second model for the same examples in the same order.
      labels: true classes, integers [example].

    Returns:
      A fraction in [0, 1]; NaN if the first model gets no example right.

    Raises:
      UserError: if the shapes differ, a row is not a probability vector, or a label is not a class.
    """
    return _mean_where(disagreement(probs_a, probs_b), correct(probs_a, labels))


def churn_incorrect(probs_a: ArrayLike, probs_b: ArrayLike, labels: ArrayLike) -> float:
    """Churn among the examples that the *first* model gets wrong: P( ŷ1 ≠ ŷ2 | ŷ1 ≠ y ).

    Arguments, errors and the choice of the first model as in `churn_correct`; NaN if the first
    model gets every example right.
    """
    return _mean_where(disagreement(probs_a, probs_b), ~correct(probs_a, labels))


def _relative(probs: np.ndarray, alpha: float) -> np.ndarray:
    relative = probs / probs.max(axis=-1, keepdims=True)
    return relative if alpha == 1 else relative**alpha


def _check_alpha(alpha: float) -> None:
    if not alpha > 0:
        raise UserError(f"alpha must be above 0, not {alpha}")


def _mean_where(values: np.ndarray, condition: np.ndarray) -> float:
    return float(values[condition].mean()) if condition.any() else float("nan")
