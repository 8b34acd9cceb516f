"""Reading predictions from files of any framework, without trusting them.

`read(path)` gives `Source`s: one for a file, one for each run of a run folder; `read_columns` and
`read_array` do the same for what is in memory. Nothing in a file is executed (no pickle), arrays
stay on disk, and a damaged file gives a `UserError` of one line.
"""

import functools
from collections.abc import Mapping

import numpy as np
from etils import epath
from numpy.typing import ArrayLike

from churn_jax.errors import UserError
from churn_jax.predictions.readers import answers, json_records, run_folders
from churn_jax.predictions.readers.columns import Columns, from_mapping
from churn_jax.predictions.readers.containers import open_file
from churn_jax.predictions.readers.interpret import interpret, texts_of
from churn_jax.predictions.readers.roles import PREDICTION_NAMES, VALUE_NAMES, plain
from churn_jax.predictions.readers.source import Kind, Raw, ReadOptions, Source
from churn_jax.predictions.readers.values import settle
from churn_jax.storage.files import reach

__all__ = [
    "Kind",
    "ReadOptions",
    "Source",
    "given_labels",
    "read",
    "read_array",
    "read_columns",
    "read_labels",
]

_NO_OPTIONS = ReadOptions()


def read(path: epath.PathLike, options: ReadOptions = _NO_OPTIONS) -> list[Source]:
    """The predictions in a file, or of every run in a run folder.

    Args:
      path: a .npz, .npy, .safetensors, .csv, .tsv (also .gz), .parquet or .jsonl file, a log of an
        evaluation harness, or a workdir of a training.
      options: what the owner says of the file; otherwise names in it say it, or it is detected.

    Raises:
      UserError: the file is missing or damaged, or holds no predictions.
    """
    path = reach(path, "file")
    if path.is_dir():
        return [settle(raw, options) for raw in run_folders.read_run_folder(path)]
    if json_records.is_json(path):
        return _of_records(str(path), json_records.read_records(path), options)
    found = _open(path, options)
    return [settle(_interpreted(found, options), options)]


def _of_records(
    name: str, records: list[json_records.Record], options: ReadOptions
) -> list[Source]:
    """Answers of a language model, or a table whose rows are records."""
    if answers.are_answers(records):
        return [settle(raw, options) for raw in answers.read_answers(name, records, options)]
    columns = list(dict.fromkeys(key for record in records for key in record))
    lists = {key for key in columns if isinstance(records[0].get(key), list)}
    arrays = {
        key: np.array([record.get(key) for record in records], None if key in lists else object)
        for key in columns
    }
    return [read_columns(name, arrays, options, table=not lists)]


def read_columns(
    name: str,
    columns: Mapping[str, ArrayLike],
    options: ReadOptions = _NO_OPTIONS,
    table: bool | None = None,
) -> Source:
    """The predictions in named columns or arrays in memory, by the rules that hold for files.

    Args:
      name: what messages and reports call them.
      columns: [example] or [example, class] each; None, NaN and NA are missing values.
      options: as of `read`.
      table: whether a column is each class's, as in a data frame; otherwise that is so where no
        array has the name of values or predictions.

    Raises:
      UserError: they hold no predictions, or a column is not known.
    """
    arrays = {str(key): np.asarray(value) for key, value in columns.items()}
    found = from_mapping(name, arrays, table is not False and (table or _is_table(arrays)))
    return settle(interpret(found, options), options)


def read_array(name: str, values: ArrayLike, options: ReadOptions = _NO_OPTIONS) -> Source:
    """Values [example, class] or predicted classes [example] in memory, without names."""
    return settle(Raw(name, np.asarray(values)), options)


def read_labels(path: epath.PathLike, options: ReadOptions = _NO_OPTIONS) -> Source:
    """The labels in a file (an array, or a table with the columns id and label)."""
    if options.kind == "multilabel":
        (source,) = read(reach(path, "--labels"), _of_sets(options))
        return source.replace(labels=source.predicted, predicted=None)
    path = reach(path, "--labels")
    found = _open(path, options, only_labels=True)
    if isinstance(found, Columns):
        raw = interpret(found, options, only_labels=True)
    elif found.labels is None and found.values is not None and found.values.ndim == 1:
        # An array alone in a file of labels is the labels.
        raw = Raw(found.name, None, labels=found.values)
    else:
        raw = Raw(found.name, None, labels=found.labels, ids=found.ids)
    return label_source(raw, options)


def given_labels(labels: np.ndarray, options: ReadOptions) -> Source:
    """Labels in memory: [example], or of several an example [example, label] of 0 and 1."""
    if options.kind == "multilabel":
        source = read_array("labels", labels, _of_sets(options))
        return source.replace(labels=source.predicted, predicted=None)
    return label_source(Raw("labels", None, labels=labels), options)


def _of_sets(options: ReadOptions) -> ReadOptions:
    """How a file of labels is read as one of predictions that are sure."""
    return ReadOptions("multilabel", id=options.id, missing=options.missing, threshold=None)


def label_source(raw: Raw, options: ReadOptions = _NO_OPTIONS) -> Source:
    """Labels alone as a source: its values are the labels."""
    if raw.labels is None:
        raise UserError(f"{raw.name}: has no labels (an array or column named 'labels' or 'label')")
    if raw.labels.ndim != 1:
        raise UserError(f"{raw.name}: labels must be [example], not {list(raw.labels.shape)}")
    found = settle(
        Raw(
            raw.name,
            None,
            predicted=raw.labels,
            labels=raw.labels,
            ids=raw.ids,
            index=raw.index,
            columns=raw.columns,
            heeded=raw.heeded,
        ),
        ReadOptions(missing=options.missing),
    )
    return found.replace(predicted=None)


def _interpreted(found: Columns | Raw, options: ReadOptions) -> Raw:
    return found if isinstance(found, Raw) else interpret(found, options)


def _is_table(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether each of some arrays may be a class's column."""
    if any(array.ndim != 1 for array in arrays.values()):
        return False
    return not any(plain(name) in (*VALUE_NAMES, *PREDICTION_NAMES) for name in arrays)


def _open(path: epath.Path, options: ReadOptions, only_labels: bool = False) -> Columns | Raw:
    return open_file(path, functools.partial(texts_of, str(path), options, only_labels))
