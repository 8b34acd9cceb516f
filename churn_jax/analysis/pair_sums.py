"""What is kept of a block's distances between runs: each pair's sum, and each run's means."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from churn_jax.analysis.pairing import Pairing


@dataclasses.dataclass(frozen=True)
class PairBlock:
    """A measure of pairs on a block.

    Attributes:
      sums: for each of the pairing's `blocks`, its sums over the rows by their weights, [run of a,
        run of b].
      means: [mean, row], as of the pairing's `places`.
    """

    sums: list[np.ndarray]
    means: np.ndarray


class PairSums:
    """Takes the sums and means of measures of pairs, two groups' distances at a time.

    Args:
      pairing: of the runs.
      weights: [row], what each row counts in a sum; None where all count the same.
    """

    def __init__(self, pairing: Pairing, weights: np.ndarray | None = None):
        self._pairing, self._weights = pairing, weights
        self._sums: dict[str, list[np.ndarray]] = {}
        self._means: dict[str, list[np.ndarray]] = {}

    def groups(self) -> Iterator[tuple[slice, slice]]:
        """The runs of the groups of each block of pairs."""
        for a, b in self._pairing.blocks:
            yield self._pairing.groups[a], self._pairing.groups[b]

    def add(self, name: str, distances: np.ndarray) -> None:
        """Adds the distances [run of a, run of b, row] of the next block of pairs."""
        sums = self._sums.setdefault(name, [])
        a, b = self._pairing.blocks[len(sums)]
        if self._weights is None:
            sums.append(distances.sum(2, dtype=np.float64))
        else:
            sums.append(distances @ self._weights)
        means = self._means.setdefault(name, [])
        if self._pairing.matched and a != b:
            own = np.arange(distances.shape[0])
            means += [distances[own, own]] * 2
            return
        # A run has no distance to itself.
        means.append(distances.sum(1) / (distances.shape[1] - (a == b)))
        if a != b:
            means.append(distances.sum(0) / distances.shape[0])

    def pairs(self) -> dict[str, PairBlock]:
        """What was added, by name."""
        return {
            name: PairBlock(sums, np.concatenate(self._means[name]))
            for name, sums in self._sums.items()
        }
