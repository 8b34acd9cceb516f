"""The prediction file of one run: log-probabilities, labels, example ids and provenance.

A safetensors file (no pickle, memory-mapped) at `WORKDIR/predictions/STEP/run_003.safetensors`:

    log_probs  float32  [member, example, class]   natural logarithms
    labels     int32    [example]
    ids        uint8    [example, width]           UTF-8, padded with zeros
    crc32      uint8    [4]                        checksum of the others and of the provenance

The header's metadata has one key (safetensors does not keep the order of several), `provenance`:
a JSON object that says what made the file, with `checksums`, {name: CRC-32} of each array, and its
own checksum. These are held to at reading; earlier versions wrote `crc32` alone, or neither.
"""

import dataclasses
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.mapped_safetensors import read_tensors
from churn_jax.predictions.memory_maps import in_bounded_memory
from churn_jax.storage.checksums import KEY, sealed, unsealed
from churn_jax.storage.files import names_in, write_atomically

SCHEMA = 1
STEP_DIGITS = 8
_RUN = re.compile(r"run_([0-9]+)\.safetensors")
_CHUNK = 1 << 22
_ARRAYS = ("log_probs", "labels", "ids")
# In the order in which the safetensors library lays them down: the widest type first.
_LAYOUT = {"log_probs": "F32", "labels": "I32", "crc32": "U8", "ids": "U8"}
_REQUIRED = ("group", "config_hash", "run", "seed", "step", "dataset", "split", "data_fingerprint")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What one run predicts for every example of a split.

    Attributes:
      log_probs: [member, example, class] float32; memory-mapped when it was read from a file.
      labels: [example] int32, in [0, classes).
      ids: [example] of str, unique.
      provenance: what made the predictions: group, config, config_hash, run, seed, step, dataset,
        split, data_fingerprint, class_names, prediction ('first' or 'mean'), versions and so on.
      note: what a reader must know of the file; "" if nothing.
    """

    log_probs: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    provenance: dict[str, Any]
    note: str = ""

    def __post_init__(self) -> None:
        fault = _fault(self)
        if fault:
            raise UserError(fault)

    @property
    def counts_first(self) -> bool:
        """Whether member 0 alone is the prediction."""
        said = str(self.provenance.get("prediction", "first"))
        return not said.endswith("mean") or len(self.log_probs) == 1

    def counted(self, rows: slice = slice(None)) -> np.ndarray:
        """Log-probabilities [rows, class] of the model that counts as this run's prediction.

        Member 0 (`prediction='first'`), or the mean of the members' probabilities (`'mean'`, the
        2-ensemble). Co-distilled pairs count their member 0 only: comparing the two members of one
        run would flatter the method.
        """
        if self.counts_first:
            return self.log_probs[0, rows]
        members = np.asarray(self.log_probs[:, rows])
        return np.logaddexp.reduce(members, axis=0) - np.float32(np.log(len(members)))


def file_name(run: int) -> str:
    """The name of run `run`'s file inside `predictions/STEP/`."""
    return f"run_{run:03d}.safetensors"


def folder(workdir: epath.PathLike) -> epath.Path:
    """Where the folders of all steps are."""
    return epath.Path(workdir) / "predictions"


def step_dir(workdir: epath.PathLike, step: int) -> epath.Path:
    """Where the prediction files of `step` are."""
    return folder(workdir) / f"{step:0{STEP_DIGITS}d}"


def run_files(workdir: epath.PathLike, step: int) -> list[epath.Path]:
    """The files of all runs that are saved at `step`, by run; what else lies there is left alone.

    File managers and systems leave copies (`run_000 (1).safetensors`) and notes (`._run_000…`).
    """
    place = step_dir(workdir, step)
    names = names_in(place)
    runs = {int(match[1]) for name in names if (match := _RUN.fullmatch(name))}
    return [place / file_name(run) for run in sorted(runs) if file_name(run) in names]


def write(path: epath.PathLike, predictions: Predictions) -> None:
    """Writes the file beside `path` and renames it into place, a part at a time."""
    ids = np.char.encode(np.asarray(predictions.ids, dtype=np.str_), "utf-8")
    tensors: dict[str, np.ndarray] = {
        "log_probs": np.ascontiguousarray(predictions.log_probs, dtype=np.float32),
        "labels": np.ascontiguousarray(predictions.labels, dtype=np.int32),
        "ids": np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), -1),
    }
    said = {"schema": SCHEMA, **predictions.provenance, "checksums": _checksums(tensors)}
    provenance = json.dumps(sealed(said))
    # For earlier versions, which know of no other.
    tensors["crc32"] = _checksum(provenance, tensors)
    write_atomically(path, _serialised(tensors, provenance))


