"""Of a run's members the one that breaks least of what the previous model had right.

Networks that differ in their seeds alone break different examples, so a choice among a few costs
their training and nothing afterwards.
"""

from collections.abc import Sequence

import numpy as np

from churn_jax.data import Examples
from churn_jax.training.averaging import Weights
from churn_jax.training.experiment import Experiment
from churn_jax.training.prediction import scores
from churn_jax.training.previous import Previous


def fewest_flips(
    experiment: Experiment, models: Sequence[Weights], previous: Previous, validation: Examples
) -> np.ndarray:
    """The member of every run with the fewest negative flips, int [run].

    A negative flip is an example that the run's previous model has right and the member has wrong.
    Of equals it is the most accurate, then the first.
    """
    assert previous.trained is not None
    correct, _ = scores(experiment, models, validation)  # [run, member, example]
    before = previous.trained.predict(validation).argmax(-1) == np.asarray(validation.labels)
    flips = (before[:, None] & ~correct).sum(-1)
    wrong = (~correct).sum(-1)
    return np.argmin(flips * (1 + len(validation)) + wrong, axis=1)
