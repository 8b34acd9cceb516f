"""Reading predictions from files of any framework, without trusting them.

`read(path)` gives `Source`s: one for a file, one for each run of a run folder. Nothing in a file is
executed (no pickle), arrays stay on disk, and a damaged file gives a `UserError` of one line.
"""

from collections.abc import Callable

from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers import numpy_files, run_folders, tables, tensor_files
from churn_jax.predictions.readers.source import Kind, Source
from churn_jax.predictions.readers.values import settle
from churn_jax.storage.files import reach

__all__ = ["Kind", "Source", "read", "read_labels"]

_READERS = {
    ".npy": numpy_files.read_npy,
    ".npz": numpy_files.read_npz,
    ".safetensors": tensor_files.read_safetensors,
    ".csv": tables.read_csv,
    ".parquet": tables.read_parquet,
}


def read(path: epath.PathLike, kind: Kind | None = None) -> list[Source]:
    """The predictions in a file, or of every run in a run folder.

    Args:
      path: a .npz, .npy, .safetensors, .csv or .parquet file, or a workdir of a training.
      kind: what the values are; otherwise their name in the file says it, or it is detected.

    Raises:
      UserError: the file is missing or damaged, or holds no predictions.
    """
    path = reach(path, "file")
    sources = run_folders.read_run_folder(path) if path.is_dir() else [_reader(path)(path)]
    return [settle(source, kind) for source in sources]


def read_labels(path: epath.PathLike) -> Source:
    """The labels in a file (an array, or a table with the columns id and label)."""
    path = reach(path, "--labels")
    source = _reader(path)(path)
    if source.labels is None and source.values.ndim == 1:
        # An array alone in a file of labels is the labels.
        source = source.replace(labels=source.values)
    if source.labels is None:
        raise UserError(f"{path}: has no labels (an array or column named 'labels' or 'label')")
    return source


def _reader(path: epath.Path) -> Callable[[epath.Path], Source]:
    if path.suffix not in _READERS:
        hint = "; pickles are never opened" if path.suffix in (".pkl", ".pt", ".pth") else ""
        raise UserError(
            f"{path}: cannot read {path.suffix or 'files without a suffix'}{hint}; "
            f"give one of {', '.join(_READERS)} or a run folder"
        )
    if not path.exists():
        raise UserError(f"{path}: no such file")
    return _READERS[path.suffix]
