"""A part of a JPEG without decoding the rest: cut out of its bytes, at its restart markers.

A JPEG is a run of small squares (MCUs: 8 or 16 pixels wide and high), row by row, each of which can
only be read after the one before it, unless a restart marker stands between them. Where markers
follow each other at an interval that divides a row, the squares that a box touches make a JPEG of
their own: the same header with another height and width, and the intervals of these squares,
numbered anew. Their pixels are exactly those of the whole (ITU-T T.81, B.2 and E.1.4).
`churn_jax.data.prepare.restarts` puts markers in.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

MAGIC = b"\xff\xd8\xff"

# Left, top, right, bottom, in pixels.
Box = tuple[int, int, int, int]

# Second bytes of markers; the first is 0xFF.
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # start of a frame in Huffman codes
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FIRST_RESTART, _END, _SCAN, _INTERVAL = 0xD0, 0xD9, 0xDA, 0xDD
_RESTARTS = tuple(bytes((0xFF, _FIRST_RESTART + number)) for number in range(8))


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where things are in a JPEG.

    Attributes:
      progressive: in several scans, of which each refines all of the picture.
      height: in pixels.
      width: in pixels.
      mcu_height: in pixels.
      mcu_width: in pixels.
      interval: MCUs between two restart markers; 0 for a JPEG that has none.
      size_at: where the header has the height, and after it the width, two bytes each.
      scan_at: where the MCUs begin.
    """

    progressive: bool
    height: int
    width: int
    mcu_height: int
    mcu_width: int
    interval: int
    size_at: int
    scan_at: int

    @functools.cached_property
    def rows(self) -> int:
        """Of MCUs."""
        return -(-self.height // self.mcu_height)

    @functools.cached_property
    def columns(self) -> int:
        """Of MCUs."""
        return -(-self.width // self.mcu_width)


def read_layout(content: bytes) -> Layout | None:
    """The layout of a grey or coloured JPEG; None for other kinds, and where it is damaged."""
    frame: _Frame | None = None
    interval, at = 0, 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, body = content[at + 1], at + 4
        end = at + 2 + _two_bytes(content, at + 2)
        if end <= body or end > len(content) or marker in _OTHER_FRAMES:
            return None
        if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
            if frame is not None:
                return None
            frame = _read_frame(marker, content[body:end], body)
        elif marker == _INTERVAL and end - body == 2:
            interval = _two_bytes(content, body)
        elif marker == _SCAN:
            if frame is None or content[body] != frame.components:
                return None
            return Layout(
                frame.progressive,
                frame.height,
                frame.width,
                frame.mcu_height,
                frame.mcu_width,
                interval,
                frame.size_at,
                scan_at=end,
            )
        at = end
    return None


def part(content: bytes, box: Box) -> tuple[bytes, tuple[int, int]] | None:
    """A JPEG of the MCUs that `box` touches, and those they share an interval with.

    Returns:
      The JPEG, and the (left, top) of its first pixel in the whole; None where `content` has no
      restart markers at an interval that divides a row, or is damaged, or progressive.
    """
    layout = read_layout(content)
    if layout is None or layout.progressive:
        return None
    if not layout.interval or layout.columns % layout.interval:
        return None
    a_row = layout.columns // layout.interval
    bounds = _interval_bounds(content, layout, layout.rows * a_row)
    if bounds is None:
        return None
    left, top, right, bottom = box
    height, width = layout.mcu_height, layout.mcu_width * layout.interval
    first_row, end_row = top // height, min(-(-bottom // height), layout.rows)
    first, end = left // width, min(-(-right // width), a_row)
    pieces = [
        content[: layout.size_at],
        (min(end_row * height, layout.height) - first_row * height).to_bytes(2, "big"),
        (min(end * width, layout.width) - first * width).to_bytes(2, "big"),
        content[layout.size_at + 4 : layout.scan_at],
    ]
    number = 0
    for row in range(first_row * a_row, end_row * a_row, a_row):
        for interval in range(row + first, row + end):
            pieces += content[bounds[interval] : bounds[interval + 1] - 2], _RESTARTS[number & 7]
            number += 1
    pieces[-1] = bytes((0xFF, _END))
    return b"".join(pieces), (first * width, first_row * height)


class _Frame(NamedTuple):
    """What `Layout` takes from the frame's header, and how many components each scan must have."""

    progressive: bool
    height: int
    width: int
    mcu_height: int
    mcu_width: int
    size_at: int
    components: int


def _read_frame(marker: int, body: bytes, at: int) -> _Frame | None:
    """The frame whose header `body` begins at `at`; None unless of 8 bits, grey or coloured."""
    if len(body) < 6 or body[0] != 8 or body[5] not in (1, 3) or len(body) != 6 + 3 * body[5]:
        return None
    components, sampling = body[5], body[7::3]
    height, width = _two_bytes(body, 1), _two_bytes(body, 3)
    # The MCU of a single component is one block of 8 × 8, whatever its sampling says.
    down = max(each & 15 for each in sampling) if components > 1 else 1
    across = max(each >> 4 for each in sampling) if components > 1 else 1
    if not (height and width and down and across):
        return None
    return _Frame(marker == _PROGRESSIVE, height, width, 8 * down, 8 * across, at + 1, components)


def _interval_bounds(content: bytes, layout: Layout, count: int) -> list[int] | None:
    """Where each of `count` intervals begins, and two bytes after the last one's end."""
    scan = np.frombuffer(content, np.uint8, offset=layout.scan_at)
    at = np.flatnonzero(scan[:-1] == 0xFF)
    second = scan[at + 1]
    markers = at[second != 0][:count]  # a 0xFF that is no marker is followed by a zero
    found = scan[markers + 1]
    if len(markers) < count or found[-1] != _END:
        return None
    if np.any(found[:-1] != _FIRST_RESTART + (np.arange(count - 1) & 7)):
        return None
    return [layout.scan_at, *(markers + (layout.scan_at + 2)).tolist()]


def _two_bytes(content: bytes, at: int) -> int:
    return content[at] << 8 | content[at + 1]
