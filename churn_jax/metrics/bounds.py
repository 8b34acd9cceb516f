"""The paper's theorems on churn. They hold for every pair of models, so a violation is a bug."""

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.metrics.accuracy import correct
from churn_jax.metrics.arrays import checked_pair, over_rows
from churn_jax.metrics.churn import disagreement
from churn_jax.metrics.confidence import prediction_confidence


def probability_distance(probs_a: ArrayLike, probs_b: ArrayLike) -> np.ndarray:
    """‖p¹ − p²‖₁ of each example: float64 [example] in [0, 2]."""
    return over_rows(lambda a, b: np.abs(a - b).sum(axis=-1), *checked_pair(probs_a, probs_b))


def lemma1_bound(probs_a: ArrayLike, probs_b: ArrayLike, labels: ArrayLike) -> float:
    """Lemma 1's bound on churn: the sum of the two models' error rates, in [0, 2].

    Two models that disagree can't both be right.
    """
    return float(_errors(probs_a, probs_b, labels) / len(np.asarray(labels)))


def lemma2_bound(probs_a: ArrayLike, probs_b: ArrayLike) -> float:
    """Lemma 2's bound on churn: P( ‖p¹ − p²‖₁ ≥ min(γ¹, γ²) ), in [0, 1].

    Predictions that differ lie at least the smaller confidence γ apart. The paper has > in place of
    ≥, which fails where a model's two largest probabilities tie exactly.
    """
    return float(_may_differ(probs_a, probs_b).mean())


def lemma1_holds(probs_a: ArrayLike, probs_b: ArrayLike, labels: ArrayLike) -> bool:
    """Whether churn ≤ error₁ + error₂, compared as exact counts of examples."""
    return bool(disagreement(probs_a, probs_b).sum() <= _errors(probs_a, probs_b, labels))


def lemma2_holds(probs_a: ArrayLike, probs_b: ArrayLike) -> bool:
    """Whether every example on which the models disagree is one that Lemma 2 counts.

    That is the lemma's proof, example by example, and stronger than comparing the two rates.
    """
    return bool((_may_differ(probs_a, probs_b) | ~disagreement(probs_a, probs_b)).all())


def _errors(probs_a: ArrayLike, probs_b: ArrayLike, labels: ArrayLike) -> int:
    checked_pair(probs_a, probs_b)
    return int((~correct(probs_a, labels)).sum() + (~correct(probs_b, labels)).sum())


def _may_differ(probs_a: ArrayLike, probs_b: ArrayLike) -> np.ndarray:
    confidence = np.minimum(prediction_confidence(probs_a), prediction_confidence(probs_b))
    return probability_distance(probs_a, probs_b) >= confidence
