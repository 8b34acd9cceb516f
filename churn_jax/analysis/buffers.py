"""Memory that a thread uses again and again: new arrays would cost clearing theirs."""

import contextlib
import math
import threading
from collections.abc import Iterator

import numpy as np


class _Free(threading.local):
    """Flat arrays of this thread that nobody holds."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []


_free = _Free()


@contextlib.contextmanager
def lent(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """An uninitialised float32 array, for the length of a `with` block and no longer.

    Its memory is lent again afterwards, so nothing that outlives the block may keep a view of it.
    """
    size = math.prod(shape)
    flat = _free.arrays.pop() if _free.arrays else np.empty(0, np.float32)
    if flat.size < size:
        flat = np.empty(size, np.float32)
    try:
        yield flat[:size].reshape(shape)
    finally:
        _free.arrays.append(flat)
