"""The plots of a report, as SVG to put inside the page."""

import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import markupsafe
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure

# Text stays text, and ids do not depend on when the page was made.
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "churn_jax"}


class Figure(NamedTuple):
    svg: markupsafe.Markup
    caption: str


def all_figures(report: dict[str, Any]) -> list[Figure]:
    """The figures this report has data for."""
    found = []
    if any(group["churn"] for group in report["groups"]):
        found.append(_figure(report, _tradeoff, "Churn and accuracy with their 95 % intervals."))
    if report.get("over_training"):
        found.append(_figure(report, _over_training, "Churn over training, with 95 % intervals."))
    return found


def _figure(
    report: dict[str, Any], draw: Callable[[Axes, dict[str, Any]], None], caption: str
) -> Figure:
    with matplotlib.rc_context(_STYLE):
        figure = MatplotlibFigure(figsize=(6, 4), layout="constrained")
        draw(figure.subplots(), report)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    svg = re.sub(r"^.*?(?=<svg)", "", svg, flags=re.DOTALL)
    return Figure(markupsafe.Markup(svg), caption)


def _tradeoff(axes: Axes, report: dict[str, Any]) -> None:
    for group in report["groups"]:
        if group["churn"]:
            axes.errorbar(
                100 * group["accuracy"]["mean"],
                100 * group["churn"]["mean"],
                xerr=_arms(group["accuracy"]),
                yerr=_arms(group["churn"]),
                fmt="o",
                label=group["name"],
            )
    axes.set(xlabel="accuracy (%)", ylabel="churn (%)")
    axes.legend()


def _over_training(axes: Axes, report: dict[str, Any]) -> None:
    for name, points in report["over_training"].items():
        points = [point for point in points if point["churn"]]
        steps = [point["step"] for point in points]
        axes.plot(steps, [100 * point["churn"]["mean"] for point in points], label=name)
        low, high = zip(*(point["churn"]["ci95"] for point in points), strict=True)
        axes.fill_between(steps, [100 * v for v in low], [100 * v for v in high], alpha=0.2)
    axes.set(xlabel="step", ylabel="churn (%)")
    axes.legend()


def _arms(entry: dict[str, Any]) -> list[list[float]]:
    """Lengths below and above the mean, in percent, as matplotlib wants them."""
    low, high = entry["ci95"]
    return [[100 * (entry["mean"] - low)], [100 * (high - entry["mean"])]]
