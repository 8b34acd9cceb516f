"""Paths as people write them: `~`, several with commas in between, and patterns.

What exists under the very name that is written is meant, whatever commas, brackets and stars the
name holds.
"""

import fnmatch
import glob
import os
from collections.abc import Callable, Sequence

from etils import epath

from churn_jax.storage.files import names_in, reach
from churn_jax.storage.objects import is_google


def split_paths(text: str, names: Callable[[str], Sequence[str]] | None = None) -> list[str]:
    """The paths in `text`, with commas in between; an existing path keeps its own commas.

    A comma too many leaves an empty path, which whoever reads it refuses.

    Args:
      text: paths or patterns.
      names: what is there of one path; by default the path itself, if it exists.
    """
    names = names or (lambda path: [path] if epath.Path(path).expanduser().exists() else [])
    parts, found, start = text.split(","), [], 0
    while start < len(parts):
        ends = range(len(parts), start + 1, -1)
        joined = ((end, ",".join(parts[start:end])) for end in ends)
        end, path = next(
            ((end, path) for end, path in joined if names(path)), (start + 1, parts[start])
        )
        found.append(path)
        start = end
    return found


def matches(pattern: str) -> list[str]:
    """Paths that a pattern with `*`, `?` or `[…]` matches, sorted; a plain path is itself.

    A part of the path that exists as it is written is no pattern: `runs[1]/*.npz` is of the folder
    `runs[1]` where there is one.
    """
    if is_google(pattern):
        return _objects(pattern)
    pattern = os.path.expanduser(pattern)
    found = [os.sep if os.path.isabs(pattern) else ""]
    for part in filter(None, pattern.split(os.sep)):
        found = [match for folder in found for match in _inside(folder, part)]
    return sorted(found)


def is_pattern(path: str) -> bool:
    """Whether a path has characters of a pattern."""
    return glob.has_magic(path)


def _inside(folder: str, part: str) -> list[str]:
    exact = os.path.join(folder, part)
    if os.path.lexists(exact) or not glob.has_magic(part):
        return [exact] if os.path.lexists(exact) else []
    return glob.glob(os.path.join(glob.escape(folder), part))


def _objects(pattern: str) -> list[str]:
    """As `matches`, of a bucket; raises `UserError` if that can't be asked."""
    bucket, *parts = pattern.removeprefix("gs://").strip("/").split("/")
    found = [str(reach(f"gs://{bucket}", "file"))]
    for part in parts:
        names = {folder: names_in(folder) for folder in found}
        found = [
            f"{folder}/{name}"
            for folder in found
            for name in ([part] if part in names[folder] else fnmatch.filter(names[folder], part))
        ]
    return sorted(found)
