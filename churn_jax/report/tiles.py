"""The few numbers that matter: each with its interval drawn, old beside new, limits marked."""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import NamedTuple

import markupsafe

from churn_jax.metrics.definitions import definition
from churn_jax.report import table
from churn_jax.report.estimates import Estimate
from churn_jax.report.figures import ROLES
from churn_jax.report.limits import Limit, limits
from churn_jax.report.numbers import number, scaled
from churn_jax.report.report import Report
from churn_jax.report.svg import ceiling, ticks

MOST = 6  # groups in a tile
_WIDTH, _HEIGHT, _INSET = 260, 18, 14
_MARKS = {"passed": "✓", "failed": "✗", "undecided": "?"}


class Row(NamedTuple):
    """One number of a tile.

    Attributes:
      name: whose it is.
      role: its colour, as of `svg`.
      value: the number, with its unit.
      range: its 95 % interval, `[low, high]`.
      limits: (what became of it, in words) of each limit that the gate holds it to.
      strip: the same, drawn on the tile's axis.
    """

    name: str
    role: str
    value: str
    range: str
    limits: list[tuple[str, str]]
    strip: markupsafe.Markup


class Tile(NamedTuple):
    """A measure of every group; `axis` is drawn below the rows, `left_out` groups are not there."""

    title: str
    meaning: str
    rows: list[Row]
    axis: markupsafe.Markup
    left_out: int


class _Entry(NamedTuple):
    """A row before there is an axis; in percent where the measure is shown so."""

    name: str
    role: str
    key: str
    estimate: Estimate
    limits: list[Limit]


def tiles(report: Report) -> list[Tile]:
    """Churn, bad flips, accuracy and calibration, of what there is."""
    ece = "ece" if any(group.measures.get("ece") for group in report.groups) else "ece_plain"
    again = "answers" if report.runs_are == "repeats" else "trainings"
    if all(group.num_runs < 2 for group in report.groups):
        again = "models"
    change = table.arrow(report.first_to_last) if report.between else ""
    flips = [*_of_change(report, "negative_flip_rate", "right → wrong", "bad"),
             *_of_change(report, "positive_flip_rate", "wrong → right", "good")]  # fmt: skip
    churn = [*_of_groups(report, "churn"), *_of_change(report, "churn", change, "ink")]
    found = [
        ("Churn", f"examples on which two {again} predict different classes", churn),
        ("Bad flips", f"from right to wrong, {change}; beside them the good ones", flips),
        ("Accuracy", "examples that are right", _of_groups(report, "accuracy")),
        ("Calibration error", "how far confidence is from being right as often (ECE)",
         _of_groups(report, ece)),
    ]  # fmt: skip
    left_out = max(len(report.groups) - MOST, 0)
    return [
        _tile(title, meaning, entries, left_out if title != "Bad flips" else 0)
        for title, meaning, entries in found
        if entries
    ]


def _of_groups(report: Report, key: str) -> list[_Entry]:
    """The first groups and the last, which is the new one."""
    places = list(range(len(report.groups)))
    if len(places) > MOST:
        places = [*places[: MOST - 1], places[-1]]
    return [
        _Entry(group.name, ROLES[place % len(ROLES)], key, estimate,
               limits(report, key, place, estimate.mean))
        for place in places
        if (estimate := (group := report.groups[place]).measures.get(key))
        and math.isfinite(estimate.mean)
    ]  # fmt: skip


def _of_change(report: Report, key: str, name: str, role: str) -> list[_Entry]:
    """From the first group to the last."""
    estimate = report.first_to_last.measures.get(key) if report.between else None
    if not estimate or not math.isfinite(estimate.mean):
        return []
    return [_Entry(name, role, key, estimate, limits(report, key, None, estimate.mean))]


def _tile(title: str, meaning: str, entries: Sequence[_Entry], left_out: int) -> Tile:
    low, high = _ends(entries)

    def place(value: float) -> float:
        inside = min(max(value, low), high)
        return _INSET + (inside - low) / (high - low) * (_WIDTH - 2 * _INSET)

    rows = [
        Row(
            entry.name,
            entry.role,
            number(entry.key, entry.estimate.mean, unit=True),
            _range(entry),
            [(limit.outcome, _words(entry.key, limit)) for limit in entry.limits],
            _strip(entry, place),
        )
        for entry in entries
    ]
    return Tile(title, meaning, rows, _axis(low, high, place), left_out)


def _ends(entries: Iterable[_Entry]) -> tuple[float, float]:
    """Of an axis that holds every interval and limit; from 0, unless it is of accuracy."""
    values = [
        scaled(entry.key, value)
        for entry in entries
        for value in (*entry.estimate.ci95, entry.estimate.mean, *(x.value for x in entry.limits))
        if math.isfinite(value)
    ]
    low, high = min(values), max(values)
    if all(definition(entry.key).better == "lower" or entry.key == "positive_flip_rate"
           for entry in entries):  # fmt: skip
        return min(0.0, low), ceiling(high)
    margin = max(0.1 * (high - low), 0.5)
    return max(low - margin, 0.0), min(high + margin, 100.0)


def _range(entry: _Entry) -> str:
    low, high = entry.estimate.ci95
    if math.isnan(low) and math.isnan(high):
        return "" if definition(entry.key).plain else "interval not known"
    return f"[{number(entry.key, low)}, {number(entry.key, high)}]"


def _words(key: str, limit: Limit) -> str:
    """`✓ limit: at most 5 %`."""
    side = "at most" if limit.upper else "at least"
    unit = " %" * definition(key).percent
    return f"{_MARKS[limit.outcome]} limit: {side} {scaled(key, limit.value):.4g}{unit}"


def _strip(entry: _Entry, place: Callable[[float], float]) -> markupsafe.Markup:
    """A dot with its interval on the tile's axis, and a mark at each limit."""
    middle = _HEIGHT / 2
    x = place(scaled(entry.key, entry.estimate.mean))
    parts = [
        f'<line class="grid" x1="{_INSET}" x2="{_WIDTH - _INSET}" y1="{middle}" y2="{middle}"/>'
    ]
    if all(map(math.isfinite, entry.estimate.ci95)):
        ends = [place(scaled(entry.key, end)) for end in entry.estimate.ci95]
        parts.append(
            f'<line class="line {entry.role}" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" '
            f'y1="{middle}" y2="{middle}"/>'
        )
    parts.append(f'<circle class="dot {entry.role}" cx="{x:.1f}" cy="{middle}" r="5"/>')
    for limit in entry.limits:
        at = place(scaled(entry.key, limit.value))
        parts.append(f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_HEIGHT}"/>')
    return _svg(parts, _HEIGHT)


def _axis(low: float, high: float, place: Callable[[float], float]) -> markupsafe.Markup:
    marks = [
        f'<text class="tick middle" x="{place(tick):.1f}" y="14">{escape(f"{tick:g}")}</text>'
        for tick in ticks(low, high, 4)
    ]
    return _svg(marks, 20)


def _svg(parts: Sequence[str], height: int) -> markupsafe.Markup:
    """Hidden from those who hear the page: the numbers stand beside it."""
    inner = "".join(parts)
    return markupsafe.Markup(
        f'<svg viewBox="0 0 {_WIDTH} {height}" aria-hidden="true">{inner}</svg>'
    )
