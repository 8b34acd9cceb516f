"""Which examples flip from run to run, what reviewing some of them catches, and when to abstain."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from churn_jax.errors import UserError


def flip_probability(classes: ArrayLike) -> np.ndarray:
    """How often two of the runs disagree on each example: float64 [example]; its mean is churn.

        f_i = Σ_{r<s} [ŷ^r_i ≠ ŷ^s_i] / (R (R−1) / 2)

    Over different runs it is unbiased for two new ones.

    Args:
      classes: predicted by each run, integers [run, example].

    Raises:
      UserError: not integers [run, example] of 2 runs or more.
    """
    votes = _votes(_checked(classes))
    ordered_pairs = len(votes) * (len(votes) - 1)
    return (ordered_pairs - (votes - 1).sum(0)) / ordered_pairs


def caught_by_review(suspicion: ArrayLike, flips: ArrayLike, reviewed: ArrayLike) -> np.ndarray:
    """The share of all flips on the most suspicious part of the examples: the triage curve.

    Of equally suspicious examples any may come first: what is expected of a random order counts.

    Args:
      suspicion: [example], larger first.
      flips: [example], how much each flips, at least 0.
      reviewed: fractions of the examples, in [0, 1].

    Returns:
      float64, as long as `reviewed`; NaN if nothing flips.
    """
    flips = np.asarray(flips, np.float64)
    _, level = np.unique(-np.asarray(suspicion), return_inverse=True)
    examples = np.concatenate([[0], np.cumsum(np.bincount(level))])
    found = np.concatenate([[0], np.cumsum(np.bincount(level, flips))])
    if found[-1] <= 0:
        return np.full(np.shape(reviewed), np.nan)
    return np.interp(np.asarray(reviewed) * len(flips), examples, found) / found[-1]


def selective_vote(classes: ArrayLike, alpha: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """What the runs vote for, and whether they are sure enough of it to answer.

    A selective ensemble (Black et al., ICLR 2022) abstains where an exact two-sided test does not
    refuse at level `alpha` that its two most frequent classes are equally likely. With probability
    `alpha` at most an answer is other than the class most frequent among all runs there could be,
    so two such ensembles answer differently with 2·`alpha` at most.

    Args:
      classes: predicted by each run, integers [run, example].
      alpha: in (0, 1). So few runs that even a unanimous vote has 2·0.5^R above it never answer.

    Returns:
      The most frequent class [example] (of ties the first run's that has one), and bool [example],
      whether it is the answer.

    Raises:
      UserError: as `flip_probability`, or alpha is outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise UserError(f"alpha must be in (0, 1), not {alpha}")
    classes = _checked(classes)
    votes = _votes(classes)
    first = votes.argmax(0)[None]
    answer, most = (np.take_along_axis(found, first, 0)[0] for found in (classes, votes))
    second = np.where(classes != answer, votes, 0).max(0)
    # P(X ≥ most) + P(X ≤ second) of most + second fair coins: the tails are equal.
    p = np.where(most == second, 1.0, 2 * special.bdtrc(most - 1, most + second, 0.5))
    return answer, p <= alpha


def _checked(classes: ArrayLike) -> np.ndarray:
    array = np.asarray(classes)
    if array.ndim != 2 or len(array) < 2 or not np.issubdtype(array.dtype, np.integer):
        raise UserError(
            "classes must be integers [run, example] of at least 2 runs, not "
            f"{array.dtype} {list(array.shape)}"
        )
    return array


def _votes(classes: np.ndarray) -> np.ndarray:
    """[run, example], how many runs predict what this one does."""
    votes = np.zeros(classes.shape, np.int32)
    for run in classes:
        votes += classes == run
    return votes
