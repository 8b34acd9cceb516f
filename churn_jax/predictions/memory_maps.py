"""Reading memory-mapped arrays fast, without letting them fill the memory.

A mapped file's pages stay in the process once they are touched, so a pass over 2 GB of predictions
would end up as large; and touching them one by one costs a page fault each. So a block's pages are
asked for at once before it is read, and given back now and then: the operating system still caches
the file.
"""

import contextlib
import mmap
import threading
from collections.abc import Callable

import numpy as np

_KEPT_BYTES = 16 << 20
_POPULATE_READ = 22  # Linux 5.14; elsewhere pages come one by one


def in_bounded_memory(
    rows: Callable[[slice], np.ndarray], source: np.ndarray
) -> Callable[[slice], np.ndarray]:
    """`rows`, which reads from `source`, in little memory where `source` is mapped from a file."""
    mapping = _mapping(source)
    if mapping is None or not hasattr(mapping, "madvise"):
        return rows
    start, lock, touched = np.frombuffer(mapping, np.uint8).ctypes.data, threading.Lock(), 0

    def read(wanted: slice) -> np.ndarray:
        nonlocal touched
        found = rows(wanted)
        place = found.ctypes.data - start
        if found.flags.c_contiguous and 0 <= place < len(mapping):
            aligned = place - place % mmap.PAGESIZE
            with contextlib.suppress(OSError):
                mapping.madvise(_POPULATE_READ, aligned, place + found.nbytes - aligned)
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
