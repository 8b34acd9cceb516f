"""Plots as SVG whose colours are the page's: they follow light, dark and print.

A plot is a list of marks in data coordinates inside a frame. Classes name roles, not colours:
`s0` to `s5` are the series, `muted` is for context; `page.css` gives them their colours.
"""

import dataclasses
import math
from collections.abc import Sequence
from html import escape
from typing import Literal, NamedTuple

import markupsafe

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 44


class Mark(NamedTuple):
    """A mark in data coordinates.

    Attributes:
      kind: what it is.
      role: 's0' to 's5' or 'muted', perhaps followed by ' dashed'.
      xs: of its points; the two sides of a bar.
      ys: of its points; the upper edge of a band, the height of a bar.
      lows: the lower edge of a band.
    """

    kind: Literal["line", "band", "dot", "bar"]
    role: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    lows: tuple[float, ...] = ()


@dataclasses.dataclass
class Plot:
    """One set of axes.

    Attributes:
      x, y: (lowest, highest) of the axes, in data coordinates.
      x_title, y_title: what the axes are.
      description: what the plot shows, for those who do not see it.
      width, height: in pixels at full size; a narrow screen shrinks it.
      log_x: whether x is shown on a base-2 logarithmic scale.
      marks: what was drawn, for those who draw it elsewhere.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    x_title: str
    y_title: str
    description: str
    width: int = 460
    height: int = 280
    log_x: bool = False

    def __post_init__(self) -> None:
        self._marks: list[str] = []
        self.marks: list[Mark] = []
        widest = max((len(f"{tick:g}") for tick in ticks(*self.y)), default=0)
        self._left = max(_LEFT, 24 + 7 * widest)  # room for the numbers beside the title

    def line(self, xs: Sequence[float], ys: Sequence[float], role: str) -> None:
        """A line through points."""
        self.marks.append(Mark("line", role, tuple(xs), tuple(ys)))
        points = " ".join(
            f"{self._px(x):.1f},{self._py(y):.1f}" for x, y in zip(xs, ys, strict=True)
        )
        self._marks.append(f'<polyline class="line {role}" points="{points}"/>')

    def band(
        self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], role: str
    ) -> None:
        """The area between two lines."""
        self.marks.append(Mark("band", role, tuple(xs), tuple(highs), tuple(lows)))
        there = [(x, y) for x, y in zip(xs, highs, strict=True)]
        back = [(x, y) for x, y in zip(xs, lows, strict=True)][::-1]
        points = " ".join(f"{self._px(x):.1f},{self._py(y):.1f}" for x, y in there + back)
        self._marks.append(f'<polygon class="band {role}" points="{points}"/>')

    def dot(self, x: float, y: float, role: str, label: str = "") -> None:
        """A point, with a tooltip."""
        self.marks.append(Mark("dot", role, (x,), (y,)))
        tip = f"<title>{escape(label)}</title>" if label else ""
        self._marks.append(
            f'<circle class="dot {role}" cx="{self._px(x):.1f}" cy="{self._py(y):.1f}" r="4">{tip}'
            "</circle>"
        )

    def bar(self, x0: float, x1: float, y: float, role: str, label: str = "") -> None:
        """A bar from the axis up to y."""
        self.marks.append(Mark("bar", role, (x0, x1), (y,)))
        left, right = self._px(x0) + 1, self._px(x1) - 1
        top, bottom = self._py(y), self._py(max(self.y[0], 0.0))
        tip = f"<title>{escape(label)}</title>" if label else ""
        width, height = max(right - left, 0.5), max(bottom - top, 0)
        self._marks.append(
            f'<rect class="bar {role}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}">{tip}</rect>'
        )

    def render(self) -> markupsafe.Markup:
        """The SVG element."""
        inner = "".join([*self._axes(), *self._marks])
        return markupsafe.Markup(
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(self.description)}" style="max-width:{self.width}px">'
            f"{inner}</svg>"
        )

    def _axes(self) -> list[str]:
        parts, left = [], self._left
        bottom, right = self.height - _BOTTOM, self.width - _RIGHT
        for tick in ticks(*self.y):
            y = self._py(tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick end" x="{left - 6}" y="{y + 4:.1f}">{tick:g}</text>')
        for tick in powers_of_two(*self.x) if self.log_x else ticks(*self.x):
            x = self._px(tick)
            parts.append(f'<text class="tick middle" x="{x:.1f}" y="{bottom + 16}">{tick:g}</text>')
        parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        middle = (left + right) / 2
        parts.append(
            f'<text class="name middle" x="{middle}" y="{self.height - 8}">'
            f"{escape(self.x_title)}</text>"
        )
        centre = (_TOP + bottom) / 2
        parts.append(
            f'<text class="name middle" transform="translate(13 {centre}) rotate(-90)">'
            f"{escape(self.y_title)}</text>"
        )
        return parts

    def _px(self, x: float) -> float:
        low, high = self.x
        if self.log_x:
            x, low, high = math.log2(x), math.log2(low), math.log2(high)
        return self._left + (x - low) / (high - low) * (self.width - self._left - _RIGHT)

    def _py(self, y: float) -> float:
        low, high = self.y
        y = min(max(y, low), high)
        return self.height - _BOTTOM - (y - low) / (high - low) * (self.height - _BOTTOM - _TOP)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers across a range."""
    step = 10 ** math.floor(math.log10((high - low) / wanted))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= wanted:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def powers_of_two(low: float, high: float) -> list[float]:
    """Powers of two in a range."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    return [2.0**i for i in range(first, last + 1)]


def ceiling(value: float) -> float:
    """A round number a little above a value, for the end of an axis."""
    if value <= 0:
        return 1.0
    step = 10 ** math.floor(math.log10(value)) / 2
    return math.ceil(value * 1.02 / step) * step
