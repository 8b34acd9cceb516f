"""Damage found before it is used: folders, and values in JSON, carry their checksums.

`FOLDER/checksums.json` is {file: {"bytes", "crc32"}}. Values in JSON have a last key, `crc32`, of
what they say and not of how it is written: another layout of the same values is no damage.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from churn_jax.storage.files import checksum, write_atomically

MANIFEST = "checksums.json"
KEY = "crc32"


def seal(folder: epath.PathLike, leave_out: tuple[str, ...] = ()) -> None:
    """Writes the checksums of all files in `folder`, but for the names in `leave_out`."""
    folder = epath.Path(folder)
    entries = {
        str(path.relative_to(folder)): {"bytes": path.stat().length, "crc32": checksum(path)}
        for path in _files(folder)
        if path.name not in (MANIFEST, *leave_out)
    }
    write_atomically(folder / MANIFEST, json.dumps(entries, indent=1))


def is_sealed(folder: epath.PathLike) -> bool:
    """Whether the folder carries checksums."""
    return (epath.Path(folder) / MANIFEST).exists()


def fault(folder: epath.PathLike) -> str | None:
    """What is wrong with a sealed folder's files, naming the first that is; None if nothing is."""
    folder = epath.Path(folder)
    try:
        entries = json.loads((folder / MANIFEST).read_bytes())
        for name, entry in entries.items():
            if found := _fault(folder / name, entry["bytes"], entry["crc32"]):
                return f"{name} {found}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"{MANIFEST} is damaged"
    except OSError as error:
        return f"a file can't be read ({error.strerror or error})"
    return None


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that go into JSON, with their checksum."""
    return {**values, KEY: _of_values(values)}


def unsealed(values: Any) -> dict[str, Any]:
    """Values out of JSON without their checksum, which those of earlier versions do not have.

    Raises:
      ValueError: they are no keys and values, or other ones than were written.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{type(values).__name__} instead of keys and values")
    found = {key: value for key, value in values.items() if key != KEY}
    if KEY in values and values[KEY] != _of_values(found):
        raise ValueError(
            f"it has other values than were written (if you changed it, remove its {KEY!r})"
        )
    return found


def _of_values(values: Mapping[str, Any]) -> str:
    # Once through JSON, which makes lists of tuples and texts of keys.
    plain = json.dumps(json.loads(json.dumps(values)), sort_keys=True)
    return f"{zlib.crc32(plain.encode()):08x}"


def _files(folder: epath.Path) -> Iterator[epath.Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _fault(path: epath.Path, size: int, expected: str) -> str | None:
    if not path.exists():
        return "is missing"
    if (found := path.stat().length) != size:
        return f"has {found} bytes instead of {size}"
    return None if checksum(path) == expected else "has other bytes than were written"
