"""What readers take and return, and how much a packed file may expand."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.names import Coded

Kind = Literal["probs", "log_probs", "logits", "classes", "multilabel"]
KINDS: tuple[Kind, ...] = ("probs", "log_probs", "logits", "classes", "multilabel")
KIND_NAMES = {
    "probs": "probabilities",
    "log_probs": "log-probabilities",
    "logits": "logits",
    "classes": "predicted classes",
    "multilabel": "labels that are there or not",
}

_SMALL = 64 << 20
_MOST_EXPANSION = 200


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """What the owner of files says about them, where names and values don't.

    Attributes:
      kind: what the values are.
      id, label, prediction, weight: the columns or arrays with the examples' ids, their true
        classes, the predicted classes and their weights.
      columns: those with the classes' values; any other is then left out.
      missing: what becomes of an example without a value: 'refuse' the file, or 'drop' it.
      score, filter: of a language model's answers, which score says right, and whose filter.
      threshold: of several labels an example, from which probability on one is there; None where
        that must be said by 0 and 1.
    """

    kind: Kind | None = None
    id: str | None = None
    label: str | None = None
    prediction: str | None = None
    weight: str | None = None
    columns: tuple[str, ...] = ()
    missing: Literal["refuse", "drop"] = "refuse"
    score: str | None = None
    filter: str | None = None
    threshold: float | None = 0.5

    def given(self, among: Iterable[str]) -> frozenset[str]:
        """Those of some attributes that were given."""
        return frozenset(name for name in among if getattr(self, name))


@dataclasses.dataclass(frozen=True)
class Raw:
    """The arrays of one model's predictions as a file has them, once it is known which is which.

    Attributes:
      name: the file, as messages and reports call it.
      values: [example, class] of any float type, or [example]: predicted classes, or numbers for
        one class; None if there are none.
      kind: what the values are, where their name says it.
      predicted: [example] predicted classes beside values, or None.
      labels, ids, index, weights: [example] each, or None; `index` are the row names of a data
        frame.
      class_names: in the order of the columns, or None.
      roles: what was read as what, for the report.
      table: whether a missing value can be told from one that is no number.
      open_ended: whether they are answers, which no guesser gets right by knowing the classes.
      texts: [example], what each one says, for people to read; None where no column is called so.
      label_names, sets: of several labels an example, their names in order, and which of them
        each predicted or true set has, by its name; else None.
      columns: all names in it.
      heeded: which of the names in `ReadOptions` were found in it.
    """

    name: str
    values: np.ndarray | None
    kind: Kind | None = None
    predicted: np.ndarray | None = None
    labels: np.ndarray | None = None
    ids: np.ndarray | None = None
    index: np.ndarray | None = None
    weights: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    roles: tuple[str, ...] = ()
    table: bool = False
    group: str | None = None
    provenance: dict[str, Any] | None = None
    open_ended: bool = False
    texts: np.ndarray | None = None
    label_names: tuple[str, ...] | None = None
    sets: Mapping[str, frozenset[str]] | None = None
    columns: tuple[str, ...] = ()
    heeded: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Source:
    """The predictions of one model, checked.

    Attributes:
      name: the file, as messages and reports call it.
      size: how many examples there are.
      values: [example, class] of any float type, or None. A single column is of one class of two.
      kind: what the values are; 'classes' where there are none.
      predicted: predicted classes, or None where the values alone say them.
      labels: true classes, or None.
      ids: [example] of text, or None where the file has only positions.
      index: [example] of text, a data frame's names of its rows, or None.
      weights: [example] float64 of finite numbers ≥ 0, NaN where one is missing; or None.
      class_names: in the order of the columns, or None where they have no names.
      missing: [example], whether something of the example is missing; None if nothing is.
      group: the method the predictions are of, where the file knows it.
      notes: what was read as what, for the report.
      provenance: what made the predictions, where the file says it.
      open_ended, label_names, sets, columns, heeded: as of `Raw`.
    """

    name: str
    size: int
    values: np.ndarray | None
    kind: Kind
    predicted: Coded | None = None
    labels: Coded | None = None
    ids: np.ndarray | None = None
    index: np.ndarray | None = None
    weights: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    missing: np.ndarray | None = None
    group: str | None = None
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] | None = None
    open_ended: bool = False
    texts: np.ndarray | None = None
    label_names: tuple[str, ...] | None = None
    sets: Mapping[str, frozenset[str]] | None = None
    columns: tuple[str, ...] = ()
    heeded: frozenset[str] = frozenset()

    def replace(self, **changes: Any) -> "Source":
        return dataclasses.replace(self, **changes)

    def example(self, row: int) -> str:
        """What messages call an example."""
        return repr(str(self.ids[row])) if self.ids is not None else str(row)


def refuse_bomb(path: epath.PathLike, packed: int, unpacked: int) -> None:
    """Raises UserError if a file would grow far more than predictions do when unpacked."""
    if unpacked > max(_SMALL, _MOST_EXPANSION * packed):
        raise UserError(
            f"{path}: {packed:,} bytes would expand to {unpacked:,}: refused as a compression bomb"
        )
