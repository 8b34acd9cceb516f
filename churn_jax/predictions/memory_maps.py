"""Reading memory-mapped arrays fast, without letting them fill the memory.

A mapped file's pages stay in the process once they are touched, so a pass over 2 GB of predictions
would end up as large; and touching them one by one costs a page fault each. So a block's pages are
asked for at once before it is read, and given back now and then, those of all files together: the
operating system still caches them.
"""

import contextlib
import mmap
import threading
import weakref
from collections.abc import Callable

import numpy as np

KEPT_BYTES = 64 << 20  # of all files together
_LEAST_COUNTED = 2 << 20  # around a page the kernel may map all that it read at once
_POPULATE_READ = 22  # Linux 5.14; elsewhere pages come one by one


class _Touched:
    """The maps whose pages are in the process, and how many bytes those may be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._bytes = 0

    def add(self, mapping: mmap.mmap, size: int) -> None:
        """Counts bytes that were read, and gives all pages back once there are too many."""
        with self._lock:
            self._maps.add(mapping)
            self._bytes += max(size, _LEAST_COUNTED)
            if self._bytes > KEPT_BYTES:
                for each in self._maps:
                    each.madvise(mmap.MADV_DONTNEED)
                self._maps.clear()
                self._bytes = 0


_touched = _Touched()


def in_bounded_memory(
    rows: Callable[[slice], np.ndarray], source: np.ndarray
) -> Callable[[slice], np.ndarray]:
    """`rows`, which reads from `source`, in little memory where `source` is mapped from a file."""
    mapping = _mapping(source)
    if mapping is None or not hasattr(mapping, "madvise"):
        return rows
    start = np.frombuffer(mapping, np.uint8).ctypes.data

    def read(wanted: slice) -> np.ndarray:
        found = rows(wanted)
        place = found.ctypes.data - start
        if found.flags.c_contiguous and 0 <= place < len(mapping):
            aligned = place - place % mmap.PAGESIZE
            with contextlib.suppress(OSError):
                mapping.madvise(_POPULATE_READ, aligned, place + found.nbytes - aligned)
        _touched.add(mapping, found.nbytes)
        return found

    return read


def _mapping(array: np.ndarray) -> mmap.mmap | None:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
