"""What all commands share: bad input is one line on stderr and exit code 2, never a traceback."""

import sys
from collections.abc import Callable
from typing import NoReturn

from churn_jax.errors import UserError

BAD_INPUT = 2
INTERRUPTED = 130


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Runs a command and exits with its code (None is 0)."""
    try:
        code = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)
