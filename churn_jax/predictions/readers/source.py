"""What every reader returns, and how much a packed file may expand."""

import dataclasses
from typing import Any, Literal

import numpy as np
from etils import epath

from churn_jax.errors import UserError

Kind = Literal["probs", "log_probs", "logits", "classes"]
KINDS: tuple[Kind, ...] = ("probs", "log_probs", "logits", "classes")

# Names under which people save these things; the first is ours.
VALUE_NAMES: dict[str, Kind | None] = {
    "probs": "probs",
    "probabilities": "probs",
    "y_prob": "probs",
    "y_proba": "probs",
    "log_probs": "log_probs",
    "logits": "logits",
    "predictions": None,
    "prediction": None,
    "preds": None,
    "y_pred": None,
}
LABEL_NAMES = ("labels", "label", "targets", "target", "y_true", "y")
ID_NAMES = ("ids", "id", "example_ids", "example_id")
CLASS_NAMES = ("class_names", "classes")

_SMALL = 64 << 20
_MOST_EXPANSION = 200


@dataclasses.dataclass(frozen=True)
class Source:
    """The predictions of one model as they are in a file.

    Attributes:
      name: the file, as messages and reports call it.
      values: [example, class] of any float type, or [example] predicted classes (integers or
        names).
      kind: what the values are; None until it is settled.
      labels: [example] true classes (integers or names), or None.
      ids: [example] of str, or None where the file has only positions.
      class_names: in the order of the columns, or None.
      group: the method the predictions are of, where the file knows it.
      note: what was detected rather than declared, for the report.
    """

    name: str
    values: np.ndarray
    kind: Kind | None = None
    labels: np.ndarray | None = None
    ids: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    group: str | None = None
    note: str = ""
    provenance: dict[str, Any] | None = None

    def replace(self, **changes: Any) -> "Source":
        return dataclasses.replace(self, **changes)


def from_named_arrays(path: epath.Path, arrays: dict[str, np.ndarray]) -> Source:
    """The source in a file of named arrays.

    Raises:
      UserError: no array, or more than one, has a name of predictions.
    """
    found = [name for name in arrays if name in VALUE_NAMES]
    labels = _first(arrays, LABEL_NAMES)
    if len(found) > 1:
        raise UserError(f"{path}: has {' and '.join(found)}; keep the one to compare")
    if not found and labels is None:
        raise UserError(
            f"{path}: has {sorted(arrays) or 'no arrays'}, none of {', '.join(VALUE_NAMES)}"
        )
    # A file of labels alone is one for --labels.
    values = arrays[found[0]] if found else np.empty((0, 0))
    names = _first(arrays, CLASS_NAMES)
    return Source(
        name=str(path),
        values=values,
        kind=VALUE_NAMES[found[0]] if found else None,
        labels=labels,
        ids=_first(arrays, ID_NAMES),
        class_names=None if names is None else tuple(str(name) for name in names.tolist()),
    )


def refuse_bomb(path: epath.Path, packed: int, unpacked: int) -> None:
    """Raises UserError if a file would grow far more than predictions do when unpacked."""
    if unpacked > max(_SMALL, _MOST_EXPANSION * packed):
        raise UserError(
            f"{path}: {packed:,} bytes would expand to {unpacked:,}: refused as a compression bomb"
        )


def _first(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)
