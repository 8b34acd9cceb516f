"""A data set that TFDS has already built in its tfrecord form, as array_record: no TensorFlow.

Both forms hold the same serialised examples, so only the files around them change. A tfrecord file
is, for each record: its length (uint64), a checksum, the record, a checksum.
"""

import json
import os
import struct
from collections.abc import Iterator

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath

from churn_jax.data.tfds_writer import ARRAY_RECORD_OPTIONS, is_whole
from churn_jax.errors import UserError
from churn_jax.files import write_atomically

_HEADER, _FOOTER = 12, 4


def find_tfrecords(source: epath.Path, tfds_name: str) -> epath.Path | None:
    """The newest version folder in tfrecord form at or below `source`, if there is one."""
    for pattern in ("dataset_info.json", "*/dataset_info.json", f"{tfds_name}/*/dataset_info.json"):
        for path in sorted(source.glob(pattern), reverse=True):
            if json.loads(path.read_text()).get("fileFormat", "tfrecord") == "tfrecord":
                return path.parent
    return None


def convert(folder: epath.Path, out: epath.Path, tfds_name: str) -> epath.Path:
    """Writes the version folder `folder` again as `out/tfds_name/VERSION`; resumes."""
    try:
        info = tfds.builder_from_directory(folder).info
    except Exception as error:
        raise UserError(f"{folder}: TFDS cannot read its dataset_info.json: {error}") from error
    if info.name != tfds_name:
        raise UserError(f"{folder} holds {info.name!r}, not {tfds_name!r}")
    target = out / tfds_name / str(info.version)
    if target == folder:
        raise UserError(f"--out: {out} is where the tfrecord copy is; name another folder")
    target.mkdir(parents=True, exist_ok=True)
    for split in info.splits.values():
        for path, length in zip(split.filepaths, split.shard_lengths, strict=True):
            _convert_shard(path, target / path.name.replace(".tfrecord-", ".array_record-"), length)
    for path in folder.iterdir():
        if path.suffix in (".json", ".txt") and path.name != "dataset_info.json":
            path.copy(target / path.name, overwrite=True)
    description = json.loads((folder / "dataset_info.json").read_text())
    description["fileFormat"] = "array_record"
    for split in description["splits"]:
        split.pop("filepathTemplate", None)  # by default that of the format
    write_atomically(target / "dataset_info.json", json.dumps(description, indent=2))
    return target


def _convert_shard(source: epath.Path, target: epath.Path, length: int) -> None:
    if is_whole(target, length):
        return
    partial = target.parent / f".{target.name}.partial"
    writer = array_record_module.ArrayRecordWriter(os.fspath(partial), ARRAY_RECORD_OPTIONS)
    count = 0
    for record in _records(source):
        writer.write(record)
        count += 1
    writer.close()
    if count != length:
        raise UserError(f"{source} is damaged: it holds {count} of {length} examples")
    partial.replace(target)


def _records(path: epath.Path) -> Iterator[bytes]:
    if not path.exists():
        raise UserError(f"{path} is missing: the data set is not complete")
    with path.open("rb") as file:
        while header := file.read(_HEADER):
            (length,) = struct.unpack("<Q", header[:8].ljust(8, b"\0"))
            record = file.read(length)
            if len(record) != length or len(file.read(_FOOTER)) != _FOOTER:
                raise UserError(f"{path} is truncated")
            yield record
