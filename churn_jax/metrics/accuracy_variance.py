"""What makes an accuracy vary: the runs, the test examples, and how far runs differ in truth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from churn_jax.errors import UserError


class AccuracyVariance(NamedTuple):
    """Variances of accuracy.

    Attributes:
      over_runs: of a run's accuracy on this test set.
      over_examples: of the runs' mean accuracy, for another test set of this size.
      of_the_distribution: of a run's accuracy on all examples that there could be (Jordan 2023),
        which is without what this test set's few examples make of it. An unbiased estimate, so it
        may be below 0.
    """

    over_runs: float
    over_examples: float
    of_the_distribution: float


def accuracy_variance(correct: ArrayLike) -> AccuracyVariance:
    """Splits the variance of accuracy.

    With c [run, example] whether a run is right and N examples, a run's accuracy has the variance

        V = Var(mean_i c_i) = mean_i Var(c_i) / N + (1 − 1/N)·C,

    where C, the mean covariance of two different examples, is that of the distribution.

    Args:
      correct: bool [run, example], of 2 runs and 2 examples or more.

    Raises:
      UserError: not so.
    """
    right = np.asarray(correct, np.float64)
    if right.ndim != 2 or min(right.shape) < 2:
        raise UserError(
            "correct must be [run, example] of at least 2 runs and 2 examples, not "
            f"{list(right.shape)}"
        )
    examples = right.shape[1]
    over_runs = right.mean(1).var(ddof=1)
    alone = right.var(0, ddof=1).mean() / examples
    return AccuracyVariance(
        over_runs=float(over_runs),
        over_examples=float(right.mean(0).var(ddof=1) / examples),
        of_the_distribution=float((over_runs - alone) * examples / (examples - 1)),
    )
