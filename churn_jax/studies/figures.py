"""A study's figures: labelled axes with units, 95 % intervals, colours and marks all can tell."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from churn_jax.metrics import definitions
from churn_jax.report.estimates import Estimate
from churn_jax.report.numbers import scaled
from churn_jax.studies import analytic
from churn_jax.studies.design import (
    Analytic,
    Divergence,
    Figure,
    Frontier,
    Histogram,
    Points,
    Sources,
    Sweep,
    Tradeoff,
)
from churn_jax.studies.study_report import StudyReport

# M. Okabe and K. Ito's colours, which remain distinct for readers with colour-blindness; marks and
# dashes tell the series apart in grey as well.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", "-", "--", "-.")

# Text stays text, and ids don't depend on when the figure was made.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "churn_jax",
    "pdf.fonttype": 42,
    "font.size": 9,
}
_UNDATED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None},
}
PANEL = (3.4, 2.8)  # inches
_MOST_TOGETHER = 6  # curves that a small picture has room for


def draw(figure: Figure, report: StudyReport, pdf: bool = False) -> dict[str, bytes]:
    """The figure as {'svg': …, 'png': …}, and as 'pdf' where that is wanted."""
    with matplotlib.rc_context(_STYLE):
        match figure:
            case Sweep():
                drawing = _sweep(figure, report)
            case Tradeoff():
                drawing = _tradeoff(figure, report)
            case Histogram():
                drawing = _histogram(figure, report)
            case Frontier():
                drawing = _frontier(figure, report)
            case Sources():
                drawing = _sources(figure, report)
            case Divergence():
                drawing = _divergence(figure, report)
            case Analytic():
                drawing = analytic.draw(figure.name, COLOURS, DASHES)
        measured = "\nbars and bands: 95 % intervals"
        if isinstance(figure, Divergence):
            measured = "\nbands: from the nearest to the farthest run"
        elif isinstance(figure, Analytic):
            measured = ""
        drawing.suptitle(figure.title + measured, fontsize=10)
        kinds = ("svg", "png", "pdf") if pdf else ("svg", "png")
        return {kind: _bytes(drawing, kind) for kind in kinds}


def _bytes(drawing: Drawing, kind: str) -> bytes:
    stream = io.BytesIO()
    metadata = _UNDATED[kind]
    drawing.savefig(stream, format=kind, metadata=metadata, dpi=110)
    return stream.getvalue()


def _sweep(figure: Sweep, report: StudyReport) -> Drawing:
    panels = len(figure.measures)
    drawing = Drawing(figsize=(PANEL[0] * panels, PANEL[1] + 0.3), layout="constrained")
    for axes, key in zip(
        drawing.subplots(1, panels, squeeze=False)[0], figure.measures, strict=True
    ):
        reference = _estimate(report, figure.reference, key)
        low, high = (scaled(key, end) for end in reference.ci95)
        axes.axhspan(low, high, color="#999999", alpha=0.25, lw=0)
        axes.axhline(scaled(key, reference.mean), color="#666666", lw=1, label=figure.reference)
        for place, (label, points) in enumerate(figure.series.items()):
            _curve(axes, place, label, [x for x, _ in points], _entries(report, points, key), key)
        axes.set(xlabel=figure.axis, ylabel=_axis(key))
    drawing.axes[0].legend(fontsize=8)
    return drawing


def _tradeoff(figure: Tradeoff, report: StudyReport) -> Drawing:
    many = len(figure.series) > _MOST_TOGETHER
    size = (PANEL[0] * 3, PANEL[1] * 1.9) if many else (PANEL[0] * 1.5, PANEL[1] * 1.4)
    drawing = Drawing(figsize=size, layout="constrained")
    axes = drawing.subplots()
    series = {figure.reference: ((float("nan"), figure.reference),), **figure.series}
    for place, (label, points) in enumerate(series.items()):
        accuracy = _entries(report, points, "accuracy")
        traded = _entries(report, points, figure.measure)
        x, y = _means("accuracy", accuracy), _means(figure.measure, traded)
        style = _style(place - 1)
        axes.errorbar(
            x,
            y,
            xerr=_arms("accuracy", accuracy),
            yerr=_arms(figure.measure, traded),
            label=label,
            elinewidth=0.5 if many else None,
            **style,
        )
        # One curve's numbers above its points, the next one's below.
        aside = (5, 5) if place % 2 else (5, -11)
        for (value, _), right, up in zip(points, x, y, strict=True):
            if value == value:
                axes.annotate(
                    f"{value:g}", (right, up), aside, textcoords="offset points",
                    color=style["color"],
                )  # fmt: skip
    axes.set(xlabel=_axis("accuracy"), ylabel=_axis(figure.measure))
    if many:
        drawing.legend(fontsize=8, loc="outside right upper")
    else:
        axes.legend(fontsize=8)
    return drawing


def _frontier(figure: Frontier, report: StudyReport) -> Drawing:
    drawing = Drawing(figsize=(PANEL[0] * 3, PANEL[1] * 1.9), layout="constrained")
    axes = drawing.subplots()
    points = tuple((0.0, cell) for cell in figure.cells.values())
    found = {key: _entries(report, points, key) for key in ("accuracy", "churn")}
    x, y = (_means(key, found[key]) for key in ("accuracy", "churn"))
    for place, (label, cell) in enumerate(figure.cells.items()):
        cost = report.group(cell).settings.training_cost
        across, along = (_arms(key, found[key][place : place + 1]) for key in found)
        colour, at = COLOURS[place % len(COLOURS)], (x[place], y[place])
        axes.errorbar(*at, xerr=across, yerr=along, color=colour, lw=0.6, alpha=0.5)
        size, number = 4 + 3 * cost**0.5, place + 1
        axes.plot(*at, "o", color=colour, markersize=size, label=f"{number}  {label}")
        axes.annotate(str(number), at, (5, 3), textcoords="offset points", fontsize=8)
    best = [i for i in range(len(x)) if not any(_beats(x, y, j, i) for j in range(len(x)))]
    best.sort(key=lambda i: x[i])
    axes.plot([x[i] for i in best], [y[i] for i in best], "--", color="#666666", lw=1, zorder=0)
    axes.set(xlabel=_axis("accuracy"), ylabel=_axis("churn"))
    drawing.legend(loc="outside right center", fontsize=7, markerscale=0.7)
    return drawing


def _beats(accuracy: Sequence[float], churn: Sequence[float], a: int, b: int) -> bool:
    """Whether point a is at least as good as b in both, and better in one."""
    good = accuracy[a] >= accuracy[b] and churn[a] <= churn[b]
    return good and (accuracy[a] > accuracy[b] or churn[a] < churn[b])


def _histogram(figure: Histogram, report: StudyReport) -> Drawing:
    drawing = Drawing(figsize=(PANEL[0] * 1.7, PANEL[1] * 1.2), layout="constrained")
    axes = drawing.subplots()
    for place, (label, cell) in enumerate(figure.cells.items()):
        found = report.group(cell).confidence_histogram
        edges, share = np.array(found.edges), 100 * np.array(found.share)
        middles = (edges[1:] + edges[:-1]) / 2
        style = _style(place)
        axes.plot(middles, share, label=label, **style)
        if found.ci95:
            low, high = 100 * np.array(found.ci95).T
            axes.fill_between(middles, low, high, color=style["color"], alpha=0.15, lw=0)
    axes.set(xlabel="confidence γ of a prediction", ylabel="% of test examples", yscale="log")
    axes.legend(fontsize=8)
    return drawing


def _divergence(figure: Divergence, report: StudyReport) -> Drawing:
    """Distance over steps, both logarithmic, with a place for step 0; zeros have none."""
    drawing = Drawing(figsize=(PANEL[0] * 1.9, PANEL[1] * 1.4), layout="constrained")
    axes = drawing.subplots()
    drifts = {drift.cell: drift for drift in report.divergence or ()}
    for place, cell in enumerate(figure.cells):
        distance, steps = np.array(drifts[cell].relative_l2), np.array(drifts[cell].steps)
        apart = distance.min(1) > 0
        style = _style(place) | {"marker": ""}
        label = cell if distance.any() else f"{cell}: exactly 0 at every step"
        axes.plot(steps[apart], np.median(distance, 1)[apart], label=label, **style)
        low, high = distance.min(1)[apart], distance.max(1)[apart]
        axes.fill_between(steps[apart], low, high, color=style["color"], alpha=0.2, lw=0)
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlabel="steps taken", ylabel="‖w − w₀‖ / ‖w₀‖", yscale="log")
    axes.legend(fontsize=8)
    return drawing


def _sources(figure: Sources, report: StudyReport) -> Drawing:
    """Two bars a source: what it makes alone, and what holding it takes away, in % of all churn."""
    drawing = Drawing(figsize=(PANEL[0] * 1.7, PANEL[1] * 1.3), layout="constrained")
    axes = drawing.subplots()
    for place, (label, complement) in enumerate(
        (("it alone varies: with interactions", False), ("it is held: what that takes away", True))
    ):
        ends = [report.part(cells[place], figure.everything, complement)
                for cells in figure.sources.values()]  # fmt: skip
        middles, lows, highs = 100 * np.array(ends).T
        at = np.arange(len(ends)) + 0.4 * (place - 0.5)
        axes.bar(
            at, middles, 0.36, color=COLOURS[place], label=label, hatch="//" * place,
            yerr=np.maximum([middles - lows, highs - middles], 0), ecolor="#444444", capsize=3,
        )  # fmt: skip
    axes.axhline(0, color="#666666", lw=0.8)
    axes.set(ylabel="% of all churn", xticks=range(len(figure.sources)))
    axes.set_xticklabels(list(figure.sources))
    drawing.legend(loc="outside lower center", ncols=2, fontsize=8)
    return drawing


def _curve(
    axes: Axes, place: int, label: str, x: Sequence[float], entries: list[Estimate], key: str
) -> None:
    axes.errorbar(x, _means(key, entries), yerr=_arms(key, entries), label=label, **_style(place))


def _style(place: int) -> dict[str, Any]:
    colour = place % len(COLOURS)
    # Once the colours begin again, each has another mark and dash than before.
    form = (place + place // len(COLOURS)) % len(MARKS)
    return {
        "color": COLOURS[colour],
        "marker": MARKS[form],
        "linestyle": DASHES[form],
        "markersize": 4,
        "linewidth": 1.2,
    }


def _entries(report: StudyReport, points: Points, key: str) -> list[Estimate]:
    return [_estimate(report, cell, key) for _, cell in points]


def _estimate(report: StudyReport, cell: str, key: str) -> Estimate:
    found = report.group(cell).measures[key]
    assert found is not None  # a cell has two runs at least
    return found


def _means(key: str, entries: Sequence[Estimate]) -> list[float]:
    return [scaled(key, entry.mean) for entry in entries]


def _arms(key: str, entries: Sequence[Estimate]) -> np.ndarray:
    """Lengths of the intervals below and above the means, [2, point]."""
    ends = np.array([[scaled(key, end) for end in entry.ci95] for entry in entries])
    means = np.array(_means(key, entries))
    return np.maximum(np.stack([means - ends[:, 0], ends[:, 1] - means]), 0)


def _axis(key: str) -> str:
    found = definitions.definition(key)
    unit = "%" if found.percent else "nats" if key in ("entropy", "nll") else ""
    return f"{found.title} ({unit})" if unit else found.title
