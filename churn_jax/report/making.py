"""By which command, on which day and of which files a page was made: its foot says it.

report.json holds nothing of it, so the same predictions still give the same report.
"""

import dataclasses
import datetime
import hashlib
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence

from etils import epath


@dataclasses.dataclass(frozen=True)
class Making:
    """How a page was made.

    Attributes:
      command: what made it, but for where it is written.
      day: of its making, in UTC, as 2026-11-28.
      inputs: the SHA-256 of every file that was read, by its path.
    """

    command: str
    day: str
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def lines(self) -> list[str]:
        """One sentence each."""
        read = [f"{path} {digest[:16]}" for path, digest in self.inputs.items()]
        listed = [f"Files and the beginnings of their SHA-256: {', '.join(read)}."] if read else []
        return [f"Made on {self.day} by {self.command}", *listed]


def made_by(module: str, arguments: Sequence[str], files: Iterable[str] = ()) -> Making:
    """What the foot of a command's page says.

    Args:
      module: `churn_jax.compare` or the like.
      arguments: its command line.
      files: that it read; of folders, which say themselves what they are, nothing is said.
    """
    command = shlex.join(["python", "-m", module, *_without_place(arguments)])
    read = {path: _digest(path) for path in files if not epath.Path(path).is_dir()}
    return Making(command, today(), read)


def today() -> str:
    """The day in UTC; that of SOURCE_DATE_EPOCH where it is set, for the same bytes again."""
    if (epoch := os.environ.get("SOURCE_DATE_EPOCH", "")).isdigit():
        moment = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
    else:
        moment = datetime.datetime.now(datetime.UTC)
    return moment.date().isoformat()


def _without_place(arguments: Sequence[str]) -> list[str]:
    """A command line without --out, which is no part of what a page says."""
    kept: list[str] = []
    others = iter(arguments)
    for argument in others:
        if argument == "--out":
            next(others, None)
        elif not argument.startswith("--out="):
            kept.append(argument)
    return kept


def _digest(path: str) -> str:
    with epath.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