def _serialised(tensors: Mapping[str, np.ndarray], provenance: str) -> Iterator[bytes]:
    """The bytes that `safetensors.numpy.save` makes of them, which holds all in memory twice."""
    header: dict[str, Any] = {"__metadata__": {"provenance": provenance}}
    end = 0
    for name, kind in _LAYOUT.items():
        begin, end = end, end + tensors[name].nbytes
        shape = list(tensors[name].shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in _LAYOUT:
        yield from map(bytes, _chunks(tensors[name]))


def _chunks(tensor: np.ndarray) -> Iterator[np.ndarray]:
    """A tensor's bytes, part by part, uint8."""
    content = tensor.reshape(-1).view(np.uint8)
    rows = in_bounded_memory(content.__getitem__, content)
    for start in range(0, len(content), _CHUNK):
        yield rows(slice(start, start + _CHUNK))


def read(path: epath.PathLike) -> Predictions:
    """Opens a prediction file; the log-probabilities stay on disk until they are indexed.

    Raises:
      UserError: the file is missing, damaged, or not a prediction file of churn_jax.
    """
    tensors, metadata = read_tensors(path)
    if not {"log_probs", "labels", "ids"} <= tensors.keys() or "provenance" not in metadata:
        raise UserError(f"{path}: not a churn_jax prediction file (it has {sorted(tensors)})")
    try:
        provenance, note = _held(metadata["provenance"], tensors)
        missing = [key for key in _REQUIRED if key not in provenance]
        if missing:
            raise ValueError(f"provenance lacks {', '.join(missing)}")
        if provenance.get("schema") != SCHEMA:
            raise ValueError(f"schema {provenance.get('schema')}, this version reads {SCHEMA}")
        ids = _decode_ids(tensors["ids"])
        labels = np.array(tensors["labels"])
        return Predictions(tensors["log_probs"], labels, ids, provenance, note)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: damaged prediction file: {error}") from None


def _held(text: str, tensors: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], str]:
    """(the provenance, what a reader must know of the file's checksums).

    Raises:
      ValueError: one of them does not hold.
    """
    values = json.loads(text)
    provenance = unsealed(values)
    wanted = provenance.pop("checksums", None)
    if wanted is not None:
        found = _checksums(tensors)
        wrong = [name for name in found if found[name] != wanted.get(name)]
        if wrong or KEY not in values:
            raise ValueError(f"{(*wrong, 'provenance')[0]} has other bytes than were written")
        return provenance, ""
    if "crc32" not in tensors:
        note = "written by an earlier version without checksums, so damage would not be seen"
        return provenance, note
    if not np.array_equal(tensors["crc32"], _checksum(text, tensors)):
        raise ValueError("it has other bytes than were written")
    return provenance, "written by an earlier version with one checksum for all arrays, which holds"


def _checksums(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """CRC-32 of each array, 8 hex digits."""
    return {name: f"{_add(tensors[name], 0):08x}" for name in _ARRAYS}


def _checksum(provenance: str, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """CRC-32 of the provenance and all arrays' bytes, uint8 [4]."""
    total = zlib.crc32(provenance.encode())
    for name in _ARRAYS:
        total = _add(tensors[name], total)
    return np.frombuffer(total.to_bytes(4), np.uint8)


def _add(tensor: np.ndarray, total: int) -> int:
    """The CRC-32 `total` continued by an array's bytes."""
    for chunk in _chunks(tensor):
        total = zlib.crc32(chunk.data, total)
    return total


def _decode_ids(encoded: np.ndarray) -> np.ndarray:
    if encoded.dtype != np.uint8 or encoded.ndim != 2 or encoded.shape[1] == 0:
        raise ValueError(f"ids must be bytes [example, width], not {encoded.dtype} {encoded.shape}")
    fixed_width = np.ascontiguousarray(encoded).view(f"S{encoded.shape[1]}").ravel()
    return np.char.decode(fixed_width, "utf-8")


def _fault(predictions: Predictions) -> str | None:
    """What is wrong with the arrays, or None."""
    log_probs, labels, ids = predictions.log_probs, predictions.labels, predictions.ids
    if log_probs.ndim != 3 or log_probs.dtype != np.float32:
        return (
            "log_probs must be float32 [member, example, class], "
            f"not {log_probs.dtype} {list(log_probs.shape)}"
        )
    members, examples, classes = log_probs.shape
    if members < 1 or examples < 1 or classes < 2:
        return f"{members} members, {examples} examples, {classes} classes: nothing to compare"
    if labels.shape != (examples,) or labels.dtype != np.int32:
        return f"labels must be int32 [{examples}], not {labels.dtype} {list(labels.shape)}"
    if labels.min() < 0 or labels.max() >= classes:
        return f"labels span {labels.min()} to {labels.max()}, outside the {classes} classes"
    if ids.shape != (examples,):
        return f"{len(ids)} ids for {examples} examples"
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) != examples:
        return f"the id {str(unique[counts > 1][0])!r} is there {counts.max()} times"
    return None
