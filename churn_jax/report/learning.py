"""The plots of how runs learnt: losses, accuracies and learning rates over training."""

import itertools
import math
from collections.abc import Mapping, Sequence

from churn_jax.report.curves import Curve
from churn_jax.report.figures import ROLES, Figure
from churn_jax.report.report import Report
from churn_jax.report.svg import Plot, ceiling

# What is of one kind on batches and on the test split.
_TITLES = {"cross_entropy": "loss", "nll": "loss"}
_FIRST, _LAST = ("accuracy", "loss"), ("learning rate",)

_NAMED = 3  # series in a title

_Series = tuple[str, int]  # group and member
_Drawn = tuple[Curve, list[tuple[float, float, float]]]  # a curve and its `_points`


def learning(report: Report) -> list[Figure]:
    """A plot for each quantity that was logged at least twice."""
    curves = [curve for curve in report.learning or () if len(curve.epochs) > 1]
    by_title: dict[str, list[Curve]] = {}
    for curve in curves:
        name = curve.measure.partition("/")[2]
        by_title.setdefault(_TITLES.get(name, name.replace("_", " ")), []).append(curve)
    series = dict.fromkeys((curve.group, curve.member or 0) for curve in curves)
    roles = dict(zip(series, itertools.cycle(ROLES), strict=False))
    return [_plot(title, by_title[title], roles) for title in sorted(by_title, key=_place)]


def _place(title: str) -> tuple[int, str]:
    if title in _FIRST:
        return _FIRST.index(title), title
    return len(_FIRST) + (title in _LAST), title


def _plot(title: str, curves: Sequence[Curve], roles: Mapping[_Series, str]) -> Figure:
    """Of one quantity; bands only of what is drawn solid, so that they can be told apart."""
    percent = title == "accuracy"
    kinds = {curve.measure.partition("/")[0] for curve in curves}
    of_batches = kinds == {"train"} and any(curve.member is not None for curve in curves)
    where = "on training batches" if of_batches else "over training"
    drawn = [(curve, _points(curve, 100 if percent else 1)) for curve in curves]
    highest = max((y + s for _, points in drawn for _, y, s in points), default=1.0)
    plot = Plot(
        (0, max(curve.epochs[-1] for curve in curves)),
        (0, min(ceiling(highest), 100.0) if percent else ceiling(highest)),
        "epoch",
        f"{title} (%)" if percent else title,
        f"{title} of each group and member over training.",
    )
    for curve, points in drawn:
        if not points:
            continue
        xs, ys, spread = map(list, zip(*points, strict=True))
        role = roles[curve.group, curve.member or 0]
        dashed = len(kinds) > 1 and curve.measure.startswith("train/")
        if not dashed and any(spread):
            lows = [max(y - s, 0.0) for y, s in zip(ys, spread, strict=True)]
            plot.band(xs, lows, [y + s for y, s in zip(ys, spread, strict=True)], role)
        plot.line(xs, ys, role + (" dashed" if dashed else ""))
    return Figure(
        f"learning_{title.replace(' ', '_')}",
        f"{title[0].upper()}{title[1:]} {where}{_ends(drawn, len(kinds) > 1, percent)}",
        plot,
        _legend(curves, roles),
        _caption(curves, len(kinds) > 1),
    )


def _ends(drawn: Sequence[_Drawn], both: bool, percent: bool) -> str:
    """`: 72.1 % at the end (baseline)` and so on; of the test split where there are both."""
    names = _names([curve for curve, _ in drawn])
    last = {
        names[curve.group, curve.member]: points[-1][1]
        for curve, points in drawn
        if points and curve.member is not None and not (both and curve.measure.startswith("train/"))
    }
    said = [
        f"{y:.1f} % ({name})" if percent else f"{y:.3g} ({name})"
        for name, y in list(last.items())[:_NAMED]
    ]
    return f": at the end {', '.join(said)}" if said else ""


def _points(curve: Curve, scale: float) -> list[tuple[float, float, float]]:
    """(epoch, mean, standard deviation) where there is a mean."""
    return [
        (x, scale * y, scale * std)
        for x, y, std in zip(curve.epochs, curve.mean, curve.std, strict=True)
        if math.isfinite(y)
    ]


def _legend(curves: Sequence[Curve], roles: Mapping[_Series, str]) -> list[tuple[str, str]]:
    return [(roles[group, member or 0], name) for (group, member), name in _names(curves).items()]


def _names(curves: Sequence[Curve]) -> dict[tuple[str, int | None], str]:
    """What each group and member is called: a member by its number where there are several."""
    shown = dict.fromkeys((curve.group, curve.member) for curve in curves)
    several = {group for group, member in shown if member}
    return {
        (group, member): f"{group}, member {member}" if group in several else group
        for group, member in shown
    }


def _caption(curves: Sequence[Curve], both: bool) -> str:
    if all(curve.member is None for curve in curves):
        return "The same for all runs."
    dashes = " Dashed: training batches; solid: the test split." if both else ""
    return f"Mean over runs; the bands are one standard deviation of the runs.{dashes}"
