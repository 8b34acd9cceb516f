"""Errors that a user can act on.

Every command turns a `UserError` into its one line on stderr and exit code 2; anything else that
escapes is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Bad input: one line saying what is wrong, where, and the nearest right thing.

    What no terminal shows as it is (control characters, bytes that are no text) is escaped.
    """

    def __init__(self, message: str):
        line = " ".join(message.split())
        super().__init__("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def suggest(name: str, choices: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of `choices`, or ` (one of: …)` if none is near."""
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=1)
    if near:
        return f" (did you mean {near[0]!r}?)"
    return f" (one of: {', '.join(choices)})"
