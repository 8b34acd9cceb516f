"""Means of every example over pairs of runs, kept on disk where they would fill the memory."""

import tempfile

import numpy as np

from churn_jax.analysis.pairing import Pairing, size
from churn_jax.errors import UserError

CHUNK_EXAMPLES = 512  # written at once, so that a group is read in few pieces


class PairMeans:
    """One measure's means [mean, example] float32, added a block of examples at a time.

    Args:
      pairing: whose `places` say which mean is whose.
      on_disk: whether to keep them in a temporary file instead of memory.
    """

    def __init__(self, pairing: Pairing, on_disk: bool):
        self._places, self._num_means = pairing.places, pairing.num_means
        # It has no name, and goes with the last reference.
        self._file = tempfile.TemporaryFile() if on_disk else None  # noqa: SIM115
        self._waiting: list[np.ndarray] = []
        self._chunks: list[np.ndarray] = []
        self._widths: list[int] = []  # examples of each chunk

    def add(self, block: np.ndarray) -> None:
        """Adds the next examples, [mean, example]."""
        self._waiting.append(block)
        if sum(each.shape[1] for each in self._waiting) >= CHUNK_EXAMPLES:
            self.flush()

    def flush(self) -> None:
        """Ends a chunk; to be called after the last block."""
        if not self._waiting:
            return
        chunk = np.ascontiguousarray(np.concatenate(self._waiting, axis=1), np.float32)
        self._waiting = []
        self._widths.append(chunk.shape[1])
        if self._file is None:
            self._chunks.append(chunk)
            return
        try:
            self._file.write(chunk.data)
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"{tempfile.gettempdir()}: no room for intermediate results ({error.strerror}): "
                "set TMPDIR to a folder on a larger disk"
            ) from None

    def read(self, of: int, over: int) -> np.ndarray:
        """[run of group `of`, example], the mean over the pairs with the runs of `over`."""
        place = self._places[of, over]
        if self._file is None:
            return np.concatenate([chunk[place] for chunk in self._chunks], axis=1)
        found, offset = [], 0
        for width in self._widths:
            self._file.seek(offset + 4 * width * place.start)
            content = self._file.read(4 * width * size(place))
            found.append(np.frombuffer(content, np.float32).reshape(-1, width))
            offset += 4 * width * self._num_means
        return np.concatenate(found, axis=1)
