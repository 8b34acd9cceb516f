"""The numbers of a report: estimates with their intervals, of groups, of changes, of contrasts."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from churn_jax.report.claims import HINT, NO_DIFFERENCE, WITHHELD, claim
from churn_jax.report.json_form import FLAT, LEFT_OUT


@dataclasses.dataclass(frozen=True)
class Spread:
    """How a group's measure is spread over its runs, or over the pairs of them.

    Attributes:
      std: the sample standard deviation; None of one value.
      per_run: the value of each run.
      per_pair: (i, j, value) of each pair of the group's runs, counted within the group.
    """

    std: float | None
    per_run: tuple[float, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    per_pair: tuple[tuple[int, int, float], ...] | None = dataclasses.field(
        default=None, metadata=LEFT_OUT
    )


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A measure and its 95 % confidence interval.

    Attributes:
      mean: the estimate; NaN where it is not defined.
      ci95: the ends of the interval; NaN where they can't be known.
      covers: what the interval allows for; see `analysis.intervals.Interval`.
      spread: None for what has no values of single runs or pairs.
      unknown: why there is no interval, where there is none.
    """

    mean: float
    ci95: tuple[float, float]
    covers: str | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    spread: Spread | None = dataclasses.field(default=None, metadata=FLAT)
    unknown: str | None = dataclasses.field(default=None, metadata=LEFT_OUT)

    @property
    def low(self) -> float:
        return self.ci95[0]

    @property
    def high(self) -> float:
        return self.ci95[1]


# By the names of `metrics.definitions`; None for a measure of pairs where there is no pair.
Measures = Mapping[str, Estimate | None]


@dataclasses.dataclass(frozen=True)
class NeverLearned:
    """A run that is not above chance, and why it counts as one."""

    run: str
    accuracy: float
    nll: float | None
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """A set of independent runs of one thing.

    Attributes:
      name: of the group.
      num_runs: how many there are.
      measures: of its runs, and of the pairs among them.
      bounds: whether the paper's lemmas hold for all its pairs; they are theorems.
      made_by: what made the predictions, where their files say it.
      never_learned: the runs that are not above chance.
      not_independent: why its runs are no independent ones, or None.
      config_hash, step: of the training, where it is one of churn_jax.
    """

    name: str
    num_runs: int
    measures: Measures = dataclasses.field(metadata=FLAT)
    bounds: Mapping[str, bool]
    made_by: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    never_learned: tuple[NeverLearned, ...] = ()
    not_independent: str | None = None
    config_hash: str | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    step: int | None = dataclasses.field(default=None, metadata=LEFT_OUT)

    @property
    def fault(self) -> str | None:
        """Why nothing that involves the group is called better or worse, or None."""
        if self.never_learned:
            return f"{self.name} has runs that never learned"
        return f"{self.name}'s runs are not independent" if self.not_independent else None


@dataclasses.dataclass(frozen=True)
class McNemar:
    """McNemar's exact test that two single models are right equally often.

    Attributes:
      only_a_right, only_b_right: examples that only one of the two gets right.
      p: two-sided.
    """

    only_a_right: int
    only_b_right: int
    p: float


@dataclasses.dataclass(frozen=True)
class Test:
    """A test that something is zero.

    Attributes:
      p: two-sided.
      withheld: why nothing may be said, or None.
      p_holm: p, corrected for everything that the report has a p-value of (Holm).
      claim: what may be said, as of `Contrast`.
    """

    p: float
    withheld: str | None = None
    p_holm: float = float("nan")
    claim: str = NO_DIFFERENCE


@dataclasses.dataclass(frozen=True)
class Change:
    """What changes from one group to another, over all pairs of a run of each.

    Attributes:
      a, b: names of the groups.
      measures: of the pairs. `excess_churn` is None where a group has one run.
      mcnemar: where both are single models and there are labels.
      bounds: as of `Group`; None for a part of the examples.
      excess_churn_test: that it changes as much as a retraining does; None where there is no
        excess churn, and for a part of the examples.
    """

    a: str
    b: str
    measures: Measures = dataclasses.field(metadata=FLAT)
    mcnemar: McNemar | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    bounds: Mapping[str, bool] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    excess_churn_test: Test | None = dataclasses.field(default=None, metadata=LEFT_OUT)


@dataclasses.dataclass(frozen=True)
class Contrast:
    """The difference b − a of the groups' own measures, on the same examples.

    Attributes:
      a, b: names of the groups.
      metric: the measure.
      difference: the estimate.
      ci95: its 95 % interval.
      p: two-sided, of no difference.
      covers: as of `Estimate`.
      p_holm: p, corrected for everything that the report has a p-value of (Holm).
      withheld: why nothing may be called better or worse, or None.
      claim: what may be said of b against a (`report.claims.claim`); found where it is not given.
    """

    a: str
    b: str
    metric: str
    difference: float
    ci95: tuple[float, float]
    p: float
    covers: str
    p_holm: float
    withheld: str | None = None
    claim: str = ""

    def __post_init__(self) -> None:
        if not self.claim:
            said = claim(self.metric, self.difference, self.p, self.p_holm, self.withheld)
            object.__setattr__(self, "claim", said)

    @property
    def shows_a_difference(self) -> bool:
        """Whether one of the two may be called better, worse, higher or lower."""
        return self.claim not in (HINT, NO_DIFFERENCE, WITHHELD)

    def turned(self) -> "Contrast":
        """The same as the difference a − b."""
        low, high = self.ci95
        return dataclasses.replace(
            self, a=self.b, b=self.a, difference=-self.difference, ci95=(-high, -low), claim=""
        )
