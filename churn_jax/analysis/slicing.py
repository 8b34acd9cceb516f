"""Every measure on parts of the examples: the true classes, and the slices that a user names.

One way of slicing sorts the examples once, so that each slice is a piece of the sorted ones, and
all slices together cost about what the whole set does.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from churn_jax.analysis.intervals import Sample
from churn_jax.analysis.samples import Samples
from churn_jax.analysis.summaries import estimate
from churn_jax.errors import UserError
from churn_jax.report.breakdowns import Slice, SliceGroup
from churn_jax.report.estimates import Change, Estimate

BY_CLASS = "class"
MOST_SLICES = 1000
_MOST_ESTIMATES = 500_000  # of all slices of one way
_MEASURES = 30  # of a group or a change, about
_BINS = 10


@dataclasses.dataclass(frozen=True)
class Partition:
    """One way of slicing.

    Attributes:
      by: what it is called.
      names: of the slices.
      order: the examples that are in slices, slice by slice.
      ends: where in `order` each slice ends.
    """

    by: str
    names: tuple[str, ...]
    order: np.ndarray
    ends: tuple[int, ...]

    @property
    def pieces(self) -> list[slice]:
        """Where each slice is in `order`."""
        return [slice(a, b) for a, b in itertools.pairwise([0, *self.ends])]

    def places(self, num_examples: int) -> np.ndarray:
        """The place of each example's slice among the names, [example]; −1 where it is in none."""
        places = np.full(num_examples, -1)
        places[self.order] = np.repeat(np.arange(len(self.names)), np.diff([0, *self.ends]))
        return places

    def of_examples(self, num_examples: int) -> np.ndarray:
        """The name of each example's slice, [example] of str; '' where it is in none."""
        return np.array([*self.names, ""])[self.places(num_examples)]


def most_slices(num_groups: int, num_changes: int) -> int:
    """How many slices of one way a report has room for."""
    return min(MOST_SLICES, _MOST_ESTIMATES // (_MEASURES * (num_groups + num_changes)))


def by_class(labels: np.ndarray, class_names: Sequence[str]) -> Partition:
    """The examples by their true class."""
    present = np.unique(labels)
    names = tuple(class_names[index] for index in present.tolist())
    return _partition(BY_CLASS, names, np.searchsorted(present, labels))


def by_label(name: str, there: np.ndarray) -> Partition:
    """The examples that have a label, of several an example; `there` is [example] bool."""
    rows = np.flatnonzero(there)
    return Partition(f"label {name}", ("there",), rows, (len(rows),))


def given(columns: Mapping[str, np.ndarray], most: int) -> tuple[list[Partition], list[str]]:
    """The slices that a user names, and a note for each column whose numbers were binned.

    Args:
      columns: for each way of slicing, the name of every example's slice, [example] of str; an
        empty name is in no slice.
      most: how many slices there may be.

    Raises:
      UserError: a column has more different names than that.
    """
    partitions, notes = [], []
    for by, values in columns.items():
        names, codes = np.unique(values, return_inverse=True)
        codes = codes - np.count_nonzero(names == "")  # −1 is in no slice
        names = names[names != ""]
        if len(names) > most:
            numbers = _numbers(names)
            if numbers is None:
                raise UserError(
                    f"the slices {by!r} have {len(names):,} different values such as "
                    f"{str(names[0])!r}: more than {most:,} are no slices; give fewer, or leave "
                    "the column out"
                )
            notes.append(
                f"The {len(names):,} different numbers of {by!r} are in {_BINS} slices of about as "
                "many examples each."
            )
            names, codes = _binned(numbers, codes)
        partitions.append(_partition(by, tuple(names.tolist()), codes))
    return partitions, notes


def slices(samples: Samples, changes: Sequence[tuple[int, int]], by: Partition) -> list[Slice]:
    """Every measure on each slice of one way of slicing.

    Args:
      samples: of all examples.
      changes: the groups (a, b) of each change.
      by: the way of slicing.
    """
    parts = [
        dataclasses.replace(samples, measured=samples.measured.take(by.order[piece]))
        for piece in by.pieces
    ]

    def everywhere(key: str, sample: Callable[[Samples], Sample]) -> list[Estimate]:
        if samples.is_mean(key):
            whole = sample(samples.unweighted).take(by.order)
            return [
                estimate(key, whole.take(piece).weighted(part.measured.weights))
                for piece, part in zip(by.pieces, parts, strict=True)
            ]
        return [estimate(key, sample(part)) for part in parts]

    groups = [_of_group(samples, group, len(parts), everywhere) for group in samples.indices]
    between = [_of_change(samples, a, b, everywhere) for a, b in changes]
    return [
        Slice(
            by=by.by,
            name=name,
            num_examples=piece.stop - piece.start,
            groups=tuple(
                SliceGroup(samples.names[group], {key: of[place] for key, of in found.items()})
                for group, found in enumerate(groups)
            ),
            between=tuple(
                Change(
                    samples.names[a], samples.names[b], {k: of[place] for k, of in found.items()}
                )
                for (a, b), found in zip(changes, between, strict=True)
            ),
        )
        for place, (name, piece) in enumerate(zip(by.names, by.pieces, strict=True))
    ]


_Everywhere = Callable[[str, Callable[[Samples], Sample]], list[Estimate]]


def _of_group(
    samples: Samples, group: int, num_slices: int, everywhere: _Everywhere
) -> dict[str, Sequence[Estimate | None]]:
    """A group's measures on all slices."""
    found: dict[str, Sequence[Estimate | None]] = {}
    for key in samples.run_measures:
        found[key] = everywhere(key, functools.partial(Samples.run, key=key, group=group))
    for key in samples.pair_measures:
        found[key] = [None] * num_slices
        if len(samples.members(group)) > 1:
            found[key] = everywhere(key, functools.partial(Samples.within, key=key, group=group))
    return found


def _of_change(
    samples: Samples, a: int, b: int, everywhere: _Everywhere
) -> dict[str, list[Estimate]]:
    """A change's measures on all slices."""
    return {
        key: everywhere(key, functools.partial(Samples.between, key=key, a=a, b=b))
        for key in (*samples.pair_measures, *samples.change_measures)
    }


def _partition(by: str, names: tuple[str, ...], codes: np.ndarray) -> Partition:
    """From each example's slice, −1 for none."""
    order = np.argsort(codes, kind="stable")
    order = order[np.count_nonzero(codes < 0) :]
    sizes = np.bincount(codes[order], minlength=len(names))
    return Partition(by, names, order, tuple(np.cumsum(sizes).tolist()))


def _numbers(names: np.ndarray) -> np.ndarray | None:
    """The names as numbers, if all of them are finite ones."""
    try:
        found = names.astype(np.float64)
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def _binned(numbers: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(names of bins that hold about as many examples each, the bin of each example).

    Args:
      numbers: that the codes stand for.
      codes: [example], −1 for none.
    """
    values = numbers[codes]
    edges = np.unique(np.quantile(values[codes >= 0], np.linspace(0, 1, _BINS + 1)))
    bins = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
    names = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges)]
    return np.array(names), np.where(codes < 0, -1, bins)
