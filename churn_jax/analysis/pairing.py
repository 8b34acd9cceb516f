"""Which pairs of runs are measured: those within each group, and those between some groups."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Pairing:
    """The pairs that somebody asks for.

    Attributes:
      groups: for each group the runs it has; they stand together.
      between: the groups (a, b), a before b, whose runs are paired with each other.
      matched: whether of two groups run r is paired with run r alone. Each pair's own measures are
        still those of all pairs.
    """

    groups: tuple[slice, ...]
    between: tuple[tuple[int, int], ...]
    matched: bool = False

    @classmethod
    def of(
        cls,
        groups: Sequence[int],
        between: Iterable[tuple[int, int]] | None,
        matched: bool = False,
    ) -> "Pairing":
        """The pairs within all groups and `between` some of them; None is between all.

        Args:
          groups: [run], the index of each run's group, ascending.
          between: indices of groups.
          matched: as of the class; the groups then have equally many runs.
        """
        if any(b < a for a, b in itertools.pairwise(groups)):
            raise ValueError("runs must come group by group")
        ends = np.cumsum(np.bincount(groups)).tolist()
        slices = tuple(slice(a, b) for a, b in itertools.pairwise([0, *ends]))
        if between is None:
            between = itertools.combinations(range(len(slices)), 2)
        return cls(slices, tuple(dict.fromkeys(between)), matched)

    @functools.cached_property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """The groups (a, b) whose runs are paired; (g, g) where a group has several."""
        within = [(g, g) for g, runs in enumerate(self.groups) if size(runs) > 1]
        return (*within, *self.between)

    def zeros(self) -> np.ndarray:
        """[run, run], 0 for what is paired and on the diagonal, else NaN."""
        num_runs = self.groups[-1].stop
        found = np.full((num_runs, num_runs), np.nan)
        np.fill_diagonal(found, 0)
        for a, b in self.blocks:
            found[self.groups[a], self.groups[b]] = 0
        return found

    @functools.cached_property
    def num_pairs(self) -> int:
        """How many pairs of runs there are."""
        within = sum(size(runs) * (size(runs) - 1) // 2 for runs in self.groups)
        return within + sum(size(self.groups[a]) * size(self.groups[b]) for a, b in self.between)

    @functools.cached_property
    def places(self) -> dict[tuple[int, int], slice]:
        """Where each run of `a` has its mean over the runs of `b` it is paired with, by (a, b)."""
        found, start = {}, 0
        for a, b in self.blocks:
            for of, over in dict.fromkeys(((a, b), (b, a))):
                stop = start + size(self.groups[of])
                found[of, over] = slice(start, stop)
                start = stop
        return found

    @property
    def num_means(self) -> int:
        """How many means there are of each example."""
        return max((place.stop for place in self.places.values()), default=0)


def size(runs: slice) -> int:
    """How many runs a slice has."""
    return runs.stop - runs.start
