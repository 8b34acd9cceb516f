"""A file that says which slices examples are in: a table with a column for each way of slicing."""

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.columns import Columns
from churn_jax.predictions.readers.containers import open_file
from churn_jax.predictions.readers.names import id_texts
from churn_jax.predictions.readers.roles import find_ids, is_index


def read_slices(
    path: epath.PathLike,
    ids: np.ndarray,
    places: np.ndarray,
    num_given: int,
    id_column: str | None = None,
) -> dict[str, np.ndarray]:
    """The name of each example's slice, [example] of str, by the name of the column.

    Args:
      path: a .csv, .tsv or .parquet table; its ids join the rows to the examples, and it may have
        more of them; without ids their order does.
      ids: [example] ids of the predictions.
      places: [example], where each is among those of the first file.
      num_given: how many that has.
      id_column: what the column of ids is called, if not id or the like.

    Raises:
      UserError: the file is damaged, or lacks an example.
    """
    path = epath.Path(path)
    table = open_file(path, set)
    if not isinstance(table, Columns) or not table.table:
        raise UserError(f"{path}: slices are a table: .csv, .tsv or .parquet")
    given = id_column if id_column in table.order else None
    of_ids = find_ids(str(path), table.order, given)
    columns = [name for name in table.order if name != of_ids and not is_index(name)]
    if not columns:
        raise UserError(f"{path}: has no column of slices beside {of_ids}")
    if of_ids is not None:
        rows = _rows(path, id_texts(table[of_ids]), ids)
    elif table.size != num_given:
        raise UserError(f"{path}: has {table.size} rows and no ids for {num_given} examples")
    else:
        rows = places
    return {name: table[name][rows] for name in columns}


def _rows(path: epath.Path, theirs: np.ndarray, ids: np.ndarray) -> np.ndarray:
    places: dict[str, int] = {}
    for place, name in enumerate(theirs.tolist()):
        if places.setdefault(name, place) != place and name:
            raise UserError(f"{path}: the id {name!r} is there twice")
    missing = next((name for name in ids.tolist() if name not in places), None)
    if missing is not None:
        raise UserError(f"{path}: lacks the example {missing!r}")
    return np.array([places[name] for name in ids.tolist()])
