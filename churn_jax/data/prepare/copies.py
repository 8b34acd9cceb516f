"""A data set that TFDS has already built, as array_record with restart markers: no TensorFlow.

TFDS's forms, tfrecord and array_record, hold the same serialised examples. A tfrecord file is, for
each record: its length (uint64), a checksum, the record, a checksum.
"""

import json
import os
import struct
from collections.abc import Iterator

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath

from churn_jax.data.tfds_writer import Rewrite, is_whole, write_shard
from churn_jax.errors import UserError
from churn_jax.storage.files import write_atomically

_HEADER, _FOOTER = 12, 4
_CHUNK = 64  # records of an array_record file read at once


def find_copy(source: epath.Path, out: epath.Path, tfds_name: str) -> epath.Path | None:
    """The newest version folder at or below `source`, if there is one that `out` does not hold.

    A tfrecord copy counts also there: it can't be what an earlier call made.
    """
    for pattern in ("dataset_info.json", "*/dataset_info.json", f"{tfds_name}/*/dataset_info.json"):
        for path in sorted(source.glob(pattern), reverse=True):
            form = json.loads(path.read_text()).get("fileFormat", "tfrecord")
            own = path.parent.parent.resolve() == (out / tfds_name).resolve()
            if form == "tfrecord" or (form == "array_record" and not own):
                return path.parent
    return None


def convert(
    folder: epath.Path, out: epath.Path, tfds_name: str, rewrite: Rewrite = iter
) -> epath.Path:
    """Writes the version folder `folder` again as `out/tfds_name/VERSION`; resumes.

    Args:
      folder: with shards and dataset_info.json.
      out: a data_dir.
      tfds_name: of the data set.
      rewrite: what the serialised examples of a shard go through.

    Raises:
      UserError: another data set, or files that are missing or damaged.
    """
    try:
        info = tfds.builder_from_directory(folder).info
    except Exception as error:
        raise UserError(f"{folder}: TFDS cannot read its dataset_info.json: {error}") from error
    if info.name != tfds_name:
        raise UserError(f"{folder} holds {info.name!r}, not {tfds_name!r}")
    target = out / tfds_name / str(info.version)
    if target.resolve() == folder.resolve():
        raise UserError(f"--out: {out} is where the tfrecord copy is; name another folder")
    target.mkdir(parents=True, exist_ok=True)
    for split in info.splits.values():
        for path, length in zip(split.filepaths, split.shard_lengths, strict=True):
            name = path.name.replace(".tfrecord-", ".array_record-")
            _convert_shard(path, target / name, length, rewrite)
    for path in folder.iterdir():
        if path.suffix in (".json", ".txt") and path.name != "dataset_info.json":
            path.copy(target / path.name, overwrite=True)
    description = json.loads((folder / "dataset_info.json").read_text())
    description["fileFormat"] = "array_record"
    for split in description["splits"]:
        split.pop("filepathTemplate", None)  # by default that of the format
    write_atomically(target / "dataset_info.json", json.dumps(description, indent=2))
    return target


def _convert_shard(source: epath.Path, target: epath.Path, length: int, rewrite: Rewrite) -> None:
    if is_whole(target, length):
        return
    try:
        write_shard(target, rewrite(_records(source)), length)
    except ValueError as error:
        raise UserError(f"{source} is damaged: {error}") from error


def _records(path: epath.Path) -> Iterator[bytes]:
    if not path.exists():
        raise UserError(f"{path} is missing: the data set is not complete")
    if ".array_record-" in path.name:
        yield from _array_records(path)
        return
    with path.open("rb") as file:
        while header := file.read(_HEADER):
            (length,) = struct.unpack("<Q", header[:8].ljust(8, b"\0"))
            record = file.read(length)
            if len(record) != length or len(file.read(_FOOTER)) != _FOOTER:
                raise UserError(f"{path} is truncated")
            yield record


def _array_records(path: epath.Path) -> Iterator[bytes]:
    try:
        reader = array_record_module.ArrayRecordReader(os.fspath(path))
        for start in range(0, reader.num_records(), _CHUNK):
            yield from reader.read(range(start, min(start + _CHUNK, reader.num_records())))
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is damaged or truncated: {error}") from error
