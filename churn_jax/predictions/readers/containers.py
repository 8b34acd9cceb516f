"""Opening a file by the kind of container that its name says it is."""

import dataclasses
from collections.abc import Callable

from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers import (
    csv_files,
    json_records,
    numpy_files,
    parquet_files,
    tensor_files,
)
from churn_jax.predictions.readers.columns import Columns
from churn_jax.predictions.readers.csv_files import IsText
from churn_jax.predictions.readers.source import Raw
from churn_jax.storage.files import at_hand

_TABLES: dict[str, Callable[[epath.Path, IsText], Columns]] = {
    ".csv": csv_files.read_csv,
    ".tsv": csv_files.read_csv,
    ".csv.gz": csv_files.read_csv,
    ".tsv.gz": csv_files.read_csv,
    ".parquet": parquet_files.read_parquet,
}
_ARRAYS: dict[str, Callable[[epath.Path], Columns | Raw]] = {
    ".npy": numpy_files.read_npy,
    ".npz": numpy_files.read_npz,
    ".safetensors": tensor_files.read_safetensors,
}
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")


def open_file(path: epath.Path, texts: IsText) -> Columns | Raw:
    """What a file holds.

    Args:
      path: a .npz, .npy, .safetensors, .csv, .tsv (also .gz) or .parquet file.
      texts: says which of a table's columns are texts whatever they look like.

    Raises:
      UserError: the file is missing, damaged or of another kind.
    """
    suffix = path.suffix.lower()
    if suffix == ".gz":
        suffix = "".join(path.suffixes[-2:]).lower()
    if suffix not in _TABLES and suffix not in _ARRAYS:
        hint = "; pickles are never opened" if suffix in _PICKLES else ""
        raise UserError(
            f"{path}: cannot read {suffix or 'files without a suffix'}{hint}; "
            f"give one of {', '.join([*_ARRAYS, *_TABLES, *json_records.SUFFIXES])} or a run folder"
        )
    if not path.exists():
        raise UserError(f"{path}: no such file")
    with at_hand(path) as file:
        found = _ARRAYS[suffix](file) if suffix in _ARRAYS else _TABLES[suffix](file, texts)
    return dataclasses.replace(found, name=str(path))
