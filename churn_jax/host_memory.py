"""Memory that a step frees is kept for the next one.

XLA's CPU backend takes one large buffer for a step's intermediate results and frees it at its end.
glibc gives such a buffer back to the kernel each time, which then zeroes every page of it again:
of a stacked LeNet5 step that is a third.
"""

import ctypes

# malloc.h: M_TRIM_THRESHOLD (−1: never), M_MMAP_MAX, M_ARENA_MAX. Other arenas than the main one
# can't hold buffers of this size, and would map them anew after all.
_KEEP = {-1: -1, -4: 0, -8: 1}


def keep_freed_memory() -> None:
    """From now on this process's C library keeps what is freed; call before threads are started.

    Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _KEEP.items():
            mallopt(parameter, value)
