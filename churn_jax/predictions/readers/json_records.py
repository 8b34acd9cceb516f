"""Records of JSON files: one a line (.jsonl), a list, or the samples of an Inspect log."""

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.source import refuse_bomb
from churn_jax.storage.files import at_hand

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".eval")
Record = dict[str, Any]


def is_json(path: epath.Path) -> bool:
    """Whether a file's name says that it is of this kind."""
    return path.name.lower().endswith(SUFFIXES)


def read_records(path: epath.Path) -> list[Record]:
    """The records of a file, in its order.

    Raises:
      UserError: it is missing, damaged, or holds something else.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file")
    try:
        with at_hand(path) as file:
            found = list(_records(file))
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(f"{path}: damaged, or no such file as its name says: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply for records of predictions") from None
    if not found:
        raise UserError(f"{path}: has no records")
    return found


def _records(path: epath.Path) -> Iterator[Record]:
    name = path.name.lower()
    if name.endswith(".eval"):
        yield from _of_archive(path)
        return
    content = path.read_bytes()
    if name.endswith(".gz"):
        packed, content = len(content), gzip.decompress(content)
        refuse_bomb(path, packed, len(content))
    if name.endswith(".json"):
        yield from _of_document(path, _parsed(path, "", content))
        return
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield _record(path, f"line {number}", _parsed(path, f"line {number}", line))


def _of_document(path: epath.Path, document: Any) -> Iterator[Record]:
    """A list of records, or an Inspect log, {'samples': [...]}."""
    if isinstance(document, dict):
        _refuse_unfinished(path, document)
        document = document.get("samples")
    if not isinstance(document, list):
        raise UserError(f"{path}: is neither a list of records nor a log with 'samples'")
    for place, each in enumerate(document):
        yield _record(path, f"record {place}", each)


def _of_archive(path: epath.Path) -> Iterator[Record]:
    """An Inspect log in its own format: a zip with a file for each sample."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        for entry in entries:
            refuse_bomb(path, entry.compress_size, entry.file_size)
        if header := [e for e in entries if e.filename == "header.json"]:
            _refuse_unfinished(path, _parsed(path, "header.json", archive.read(header[0])))
        for entry in entries:
            if entry.filename.startswith("samples/") and entry.filename.endswith(".json"):
                content = archive.read(entry)  # held to its checksum
                yield _record(path, entry.filename, _parsed(path, entry.filename, content))


def _refuse_unfinished(path: epath.Path, log: Record) -> None:
    status = log.get("status", "success")
    if status != "success":
        raise UserError(f"{path}: the evaluation's status is {status!r}: not all of it is there")


def _parsed(path: epath.Path, where: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        at = f"{where}: " if where else ""
        raise UserError(f"{path}: {at}no JSON: {error}") from None


def _record(path: epath.Path, where: str, value: Any) -> Record:
    if not isinstance(value, dict):
        raise UserError(f"{path}: {where} is {type(value).__name__}, not a record with names")
    return value
