"""Parquet tables, through pyarrow; the checksums of their pages are held to where there are any."""

import contextlib
from typing import Any

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.columns import Columns, repeated
from churn_jax.predictions.readers.csv_files import IsText
from churn_jax.predictions.readers.names import TEXT
from churn_jax.predictions.readers.source import refuse_bomb
from churn_jax.predictions.readers.spill import Spill

_BLOCK_FIELDS = 1 << 18


def read_parquet(path: epath.Path, texts: IsText) -> Columns:
    """A Parquet table; `texts` says which columns are texts whatever their type.

    Raises:
      UserError: the file is damaged, or pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow)") from None
    try:
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            return _read(path, file, texts)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: damaged .parquet file: {error}") from None


def _read(path: epath.Path, file: Any, texts: IsText) -> Columns:
    schema = file.schema_arrow
    names = list(schema.names)
    if (twice := repeated(names)) is not None:
        raise UserError(f"{path}: the column {twice!r} is there twice")
    rows = file.metadata.num_rows
    refuse_bomb(path, epath.Path(path).stat().length, rows * len(names) * 4)
    if not rows:
        raise UserError(f"{path}: has no examples")
    as_text = texts(names)
    types = {name: _value_type(schema.field(name).type) for name in names}
    lists = [name for name in names if _is_vector(types[name])]
    number = [n for n in names if n not in as_text and n not in lists and _is_number(types[n])]
    kept: dict[str, list[np.ndarray]] = {}
    widths: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        spill = stack.enter_context(Spill())
        spills = {name: stack.enter_context(Spill()) for name in lists}
        for batch in file.iter_batches(batch_size=max(1, _BLOCK_FIELDS // len(names))):
            block = np.empty((batch.num_rows, len(number)))
            for place, name in enumerate(number):
                block[:, place] = _numbers(batch.column(name))
            spill.write(block)
            for name in names:
                if name in lists:
                    vectors = _vectors(path, name, batch.column(name), widths.get(name))
                    widths[name] = vectors.shape[1]
                    spills[name].write(vectors)
                elif name not in number:
                    kept.setdefault(name, []).append(_texts(path, name, batch.column(name)))
        found = spill.array(np.dtype(np.float64), (rows, len(number))) if number else None
        arrays = {name: np.concatenate(parts) for name, parts in kept.items()}
        for name in lists:
            arrays[name] = spills[name].array(np.dtype(np.float64), (rows, widths[name]))
    return Columns(str(path), tuple(names), arrays, found, tuple(number))


def _value_type(kind: Any) -> Any:
    import pyarrow

    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)


def _is_vector(kind: Any) -> bool:
    """Whether cells hold lists, or vectors as Spark's MLlib writes them."""
    from pyarrow import types

    if types.is_struct(kind):
        return {field.name for field in kind} == {"type", "size", "indices", "values"}
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _decoded(column: Any) -> Any:
    import pyarrow

    return column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column


def _numbers(column: Any) -> np.ndarray:
    """A block of a column as float64; NaN where a cell is empty."""
    import pyarrow

    found: np.ndarray = (
        _decoded(column).cast(pyarrow.float64(), safe=False).to_numpy(zero_copy_only=False)
    )
    return found


def _texts(path: epath.Path, name: str, column: Any) -> np.ndarray:
    """A block of a column as texts; "" where a cell is empty."""
    import pyarrow

    column = _decoded(column)
    try:
        cells = column.cast(pyarrow.string()).to_pylist()
    except pyarrow.ArrowException:
        raise UserError(
            f"{path}: column {name!r} has the type {column.type}, which is neither numbers, texts "
            "nor lists"
        ) from None
    return np.array(["" if cell is None else cell for cell in cells], TEXT)


def _vectors(path: epath.Path, name: str, column: Any, width: int | None) -> np.ndarray:
    """A block of a column of lists, [example, class]; NaN where a cell is empty."""
    import pyarrow
    from pyarrow import compute

    empty = np.asarray(column.is_null())
    if pyarrow.types.is_struct(column.type):
        if np.any(np.asarray(column.field("type").fill_null(1)) != 1):
            raise UserError(f"{path}: column {name!r} holds sparse vectors: write dense ones")
        column = column.field("values")
        empty |= np.asarray(column.is_null())
    lengths = set(np.asarray(compute.list_value_length(column))[~empty].tolist())
    lengths |= set() if width is None else {width}
    if len(lengths) != 1:
        raise UserError(f"{path}: column {name!r} holds lists of different lengths")
    result = np.full((len(empty), int(lengths.pop())), np.nan)
    kept = compute.list_flatten(column.filter(pyarrow.array(~empty)))
    result[~empty] = _numbers(kept).reshape(-1, result.shape[1])
    return result
