"""How two models, or a set of them, agree: flips for better and worse, chance, and multiplicity."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.errors import UserError
from churn_jax.metrics.accuracy import correct, predictions
from churn_jax.metrics.arrays import checked_pair
from churn_jax.metrics.churn import churn, disagreement


def negative_flip_rate(probs_old: ArrayLike, probs_new: ArrayLike, labels: ArrayLike) -> float:
    """Bad churn: P(ŷ_old = y and ŷ_new ≠ y), in [0, 1] (Yan et al., 2021).

    Args:
      probs_old: probabilities of the old model, [example, class].
      probs_new: of the new one, on the same examples.
      labels: true classes, integers [example].

    Raises:
      UserError: if shapes differ, a row is not a probability vector, or a label is not a class.
    """
    checked_pair(probs_old, probs_new)
    return float((correct(probs_old, labels) & ~correct(probs_new, labels)).mean())


def positive_flip_rate(probs_old: ArrayLike, probs_new: ArrayLike, labels: ArrayLike) -> float:
    """Good churn: P(ŷ_old ≠ y and ŷ_new = y), in [0, 1]. Arguments as in `negative_flip_rate`."""
    return negative_flip_rate(probs_new, probs_old, labels)


def backward_trust_compatibility(
    probs_old: ArrayLike, probs_new: ArrayLike, labels: ArrayLike
) -> float:
    """P(ŷ_new = y given ŷ_old = y), in [0, 1] (Srivastava et al., 2020); NaN if old is never right.

    Arguments as in `negative_flip_rate`.
    """
    right = correct(probs_old, labels)
    if not right.any():
        return float("nan")
    return 1 - negative_flip_rate(probs_old, probs_new, labels) / float(right.mean())


def relative_negative_flip_rate(
    probs_old: ArrayLike, probs_new: ArrayLike, labels: ArrayLike
) -> float:
    """Negative flips as a share of those of independent models (Yan et al., 2021).

        NFR / (P(ŷ_old = y) · P(ŷ_new ≠ y))

    so that a new model that simply errs less is not taken for a more compatible one. At least 0;
    NaN if old is never right or new never wrong. Arguments as in `negative_flip_rate`.
    """
    chance = float(correct(probs_old, labels).mean() * (~correct(probs_new, labels)).mean())
    rate = negative_flip_rate(probs_old, probs_new, labels)
    return rate / chance if chance > 0 else float("nan")


def normalised_disagreement(probs_a: ArrayLike, probs_b: ArrayLike, labels: ArrayLike) -> float:
    """Churn over the mean error of the two, in [0, 2] (Fort et al., 2019); NaN if neither errs."""
    error = 1 - (correct(probs_a, labels).mean() + correct(probs_b, labels).mean()) / 2
    return churn(probs_a, probs_b) / float(error) if error > 0 else float("nan")


def cohens_kappa(probs_a: ArrayLike, probs_b: ArrayLike) -> float:
    """Agreement beyond chance: 1 − churn / expected churn (Cohen, 1960); 1 is full agreement.

    The expected churn is that of independent predictions with the same frequencies of the classes.
    Where both models predict one and the same class only, κ is 1.
    """
    a, b = checked_pair(probs_a, probs_b)
    num_classes = a.shape[1]
    rates = [np.bincount(predictions(p), minlength=num_classes) / len(p) for p in (a, b)]
    agreement = float(rates[0] @ rates[1])
    return 1.0 if agreement == 1 else 1 - churn(a, b) / (1 - agreement)


def ambiguity(probs: Sequence[ArrayLike]) -> float:
    """The fraction of examples on which any two of the models differ (Marx et al., 2020).

    Args:
      probs: probabilities of each model, [example, class]; at least two models.

    Raises:
      UserError: if there are fewer than two models, or their arrays do not fit together.
    """
    _check_set(probs)
    differ = [disagreement(probs[0], other) for other in probs[1:]]
    return float(np.any(differ, axis=0).mean())


def discrepancy(probs: Sequence[ArrayLike]) -> float:
    """The largest churn of any two of the models (Marx et al., 2020). See `ambiguity`."""
    _check_set(probs)
    return max(churn(probs[i], probs[j]) for i in range(len(probs)) for j in range(i))


def _check_set(probs: Sequence[ArrayLike]) -> None:
    if len(probs) < 2:
        raise UserError(f"at least 2 models are needed, not {len(probs)}")
