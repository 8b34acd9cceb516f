"""The plots of a report, made of its own numbers; each is left out where it has none."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import markupsafe

from churn_jax.report import findings, table
from churn_jax.report.breakdowns import Fragility, NearTies, Reliability
from churn_jax.report.estimates import Estimate, Measures
from churn_jax.report.report import Point, Report
from churn_jax.report.svg import Plot, ceiling

_FEWEST = 10
ROLES = ("s0", "s1", "s2", "s3", "s4", "s5")


class Figure(NamedTuple):
    """A plot, what its colours are, and what it shows; `name` is that of its files."""

    name: str
    title: str
    plot: Plot
    legend: list[tuple[str, str]]
    caption: str

    @property
    def svg(self) -> markupsafe.Markup:
        """As the page has it."""
        return self.plot.render()


def of_churn(report: Report) -> list[Figure]:
    """Where churn comes from, and what it goes with."""
    shown = report.breakdowns
    return [
        *near_ties(shown.near_ties if shown else None, report),
        *triage(shown.fragility if shown else (), report),
        *surrogate_curve(report),
        *trade_off(report),
        *over_training(report),
    ]


def every(report: Report) -> list[Figure]:
    """All that the page has of churn and calibration."""
    return [
        *of_churn(report),
        *reliability(report.breakdowns.reliability if report.breakdowns else ()),
    ]


def near_ties(found: NearTies | None, report: Report) -> list[Figure]:
    """How much churn comes from predictions that were nearly ties."""
    if not found:
        return []
    plot = Plot(
        (0, 1),
        (0, ceiling(100 * max(*found.part_of_churn, *found.share))),
        "smaller confidence γ of the two models",
        "% of all churn, % of examples",
        "Bars: how much of all churn comes from examples of each confidence. "
        "Line: how many examples there are.",
    )
    bins = list(itertools.pairwise(found.edges))
    for (low, high), part, churn in zip(bins, found.part_of_churn, found.churn, strict=True):
        label = (
            f"γ {low:g} to {high:g}: {100 * part:.1f} % of churn; churn here {100 * churn:.1f} %"
        )
        plot.bar(low, high, 100 * part, "s0", label)
    centres = [(low + high) / 2 for low, high in bins]
    plot.line(centres, [100 * share for share in found.share], "s1")
    for x, share in zip(centres, found.share, strict=True):
        plot.dot(x, 100 * share, "s1", f"{100 * share:.1f} % of examples")
    return [
        Figure(
            "near_ties",
            findings.near_ties(found),
            plot,
            [("s0", "part of all churn"), ("s1", "part of all examples")],
            f"{findings.whose(report)} Nearly ties: a model's two most probable classes were less "
            "than 0.3 apart. A prediction can flip only where the probabilities change by more "
            "than that gap (Lemma 2).",
        )
    ]


def triage(found: Sequence[Fragility], report: Report) -> list[Figure]:
    """What reviewing the most suspicious examples catches, in each group that has flips."""
    curves = [
        (role, group.group + how, group.triage.reviewed, caught, dashed)
        for role, group in zip(itertools.cycle(ROLES), found, strict=False)
        if group.triage
        for how, caught, dashed in (
            (", least confident first", group.triage.by_confidence, ""),
            (", flips of other runs first (dashed)", group.triage.by_flips, " dashed"),
        )
        if caught
    ]
    if not curves:
        return []
    plot = Plot(
        (0, 100),
        (0, 100),
        "% of examples reviewed",
        "% of all flips among them",
        "How many of the flips between runs are on the most suspicious examples.",
    )
    for role, name, reviewed, caught, dashed in curves:
        plot.line(_percent(reviewed), _percent(caught), role + dashed)
        for x, y in zip(_percent(reviewed), _percent(caught), strict=True):
            plot.dot(x, y, role, f"{name}: {y:.1f} % of flips on {x:g} % of examples")
    return [
        Figure(
            "triage",
            findings.triage(found),
            plot,
            [(role, name) for role, name, *_ in curves],
            "Solid: a run's least confident predictions (smallest γ) against its flips. Dashed: "
            "what flips most among half of the runs, against flips among the other half. "
            f"Of the runs of each group, n = {report.examples}.",
        )
    ]


def surrogate_curve(report: Report) -> list[Figure]:
    """SChurn_α towards churn as α grows."""
    entries = [(g.name, g.measures) for g in report.groups if g.measures.get("schurn")]
    if not entries:
        changes = report.between or ()
        entries = [(table.arrow(c), c.measures) for c in changes if c.measures.get("schurn")]
    if not entries:
        return []
    curves = [(name, _curve(measures), _mean(measures["churn"])) for name, measures in entries]
    alphas = [alpha for alpha, _ in curves[0][1]]
    if len(alphas) < 2:
        return []
    values = [value for _, curve, churn in curves for value in (*(y for _, y in curve), churn)]
    plot = Plot(
        (min(alphas), max(alphas)),
        (0, ceiling(max(values))),
        "α",
        "SChurn (%)",
        "Surrogate churn against α; it tends to churn, the dashed line.",
        log_x=min(alphas) > 0,
    )
    for role, (name, curve, churn) in zip(itertools.cycle(ROLES), curves, strict=False):
        plot.line([min(alphas), max(alphas)], [churn, churn], f"{role} dashed")
        plot.line([x for x, _ in curve], [y for _, y in curve], role)
        for x, y in curve:
            plot.dot(x, y, role, f"{name}, α = {x:g}: {y:.2f} %")
    return [
        Figure(
            "surrogate_churn",
            findings.surrogate({name: (curve[0][1], churn) for name, curve, churn in curves}),
            plot,
            [
                (role, name)
                for role, (name, _, _) in zip(itertools.cycle(ROLES), curves, strict=False)
            ],
            "SChurn counts changes of the probabilities too; as α grows only the most probable "
            f"class counts, and it tends to churn (dashed). n = {report.examples}.",
        )
    ]


def reliability(diagrams: Sequence[Reliability]) -> list[Figure]:
    """One reliability diagram for each group."""
    figures: list[Figure] = []
    for role, found in zip(itertools.cycle(ROLES), diagrams, strict=False):
        bins = len(found.count)
        plot = Plot(
            (0, 1),
            (0, 1),
            "top probability",
            "accuracy",
            f"Accuracy against confidence of {found.group}; perfect calibration is the diagonal",
            width=340,
            height=300,
        )
        for i, share in enumerate(found.shares):
            plot.bar(
                i / bins, (i + 1) / bins, share, "muted", f"{100 * share:.1f} % of predictions"
            )
        plot.line([0, 1], [0, 1], "muted dashed")
        points = [
            (x, y, n)
            for x, y, n in zip(found.confidence, found.accuracy, found.count, strict=True)
            if n >= _FEWEST
        ]
        plot.line([x for x, _, _ in points], [y for _, y, _ in points], role)
        for x, y, n in points:
            plot.dot(x, y, role, f"confidence {x:.3f}, accuracy {y:.3f}, {n} predictions")
        figures.append(
            Figure(
                f"calibration_{len(figures) + 1}",
                findings.calibration(found),
                plot,
                [(role, "accuracy"), ("muted", "part of the predictions")],
                "Below the diagonal the model is surer than it is right. Bins of fewer than "
                f"{_FEWEST} predictions are left out. n = {sum(found.count):,} "
                f"{'weighted ' * (found.weight is not None)}predictions.",
            )
        )
    return figures


def trade_off(report: Report) -> list[Figure]:
    """Churn against accuracy, for several groups of several runs."""
    groups = [
        (group.name, accuracy, churn)
        for group in report.groups
        if (churn := group.measures["churn"]) and (accuracy := group.measures.get("accuracy"))
    ]
    if len(groups) < 2:
        return []
    xs = [100 * end for _, accuracy, _ in groups for end in accuracy.ci95]
    ys = [100 * end for *_, churn in groups for end in churn.ci95]
    margin = max(0.05 * (max(xs) - min(xs)), 1e-3)
    plot = Plot(
        (min(xs) - margin, max(xs) + margin),
        (0, ceiling(max(ys))),
        "accuracy (%)",
        "churn (%)",
        "Churn against accuracy of each group, with 95 % intervals.",
    )
    for role, (name, accuracy, churn) in zip(itertools.cycle(ROLES), groups, strict=False):
        x, y = _mean(accuracy), _mean(churn)
        plot.line(_percent(accuracy.ci95), [y, y], role)
        plot.line([x, x], _percent(churn.ci95), role)
        plot.dot(x, y, role, f"{name}: accuracy {x:.2f} %, churn {y:.2f} %")
    legend = [
        (role, name) for role, (name, *_) in zip(itertools.cycle(ROLES), groups, strict=False)
    ]
    return [
        Figure(
            "accuracy_and_churn",
            findings.trade_off(groups),
            plot,
            legend,
            "Churn among the runs of each group and their accuracy, with 95 % intervals. Lower and "
            "further right is better; whether a difference is shown, the comparisons say. "
            f"n = {report.examples}.",
        )
    ]


def over_training(report: Report) -> list[Figure]:
    """Churn and accuracy at each saved step."""
    history = {
        name: [point for point in points if point.churn]
        for name, points in (report.over_training or {}).items()
    }
    history = {name: points for name, points in history.items() if len(points) > 1}
    if not history:
        return []
    return [
        _history(history, "churn"),
        _history(history, "accuracy"),
    ]


def _history(history: Mapping[str, Sequence[Point]], key: str) -> Figure:
    curves = {
        name: [(point.step, getattr(point, key)) for point in points]
        for name, points in history.items()
    }
    steps = [step for curve in curves.values() for step, _ in curve]
    highest = max(100 * found.high for curve in curves.values() for _, found in curve)
    plot = Plot(
        (min(steps), max(steps)),
        (0, min(ceiling(highest), 100)),
        "training step",
        f"{key} (%)",
        f"{key.capitalize()} over training, with 95 % intervals.",
    )
    for role, curve in zip(itertools.cycle(ROLES), curves.values(), strict=False):
        xs = [step for step, _ in curve]
        lows, highs = zip(*(found.ci95 for _, found in curve), strict=True)
        plot.band(xs, _percent(lows), _percent(highs), role)
        plot.line(xs, [_mean(found) for _, found in curve], role)
    legend = list(zip(itertools.cycle(ROLES), history, strict=False))
    return Figure(
        f"{key}_over_training",
        findings.history(key, history),
        plot,
        legend,
        "Bands are 95 % intervals.",
    )


def _curve(measures: Measures) -> list[tuple[float, float]]:
    """(α, SChurn_α in percent), ascending."""
    found = [(1.0, _mean(measures["schurn"]))]
    for key, estimate in measures.items():
        if key.startswith("schurn@"):
            found.append((float(key.removeprefix("schurn@")), _mean(estimate)))
    return sorted(found)


def _mean(estimate: Estimate | None) -> float:
    """In percent."""
    assert estimate is not None
    return 100 * estimate.mean


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]
