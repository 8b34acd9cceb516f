"""The report as Markdown, short enough for a comment on a pull request.

It opens with the verdict and one table; the rest is folded. Where there are more groups, conditions
or sentences than a comment has room for, the first are there and the others are counted.
"""

import re
from collections.abc import Sequence

from churn_jax.errors import printable
from churn_jax.metrics.definitions import explained
from churn_jax.report import best, fragility, table, text
from churn_jax.report.report import Report

MOST = 60_000  # bytes in all: GitHub takes 65,536 characters
# Bytes for each part; what is not named here is ours and short.
_ROOM = {
    "title": 500,
    "verdict": 4_000,
    "headline": 2_000,
    "warnings": 6_000,
    "groups": 15_000,
    "changes": 9_000,
    "conditions": 5_000,
    "sentences": 5_000,
    "fragility": 4_000,
    "notes": 3_000,
    "definitions": 5_000,
}


def markdown(report: Report) -> str:
    """The document, of at most `MOST` bytes of UTF-8."""
    first, *others = _verdict(report)
    lines = [
        f"# {_cut(_escaped(text.title(report)), _ROOM['title'])}",
        *("", f"**{_cut(_escaped(first), _ROOM['verdict'])}**"),
        *(part for line in others for part in ("", _cut(_escaped(line), _ROOM["headline"]))),
        "",
        *_kept([f"> **Warning:** {_escaped(line)}\n" for line in report.warnings], "warnings"),
        *_table(_groups(report), "groups"),
        *_folded("From group to group", _plain_table(table.change_table(report), "changes")),
        *_folded("The gate's conditions", _list(text.gate_lines(report), "conditions")),
        *_folded("Comparisons", _list(table.sentences(report), "sentences")),
        *_folded("Which examples to watch, which run to ship", _fragility(report)),
        *_folded("Notes", _list(_notes(report), "notes")),
        *_folded("Definitions", _kept(_definitions(report), "definitions")),
    ]
    return "\n".join(lines) + "\n"


def _verdict(report: Report) -> list[str]:
    """The gate's verdict, or which group churns less; then what changed."""
    said = table.verdict(report) if table.verdicts(report) else best.least_churn(report)
    return [line for line in (said, table.headline(report)) if line]


def _groups(report: Report) -> list[list[str]]:
    """The table of groups, the best of each measure in bold."""
    return [
        [f"**{_cell(cell.text)}**" if cell.best else _cell(cell.text) for cell in row]
        for row in best.marked_rows(report)
    ]


def _fragility(report: Report) -> list[str]:
    """A row for each group: columns would be as many as there are groups."""
    found = fragility.fragility_table(report)
    if not found:
        return []
    header, *rows = zip(*found, strict=True)
    shown = _plain_table([["group", *header[1:]], *rows], "fragility")
    said = [f"- {_escaped(line)}" for line in fragility.NOTES]
    return [*shown, "", *said]


def _notes(report: Report) -> list[str]:
    marked = any(best.marked(report, key) for key in table.group_keys(report))
    return [*([f"Bold: {best.NOTE}"] if marked else []), *table.notes(report)]


def _definitions(report: Report) -> list[str]:
    """Of the measures in the tables; the page has those of all."""
    changes = [change.measures for change in report.between or ()]
    shown = [*table.group_keys(report), *table.columns(changes, table.CHANGE_COLUMNS)]
    return [
        f"- **{found.title}**: {found.text}" + (f" ({found.source})" if found.source else "")
        for found in explained(shown).values()
    ]


def _folded(summary: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    return ["", f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"]


def _list(said: Sequence[str], part: str) -> list[str]:
    return _kept([f"- {_escaped(line)}" for line in said], part)


def _plain_table(rows: Sequence[Sequence[str]], part: str) -> list[str]:
    return _table([[_cell(text) for text in row] for row in rows], part)


def _table(rows: Sequence[Sequence[str]], part: str) -> list[str]:
    if not rows:
        return []
    header, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [header, "|" + " --- |" * len(rows[0]), *_kept(body, part)]


def _kept(lines: Sequence[str], part: str) -> list[str]:
    """The first of the lines that there is room for, and how many more there are."""
    taken, kept = 0, list[str]()
    for line in lines:
        taken += len(line.encode()) + 1
        if taken > _ROOM[part]:
            break
        kept.append(line)
    left_out = len(lines) - len(kept)
    return [*kept, *(["", f"*{left_out:,} more {part}: see report.html.*", ""] if left_out else [])]


def _cut(escaped: str, room: int) -> str:
    """As many of its words as there is room for; `…` where that is not all."""
    if len(escaped.encode()) <= room:
        return escaped
    words: list[str] = []
    for word in escaped.split(" "):
        room -= len(word.encode()) + 1
        if room < len("… (cut: see report.html)".encode()):
            break
        words.append(word)
    return " ".join([*words, "… (cut: see report.html)"])


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """A text in a Markdown document, in which names of groups and files make no HTML and no links.

    `>`, `_` and `[` alone, which our own lines are full of, do no harm inside a line.
    """
    text = re.sub(r"[\\`*<]|&(?=#?\w+;)|\](?=[(\[:])|!(?=\[)", r"\\\g<0>", printable(text))
    return text.replace("\\<", "&lt;").replace("\\&", "&amp;")
