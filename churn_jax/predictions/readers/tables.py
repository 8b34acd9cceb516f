"""Tables: .csv and .parquet, one row for each example.

Columns named id and label are what they say; a column named prediction holds predicted classes;
else every other column is the value of the class it is named after.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.source import (
    ID_NAMES,
    LABEL_NAMES,
    VALUE_NAMES,
    Source,
    refuse_bomb,
)
from churn_jax.predictions.readers.spill import Spill

_BATCH_FIELDS = 1 << 18


def read_csv(path: epath.Path) -> Source:
    """A comma-separated table with a header line."""
    try:
        # utf-8-sig also reads the mark that spreadsheets put in front.
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            columns = next(reader, None)
            if not columns:
                raise UserError(f"{path}: the file is empty")
            return _table(path, columns, _csv_batches(path, columns, reader))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged .csv file: {error}") from None


def read_parquet(path: epath.Path) -> Source:
    """A Parquet table; needs pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{path}: reading Parquet needs pyarrow (pip install pyarrow)") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            unpacked = file.metadata.num_rows * len(columns) * 4
            refuse_bomb(path, epath.Path(path).stat().length, unpacked)
            batches = (
                [column.to_numpy(zero_copy_only=False) for column in batch.columns]
                for batch in file.iter_batches(batch_size=max(1, _BATCH_FIELDS // len(columns)))
            )
            return _table(path, columns, batches)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: damaged .parquet file: {error}") from None


def _csv_batches(
    path: epath.Path, columns: Sequence[str], reader: Iterator[list[str]]
) -> Iterator[list[np.ndarray]]:
    """Blocks of rows, as one array of str for each column."""
    rows: list[list[str]] = []
    most = max(1, _BATCH_FIELDS // len(columns))
    for number, row in enumerate(reader, start=2):
        if len(row) != len(columns):
            raise UserError(f"{path}: row {number} has {len(row)} fields, not {len(columns)}")
        rows.append(row)
        if len(rows) == most:
            yield list(np.array(rows).T)
            rows = []
    if rows:
        yield list(np.array(rows).T)


def _table(
    path: epath.Path, columns: Sequence[str], batches: Iterable[Sequence[np.ndarray]]
) -> Source:
    """Collects a table's blocks of columns; the classes' values go to disk as they come."""
    if len(set(columns)) != len(columns):
        raise UserError(f"{path}: a column name is there twice")
    special = {name: i for i, name in enumerate(columns)}
    id_column = _column(special, ID_NAMES)
    label_column = _column(special, LABEL_NAMES)
    hard_column = _column(special, tuple(VALUE_NAMES))
    used = (id_column, label_column, hard_column)
    classes = [i for i in range(len(columns)) if i not in used] if hard_column is None else []
    ids, labels, hard = [], [], []
    rows = 0
    with Spill() as values:
        for batch in batches:
            if id_column is not None:
                ids.append(np.asarray(batch[id_column]).astype(np.str_))
            if label_column is not None:
                labels.append(_integers_or_names(batch[label_column]))
            if hard_column is not None:
                hard.append(_integers_or_names(batch[hard_column]))
            if classes:
                values.write(_floats(path, columns, batch, classes, rows))
            rows += len(batch[0])
        if rows == 0:
            raise UserError(f"{path}: has no examples")
        if classes:
            found = values.array(np.dtype(np.float32), (rows, len(classes)))
        else:
            found = _joined(hard) if hard else np.empty((0, 0))
    return Source(
        name=str(path),
        values=found,
        kind="classes" if hard else None,
        labels=_joined(labels) if labels else None,
        ids=np.concatenate(ids) if ids else None,
        class_names=tuple(columns[i] for i in classes) or None,
    )


def _floats(
    path: epath.Path,
    columns: Sequence[str],
    batch: Sequence[np.ndarray],
    classes: Sequence[int],
    first_row: int,
) -> np.ndarray:
    block = np.empty((len(batch[0]), len(classes)), np.float32)
    for place, i in enumerate(classes):
        try:
            block[:, place] = np.asarray(batch[i]).astype(np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{path}: column {columns[i]!r} near example {first_row}: {error}"
            ) from None
    return block


def _integers_or_names(column: np.ndarray) -> np.ndarray:
    """Integers where all are, else the names as they are."""
    column = np.asarray(column)
    if np.issubdtype(column.dtype, np.number):
        return column
    try:
        return column.astype(np.int64)
    except (TypeError, ValueError):
        return column.astype(np.str_)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One array; integers in some blocks and names in others are names."""
    if len({part.dtype.kind for part in parts}) > 1:
        parts = [part.astype(np.str_) for part in parts]
    return np.concatenate(parts)


def _column(places: dict[str, int], names: tuple[str, ...]) -> int | None:
    return next((places[name] for name in names if name in places), None)
