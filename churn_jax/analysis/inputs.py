"""What people hand to `compare`: files, arrays, dictionaries and data frames, named or in a row."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath
from numpy.typing import ArrayLike

from churn_jax.errors import UserError, suggest
from churn_jax.predictions import origins, workdirs
from churn_jax.predictions.alignment import Aligned
from churn_jax.predictions.readers import (
    ReadOptions,
    Source,
    given_labels,
    read,
    read_array,
    read_columns,
    read_labels,
)
from churn_jax.predictions.readers.roles import PREDICTION_NAMES, VALUE_NAMES, plain
from churn_jax.predictions.readers.slices import read_slices
from churn_jax.predictions.readers.weight_files import given_weights, read_weights
from churn_jax.storage.files import reach

_ENDINGS = (
    ".npz",
    ".npy",
    ".safetensors",
    ".csv",
    ".tsv",
    ".txt",
    ".parquet",
    ".gz",
    ".jsonl",
    ".json",
    ".eval",
)


def groups_and_labels(given: Sequence[Any], labels: Any) -> tuple[Mapping[str, Any], Any]:
    """The runs of each group by its name, and the labels, from the arguments of `compare`.

    Args:
      given: one mapping of groups (labels may follow it); or each a group by itself: a file, an
        array, a dictionary of arrays, a data frame, or a list of these as its runs.
      labels: as they were given by name.

    Raises:
      UserError: what is given can't be told apart.
    """
    if not given:
        raise UserError("give at least two models to compare")
    first, *others = given
    if isinstance(first, Mapping) and not _is_run(first):
        if not others:
            return first, labels
        if len(others) == 1 and labels is None and not _has_columns(others[0]):
            return first, others[0]
    _refuse_labels_as_model(given)
    return dict(zip(_names(given), given, strict=True)), labels


def file_names(files: Sequence[str], taken: Collection[str] = ()) -> list[str]:
    """What groups of one file each are called: after the file, as shortly as can be told apart."""
    stems = [_stem(file) for file in files]
    return [
        stem if stems.count(stem) == 1 and stem not in taken else file
        for file, stem in zip(files, stems, strict=True)
    ]


def sources(name: str, runs: Any, options: ReadOptions) -> list[Source]:
    """The runs of a group, from paths, arrays, dictionaries or data frames."""
    found: list[Source] = []
    for index, run in enumerate(_listed(runs)):
        title = f"{name}[{index}]"
        if _is_path(run):
            found += read(run, options)
        elif isinstance(run, Mapping):
            found.append(read_columns(title, run, options))
        elif hasattr(run, "columns"):
            found.append(read_columns(title, _columns_of(title, run), options, table=True))
        else:
            found.append(read_array(title, run, options))
    if not found:
        raise UserError(f"the group {name!r} has no runs")
    return found


_IS_FOR = dict.fromkeys(("id", "label", "prediction", "columns"), "files with columns")
_IS_FOR |= {"score": "logs of evaluation harnesses", "filter": "logs of lm-evaluation-harness"}


def refuse_unheeded(options: ReadOptions, read: Sequence[Source], by_id: bool) -> None:
    """Raises UserError for a name that was given and is in no file: nothing is read by it.

    Args:
      options: what the files' owner says of them.
      read: all that was read by them.
      by_id: whether slices are joined by the column of ids, too.
    """
    heeded = frozenset().union(*(source.heeded for source in read), {"id"} if by_id else ())
    for name in sorted(options.given(_IS_FOR) - heeded):
        value = getattr(options, name)
        shown = value if isinstance(value, str) else ",".join(value)
        hint = f"; it is for {_IS_FOR[name]}"
        if name == "label" and any(source.columns for source in read):
            hint = suggest(shown, {column for source in read for column in source.columns})
        raise UserError(f"--{name}={shown}: is in none of the files{hint}")


def _columns_of(name: str, frame: Any) -> dict[str, np.ndarray]:
    """The columns of a data frame by name: of pandas, polars, pyarrow, or anything like them.

    The index of a pandas frame is a column too, as in a file that the frame was written to: it
    joins the rows of frames of which one was shuffled.
    """
    names = [str(column) for column in getattr(frame, "column_names", frame.columns)]
    if twice := next((column for column in names if names.count(column) > 1), None):
        raise UserError(f"{name}: the column {twice!r} is there twice")
    if hasattr(frame, "column_names") or hasattr(frame, "__getitem__"):
        labels = getattr(frame, "column_names", frame.columns)
        found = [np.asarray(frame[label]) for label in labels]
    else:
        found = list(np.asarray(frame.to_numpy()).T)
    return {**_index_of(frame, names), **dict(zip(names, found, strict=True))}


def _index_of(frame: Any, names: Collection[str]) -> dict[str, np.ndarray]:
    """The levels of a pandas frame's index, under the names that its files would give them."""
    index: Any = getattr(frame, "index", None)
    if not hasattr(index, "get_level_values"):
        return {}
    found = {}
    for level, title in enumerate(index.names):
        known = title is not None and str(title) not in names
        name = str(title) if known else f"__index_level_{level}__"
        found[name] = np.asarray(index.get_level_values(level))
    return found


