"""What each example counts: the weights in files brought together, and those of 0 left out."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions import unequal
from churn_jax.predictions.joining import Joined
from churn_jax.predictions.readers.source import Source


def weigh(files: Sequence[Source], joined: Joined) -> tuple[Joined, np.ndarray | None]:
    """(the examples that have weight, their weights with the mean 1; None where all are equal).

    Args:
      files: of predictions, and those of labels and weights beside them, as they are joined.
      joined: their examples.

    Raises:
      UserError: two files give an example different weights, or all weights are 0.
    """
    known: tuple[str, np.ndarray] | None = None
    for file, rows in zip(files, (*joined.rows, *joined.beside_rows), strict=True):
        if file.weights is None:
            continue
        own = file.weights if rows is None else file.weights[rows]
        if known is not None:
            unequal.refuse_other_weights(file.name, own, *known, joined.ids)
        known = known or (file.name, own)
    if known is None:
        return joined, None
    name, weights = known
    if not weights.any():
        raise UserError(f"{name}: all weights are 0, so no example counts")
    weights = weights / weights.max()  # huge ones would overflow a sum
    counting = weights > 0
    if left_out := int(np.count_nonzero(~counting)):
        joined, weights = joined.take(counting), weights[counting]
        note = f"Of weight 0, and left out: {left_out:,} of {len(counting):,} examples."
        joined = dataclasses.replace(joined, notes=(*joined.notes, note))
    return joined, None if (weights == weights[0]).all() else weights / weights.mean()
