"""The report, as types: what was measured, how sure it is, and what keeps it from being a result.

`analysis.building` makes it and everything that shows a report takes it: tables, text, the page,
the gate, studies. It is never changed. In report.json every field stands under its own name, the
measures of a group or a change beside its other fields: `groups[0].churn.mean`.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar

from churn_jax.errors import UserError
from churn_jax.metrics.asked import is_asked
from churn_jax.metrics.definitions import DEFINITIONS, definition
from churn_jax.report.breakdowns import Breakdowns
from churn_jax.report.curves import Curve
from churn_jax.report.estimates import Change, Contrast, Estimate, Group
from churn_jax.report.gate import Gate
from churn_jax.report.json_form import FLAT, LEFT_OUT, from_plain, to_plain

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class FailedRun:
    """A run that training gave up because its loss was not a number any more.

    Attributes:
      group, run: which one.
      step: of training at which it was noticed.
      last_good_checkpoint: its step; None where there is none.
    """

    group: str
    run: int
    step: int
    last_good_checkpoint: int | None


@dataclasses.dataclass(frozen=True)
class Chance:
    """What knows nothing of the examples reaches.

    Attributes:
      accuracy: the share of the largest class.
      accuracy_to_beat: that and two standard errors.
      nll: log K, of a uniform guess.
    """

    accuracy: float
    accuracy_to_beat: float
    nll: float


@dataclasses.dataclass(frozen=True)
class Point:
    """A group at one step of its training."""

    step: int
    accuracy: Estimate
    churn: Estimate | None


@dataclasses.dataclass(frozen=True)
class Weights:
    """That examples count unequally.

    Attributes:
      of: the column or file that says how much.
      effective: how many examples of equal weight would be as good, (Σ w)² / Σ w².
    """

    of: str
    effective: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Report(Mapping[str, Any]):
    """Everything that was found, of groups of runs on the same examples.

    It is also the mapping that report.json holds, so that `report["between"][0]["churn"]["mean"]`
    is what `report.between[0].measures["churn"].mean` is; two reports with the same JSON are equal.

    Attributes:
      dataset, split: what the predictions are of, where their files say it.
      num_examples, num_classes: of the predictions.
      notes: what was assumed or detected in reading them.
      groups: in the order they were given.
      between: what changes from one group to another.
      contrasts: differences of the groups' own measures.
      breakdowns: where churn comes from; None where it was not asked for.
      failed_runs: the runs that are left out.
      chance: what the runs must be above; None where it can't be said.
      warnings: one line each, the gravest first.
      over_training: each group at every step of its training.
      learning: how the runs learnt, where there are logs of it.
      gate: None where there can be none.
      weights: what the examples count; None where all count the same.
      runs_are: 'repeats' where the runs are of one model that answers anew; None of trainings.
    """

    schema: int = SCHEMA
    dataset: str
    split: str
    num_examples: int
    num_classes: int | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    notes: tuple[str, ...] = ()
    groups: tuple[Group, ...]
    between: tuple[Change, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    contrasts: tuple[Contrast, ...]
    breakdowns: Breakdowns | None = dataclasses.field(default=None, metadata=FLAT)
    failed_runs: tuple[FailedRun, ...] = ()
    chance: Chance | None = None
    warnings: tuple[str, ...] = ()
    over_training: Mapping[str, tuple[Point, ...]] | None = dataclasses.field(
        default=None, metadata=LEFT_OUT
    )
    learning: tuple[Curve, ...] | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    gate: Gate | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    weights: Weights | None = dataclasses.field(default=None, metadata=LEFT_OUT)
    runs_are: str | None = dataclasses.field(default=None, metadata=LEFT_OUT)

    @classmethod
    def from_json(cls, text: str | bytes, name: str = "report.json") -> Self:
        """The report that `to_json` wrote, now or by an earlier version.

        Args:
          text: the content of a report.json.
          name: what to call it in messages.

        Raises:
          UserError: it is no report, or of another schema.
        """
        try:
            found = json.loads(text)
            if not isinstance(found, dict) or "schema" not in found:
                raise ValueError("no report")
            if found["schema"] != SCHEMA:
                raise ValueError(f"schema {found['schema']}, this version reads {SCHEMA}")
            return _with_plain_ece(from_plain(cls, found))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{name}: cannot be read as a report: {error}") from None

    def to_json(self) -> str:
        """Valid JSON: what is not a finite number is null."""
        return json.dumps(self._plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def examples(self) -> str:
        """How many there are, and whether they have weights: `1,000 weighted examples`."""
        return f"{self.num_examples:,} {'weighted ' * bool(self.weights)}examples"

    def group(self, name: str) -> Group:
        """The group of that name."""
        return next(group for group in self.groups if group.name == name)

    def contrast(self, a: str, b: str, measure: str) -> Contrast | None:
        """The contrast b − a of a measure, as it is or turned round; None if it wasn't made."""
        if found := self._contrasts.get((measure, a, b)):
            return found
        turned = self._contrasts.get((measure, b, a))
        return turned.turned() if turned else None

    @property
    def first_to_last(self) -> Change:
        """What changes from the first group to the last, of which there must be two."""
        ends = (self.groups[0].name, self.groups[-1].name)
        return next(change for change in self.between or () if (change.a, change.b) == ends)

    @functools.cached_property
    def _contrasts(self) -> dict[tuple[str, str, str], Contrast]:
        return {(found.metric, found.a, found.b): found for found in self.contrasts}

    @functools.cached_property
    def _plain(self) -> dict[str, Any]:
        found = to_plain(self)
        if self.breakdowns:
            measures = [group.measures for group in self.groups]
            measures += [change.measures for change in self.between or ()]
            asked = dict.fromkeys(key for each in measures for key in each if is_asked(key))
            found["definitions"] = {
                key: {"title": known.title, "text": known.text, "source": known.source}
                for key in (*DEFINITIONS, *asked)
                for known in (definition(key),)
            }
        return found

    def __getitem__(self, key: str) -> Any:
        return self._plain[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plain)

    def __len__(self) -> int:
        return len(self._plain)


R = TypeVar("R", bound=Report)


def _with_plain_ece(report: R) -> R:
    """A report of a version whose `ece` was the plain one, with the name that it has now."""
    if any("ece_plain" in group.measures for group in report.groups):
        return report
    groups = tuple(_renamed(group) for group in report.groups)
    contrasts = tuple(
        dataclasses.replace(found, metric=_NOW.get(found.metric, found.metric))
        for found in report.contrasts
    )
    breakdowns = report.breakdowns
    if breakdowns:
        slices = tuple(
            dataclasses.replace(part, groups=tuple(map(_renamed, part.groups)))
            for part in breakdowns.slices
        )
        breakdowns = dataclasses.replace(breakdowns, slices=slices)
    return dataclasses.replace(report, groups=groups, contrasts=contrasts, breakdowns=breakdowns)


_NOW = {"ece": "ece_plain"}


def _renamed(entry: Any) -> Any:
    measures = {_NOW.get(key, key): found for key, found in entry.measures.items()}
    return dataclasses.replace(entry, measures=measures)
