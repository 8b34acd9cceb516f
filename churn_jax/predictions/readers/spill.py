"""Arrays that grow on disk, so that a large table is never whole in memory."""

import tempfile
from types import TracebackType
from typing import Any

import numpy as np


class Spill:
    """Rows written to an unnamed temporary file and then mapped; use as a context manager."""

    def __enter__(self) -> "Spill":
        self._file = tempfile.TemporaryFile()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A map keeps the file's content alive without the file.
        self._file.close()

    def write(self, content: Any) -> None:
        """Adds bytes, or an array's bytes."""
        self._file.write(content)

    def array(self, dtype: np.dtype, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
        """Everything written, as a read-only map; the disk space goes when the array does."""
        self._file.flush()
        return np.memmap(self._file, dtype, mode="r", shape=shape, order=order)  # type: ignore
