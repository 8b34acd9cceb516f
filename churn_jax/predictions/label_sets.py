"""Which labels each class has, where a class is a set of labels: the same labels in all files."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers.names import class_key
from churn_jax.predictions.readers.source import Source


@dataclasses.dataclass(frozen=True)
class LabelSets:
    """The labels of every set that occurs.

    Attributes:
      names: of the labels.
      has: [class, label] bool, whether the set that is the class has the label.
    """

    names: tuple[str, ...]
    has: np.ndarray


def unite(files: Sequence[Source], class_names: Sequence[str]) -> LabelSets | None:
    """The sets of all files; None where a class is no set of labels.

    Args:
      files: of predictions, and of labels.
      class_names: of the sets.

    Raises:
      UserError: two files have different labels.
    """
    first = files[0]
    if first.label_names is None:
        return None
    members: dict[str, frozenset[str]] = {}
    for file in files:
        if file.label_names != first.label_names:
            ours, theirs = (_listed(each.label_names or ()) for each in (file, first))
            raise UserError(f"{file.name}: has the labels {ours}, and {first.name} {theirs}")
        for name, of_set in (file.sets or {}).items():
            if members.setdefault(class_key(name), of_set) != of_set:
                raise UserError(f"{file.name}: {name} is two sets of labels; rename the labels")
    # More than the sets that occur are two classes at least.
    has = np.zeros((max(2, len(class_names)), len(first.label_names)), bool)
    for place, name in enumerate(class_names):
        of_set = members[class_key(name)]
        has[place] = [label in of_set for label in first.label_names]
    return LabelSets(first.label_names, has)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + ", …" * (len(names) > 5)
