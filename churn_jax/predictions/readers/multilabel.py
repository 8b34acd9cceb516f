"""Several labels an example: the set of those that are there, as the example's one class.

A file has a column for each label, of probabilities or of 0 and 1. What is there makes a set, and
sets are classes like any others: `{cat, dog}`, and `{}` where nothing is there.
"""

import dataclasses

import numpy as np
from scipy import special

from churn_jax.errors import UserError
from churn_jax.predictions.readers.names import class_key, class_name
from churn_jax.predictions.readers.source import Raw, ReadOptions

_MOST_SHOWN = 6


def as_sets(raw: Raw, options: ReadOptions) -> Raw:
    """The same with each example's set of labels as its predicted and its true class.

    Args:
      raw: its values, and its labels if it has some, are [example, label].
      options: a label is there from `threshold` on; None asks for 0 and 1.

    Raises:
      UserError: values are no probabilities of labels, or labels have no names that can be told
        apart.
    """
    if raw.values is None or raw.values.ndim != 2 or raw.values.shape[1] < 2:
        shape = "none" if raw.values is None else list(raw.values.shape)
        raise UserError(f"{raw.name}: --kind=multilabel takes values [example, label], not {shape}")
    if raw.predicted is not None:
        raise UserError(
            f"{raw.name}: has predictions beside values: of several labels an example keep one"
        )
    names = _names(raw)
    there = _there(raw, np.asarray(raw.values, np.float64), options.threshold)
    from_ = "are 0 or 1" if options.threshold is None else f"from {options.threshold:g} on"
    shown = ", ".join(names[:_MOST_SHOWN]) + ", …" * (len(names) > _MOST_SHOWN)
    predicted, sets = _sets(there, names)
    labels = None
    if raw.labels is not None:
        given = np.asarray(raw.labels)
        if given.shape != raw.values.shape:
            raise UserError(
                f"{raw.name}: its labels have shape {list(given.shape)}, its values "
                f"{list(raw.values.shape)}: of several labels an example they have the same"
            )
        found = _there(raw, given.astype(np.float64), None)
        labels, more = _sets(found, names)
        sets |= more
    return dataclasses.replace(
        raw,
        values=None,
        kind=None,
        predicted=predicted,
        labels=labels,
        class_names=None,
        label_names=tuple(sorted(names)),
        sets=sets,
        roles=(*raw.roles, f"sets of {len(names)} labels ({shown}), each there {from_}"),
    )


def _names(raw: Raw) -> tuple[str, ...]:
    assert raw.values is not None
    count = raw.values.shape[1]
    names = tuple(map(class_name, raw.class_names or map(str, range(count))))
    if len(names) != count:
        raise UserError(f"{raw.name}: {len(names)} class names for {count} labels")
    keys = [class_key(name) for name in names]
    if twice := next((name for name in names if keys.count(class_key(name)) > 1), None):
        raise UserError(f"{raw.name}: the label {twice!r} is there twice")
    return names


def _there(raw: Raw, values: np.ndarray, threshold: float | None) -> np.ndarray:
    """[example, label] 1 where a label is there, else 0; NaN where a value is missing."""
    if raw.kind == "logits" and threshold is not None:
        values = special.expit(values)
    elif raw.kind == "log_probs" and threshold is not None:
        values = np.exp(values)
    faulty = (values < 0) | (values > 1)
    if threshold is None:
        faulty = ~(np.isnan(values) | (values == 0) | (values == 1))
    if faulty.any():
        row, column = np.argwhere(faulty)[0].tolist()
        wanted = "0 or 1" if threshold is None else "a probability (of logits, call them so)"
        raise UserError(
            f"{raw.name}: example {row} has {values[row, column]:g} for label {column}, not "
            f"{wanted}"
        )
    found = (values >= (0.5 if threshold is None else threshold)).astype(np.float64)
    return np.where(np.isnan(values), np.nan, found)


def _sets(
    there: np.ndarray, names: tuple[str, ...]
) -> tuple[np.ndarray, dict[str, frozenset[str]]]:
    """([example] name of its set, "" where a value is missing; the labels of each set by name)."""
    order = np.argsort(np.array(names))
    ordered = [names[place] for place in order]
    whole = ~np.isnan(there).any(1)
    kinds, codes = np.unique(there[whole][:, order] > 0, axis=0, return_inverse=True)
    members = [[ordered[i] for i in np.flatnonzero(kind)] for kind in kinds]
    texts = ["{" + ", ".join(each) + "}" for each in members]
    found = np.full(len(there), "", object)
    found[whole] = np.array(texts, object)[codes.ravel()]
    return found, {text: frozenset(each) for text, each in zip(texts, members, strict=True)}
