"""The predicted class of two as a threshold on the positive one's probability decides it."""

import dataclasses

import numpy as np
from scipy import special

from churn_jax.errors import UserError
from churn_jax.predictions.alignment import Aligned
from churn_jax.predictions.classes import positive_place
from churn_jax.predictions.run import Run


def of_labels(threshold: float) -> float:
    """The probability from which on each of several labels is there.

    Raises:
      UserError: it is none.
    """
    if not 0 < threshold < 1:
        raise UserError(f"--threshold={threshold:g}: must be a probability between 0 and 1")
    return threshold


def decided(found: Aligned, threshold: float, positive: str | None) -> Aligned:
    """The same predictions with the classes that the threshold decides, and a note that says so.

    Args:
      found: of two classes.
      threshold: the least probability at which the positive class is predicted.
      positive: its name, where the classes' names don't say it.

    Raises:
      UserError: there are not two classes, it can't be told which is the positive one, a run has
        predicted classes of its own, or the threshold is none.
    """
    of_labels(threshold)
    if found.num_classes != 2:
        raise UserError(
            f"--threshold={threshold:g}: is for two classes, and there are {found.num_classes}"
        )
    place = positive_place(found.class_names, positive)
    note = (
        f"{found.class_names[place]!r} is predicted where its probability is at least "
        f"{threshold:g}; what is of the most probable class (ECE, confidence) is as ever."
    )
    runs = [_at_threshold(run, place, threshold) for run in found.runs]
    return dataclasses.replace(found, runs=runs, notes=[*found.notes, note])


def _at_threshold(run: Run, positive: int, threshold: float) -> Run:
    if run.kind == "classes" or run.predicted is not None:
        raise UserError(
            f"--threshold: {run.name} has predicted classes, so a threshold can't decide them; "
            "give its probabilities alone"
        )

    def predicted(rows: slice) -> np.ndarray:
        values = np.asarray(run.rows(rows))
        own = values[:, positive]
        if run.kind == "logits":
            own = special.expit(own.astype(np.float64) - values[:, 1 - positive])
        elif run.kind == "log_probs":
            own = np.exp(own.astype(np.float64))
        # In the probabilities' own precision: 0.7 in float32 is not below 0.7.
        return np.where(own >= own.dtype.type(threshold), positive, 1 - positive)

    return dataclasses.replace(run, predicted=predicted)
