"""Where churn comes from, as types: by confidence, by run, by example, by slice."""

import dataclasses
from collections.abc import Mapping

from churn_jax.report.estimates import Change, Measures
from churn_jax.report.flips import ClassFlips, Flips
from churn_jax.report.json_form import FLAT, LEFT_OUT


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Accuracy against confidence of a group's runs, in bins of equal width.

    Attributes:
      group: whose.
      count: of predictions in each bin.
      accuracy, confidence: of each bin.
      weight: the part of all weight in each bin; None where examples count the same.
    """

    group: str
    count: tuple[int, ...]
    accuracy: tuple[float, ...]
    confidence: tuple[float, ...]
    weight: tuple[float, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)

    @property
    def shares(self) -> tuple[float, ...]:
        """The part of the predictions, by weight, in each bin."""
        total = max(sum(self.count), 1)
        return self.weight or tuple(count / total for count in self.count)


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
class Triage:
    """What reviewing the most suspicious examples catches of all flips between runs.

    Attributes:
      reviewed: fractions of the examples.
      by_confidence: the share of flips there, where a run's least confident predictions (by its own
        γ) are reviewed, over flips between it and the others; None without probabilities.
      by_flips: where those that flip most often between half of the runs are, over flips between
        the other half; None of fewer than four runs.
    """

    reviewed: tuple[float, ...]
    by_confidence: tuple[float, ...] | None
    by_flips: tuple[float, ...] | None


@dataclasses.dataclass(frozen=True)
class Abstention:
    """The runs' vote that abstains where it is not sure (`metrics.selective_vote`).

    Attributes:
      alpha: the level: how often an answer may be other than what most runs would say.
      abstains: on this part of the examples.
      accuracy_of_answers, accuracy_of_all: of the vote; None without labels or without answers.
    """

    alpha: float
    abstains: float
    accuracy_of_answers: float | None
    accuracy_of_all: float | None


@dataclasses.dataclass(frozen=True)
class NearestRun:
    """The run whose predictions are nearest to those of the others: the one to ship.

    Attributes:
      run: its name.
      distance: what it has the least of, on average over the others: 'schurn' or 'churn'.
      churn: between a run so chosen and the others, on examples that did not choose it: half of
        them choose, the other half counts, and the other way round.
    """

    run: str
    distance: str
    churn: float


@dataclasses.dataclass(frozen=True)
class Fragility:
    """Which examples of a group of runs flip, and which of its runs to ship.

    Attributes:
      group: its name.
      edges: of bins of flip probabilities, (low, high], after those of exactly 0.
      stable: the part of the examples on which all runs agree.
      share: the part of the examples in each bin.
      triage: what reviewing catches; None where nothing flips.
      abstention: None where even a unanimous vote of so few runs would not answer.
      nearest: None of fewer than three runs, which are all as near.
    """

    group: str
    edges: tuple[float, ...]
    stable: float
    share: tuple[float, ...]
    triage: Triage | None
    abstention: Abstention | None
    nearest: NearestRun | None


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
    """Where churn comes from: by confidence, by run, by example, by slice.

    `fragility` is of each group of two runs or more; `ledger` has the examples that change most,
    for programs; `flips` all that change, for the page; reports of earlier versions lack it.
    """

    reliability: tuple[Reliability, ...]
    near_ties: NearTies | None
    matrix: Matrix
    ledger: tuple[Flip, ...]
    slices: tuple[Slice, ...]
    fragility: tuple[Fragility, ...] = ()
    flips: Flips | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    class_flips: ClassFlips | None = dataclasses.field(default=None, metadata=LEFT_OUT)
