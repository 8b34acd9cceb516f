"""What a study found, as types: the report on its cells, and what only studies say."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from churn_jax.report.estimates import Estimate, Group
from churn_jax.report.json_form import LEFT_OUT
from churn_jax.report.report import Report


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a method costs and how it is set; None where it has no such coefficient.

    Attributes:
      training_cost, inference_cost: in networks, of the recipe's length.
      seconds: that its training took; None where it is not known.
      thousand_predictions: seconds in which all its runs predict 1,000 examples, likewise.
      alpha, beta, temperature: of `methods.objectives.Objective`.
    """

    training_cost: float
    inference_cost: int
    alpha: float | None
    beta: float | None
    temperature: float | None
    seconds: float | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    thousand_predictions: float | None = dataclasses.field(default=None, metadata=LEFT_OUT)


@dataclasses.dataclass(frozen=True)
class ConfidenceHistogram:
    """How confidence γ is distributed: the share of the examples in each bin.

    Attributes:
      edges: of the bins.
      share: of the examples, the mean over the runs.
      ci95: intervals of the shares, for new runs on these examples; None of one run.
    """

    edges: tuple[float, ...]
    share: tuple[float, ...]
    ci95: tuple[tuple[float, float], ...] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellGroup(Group):
    """The runs of a cell, and what it trained.

    Attributes:
      method, model, epochs, settings: of its config.
      folder: the name of its workdir.
      overrides: of the cell.
      confidence_histogram: over its runs.
    """

    method: str
    folder: str
    overrides: Mapping[str, Any]
    model: str
    epochs: float
    settings: Settings
    confidence_histogram: ConfidenceHistogram


@dataclasses.dataclass(frozen=True)
class Drift:
    """How far a cell's runs are from its first over training.

    Attributes:
      cell: its name.
      steps: [point].
      relative_l2, max_abs: [point][run], the first run left out.
      parted: for each run the first of the steps at which any weight differs; None where none does.
    """

    cell: str
    steps: tuple[int, ...]
    relative_l2: tuple[tuple[float, ...], ...]
    max_abs: tuple[tuple[float, ...], ...]
    parted: tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Share:
    """What a cell leaves of a measure of another, of its churn or what `of` says: their ratio."""

    cell: str
    reference: str
    churn: Estimate
    of: str | None = dataclasses.field(default=None, metadata=LEFT_OUT)


@dataclasses.dataclass(frozen=True)
class AccuracySpread:
    """What makes a cell's accuracy vary: variances as of `metrics.AccuracyVariance`."""

    cell: str
    over_runs: float
    over_examples: float
    of_the_distribution: float


@dataclasses.dataclass(frozen=True)
class Choice:
    """The coefficient of a method that has the smallest churn, or what `by` says, by a rule.

    Attributes:
      method, coefficient, rule: what was chosen, and how.
      value, cell: the choice.
      churn_it_was_chosen_by: of the cell, by the rule.
    """

    method: str
    coefficient: str
    rule: str
    value: float
    cell: str
    churn_it_was_chosen_by: float
    by: str | None = dataclasses.field(default=None, metadata=LEFT_OUT)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StudyReport(Report):
    """The report on a study's cells, one group each, without the values of single pairs.

    Attributes:
      study, title: of the study.
      made_by: what made the predictions of its first run.
      divergence: of the cells that log distances; None where no figure shows them.
      selections: choices of coefficients; None where the study makes none.
      shares: of the churn of what a table's rows are held against.
      accuracy_spreads: of the cells that the study asks for.
      command: what made it.
    """

    groups: tuple[CellGroup, ...]
    study: str
    title: str
    made_by: Mapping[str, Any] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    divergence: tuple[Drift, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    selections: tuple[Choice, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    shares: tuple[Share, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    accuracy_spreads: tuple[AccuracySpread, ...] | None = dataclasses.field(
        default=None, metadata=LEFT_OUT
    )
    command: str = ""

    def share(self, cell: str, reference: str, key: str = "churn") -> Estimate | None:
        """What a cell leaves of a measure of another; None if nobody asked."""
        for found in self.shares or ():
            if (found.cell, found.reference, found.of or "churn") == (cell, reference, key):
                return found.churn
        return None

    def part(self, cell: str, everything: str, held: bool = False) -> tuple[float, float, float]:
        """A cell's share of all churn, or what it leaves of it if `held`: (mean, low, high)."""
        found = self.share(cell, everything)
        assert found is not None  # a row of the table asks for it
        if held:
            return 1 - found.mean, 1 - found.high, 1 - found.low
        return found.mean, found.low, found.high

    def group(self, name: str) -> CellGroup:
        """The group of that cell."""
        return next(group for group in self.groups if group.name == name)
