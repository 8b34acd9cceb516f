"""Inner loops over the classes, compiled where numba is installed (`pip install churn_jax[fast]`).

NumPy takes one pass over a block for each operation, a compiled loop takes all of them while a row
is in the nearest cache, and is several times as fast. Starting the compiler takes half a second,
and compiling a few more the first time, so it is for large comparisons.
"""

import functools
from collections.abc import Callable
from typing import Any

WORTH = 1 << 30  # differences to take: what NumPy does in half a second


@functools.cache
def compiled(loop: Callable[..., Any]) -> Callable[..., Any] | None:
    """The loop in machine code, which runs without the interpreter's lock; None without numba.

    Its sums may be taken in any order, which is what lets them use vector instructions, and its
    floating-point values must be finite.
    """
    try:
        import numba
    except Exception:  # not there, or one that does not get on with what else is installed
        return None
    options: Any = {"nogil": True, "fastmath": True}
    try:
        return numba.njit(loop, cache=True, **options)
    except RuntimeError:  # no folder to keep the compiled code in
        return numba.njit(loop, **options)
