"""Weights of examples in a file of their own, or in memory."""

from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.columns import Columns, from_mapping
from churn_jax.predictions.readers.containers import open_file
from churn_jax.predictions.readers.names import id_texts
from churn_jax.predictions.readers.roles import find_ids, is_index, plain
from churn_jax.predictions.readers.source import ReadOptions, Source
from churn_jax.predictions.readers.values import with_gaps
from churn_jax.predictions.readers.weights import as_weights
from churn_jax.storage.files import reach

# Names under which people save weights; the first is ours.
WEIGHT_NAMES = ("weights", "weight", "sample_weights", "sample_weight", "w")
_HINT = "an array, or a table with the columns id and weight"


def read_weights(path: epath.PathLike, options: ReadOptions) -> Source:
    """The weights in a file: an array, or a table with the columns id and weight.

    Raises:
      UserError: the file is missing or damaged, or holds no weights.
    """
    path = reach(path, "--weights")
    found = open_file(path, lambda columns: _texts(str(path), columns, options))
    if isinstance(found, Columns):
        return _of_columns(found, options)
    if found.values is None or found.values.ndim != 1:
        raise UserError(f"{path}: has no weights ({_HINT})")
    return _source(str(path), found.values, options)


def given_weights(values: np.ndarray | Mapping[str, np.ndarray], options: ReadOptions) -> Source:
    """Weights in memory: an array [example], or columns by name of which one may be ids."""
    if isinstance(values, Mapping):
        return _of_columns(from_mapping("weights", values, table=True), options)
    return _source("weights", values, options)


def _texts(name: str, columns: Sequence[str], options: ReadOptions) -> set[str]:
    """Columns of which `007` is no number."""
    ids = find_ids(name, columns, options.id if options.id in columns else None)
    return {*([ids] if ids else []), *filter(is_index, columns)}


def _of_columns(found: Columns, options: ReadOptions) -> Source:
    name = found.name
    ids = find_ids(name, found.order, options.id if options.id in found.order else None)
    index = next((c for c in found.order if found.table and is_index(c) and c != ids), None)
    others = [column for column in found.order if column not in (ids, index)]
    called = [column for column in others if plain(column) in WEIGHT_NAMES]
    if len(called) > 1:
        raise UserError(f"{name}: has {' and '.join(called)}; keep the one that are the weights")
    if not called and len(others) != 1:
        raise UserError(f"{name}: has no column called weight (it has {', '.join(found.order)})")
    (column,) = called or others
    named = None if ids is None else _ids(name, found[ids])
    rows = None if ids is not None or index is None else _ids(name, found[index])
    source = _source(name, found[column], options, named, rows)
    heeded = frozenset({"id"} if options.id is not None and options.id == ids else ())
    return source.replace(columns=found.order, heeded=heeded)


def _ids(name: str, values: np.ndarray) -> np.ndarray:
    try:
        return id_texts(values)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None


def _source(
    name: str,
    values: np.ndarray,
    options: ReadOptions,
    ids: np.ndarray | None = None,
    index: np.ndarray | None = None,
) -> Source:
    weights = as_weights(name, values, None if ids is None else ids.tolist())
    for other in (ids, index):
        if other is not None and len(other) != len(weights):
            raise UserError(f"{name}: {len(other)} ids for {len(weights)} weights")
    if not len(weights):
        raise UserError(f"{name}: has no weights ({_HINT})")
    found = Source(name, len(weights), None, "classes", ids=ids, index=index, weights=weights)
    return with_gaps(found, np.zeros(len(weights), bool), options)
