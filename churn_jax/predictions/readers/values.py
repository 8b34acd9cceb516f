"""Settling what a file's values are, and refusing what cannot be predictions."""

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers.source import Kind, Source

_LOOKED_AT = 1 << 20  # values; the pass over the data checks all of them
_NEAR = 1e-2


def settle(source: Source, declared: Kind | None) -> Source:
    """Checks a source's arrays against each other and settles the kind of its values.

    Declared by the caller, or by the array's name in the file, or detected from the values, which
    the source's note then says.

    Raises:
      UserError: the arrays do not fit together, or the values are none of the kinds.
    """
    name, values = source.name, source.values
    if values.ndim not in (1, 2) or len(values) == 0:
        raise UserError(
            f"{name}: values must be [example, class] or [example], not {list(values.shape)}"
        )
    if values.ndim == 2 and values.shape[1] < 2:
        raise UserError(
            f"{name}: has {values.shape[1]} class; give a column for every class, "
            "for two classes both"
        )
    for what, array in (("labels", source.labels), ("ids", source.ids)):
        if array is not None and array.shape != (len(values),):
            raise UserError(
                f"{name}: {what} of shape {list(array.shape)} for {len(values)} examples"
            )
    ids = None if source.ids is None else _checked_ids(name, source.ids)
    if source.class_names is not None and values.ndim == 2:
        if len(source.class_names) != values.shape[1]:
            raise UserError(
                f"{name}: {len(source.class_names)} class names for {values.shape[1]} classes"
            )
        if len(set(source.class_names)) != len(source.class_names):
            raise UserError(f"{name}: a class name is there twice")
    kind, note = _kind(source, declared)
    return source.replace(kind=kind, ids=ids, note=note)


def _checked_ids(name: str, ids: np.ndarray) -> np.ndarray:
    if ids.dtype.kind not in "iuUS":
        raise UserError(f"{name}: ids must be integers or strings, not {ids.dtype}")
    try:
        texts = np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids.astype(np.str_)
    except UnicodeDecodeError:
        raise UserError(f"{name}: ids are not UTF-8") from None
    unique, counts = np.unique(texts, return_counts=True)
    if len(unique) != len(texts):
        raise UserError(f"{name}: the id {str(unique[counts > 1][0])!r} is there twice")
    if unique[0] == "":
        raise UserError(f"{name}: example {int(np.argmax(texts == ''))} has no id")
    return texts


def _kind(source: Source, declared: Kind | None) -> tuple[Kind, str]:
    name, values = source.name, source.values
    kind = declared or source.kind
    if values.ndim == 1:
        if kind not in (None, "classes"):
            raise UserError(f"{name}: {kind} must be [example, class], not {list(values.shape)}")
        if values.dtype.kind not in "iuUS":
            raise UserError(
                f"{name}: predicted classes must be integers or names, not {values.dtype}"
            )
        return "classes", "" if kind else f"{name}: read as predicted classes"
    if kind == "classes":
        raise UserError(f"{name}: predicted classes must be [example], not {list(values.shape)}")
    if values.dtype.kind != "f":
        raise UserError(f"{name}: values must be floating-point numbers, not {values.dtype}")
    if kind:
        return kind, ""
    detected = _detect(name, np.asarray(values[: 1 + _LOOKED_AT // values.shape[1]], np.float64))
    return detected, f"{name}: values detected as {detected.replace('_', '-')}"


def _detect(name: str, rows: np.ndarray) -> Kind:
    """What rows look like. One row that is a probability vector settles it: logits never are."""
    if np.isnan(rows).any():
        raise UserError(f"{name}: example {int(np.argmax(np.isnan(rows).any(1)))} has NaN")
    with np.errstate(over="ignore", invalid="ignore"):
        sums = rows.sum(1)
        sums_of_exponentials = np.exp(rows).sum(1)
    positive, negative = (rows >= 0).all(1), (rows <= 0).all(1)
    if (positive & (abs(sums - 1) < _NEAR)).any():
        return "probs"
    if (negative & (abs(sums_of_exponentials - 1) < _NEAR)).any():
        return "log_probs"
    if (abs(sums - 1) < _NEAR).all():
        raise UserError(f"{name}: rows sum to 1 but hold negative values: not probabilities")
    if positive.all() or negative.all():
        raise UserError(
            f"{name}: example 0 sums to {sums[0]:.4g}: no probabilities or log-probabilities; "
            "if these are logits, say so with --kind=logits"
        )
    return "logits"
