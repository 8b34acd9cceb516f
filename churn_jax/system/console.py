"""What a program says while it works: lines on stderr, of the first process alone."""

import sys

from churn_jax.errors import printable


def say(line: str) -> None:
    """Prints one line at once, also into pipes; of several processes only the first speaks."""
    if is_first():
        print(printable(line), file=sys.stderr, flush=True)


def is_first() -> bool:
    """Whether this is the process that writes and speaks; asks JAX only where it is loaded.

    So everything may speak, also what must do without JAX: several processes are always JAX's.
    """
    jax = sys.modules.get("jax")
    return jax is None or not jax.distributed.is_initialized() or jax.process_index() == 0
