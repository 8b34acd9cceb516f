"""Which columns of a table are the classes' values, and what the classes are called."""

import dataclasses
import re
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers import census
from churn_jax.predictions.readers.columns import Columns
from churn_jax.predictions.readers.names import as_numbers, class_key, class_name, coded, is_whole
from churn_jax.predictions.readers.roles import (
    NO_CLASSES,
    PREDICTION_NAMES,
    VALUE_NAMES,
    Roles,
    plain,
)
from churn_jax.predictions.readers.source import Kind, ReadOptions

_PREFIX = re.compile(
    r"(?P<prefix>log_?probs?|prob(?:ability|abilities|as?|s)?|p|logits?|scores?|class)[ _.:\-]"
    r"(?P<name>.+)|(?P<letter>p)(?P<number>[0-9]+)|"
    r"(?P<function>log_?prob|prob(?:ability)?|p|logit|score) ?\((?P<inside>.+)\)$",
    re.IGNORECASE,
)
_LEAST_ROWS = 3  # fewer rising integers are nothing to go by


@dataclasses.dataclass(frozen=True)
class ClassColumns:
    """The columns that hold the classes' values."""

    columns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    kind: Kind | None = None
    left_out: tuple[str, ...] = ()


def class_columns(
    found: Columns,
    roles: Roles,
    options: ReadOptions,
    labels: np.ndarray | None,
    predicted: np.ndarray | None,
) -> ClassColumns:
    """Which of the columns without a role are the classes' values, and what the classes are called.

    Raises:
      UserError: one of them is no class.
    """
    if options.columns:
        return _given_columns(found, roles, options)
    left_out = [column for column in roles.rest if _rises(found, column)]
    rest = tuple(column for column in roles.rest if column not in left_out)
    numeric = tuple(column for column in rest if column in found.number_names)
    lone = len(rest) == 1 and labels is None and predicted is None and roles.values is None
    if lone and (rest[0] not in numeric or as_numbers(found[rest[0]]) is None):
        return ClassColumns(left_out=tuple(left_out))
    for column in rest:
        if column not in numeric:
            cell = found[column].ravel()[0] if found[column].size else ""
            refuse_column(found, column, f"is no class: {str(cell)[:40]!r} is no number")
    if not rest:
        return ClassColumns(left_out=tuple(left_out))
    only = rest[0] if len(rest) == 1 and not lone and not is_generic(rest[0]) else None
    if only is not None and as_numbers(found[only]) is None:
        refuse_column(found, only, "is no class: it holds whole numbers")
    occurring = _occurring(found.name, rest, labels, predicted)
    kind, names = _without_prefix(found, rest, occurring)
    _refuse_unknown(found, names, occurring, kind)
    columns = tuple(column for column in rest if column in names)
    if len(columns) == 1 and is_generic(columns[0]):
        return ClassColumns(columns, (), VALUE_NAMES.get(plain(columns[0])), tuple(left_out))
    return ClassColumns(columns, tuple(names.values()), kind, tuple(left_out))


def _given_columns(found: Columns, roles: Roles, options: ReadOptions) -> ClassColumns:
    """The columns that the owner names."""
    wanted = tuple(
        next(c for c in found.order if c == name or plain(c) == plain(name))
        for name in options.columns
    )
    left_out = tuple(column for column in roles.rest if column not in wanted)
    if len(wanted) == 1 and wanted[0] in found.arrays:
        return ClassColumns(left_out=left_out)  # an array or a column of lists
    for column in wanted:
        if column not in found.number_names:
            raise UserError(f"{found.name}: column {column!r} holds no numbers (--columns)")
    kind, names = _without_prefix(found, wanted, frozenset())
    return ClassColumns(wanted, tuple(names[column] for column in wanted), kind, left_out)


def _occurring(
    name: str,
    rest: Sequence[str],
    labels: np.ndarray | None,
    predicted: np.ndarray | None,
) -> frozenset[str]:
    """The keys of the classes that occur among labels and predictions."""
    keys: set[str] = set()
    for values in (labels, predicted):
        if values is not None and values.ndim == 1:
            try:
                keys |= {class_key(found) for found in coded(values, rest).names}
            except ValueError as error:
                raise UserError(f"{name}: labels {error}") from None
    return frozenset(keys)


