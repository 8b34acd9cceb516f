"""Anybody's own arrays or table, by path alone.

    FILE.npz                  x and y; or x_train, y_train, x_test and y_test
    FOLDER with x.npy, y.npy  likewise, an array a file; the path may also be that of x.npy
    FILE.csv, FILE.parquet    a column `label`; every other column is a feature, a number

Beside x and y there may be `ids` and `split` (train or test), in tables the columns `id` and
`split`. Without a split of their own, 20 % of the examples test, drawn by a hash of their ids: the
same example is always in the same split, whatever other examples there are.

x is float32 of any shape, int32 tokens [example, token] (0 is padding) or uint8 pictures [example,
height, width, channel]; other types are refused, none is converted. Only a table's numbers become
float32, whatever their column has. y holds whole numbers or names of classes.
"""

import csv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from churn_jax.config import DataConfig
from churn_jax.data.examples import ArrayExamples, Dataset, DatasetInfo, draw_split
from churn_jax.data.inputs import DTYPES
from churn_jax.errors import UserError

SUFFIXES = (".npz", ".npy", ".csv", ".parquet")
_NAMES = ("x", "y", "ids", "split", "x_train", "y_train", "x_test", "y_test")
_OF_A_TABLE = {"label": "y", "id": "ids", "split": "split"}


def load(data: DataConfig) -> Dataset:
    """Reads the arrays of the file or folder `data.dir`.

    Raises:
      UserError: nothing there, no such form, types or shapes that are refused, or an empty split.
    """
    if not data.dir:
        raise UserError(f"config.data.dir: name your arrays: {', '.join(SUFFIXES)}, or a folder")
    path = Path(data.dir).expanduser()
    if not path.exists():
        raise UserError(f"config.data.dir: there is no {path}")
    arrays = _split(path, _read(path))
    classes, numbers = _numbered(path, arrays["y"])
    inputs = arrays["x"]
    if str(inputs.dtype) not in DTYPES:
        near = {"f": "float32", "i": "int32", "u": "int32"}.get(inputs.dtype.kind)
        hint = f"; save them by .astype('{near}')" if near else ""
        raise UserError(
            f"{path}: the inputs are {inputs.dtype}, not one of {', '.join(DTYPES)}{hint}"
        )
    everything = ArrayExamples(inputs, numbers, arrays["ids"])
    parts = {name: np.flatnonzero(arrays["split"] == name) for name in ("train", "test")}
    for name, places in parts.items():
        if not len(places):
            raise UserError(f"{path}: no examples to {name} on")
    train, test = (everything.take(places) for places in parts.values())
    return Dataset(_info(classes, train, inputs), train, test)


def _info(classes: tuple[str, ...], train: ArrayExamples, inputs: np.ndarray) -> DatasetInfo:
    dtype, shape = str(inputs.dtype), inputs.shape[1:]
    if dtype == "int32":
        return DatasetInfo("arrays", classes, shape, dtype=dtype, vocabulary=int(inputs.max()) + 1)
    if dtype == "uint8" and inputs.ndim == 4:
        pixels = train.images.reshape(-1, shape[-1])
        mean = pixels.mean(0, dtype=np.float64) / 255
        std = np.maximum(pixels.std(0, dtype=np.float64) / 255, 1e-3)
        return DatasetInfo("arrays", classes, shape, tuple(mean.tolist()), tuple(std.tolist()))
    return DatasetInfo("arrays", classes, shape, dtype=dtype)


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of a file or folder, by the names that this module knows."""
    try:
        if path.is_dir() or path.suffix == ".npy":
            folder = path if path.is_dir() else path.parent
            found = {n: folder / f"{n}.npy" for n in _NAMES if (folder / f"{n}.npy").exists()}
            return {name: np.load(file, allow_pickle=False) for name, file in found.items()}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files if name in _NAMES}
        if path.suffix == ".csv":
            return _from_table(path, _read_csv(path))
        if path.suffix == ".parquet":
            return _from_table(path, _read_parquet(path))
    except (OSError, ValueError, EOFError, csv.Error, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: can't be read: {error}") from error
    raise UserError(f"config.data.dir: {path} is none of {', '.join(SUFFIXES)}, nor a folder")


def _read_csv(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        header, *rows = list(csv.reader(file, strict=True)) or [[]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise UserError(f"{path}, line {number}: not as many fields as the first line has")
    return dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}


def _read_parquet(path: Path) -> dict[str, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{path}: Parquet needs pip install 'churn_jax[parquet]'") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise UserError(f"{path}: can't be read: {error}") from error
    return {name: table[name].to_pylist() for name in table.column_names}


def _from_table(path: Path, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if "label" not in columns:
        raise UserError(f"{path}: has no column 'label' (its columns: {', '.join(columns)})")
    features = []
    for name, values in columns.items():
        if name in _OF_A_TABLE:
            continue
        try:
            features.append(np.array([float(value) for value in values], np.float32))
        except (ValueError, TypeError):
            wrong = next(value for value in values if not _is_number(value))
            raise UserError(
                f"{path}: the column {name!r} holds {wrong!r}, which is no number: leave it "
                "out, or give each of its values a number"
            ) from None
    if not features:
        raise UserError(f"{path}: has no columns of features beside {', '.join(columns)}")
    others = {new: np.array(columns[old]) for old, new in _OF_A_TABLE.items() if old in columns}
    return {"x": np.stack(features, axis=1), **others}


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError):
        return False
    return True


def _split(path: Path, found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """x, y, ids and split of all examples, whichever way the file has them."""
    parts = ("x_train", "y_train", "x_test", "y_test")
    if all(name in found for name in parts):
        counts = {part: len(found[f"x_{part}"]) for part in ("train", "test")}
        arrays = {n: np.concatenate([found[f"{n}_train"], found[f"{n}_test"]]) for n in ("x", "y")}
        arrays["split"] = np.repeat(list(counts), list(counts.values()))
    elif "x" in found and "y" in found:
        arrays = dict(found)
    else:
        there = ", ".join(found) or "none of them"
        raise UserError(f"{path}: needs x and y, or {', '.join(parts)}; it has {there}")
    count = len(arrays["x"])
    arrays.setdefault("ids", np.array([f"{place:07d}" for place in range(count)]))
    arrays["ids"] = arrays["ids"].astype(str)
    if "split" not in arrays:
        arrays["split"] = np.array([draw_split(str(name)) for name in arrays["ids"]])
    for name in ("y", "ids", "split"):
        if arrays[name].shape != (count,):
            raise UserError(
                f"{path}: {name} has shape {list(arrays[name].shape)}, but x has {count} examples"
            )
    if len(set(arrays["ids"].tolist())) < count:
        raise UserError(f"{path}: ids are there twice")
    if unknown := sorted(set(arrays["split"].tolist()) - {"train", "test"}):
        raise UserError(f"{path}: split {unknown[0]!r} is neither train nor test")
    return arrays


def _numbered(path: Path, labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, and each example's class as its number."""
    if labels.dtype.kind not in "iubUSO":
        raise UserError(
            f"{path}: the labels are {labels.dtype}; give whole numbers, or names of classes"
        )
    labels = labels.astype(np.int64 if labels.dtype.kind in "iu" else str)
    if labels.dtype.kind == "U" and all(text.isdecimal() for text in labels.tolist()):
        labels = labels.astype(np.int64)  # so that 10 comes after 9
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"{path}: {len(classes)} classes found, at least 2 are needed")
    return tuple(map(str, classes.tolist())), numbers.astype(np.int32)
