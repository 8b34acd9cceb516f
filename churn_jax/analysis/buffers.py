"""Arrays that a thread uses again and again: new ones would cost clearing their memory."""

import math
import threading

import numpy as np

_local = threading.local()


def scratch(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An uninitialised float32 array, the same memory for the same name in the same thread.

    What was in it is gone once the thread asks for the name again.
    """
    size = math.prod(shape)
    flat: np.ndarray | None = getattr(_local, name, None)
    if flat is None or flat.size < size:
        flat = np.empty(size, np.float32)
        setattr(_local, name, flat)
    return flat[:size].reshape(shape)
