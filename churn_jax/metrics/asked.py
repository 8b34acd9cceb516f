"""Measures that a report holds only where they are asked for: of classes, of rankings, of top k.

A key is a family's name, with a class in brackets where it is of one class: `recall`,
`recall[cat]`, `top5_accuracy`, `top5_churn`. Without a class, a measure of classes is that of the
positive class of two, and the mean over the classes of more.
"""

import dataclasses
import re

from churn_jax.metrics.definition import Definition

OF_CLASSES = ("auc", "f1", "precision", "recall")
EXAMPLES = (*OF_CLASSES, "recall[CLASS]", "top5_accuracy", "top5_churn")
_FAMILY = re.compile(rf"{'|'.join(OF_CLASSES)}|top(?P<k>[1-9][0-9]{{0,5}})_(?:accuracy|churn)")
_LABELS, _PROBS, _BOTH = ("labels",), ("probs",), ("labels", "probs")
_OF = "; without a class, of the positive one of two, and of more the mean over "
_PRESENT = f"{_OF}those that have examples"

_DEFINITIONS = {
    "auc": Definition(
        "AUC",
        "area under the ROC curve of a class: P(an example of the class has a larger probability "
        f"of it than one of the others), ties count half{_PRESENT}",
        "run",
        "Hanley & McNeil, The Meaning and Use of the Area under a ROC Curve, 1982; DeLong et al., "
        "Comparing the Areas under Two or More Correlated ROC Curves, 1988",
        _BOTH,
        better="higher",
        percent=False,
    ),
    "f1": Definition(
        "F1",
        "harmonic mean of a class's precision and recall, 2 P(ŷ = c and y = c) / (P(ŷ = c) + "
        f"P(y = c)){_PRESENT}",
        "run",
        needs=_LABELS,
        better="higher",
    ),
    "precision": Definition(
        "precision",
        f"P(y = c given ŷ = c) of a class c{_PRESENT}, of which one that is never predicted "
        "counts 0",
        "run",
        needs=_LABELS,
        better="higher",
    ),
    "recall": Definition(
        "recall",
        f"P(ŷ = c given y = c) of a class c{_PRESENT} (the balanced accuracy)",
        "run",
        needs=_LABELS,
        better="higher",
    ),
}


@dataclasses.dataclass(frozen=True)
class Name:
    """A key in its parts.

    Attributes:
      family: the key without its class.
      of_class: the class's name, or None.
      k: of the top k; 0 for a measure of classes.
    """

    family: str
    of_class: str | None
    k: int


def parse(key: str) -> Name | None:
    """The parts of a key, or None where it is no key of a measure that can be asked for."""
    family, bracket, rest = key.partition("[")
    match = _FAMILY.fullmatch(family)
    if not match or (bracket and not (rest.endswith("]") and len(rest) > 1 and not match["k"])):
        return None
    return Name(family, rest[:-1] if bracket else None, int(match["k"] or 0))


def is_asked(key: str) -> bool:
    """Whether a key is that of a measure that a report holds only where it is asked for."""
    return parse(key) is not None


def family_of(key: str) -> str:
    """The key without its class."""
    return key.partition("[")[0]


def begins(name: str) -> str | None:
    """The family with which a name such as `recall_new` begins, or None."""
    match = _FAMILY.match(name)
    return match[0] if match and name[match.end() :][:1] in ("", "_") else None


def definition(key: str) -> Definition | None:
    """The definition of a measure that can be asked for; None of any other key."""
    name = parse(key)
    if name is None:
        return None
    if name.k:
        return _of_top(name.k, name.family.endswith("churn"))
    found = _DEFINITIONS[name.family]
    if name.of_class is None:
        return found
    return dataclasses.replace(found, title=f"{found.title} of {name.of_class}")


def _of_top(k: int, churn: bool) -> Definition:
    if churn:
        return Definition(
            f"top-{k} churn",
            f"the share of examples of which the two models' sets of the {k} most probable classes "
            "differ, in whatever order; ties go to the class that comes first",
            "pair",
            needs=_PROBS,
        )
    return Definition(
        f"top-{k} accuracy",
        f"P(y is among the {k} most probable classes); ties go to the class that comes first",
        "run",
        needs=_BOTH,
        better="higher",
    )
