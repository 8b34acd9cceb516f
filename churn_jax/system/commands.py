"""What all commands share: exit codes, and that bad input is one line on stderr, no traceback.

Exit code 0: done; 1: the gate of `compare` failed, and nothing else; 2: bad input; 3: a gate that
can't be decided; 70: a bug, which keeps its traceback; 75 and 130: interrupted.
"""

import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from churn_jax.errors import UserError
from churn_jax.system import console, jax_settings, streams
from churn_jax.system.interruption import CTRL_C, Interrupted

BAD_INPUT = 2
BUG = 70  # EX_SOFTWARE of sysexits.h: never 1, which is a verdict


def end_with_a_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """For `sys.excepthook`: the exit code of a bug, not Python's 1."""
    sys.exit(report(error))


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command and exits with its code (None is 0)."""
    streams.make_unfailing()
    try:
        code = main() or 0
    except (Exception, KeyboardInterrupt) as error:
        code = report(error)
    if sys.stdout is not None:
        sys.stdout.flush()
    if why := streams.dropped():
        print(f"warning: standard output is not whole: {why}", file=sys.stderr, flush=True)
    sys.exit(code)


def report(error: BaseException) -> int:
    """Prints what ended a command, and returns its exit code; a bug keeps its traceback."""
    console.show("")
    if isinstance(error, UserError):
        print(f"error: {error}", file=sys.stderr, flush=True)
        return BAD_INPUT
    if isinstance(error, Interrupted):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr, flush=True)
        return CTRL_C
    if said := jax_settings.fault(error):
        print(f"error: {said}", file=sys.stderr, flush=True)
        return BAD_INPUT
    traceback.print_exception(error)
    return BUG
