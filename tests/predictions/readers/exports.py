"""A pair of models' predictions to export in people's ways, and the right answers by NumPy."""

import csv
import io

import numpy as np
import pytest
from scipy import special

from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError

N = 90
RNG = np.random.default_rng(7)
IDS = [f"img{i:03d}" for i in range(N)]
NAMES = ("cat", "dog", "owl")
_SHARED = RNG.normal(size=(N, 3)) * 2
LABELS = (_SHARED + RNG.normal(size=(N, 3))).argmax(1)
OLD, NEW = (_SHARED + RNG.normal(size=(N, 3)) for _ in range(2))  # logits
OLD_PROBS, NEW_PROBS = (special.softmax(logits, axis=1) for logits in (OLD, NEW))
POSITIVE = (_SHARED[:, 0] + RNG.normal(size=N) > 0).astype(int)
OLD_P, NEW_P = (special.expit(_SHARED[:, 0] + RNG.normal(size=N)) for _ in range(2))


def right(old=OLD, new=NEW, labels=LABELS):
    """(churn, accuracy of the old, of the new) of classes, or of values [example, class]."""
    old, new = (x if np.ndim(x) == 1 else np.argmax(x, 1) for x in (old, new))
    return np.mean(old != new), np.mean(old == labels), np.mean(new == labels)


RIGHT = right()
RIGHT_BINARY = right(OLD_P > 0.5, NEW_P > 0.5, POSITIVE == 1)


def report(old, new, labels=None, **options):
    return compare({"old": old, "new": new}, labels, **options).report


def found(old, new, labels=None, **options):
    """What is reported of two files: (churn, accuracy of the old, of the new)."""
    result = report(old, new, labels, **options)
    accuracies = [group.get("accuracy") for group in result["groups"]]
    return (
        result["between"][0]["churn"]["mean"],
        *(accuracy["mean"] if accuracy else None for accuracy in accuracies),
    )


def notes(old, new, labels=None, **options):
    """The report's notes as one text."""
    return "\n".join(report(old, new, labels, **options)["notes"])


def refused(old, new, labels=None, **options):
    """The one line that refuses two files."""
    with pytest.raises(UserError) as caught:
        compare({"old": old, "new": new}, labels, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def text(columns, delimiter=",", lineterminator="\n"):
    """A table of columns as text; numbers as Python writes them."""
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=lineterminator)
    writer.writerow(columns)
    writer.writerows(zip(*(np.asarray(c).tolist() for c in columns.values()), strict=True))
    return stream.getvalue()


def write(path, columns, **style):
    """Writes a table of columns as .csv; returns its path."""
    path.write_text(text(columns, **style), newline="")
    return path


def table(values, names=(0, 1, 2), labels=LABELS, ids=IDS, order=None):
    """Columns id, label and one for each class."""
    order = np.arange(len(values)) if order is None else order
    columns = {} if ids is None else {"id": np.array(ids)[order]}
    columns |= {} if labels is None else {"label": np.asarray(labels)[order]}
    return columns | {str(name): values[order, j] for j, name in enumerate(names)}
