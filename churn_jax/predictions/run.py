"""One model's predictions, whatever file or array they are in, read a block at a time."""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Run:
    """The predictions of one model for all examples, read a block at a time.

    Attributes:
      rows: maps a slice of examples to values [example, class] of any float type, or to the
        predicted classes [example].
      kind: 'probs', 'log_probs', 'logits' or 'classes'. Logits are normalised; the others are taken
        at their word.
      group: index of the group of runs it belongs to.
      name: what to call it when its values are at fault.
      predicted: maps a slice of examples to the predicted classes [example], where they are given
        beside values; None where the largest value says them.
    """

    rows: Callable[[slice], np.ndarray]
    kind: str
    group: int = 0
    name: str = "run"
    predicted: Callable[[slice], np.ndarray] | None = None
