"""Reading memory-mapped arrays without letting them fill the memory.

A mapped file's pages stay in the process once they are touched, so a pass over 2 GB of predictions
would end up as large. Giving the pages back now and then costs nothing but a soft page fault should
one be needed again: the operating system still caches the file.
"""

import mmap
import threading
from collections.abc import Callable

import numpy as np

_KEPT_BYTES = 16 << 20


def in_bounded_memory(
    rows: Callable[[slice], np.ndarray], source: np.ndarray
) -> Callable[[slice], np.ndarray]:
    """`rows`, which reads from `source`, giving the pages of a mapped source back as it goes."""
    mapping = _mapping(source)
    if mapping is None or not hasattr(mapping, "madvise"):
        return rows
    lock, touched = threading.Lock(), 0

    def read(wanted: slice) -> np.ndarray:
        nonlocal touched
        found = rows(wanted)
        with lock:
            touched += found.nbytes
            if touched > _KEPT_BYTES:
                touched = 0
                mapping.madvise(mmap.MADV_DONTNEED)
        return found

    return read


def _mapping(array: np.ndarray) -> mmap.mmap | None:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
