"""Where churn comes from, as types: by confidence, by run, by example, by slice."""

import dataclasses
from collections.abc import Mapping

from churn_jax.report.estimates import Change, Measures
from churn_jax.report.json_form import FLAT, LEFT_OUT


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Accuracy against confidence of a group's runs, in bins of equal width."""

    group: str
    count: tuple[int, ...]
    accuracy: tuple[float, ...]
    confidence: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class NearTies:
    """How much churn comes from examples on which a model nearly tied.

    Attributes:
      edges: of the bins, of the smaller confidence γ of the two models.
      share: the part of all examples in each bin.
      churn: the churn there.
      part_of_churn: what the bin adds to all churn.
    """

    edges: tuple[float, ...]
    share: tuple[float, ...]
    churn: tuple[float, ...]
    part_of_churn: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Matrix:
    """Churn of every pair of runs, [run][run]; runs are named, and so is the group of each."""

    runs: tuple[str, ...]
    groups: tuple[str, ...]
    churn: tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True)
class Flip:
    """An example whose prediction changes.

    Attributes:
      id: of the example.
      instability: the fraction of the pairs in question that disagree on it.
      gap: its mean confidence γ; None without probabilities.
      votes: for each group, how many of its runs predict which class.
      label: its class; None without labels.
      right: for each group, how many of its runs are right.
    """

    id: str
    instability: float
    gap: float | None
    votes: tuple[Mapping[str, int], ...]
    label: str | None
    right: tuple[int, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)


@dataclasses.dataclass(frozen=True)
class SliceGroup:
    """A group on a part of the examples."""

    name: str
    measures: Measures = dataclasses.field(metadata=FLAT)


@dataclasses.dataclass(frozen=True)
class Slice:
    """Every measure on a part of the examples.

    Attributes:
      by: the way of slicing; 'class' for the true classes.
      name: of the slice.
      num_examples: in it.
      groups, between: as of the report.
    """

    by: str
    name: str
    num_examples: int
    groups: tuple[SliceGroup, ...]
    between: tuple[Change, ...]


@dataclasses.dataclass(frozen=True)
class Breakdowns:
    """Where churn comes from: by confidence, by run, by example, by slice."""

    reliability: tuple[Reliability, ...]
    near_ties: NearTies | None
    matrix: Matrix
    ledger: tuple[Flip, ...]
    slices: tuple[Slice, ...]
