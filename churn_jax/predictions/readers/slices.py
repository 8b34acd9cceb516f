"""A file that says which slices examples are in: a .csv with a column for each way of slicing."""

import csv

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.source import ID_NAMES


def read_slices(path: epath.PathLike, ids: np.ndarray) -> dict[str, np.ndarray]:
    """The name of each example's slice, [example] of str, by the name of the column.

    Args:
      path: a .csv with a header; a column named id joins the rows to the examples, else
        their order.
      ids: [example] ids of the predictions.

    Raises:
      UserError: the file is damaged, or lacks an example.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            table = list(csv.reader(stream, strict=True))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as .csv: {error}") from None
    if len(table) < 2:
        raise UserError(f"{path}: has no slices")
    header, rows = table[0], table[1:]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}: row {number} has {len(row)} fields, not {len(header)}")
    columns = {
        name: np.array(values) for name, values in zip(header, zip(*rows, strict=True), strict=True)
    }
    id_name = next((name for name in ID_NAMES if name in columns), None)
    order = _order(path, columns.pop(id_name), ids) if id_name else _positions(path, rows, ids)
    if not columns:
        raise UserError(f"{path}: has no column of slices beside {id_name}")
    return {name: values[order] for name, values in columns.items()}


def _order(path: epath.PathLike, theirs: np.ndarray, ids: np.ndarray) -> np.ndarray:
    places = {name: place for place, name in enumerate(theirs.tolist())}
    if len(places) != len(theirs):
        raise UserError(f"{path}: an id is there twice")
    missing = next((name for name in ids.tolist() if name not in places), None)
    if missing is not None:
        raise UserError(f"{path}: lacks the example {missing!r}")
    return np.array([places[name] for name in ids.tolist()])


def _positions(path: epath.PathLike, rows: list[list[str]], ids: np.ndarray) -> np.ndarray:
    if len(rows) != len(ids):
        raise UserError(f"{path}: has {len(rows)} rows and no ids for {len(ids)} examples")
    return np.arange(len(ids))
