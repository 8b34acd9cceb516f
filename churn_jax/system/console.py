"""What a program says while it works, and how its text is laid out where it is shown."""

import dataclasses
import os
import shutil
import sys
from typing import Literal, TextIO

from churn_jax.errors import printable

_WIDTH = 120  # of logs, whose width nobody knows
_STYLES = {"good": "32", "bad": "31", "doubt": "33", "best": "1"}  # ANSI: green, red, yellow, bold

Style = Literal["good", "bad", "doubt", "best"]


@dataclasses.dataclass(frozen=True)
class Look:
    """How text is laid out for the place where it is shown.

    Attributes:
      width: in columns, which tables keep to.
      wrap: whether sentences keep to it, too; in a log each is one line, which `grep` finds.
      colour: whether there are colours. They repeat what the words say.
    """

    width: int = _WIDTH
    wrap: bool = False
    colour: bool = False

    def paint(self, text: str, style: Style) -> str:
        """The text in a style, where there are colours; its width on the screen is the same."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.colour else text


def look(stream: TextIO | None = None) -> Look:
    """How what goes to a stream is laid out: `sys.stdout`, if none is given.

    The environment variable COLUMNS comes first, then the size of the terminal, then 120. Colours
    are for terminals alone, and not where NO_COLOR is set (https://no-color.org) or TERM is dumb.
    """
    stream = stream or sys.stdout
    terminal = bool(stream and stream.isatty())
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    return Look(width, wrap=terminal, colour=terminal and not plain)


def say(line: str) -> None:
    """Prints one line at once, also into pipes; of several processes only the first speaks."""
    if is_first():
        shown = _shown
        show("")
        print(printable(line), file=sys.stderr, flush=True)
        show(shown)


_shown = ""  # the line at the bottom of the terminal


def show(text: str) -> None:
    """Keeps one line at the bottom of a terminal, in place of the one before; '' takes it away.

    Logs, pipes and terminals that can't erase a line get nothing.
    """
    global _shown
    if text == _shown or not _has_bottom_line():
        return
    _shown = text
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    print(f"\r{printable(text)[: width - 1]}\x1b[K", end="", file=sys.stderr, flush=True)


def _has_bottom_line() -> bool:
    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return terminal and is_first()


def is_first() -> bool:
    """Whether this is the process that writes and speaks; asks JAX only where it is loaded.

    So everything may speak, also what must do without JAX: several processes are always JAX's.
    """
    jax = sys.modules.get("jax")
    return jax is None or not jax.distributed.is_initialized() or jax.process_index() == 0
