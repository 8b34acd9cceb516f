"""The gate's limits on single measures: where a picture of the measure has its mark."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from churn_jax.report.gate import ALIASES, Outcome, Verdict, identifier
from churn_jax.report.report import Report

_NUMBER = re.compile(r"\s*[-+.\deE]+\s*%?\s*")
_SIDES = re.compile(r"(?P<left>.+?)(?P<sign>>=|<=|[<>≥≤])(?P<right>.+)")


class Limit(NamedTuple):
    """A limit that a measure is held to.

    Attributes:
      value: the limit; a fraction of what is shown in percent.
      upper: whether the measure may not be above it; else it may not be below.
      outcome: what became of the condition.
    """

    value: float
    upper: bool
    outcome: Outcome


def limits(report: Report, key: str, group: int | None, mean: float) -> list[Limit]:
    """What the gate holds a measure to, where it does so by itself, on all examples.

    Args:
      report: with or without a gate.
      key: of the measure.
      group: the place of the group whose own it is; None for the change from the first to the last.
      mean: its value. A condition on another value is not of this measure.
    """
    names = set(_names(report, key, group))
    verdicts = report.gate.conditions if report.gate else ()
    found = (_limit(verdict, names, mean) for verdict in verdicts if not verdict.part)
    return [limit for limit in found if limit]


def _names(report: Report, key: str, group: int | None) -> Iterator[str]:
    """What conditions may call it."""
    keys = [key, *(alias for alias, meant in ALIASES.items() if meant == key)]
    if group is None:
        yield from keys
        return
    own = identifier(report.groups[group].name)
    last = len(report.groups) - 1
    places = [own, *["old"] * (group == 0), *["new"] * (group == last)]
    places += [own.lower()] * (own.lower() in ("old", "new"))
    yield from (f"{each}_{place}" for each in keys for place in places)


def _limit(verdict: Verdict, names: set[str], mean: float) -> Limit | None:
    sides = _SIDES.fullmatch(verdict.condition)
    if not sides:
        return None
    on_left = sides["left"].strip() in names
    if not on_left and not (sides["right"].strip() in names and _NUMBER.fullmatch(sides["left"])):
        return None  # what another measure is held against is not held itself
    value, limit = (verdict.left, verdict.right) if on_left else (verdict.right, verdict.left)
    if not (math.isclose(value, mean, rel_tol=1e-6, abs_tol=1e-9) and math.isfinite(limit)):
        return None
    above = (sides["sign"] in (">", ">=", "≥")) == on_left  # what it says: the measure is above
    return Limit(limit, above == (verdict.option == "fail_if"), verdict.outcome)