def _rises(found: Columns, column: str) -> bool:
    """Whether a column counts the rows, as 0, 1, 2, …: whole numbers that rise by one."""
    if column not in found.number_names or found.size < _LEAST_ROWS:
        return False
    numbers = found[column]
    first = np.asarray(numbers[:_LEAST_ROWS])
    if not np.array_equal(first, first[0] + np.arange(_LEAST_ROWS)) or first[0] % 1:
        return False
    return bool(np.array_equal(numbers, first[0] + np.arange(len(numbers))))


def _without_prefix(
    found: Columns, rest: Sequence[str], occurring: frozenset[str]
) -> tuple[Kind | None, dict[str, str]]:
    """(what a prefix says the values are, the class of each column that has the prefix).

    Without a prefix, or where labels have it too, classes are called as their columns are.
    """
    whole = {column: class_name(column) for column in rest}
    matches = {column: match for column in rest if (match := _PREFIX.match(column))}
    keys = {class_key(column) for column in rest}
    if not matches or (occurring and occurring <= keys):
        return None, whole
    families = {column: _family(match) for column, match in matches.items()}
    kinds = sorted(set(families.values()))
    if len(kinds) > 1:
        shown = " and ".join(next(c for c in matches if families[c] == kind) for kind in kinds)
        raise UserError(f"{found.name}: has columns like {shown}: say which by --columns")
    stripped = {
        column: class_name(match["name"] or match["number"] or match["inside"])
        for column, match in matches.items()
    }
    if len(matches) < len(rest):
        if len(matches) < 2 and not occurring & {class_key(name) for name in stripped.values()}:
            return None, whole
        other = next(column for column in rest if column not in matches)
        refuse_column(found, other, f"is no class, as {next(iter(matches))!r} is", tuple(matches))
    kind: Kind | None = None
    if kinds[0] in ("probs", "log_probs", "logits"):
        kind = kinds[0]  # type: ignore[assignment]
    return kind, stripped


def _family(match: re.Match[str]) -> str:
    prefix = plain(match["prefix"] or match["letter"] or match["function"])
    if prefix.startswith("log") and "prob" in prefix:
        return "log_probs"
    return "probs" if prefix[0] == "p" else "logits" if prefix[0] == "l" else prefix


def _refuse_unknown(
    found: Columns, names: dict[str, str], occurring: frozenset[str], kind: Kind | None
) -> None:
    """Raises UserError for a column that may be no class.

    Those are classes that labels have, whole numbers among whole numbers, and all columns
    together if every row of them adds up to one.
    """
    keys = {column: class_key(name) for column, name in names.items()}
    if (twice := _twice(names)) is not None:
        raise UserError(f"{found.name}: columns {twice[0]!r} and {twice[1]!r} are one class")
    whole = [column for column in names if is_whole(names[column])]
    if kind is not None or len(whole) == len(names):
        return
    by_label = occurring and occurring <= set(keys.values())
    if by_label:
        doubtful = [c for c in names if keys[c] not in occurring and not (whole and c in whole)]
        why = "is no label of any example"
    else:
        texts = [c for c in names if c not in whole]
        doubtful = texts if whole else [c for c in texts if plain(c) in NO_CLASSES]
        why = "is called like no class"
    if not doubtful or len(names) == 1:
        return
    together = census.count(found.take(list(names)))
    if together.rows and together.rows in (together.probs, together.log_probs):
        return
    refuse_column(found, doubtful[0], why, tuple(c for c in names if c not in doubtful))


def _twice(names: dict[str, str]) -> tuple[str, str] | None:
    """Two columns that are one class, or None."""
    seen: dict[str, str] = {}
    for column, name in names.items():
        if (other := seen.setdefault(class_key(name), column)) != column:
            return other, column
    return None


def refuse_column(found: Columns, column: str, why: str, classes: Sequence[str] = ()) -> NoReturn:
    """Raises the UserError of a column that nobody knows; `classes` are the columns that are."""
    listed = ",".join(classes) if classes and len(classes) <= 10 else "…"
    raise UserError(
        f"{found.name}: column {column!r} {why}; say what it is by --id, --label, --prediction "
        f"or --weights, or name the columns of the classes (--columns={listed})"
    )


def is_generic(column: str) -> bool:
    """Whether a column's name says that it is a prediction, and not of which class."""
    generic = {*VALUE_NAMES, *PREDICTION_NAMES, "label", "target", "labels", "targets", "class"}
    return plain(column) in generic or plain(column) == "p"
