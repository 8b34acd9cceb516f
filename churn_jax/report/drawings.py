"""The page's figures as files for papers and slides: SVG and PDF, drawn with matplotlib.

The same report gives the same bytes with the same version of matplotlib, which is loaded only here:
what compares files has to do without it.
"""

import importlib.util
import io
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from churn_jax.errors import UserError, printable
from churn_jax.report.figures import Figure
from churn_jax.report.svg import Mark, powers_of_two
from churn_jax.system.console import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

MAKER = "churn_jax report"  # by which a file is known to be ours
_COLOURS = {  # of page.css in daylight
    **{"s0": "#1f5fae", "s1": "#c2570c", "s2": "#1a7f4b", "s3": "#7a3fb0"},
    **{"s4": "#a8326e", "s5": "#6b6300", "muted": "#9aa4af"},
}
_SHAPES = dict(zip(_COLOURS, "os^DvPX", strict=True))  # which tell the series apart in grey
_RULE, _SOFT = "#d5dae0", "#59636e"
_PIXELS = 100  # of the page, an inch
_NAME = 60  # signs of a line of the legend
_ROWS = 20  # of the legend
# Text stays text, names are no formulas, and ids don't depend on when a figure was made.
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": MAKER,
    "pdf.fonttype": 42,
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "text.parse_math": False,
    "text.usetex": False,
}


def refuse_without_matplotlib() -> None:
    """Raises UserError where figures can't be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            "--figures: needs matplotlib, which is not installed; pip install matplotlib"
        )


def draw(figure: Figure) -> dict[str, bytes]:
    """The figure's files, {'svg': …, 'pdf': …}.

    Says on stderr if a name has signs that matplotlib's font lacks.
    """
    import matplotlib
    from matplotlib.figure import Figure as Drawing

    plot = figure.plot
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings(record=True) as caught:
        drawing = Drawing(figsize=(plot.width / _PIXELS, plot.height / _PIXELS))
        axes = drawing.subplots()
        _frame(axes, figure)
        for mark in plot.marks:
            _draw(axes, mark)
        _legend(axes, figure)
        files = {kind: _bytes(drawing, kind, figure) for kind in ("svg", "pdf")}
    if any("missing from" in str(found.message) for found in caught):
        say(
            f"note: {figure.name}.pdf: the font lacks signs of {printable(figure.title)}; the .svg "
            "has them"
        )
    return files


def _bytes(drawing: "Drawing", kind: str, figure: Figure) -> bytes:
    title, caption = printable(figure.title), printable(figure.caption)
    metadata: dict[str, str | None] = {"Creator": MAKER, "Title": title}
    metadata |= (
        {"Date": None, "Description": caption}
        if kind == "svg"
        else {"CreationDate": None, "Subject": caption}
    )
    stream = io.BytesIO()
    drawing.savefig(stream, format=kind, metadata=metadata, bbox_inches="tight")
    return stream.getvalue()


def _frame(axes: "Axes", figure: Figure) -> None:
    plot = figure.plot
    axes.set(xlim=plot.x, ylim=plot.y, xlabel=plot.x_title, ylabel=plot.y_title)
    axes.set_title(textwrap.fill(printable(figure.title), _NAME), loc="left")
    if plot.log_x:
        axes.set_xscale("log", base=2)
        axes.set_xticks(powers_of_two(*plot.x), minor=False)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, labelcolor=_SOFT)


def _draw(axes: "Axes", mark: Mark) -> None:
    name, _, dashed = mark.role.partition(" ")
    colour, shape = _COLOURS[name], _SHAPES[name]
    match mark.kind:
        case "line":
            dash, width = ("--", 1.0) if dashed else ("-", 1.5)
            axes.plot(mark.xs, mark.ys, dash, color=colour, linewidth=width)
        case "dot":
            low, high = axes.get_ylim()  # on the edge where it is beyond, as on the page
            ys = [min(max(y, low), high) for y in mark.ys]
            axes.plot(mark.xs, ys, shape, color=colour, markersize=3.5, clip_on=False)
        case "bar":
            (left, right), (height,) = mark.xs, mark.ys
            alpha = 0.45 if name == "muted" else 1.0
            axes.bar(left, height, 0.96 * (right - left), align="edge", color=colour, alpha=alpha)
        case "band":
            axes.fill_between(mark.xs, mark.lows, mark.ys, color=colour, alpha=0.18, linewidth=0)


def _legend(axes: "Axes", figure: Figure) -> None:
    """Below the plot, as wide and as long as the names make it."""
    from matplotlib.artist import Artist
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars = {mark.role for mark in figure.plot.marks if mark.kind == "bar"}
    handles: list[Artist] = [
        Patch(color=_COLOURS[role])
        if role in bars
        else Line2D([], [], color=_COLOURS[role], marker=_SHAPES[role], markersize=3.5)
        for role, _ in figure.legend
    ]
    names = [textwrap.fill(printable(name), _NAME) for _, name in figure.legend]
    columns = -(-len(names) // _ROWS)
    axes.legend(
        handles, names, ncols=columns, frameon=False,
        loc="upper left", bbox_to_anchor=(0, -0.18), borderaxespad=0,
    )  # fmt: skip
