"""Damage found before it is used: a folder carries the checksums of its files.

`FOLDER/checksums.json` is {file: {"bytes", "crc32"}}.
"""

import json
from collections.abc import Iterator

from etils import epath

from churn_jax.storage.files import checksum, write_atomically

MANIFEST = "checksums.json"


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
