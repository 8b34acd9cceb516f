"""Tables and sentences that fit a width: nothing is cut off, no number is broken.

A table that is too wide goes on below: blocks of as many columns as fit, each with the rows' names.
A name that leaves no room for numbers is broken into lines.
"""

import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

from churn_jax.errors import printable
from churn_jax.report.best import Cell
from churn_jax.system.console import Look

_GAP = "  "
_NARROWEST = 40  # of a table: a terminal narrower than this breaks the lines itself
_NAME = 8  # columns that names keep, however wide the numbers are
_TIED = "\N{NO-BREAK SPACE}"
_TOGETHER = re.compile(r"\[[^][ ]*, [^][ ]*\]|p = [^ ]+| %")


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese and Japanese signs take two."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def table(
    rows: Sequence[Sequence[Cell]],
    look: Look,
    labels: int = 1,
    tied: Collection[int] = (),
) -> list[str]:
    """A table's lines, its header and a rule first.

    Args:
      rows: [row][column], the header first.
      look: its width is kept wherever it is 40 or more.
      labels: how many columns name a row; they stand in each block.
      tied: the columns that stay beside the one before, whose name they don't repeat.
    """
    rows = [[cell._replace(text=printable(cell.text)) for cell in row] for row in rows]
    width = max(look.width, _NARROWEST)
    places = range(labels, len(rows[0]))
    units = [[place, *_tied_to(place, tied)] for place in places if place not in tied]
    widths, blocks = _arranged(rows, width, units, width)
    with_short_names = _arranged(rows, width, units, width // 3)
    if 3 * len(with_short_names[1]) <= 2 * len(blocks):  # worth breaking names for
        widths, blocks = with_short_names
    lines: list[str] = []
    for block in blocks:
        shown = [*range(labels), *block]
        lines += [""] * bool(lines)
        lines += _block([[row[i] for i in shown] for row in rows], [widths[i] for i in shown], look)
    return lines


def paragraph(text: str, look: Look) -> list[str]:
    """A sentence's lines: one, or as many as the terminal needs, the later ones indented."""
    text = printable(text)
    if not look.wrap or columns_of(text) <= look.width:
        return [text]
    first, *others = _broken(text, max(look.width, _NARROWEST) - len(_GAP), whole_words=True)
    return [first, *(_GAP + line for line in others)]


def _tied_to(place: int, tied: Collection[int]) -> Iterator[int]:
    while (place := place + 1) in tied:
        yield place


def _arranged(
    rows: Sequence[Sequence[Cell]], width: int, units: Sequence[list[int]], longest_name: int
) -> tuple[list[int], list[list[int]]]:
    """The width of each column, and which stand beside each other, block for block.

    Names give way to one column of numbers at least, and titles break into words.
    """
    labels = len(rows[0]) - sum(map(len, units))
    header, *body = rows
    words = [[header[0].text], *(title.text.split(" ") for title in header[1:])]
    texts = [[*words[i], *(row[i].text for row in body)] for i in range(len(header))]
    widths = [max(map(columns_of, column)) for column in texts]
    numbers = min(max(widths[labels:], default=0), width // 2)
    for i in sorted(range(labels), key=lambda i: -widths[i]):
        over = max(_taken(widths[:labels]) + numbers - width, widths[i] - longest_name, 0)
        widths[i] -= min(over, max(widths[i] - _NAME, 0))
    room = width - _taken(widths[:labels])
    widths[labels:] = [min(found, room) for found in widths[labels:]]
    fewest = len(list(_packed(units, widths, room, len(widths))))
    # About as full as the next.
    most = math.ceil((len(widths) - labels) / fewest)
    return widths, list(_packed(units, widths, room, most))


def _taken(widths: Sequence[int]) -> int:
    """What columns and the gaps after them take."""
    return sum(widths) + len(_GAP) * len(widths)


def _packed(
    units: Sequence[list[int]], widths: Sequence[int], room: int, most: int
) -> Iterator[list[int]]:
    """Columns in blocks that fit the room, of so many at most; a unit is never parted."""
    block: list[int] = []
    for unit in units:
        taken = _taken([widths[i] for i in (*block, *unit)]) - len(_GAP)
        if block and (taken > room or len(block) + len(unit) > most):
            yield block
            block = []
        block += unit
    yield block


def _block(rows: Sequence[Sequence[Cell]], widths: Sequence[int], look: Look) -> list[str]:
    header, *body = [list(_lines(row, widths, look)) for row in rows]
    rule = "─" * (_taken(widths) - len(_GAP))
    return [*header, rule, *(line for lines in body for line in lines)]


def _lines(row: Sequence[Cell], widths: Sequence[int], look: Look) -> Iterator[str]:
    """A row's lines: as many as its longest cell needs."""
    parts = [_broken(cell.text, width) for cell, width in zip(row, widths, strict=True)]
    for place in range(max(map(len, parts))):
        line, pending = "", 0  # blanks only where something follows
        for cell, width, part in zip(row, widths, parts, strict=True):
            text = part[place] if place < len(part) else ""
            if text:
                line += " " * pending + (look.paint(text, "best") if cell.best else text)
                pending = 0
            pending += width - columns_of(text) + len(_GAP)
        yield line


def _broken(text: str, width: int, whole_words: bool = False) -> list[str]:
    """A text in lines of a width, broken at blanks; within a word where it is longer than that.

    An interval stays together, and a number with its sign of percent.
    """
    if columns_of(text) <= width:
        return [text]
    lines = [""]
    for word in _TOGETHER.sub(lambda found: found[0].replace(" ", _TIED), text).split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if columns_of(joined) <= width:
            lines[-1] = joined
        else:
            lines += [word] if whole_words else _pieces(word, width)
    return [line.replace(_TIED, " ") for line in lines if line]


def _pieces(word: str, width: int) -> list[str]:
    pieces = [""]
    for sign in word:
        if pieces[-1] and columns_of(pieces[-1] + sign) > width:
            pieces.append("")
        pieces[-1] += sign
    return pieces
