"""The inner loop of comparing: Σ |a − b| over the classes for all pairs of runs.

NumPy needs three passes over a cache's worth of numbers for it; a compiled loop needs one, and is
four times as fast. Starting the compiler takes half a second, and compiling one more the first
time, so it is for large comparisons, where numba is installed (`pip install churn_jax[fast]`).
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from churn_jax.analysis.buffers import lent

# [run, row, class] float32 → [run, run, row] float32.
PairKernel = Callable[[np.ndarray], np.ndarray]

_WORTH_COMPILING = 1 << 30  # differences to take: what NumPy does in half a second


def choose(num_differences: int) -> PairKernel:
    """The kernel that is faster for so many differences in all."""
    compiled = _compiled() if num_differences >= _WORTH_COMPILING else None
    return compiled or l1_of_pairs


def l1_of_pairs(values: np.ndarray) -> np.ndarray:
    """Σ_k |values[i, r, k] − values[j, r, k]| for all i, j, r."""
    ones = np.ones(values.shape[2], np.float32)
    with lent(values.shape) as changes:

        def distances_to(i: int) -> np.ndarray:
            np.subtract(values[:i], values[i], out=changes[:i])
            np.abs(changes[:i], out=changes[:i])
            return changes[:i] @ ones  # the fastest sum there is

        return pairs_of(values.shape, distances_to)


def pairs_of(shape: tuple[int, ...], distances_to: Callable[[int], np.ndarray]) -> np.ndarray:
    """[run, run, row] from a function that gives run i's distances to the runs before it."""
    n, rows = shape[:2]
    found = np.zeros((n, n, rows), np.float32)
    for i in range(1, n):
        found[i, :i] = distances_to(i)
        found[:i, i] = found[i, :i]
    return found


@functools.cache
def _compiled() -> PairKernel | None:
    try:
        import numba
    except ImportError:
        return None

    # Sums may be reordered, which is what lets them use vector instructions; the values are finite.
    options: Any = {"nogil": True, "fastmath": True}

    def loop(values, found):  # type: ignore[no-untyped-def]
        runs, rows, classes = values.shape
        for r in range(rows):
            for i in range(1, runs):
                for j in range(i):
                    total = np.float32(0)
                    for k in range(classes):
                        total += abs(values[i, r, k] - values[j, r, k])
                    found[i, j, r] = total
                    found[j, i, r] = total

    try:
        fill = numba.njit(loop, cache=True, **options)
    except RuntimeError:  # no folder to keep the compiled code in
        fill = numba.njit(loop, **options)

    def compiled(values: np.ndarray) -> np.ndarray:
        n, rows = values.shape[:2]
        found = np.zeros((n, n, rows), np.float32)
        fill(values, found)
        return found

    return compiled
