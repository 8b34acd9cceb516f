"""The report in the terminal and as Markdown."""

import re
from collections.abc import Iterable, Sequence

from churn_jax.errors import printable
from churn_jax.metrics.definitions import DEFINITIONS
from churn_jax.report import fragility, table
from churn_jax.report.estimates import Measures
from churn_jax.report.report import Report


def terminal(report: Report) -> str:
    """Warnings, the tables, and the contrasts underneath, aligned for a terminal."""
    lines = [f"warning: {warning}" for warning in report.warnings]
    lines += [""] * bool(lines)
    lines += _aligned(table.group_table(report))
    if changes := table.change_table(report):
        lines += ["", *_aligned(changes)]
    lines += ["", *table.notes(report), *table.sentences(report), *fragility.sentences(report)]
    return "\n".join(map(printable, [*lines, *_gate_lines(report)]))


def markdown(report: Report) -> str:
    """The same as a Markdown document, with the definitions."""
    lines = [
        f"# {_escaped(title(report))}",
        "",
        _escaped(table.verdict(report)),
        "",
        *(
            line
            for warning in report.warnings
            for line in (f"> **Warning:** {_escaped(warning)}", "")
        ),
        *_markdown_table(table.group_table(report)),
    ]
    if changes := table.change_table(report):
        lines += ["", *_markdown_table(changes)]
    if watched := fragility.fragility_table(report):
        lines += ["", "## Which examples to watch, which run to ship", ""]
        lines += [*_markdown_table(watched), "", *(f"- {note}" for note in fragility.NOTES)]
        lines += ["", "## Notes"]
    said = [*table.sentences(report), *_gate_lines(report)]
    lines += ["", *(f"- {_escaped(line)}" for line in table.notes(report))]
    lines += ["", *(f"- {_escaped(line)}" for line in said)]
    lines += ["", "## Definitions", ""]
    changed = [change.measures for change in report.between or ()]
    for key, found in DEFINITIONS.items():
        if key in report.groups[0].measures or any(key in measures for measures in changed):
            source = f" ({found.source})" if found.source else ""
            lines.append(f"- **{found.title}**: {found.text}{source}")
    return "\n".join(lines) + "\n"


def title(report: Report) -> str:
    """What the report is about."""
    on = f" on {report.dataset}" if report.dataset else ""
    split = f"{report.split}, " if report.split else ""
    return f"Churn{on} ({split}{report.num_examples:,} examples)"


def named_measures(report: Report) -> Iterable[tuple[str, Measures]]:
    """The measures of each group and each change, with what they are of."""
    for group in report.groups:
        yield group.name, group.measures
    for change in report.between or ():
        yield table.arrow(change), change.measures


def _gate_lines(report: Report) -> list[str]:
    words = {"failed": "FAILED", "passed": "passed", "undecided": "UNDECIDED"}
    return [
        f"{words[found.outcome]}: {found.sentence or found.condition}"
        for found in table.verdicts(report)
    ]


def _escaped(text: str) -> str:
    """A text in a Markdown document, in which names of groups and files make no HTML and no links.

    `>`, `_` and `[` alone, which our own lines are full of, do no harm inside a line.
    """
    text = re.sub(r"[\\`*<]|&(?=#?\w+;)|\](?=[(\[:])|!(?=\[)", r"\\\g<0>", printable(text))
    return text.replace("\\<", "&lt;").replace("\\&", "&amp;")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "─" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]]


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[_escaped(cell).replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]
