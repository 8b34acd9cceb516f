"""Errors that a user can act on.

Every command turns a `UserError` into its one line on stderr and exit code 2; anything else that
escapes is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable

_MOST_LISTED = 25


def printable(text: str) -> str:
    """A text as one line; what no terminal shows as it is, is escaped.

    Control characters, marks that turn the direction of writing and bytes that are no text would
    move a cursor, hide or fake lines: names in files are anybody's.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class UserError(ValueError):
    """Bad input: one line saying what is wrong, where, and the nearest right thing.

    What no terminal shows as it is (control characters, bytes that are no text) is escaped.
    """

    def __init__(self, message: str):
        super().__init__(printable(" ".join(message.split())))


class UsageError(UserError):
    """What is wrong is the command line itself, its options and conditions, and no file."""


def suggest(name: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of `choices`, or ` (one of: …)` if none is near."""
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=1)
    if near:
        return f" (did you mean {near[0]!r}?)"
    more = f", … ({len(choices)} in all)" if len(choices) > _MOST_LISTED else ""
    return f" (one of: {', '.join(choices[:_MOST_LISTED])}{more})"
