"""Arrays that grow on disk, so that a large table is never whole in memory."""

import tempfile
from typing import Any

import numpy as np


class Spill:
    """Rows written to an unnamed temporary file, and then mapped."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as its map

    def write(self, content: Any) -> None:
        """Adds bytes."""
        self._file.write(content)

    def array(self, dtype: np.dtype, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
        """Everything written, as a read-only map; the file goes when the array does."""
        self._file.flush()
        return np.memmap(self._file, dtype, mode="r", shape=shape, order=order)  # type: ignore
