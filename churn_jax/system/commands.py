"""What all commands share: bad input is one line on stderr and exit code 2, never a traceback."""

import gc
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from churn_jax.errors import UserError
from churn_jax.system.interruption import CTRL_C, Interrupted

BUG = 1
BAD_INPUT = 2

# New objects between two looks for unreachable ones. Python's own 700 cost a tenth of a start:
# imports and tracing make objects by the hundred thousand, and hardly any is garbage.
_OBJECTS_BETWEEN_COLLECTIONS = 200_000


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command and exits with its code (None is 0)."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        code = main() or 0
    except (Exception, KeyboardInterrupt) as error:
        code = report(error)
    sys.exit(code)


def report(error: BaseException) -> int:
    """Prints what ended a command, and returns its exit code; a bug keeps its traceback."""
    if isinstance(error, UserError):
        print(f"error: {error}", file=sys.stderr, flush=True)
        return BAD_INPUT
    if isinstance(error, Interrupted):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr, flush=True)
        return CTRL_C
    traceback.print_exception(error)
    return BUG