def refuse_mixtures(groups: Mapping[str, Sequence[Source]]) -> None:
    """Raises UserError where our own files do not belong together, as far as they say so."""
    first: Source | None = None
    for sources in groups.values():
        seen: dict[Any, str] = {}
        for source in sources:
            if not source.provenance:
                continue
            first = first or source
            for key in ("dataset", "split", "data_fingerprint"):
                ours, theirs = first.provenance[key], source.provenance[key]  # type: ignore[index]
                if ours != theirs:
                    raise UserError(
                        f"{first.name} and {source.name} differ in {key}: {ours!r} and {theirs!r}"
                    )
            own = origins.identity(source.provenance)
            if own in seen:
                raise UserError(
                    f"{seen[own]} and {source.name} are one training (same config, seed and run "
                    f"{source.provenance['run']}), which a group cannot count twice"
                )
            seen[own] = source.name


def failed_runs(groups: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs that trainings gave up, of all run folders."""
    paths = [(name, p) for name, runs in groups.items() for p in _listed(runs) if _is_path(p)]
    return [
        {**run, "group": name}
        for name, path in paths
        if epath.Path(path).is_dir()
        for run in workdirs.failed_runs(path)
    ]


def _listed(runs: Any) -> Sequence[Any]:
    return runs if isinstance(runs, list | tuple) else [runs]


def _is_path(value: Any) -> bool:
    return isinstance(value, str | epath.Path) or hasattr(value, "__fspath__")


def labels_of(labels: ArrayLike | epath.PathLike | None, options: ReadOptions) -> Source | None:
    """The true classes, where they are given by themselves."""
    if labels is None:
        return None
    if _is_path(labels):
        return read_labels(labels, options)  # type: ignore[arg-type]
    return given_labels(np.asarray(labels), options)


def is_file(text: str) -> bool:
    """Whether a text is a file's name and not a column's, by its ending or its folder."""
    return "/" in text or text.lower().endswith(_ENDINGS)


def weights_of(
    weights: ArrayLike | epath.PathLike | Mapping[str, ArrayLike] | None, options: ReadOptions
) -> tuple[str | None, Source | None]:
    """The column of the predictions with the weights, or the weights that are given by themselves.

    Args:
      weights: a column's name, a file, an array [example], or columns by name.
      options: how files are read.
    """
    if weights is None:
        return None, None
    if isinstance(weights, str) and not is_file(weights):
        return weights, None
    if _is_path(weights):
        return None, read_weights(weights, options)  # type: ignore[arg-type]
    if hasattr(weights, "columns"):
        return None, given_weights(_columns_of("weights", weights), options)
    if isinstance(weights, Mapping):
        columns = {str(name): np.asarray(values) for name, values in weights.items()}
        return None, given_weights(columns, options)
    return None, given_weights(np.asarray(weights), options)


def slices_of(
    slices: epath.PathLike | Mapping[str, ArrayLike] | None,
    aligned: Aligned,
    id_column: str | None,
) -> dict[str, np.ndarray]:
    """The name of each example's slice, [example] of str, for each way of slicing.

    Without ids they are in the order of the first file, of which examples may be left out.
    """
    if slices is None:
        return {}
    if hasattr(slices, "columns"):
        slices = _columns_of("slices", slices)
    if not isinstance(slices, Mapping):
        where = reach(slices, "--slices")
        return read_slices(where, aligned.ids, aligned.places, aligned.num_given, id_column)
    given = {name: np.asarray(values).astype(np.str_) for name, values in slices.items()}
    for name, values in given.items():
        if values.shape != (aligned.num_given,):
            raise UserError(
                f"the slices {name!r} have shape {list(values.shape)}, not {aligned.num_given}"
            )
    return {name: values[aligned.places] for name, values in given.items()}


def _is_run(value: Mapping[Any, Any]) -> bool:
    """Whether a mapping is one model's arrays and not groups by name."""
    return any(plain(str(key)) in (*VALUE_NAMES, *PREDICTION_NAMES) for key in value)


def _has_columns(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "columns")


def _refuse_labels_as_model(given: Sequence[Any]) -> None:
    """Raises UserError for compare(old, new, labels), where the labels would pass for a model."""
    if len(given) < 3 or any(_is_path(each) or _has_columns(each) for each in given):
        return
    *models, last = (np.asarray(each) for each in given if not isinstance(each, list | tuple))
    if last.ndim == 1 and models and all(model.ndim == 2 for model in models):
        raise UserError(
            f"argument {len(given)} has one value for each example, the others one for each class: "
            "if it is the true classes, say labels=…; if it is a model, name all of them: "
            "compare({'old': …, 'new': …})"
        )


def _names(given: Sequence[Any]) -> list[str]:
    """Of groups in a row: files' names, else old and new, else model 1, model 2, …"""
    files = [str(each) for each in given if _is_path(each)]
    of_files = iter(file_names(files))
    others = (
        ("old", "new") if len(given) == 2 else tuple(f"model {i + 1}" for i in range(len(given)))
    )
    names = [
        next(of_files) if _is_path(each) else others[place] for place, each in enumerate(given)
    ]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"{twice}: is given twice; name the groups: compare({{'a': …, 'b': …}})")
    return names


def _stem(file: str) -> str:
    """A file's name without the endings of its format; v1.0.npz is v1.0."""
    name = Path(file).name
    while Path(name).suffix.lower() in _ENDINGS:
        name = Path(name).stem
    return name
