"""From named columns to one model's predictions: what each column is, or a refusal by its name."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers import vectors
from churn_jax.predictions.readers.class_columns import (
    ClassColumns,
    class_columns,
    is_generic,
    refuse_column,
)
from churn_jax.predictions.readers.columns import Columns
from churn_jax.predictions.readers.names import MISSING, as_numbers, class_name, id_texts, is_count
from churn_jax.predictions.readers.roles import (
    PREDICTION_NAMES,
    VALUE_NAMES,
    Roles,
    assign,
    find_text,
    is_called,
    plain,
)
from churn_jax.predictions.readers.source import KIND_NAMES, Kind, Raw, ReadOptions


def texts_of(
    name: str, options: ReadOptions, only_labels: bool, columns: Sequence[str]
) -> set[str]:
    """Which columns of a table are texts, whatever their cells look like."""
    roles = assign(name, columns, _asked(options, only_labels, columns), table=True)
    found = {roles.id, roles.label, roles.prediction, roles.values, *roles.indexes}
    return {column for column in found if column is not None}


def interpret(found: Columns, options: ReadOptions, only_labels: bool = False) -> Raw:
    """The predictions in named columns.

    Args:
      found: the columns.
      options: what their owner says of them.
      only_labels: whether labels are looked for, and anything else may be left out.

    Raises:
      UserError: a column is not known, or no column holds predictions.
    """
    options = _asked(options, only_labels, found.order)
    roles = assign(found.name, found.order, options, found.table)
    text = _text_column(found, roles, options)
    roles = dataclasses.replace(roles, rest=tuple(name for name in roles.rest if name != text))
    labels = None if roles.label is None else found[roles.label]
    ids = None if roles.id is None else found[roles.id]
    index = _index(found, roles)
    weights = None if roles.weight is None else found[roles.weight]
    heeded = options.given(("id", "prediction", "columns", "label"))
    if roles.label is None or not is_called(roles.label, options.label):
        heeded -= {"label"}  # of several files it may be in one
    raw = Raw(
        found.name,
        None,
        labels=labels,
        ids=ids,
        index=index,
        weights=weights,
        texts=None if text is None else found[text],
        table=found.table,
        columns=tuple(found.order),
        heeded=heeded,
    )
    named = {"ids": roles.id, "labels": roles.label, "weights": roles.weight, "texts": text}
    said = [f"{what} from {of!r}" for what, of in named.items() if of is not None]
    if only_labels:
        return raw if labels is not None else _lone_labels(found, roles, raw)
    values, kind, from_name = _values(found, roles, options)
    predicted, of = _predicted(found, roles)
    if not found.table:
        return _of_arrays(found, roles, raw, (values, kind, from_name), (predicted, of), said)
    classes = class_columns(found, roles, options, labels, predicted)
    if classes.columns:
        if values is not None:
            raise UserError(
                f"{found.name}: has {from_name!r} and a column for each of {len(classes.names)} "
                f"classes{_shown(classes.names)}: say which by --columns"
            )
        values, kind = found.take(classes.columns), classes.kind
        said.append(_said_classes(classes, kind))
    elif values is not None:
        said.append(f"{KIND_NAMES[kind] if kind else 'values'} from {from_name!r}")
    if values is None and predicted is None:
        predicted, of = _lone(found, roles)
        if of == roles.label:
            raw = dataclasses.replace(raw, labels=None)
            said = [line for line in said if not line.startswith("labels")]
    names = classes.names or None
    if predicted is not None and (numbers := as_numbers(predicted)) is not None:
        if values is not None:
            raise UserError(
                f"{found.name}: column {of!r} holds fractions beside the classes' values: no "
                "predicted classes; say what the columns are by --prediction and --columns"
            )
        values, predicted = numbers[:, None], None
        names = None if is_generic(str(of)) else (class_name(str(of)),)
        said.append(f"the probability of one class of two from {of!r}")
    elif predicted is not None:
        said.append(f"predicted classes from {of!r}")
    if classes.left_out:
        said.append(f"left out: {', '.join(map(repr, classes.left_out))}")
    return dataclasses.replace(
        raw,
        values=values,
        kind=kind,
        predicted=predicted,
        class_names=names,
        roles=(*said, *found.notes),
    )


def _text_column(found: Columns, roles: Roles, options: ReadOptions) -> str | None:
    """The column of what examples say; not the only one, which is what is predicted."""
    lone = len(roles.rest) == 1 and roles.prediction is None and roles.values is None
    name = None if lone or options.columns else find_text(roles.rest)
    if name is None or name not in found.arrays or found[name].ndim != 1:
        return None
    return name if found[name].dtype.kind in "TUO" else None


def _index(found: Columns, roles: Roles) -> np.ndarray | None:
    """The names of the rows; a mere count only where there is nothing else.

    A frame that was shuffled and saved with a new index has both.
    """
    names = {}
    for column in roles.indexes:
        try:
            names[column] = id_texts(found[column])
        except ValueError:
            continue  # fractions name no rows
    told = [column for column in names if not is_count(names[column])]
    if len(told) > 1:
        shown = " and ".join(map(repr, told))
        raise UserError(f"{found.name}: has the row names {shown}; say which are the ids by --id=")
    return next((names[column] for column in (*told, *names)), None)


def _asked(options: ReadOptions, only_labels: bool, columns: Sequence[str]) -> ReadOptions:
    """What holds of a file: one of labels may call its ids otherwise than the predictions."""
    if not only_labels:
        return options
    return ReadOptions(label=options.label, id=options.id if options.id in columns else None)


def _of_arrays(
    found: Columns,
    roles: Roles,
    raw: Raw,
    values: tuple[np.ndarray | None, Kind | None, str | None],
    predicted: tuple[np.ndarray | None, str | None],
    said: list[str],
) -> Raw:
    """The predictions in an archive or a dictionary of arrays."""
    (given, kind, from_name), (classes, of) = values, predicted
    if classes is not None and classes.ndim != 1:
        if given is not None:
            raise UserError(f"{found.name}: has {from_name} and {of}; keep the one to compare")
        given, from_name, classes = classes, of, None
    if given is None and classes is None:
        raise UserError(
            f"{found.name}: has {sorted(found.order) or 'no arrays'}, none of "
            f"{', '.join([*VALUE_NAMES, *PREDICTION_NAMES])}; say which holds the values by "
            "--columns or the predicted classes by --prediction"
        )
    if classes is not None and given is None and (numbers := as_numbers(classes)) is not None:
        given, classes, from_name = numbers, None, of
    if given is not None:
        said.append(f"{KIND_NAMES[kind] if kind else 'values'} from {from_name!r}")
    if classes is not None:
        said.append(f"predicted classes from {of!r}")
    if left_out := [name for name in roles.rest if name != from_name]:
        said.append(f"left out: {', '.join(map(repr, left_out))}")
    names = None if roles.class_names is None else found[roles.class_names]
    return dataclasses.replace(
        raw,
        values=given,
        kind=kind,
        predicted=classes,
        class_names=None if names is None else tuple(_text(n) for n in np.ravel(names).tolist()),
        roles=tuple(said),
    )


def _text(name: object) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _values(
    found: Columns, roles: Roles, options: ReadOptions
) -> tuple[np.ndarray | None, Kind | None, str | None]:
    """(values in one array or column of lists, their kind if the name says it, the name)."""
    name = roles.values
    if len(options.columns) == 1:
        only = next(c for c in found.order if plain(c) == plain(options.columns[0]))
        name = only if only in found.arrays else None
    elif options.columns:
        name = None
    if name is None:
        return None, None, None
    array, kind = found[name], VALUE_NAMES.get(plain(name))
    if array.dtype.kind == "T":
        array = _parsed(found.name, name, array)
    return array, kind, name


def _parsed(name: str, column: str, texts: np.ndarray) -> np.ndarray:
    """A column of texts as lists, [example, class], or as numbers, [example, 1]."""
    cells = texts.tolist()
    if any(vectors.is_list(cell) for cell in cells[:1000]):
        return vectors.parse(name, column, cells)
    result = np.full((len(cells), 1), np.nan)
    for row, cell in enumerate(cells):
        if cell.strip() in MISSING:
            continue
        try:
            result[row] = float(cell)
        except ValueError:
            raise UserError(
                f"{name}: column {column!r}, example {row}: {cell[:40]!r} is no number"
            ) from None
    return result


def _predicted(found: Columns, roles: Roles) -> tuple[np.ndarray | None, str | None]:
    """(the column or array of predictions, its name)."""
    name = roles.prediction
    if name is None:
        return None, None
    array = found[name]
    if array.dtype.kind == "T" and any(vectors.is_list(cell) for cell in array.tolist()[:1000]):
        array = vectors.parse(found.name, name, array.tolist())
    return array, name


def _lone(found: Columns, roles: Roles) -> tuple[np.ndarray, str]:
    """The only column beside the ids, as in a submission to Kaggle, is what is predicted."""
    others = [c for c in (*roles.rest, roles.label) if c is not None]
    if roles.label is not None and not roles.rest:
        return found[roles.label], roles.label
    if len(others) == 1 and roles.id is not None:
        return found[others[0]], others[0]
    if roles.rest:
        refuse_column(found, roles.rest[0], "is no class")
    raise UserError(
        f"{found.name}: has no predictions: neither a column for each class nor one called "
        f"prediction (it has {', '.join(map(repr, found.order))})"
    )


def _lone_labels(found: Columns, roles: Roles, raw: Raw) -> Raw:
    """A file of labels whose only column beside the ids has another name."""
    others = [c for c in (*roles.rest, roles.prediction, roles.values) if c is not None]
    if len(others) == 1 and found[others[0]].ndim == 1:
        return dataclasses.replace(raw, labels=found[others[0]])
    raise UserError(
        f"{found.name}: has no labels (an array or column named 'labels' or 'label'); say which "
        "holds them by --label"
    )


def _said_classes(classes: ClassColumns, kind: Kind | None) -> str:
    what = KIND_NAMES[kind] if kind else "values"
    if len(classes.columns) == 1:
        return f"the {what} of one class of two from {classes.columns[0]!r}"
    return f"{what} of {len(classes.columns)} classes{_shown(classes.names)}"


def _shown(names: Sequence[str]) -> str:
    return f" ({', '.join(names[:6])}{', …' if len(names) > 6 else ''})"
