"""The report in the terminal, and what it is called everywhere."""

import re
from collections.abc import Iterable

from churn_jax.report import best, fragility, layout, table
from churn_jax.report.best import Cell
from churn_jax.report.estimates import Measures
from churn_jax.report.report import Report
from churn_jax.system.console import Look, Style

_STYLES: dict[str, Style] = {"passed": "good", "failed": "bad", "undecided": "doubt"}


def terminal(report: Report, look: Look | None = None) -> str:
    """Warnings, the tables, and the contrasts underneath, laid out for a terminal or a log."""
    look = look or Look()
    lines = [
        line.replace("warning", look.paint("warning", "doubt"), 1)
        for warning in report.warnings
        for line in layout.paragraph(f"warning: {warning}", look)
    ]
    lines += [""] * bool(lines)
    groups = best.marked_rows(report)
    starred = [
        [cell._replace(text=f"{cell.text} *") if cell.best else cell for cell in row]
        for row in groups
    ]
    lines += layout.table(starred, look)
    if changes := table.change_table(report):
        lines += ["", *layout.table([[Cell(text) for text in row] for row in changes], look)]
    said = [f"*: {best.NOTE}"] if any(cell.best for row in groups for cell in row) else []
    said += [*table.notes(report), *table.sentences(report), *fragility.sentences(report)]
    lines += ["", *(line for sentence in said for line in layout.paragraph(sentence, look))]
    lines += [line for gate in gate_lines(report) for line in _said(gate, look)]
    return "\n".join(lines)


def verdict(report: Report, look: Look | None = None) -> str:
    """The gate's verdict, or what changed where there is no gate, laid out as `terminal` is."""
    return "\n".join(_said(table.verdict(report), look or Look()))


def _said(text: str, look: Look) -> list[str]:
    """The lines of a verdict, whose first word has the colour of what it says."""
    first, *others = layout.paragraph(text, look)
    if found := re.match(r"[A-Za-z]+(?=[:,])", first):
        style = _STYLES.get(found[0].lower())
        first = (look.paint(found[0], style) if style else found[0]) + first[found.end() :]
    return [first, *others]


def title(report: Report) -> str:
    """What the report is about."""
    on = f" on {report.dataset}" if report.dataset else ""
    split = f"{report.split}, " if report.split else ""
    as_good = ""
    if found := report.weights:
        as_good = f", as good as {found.effective:,.1f} of equal weight"
    return f"Churn{on} ({split}{report.examples}{as_good})"


def named_measures(report: Report) -> Iterable[tuple[str, Measures]]:
    """The measures of each group and each change, with what they are of."""
    for group in report.groups:
        yield group.name, group.measures
    for change in report.between or ():
        yield table.arrow(change), change.measures


def gate_lines(report: Report) -> list[str]:
    """What became of each condition of the gate."""
    words = {"failed": "FAILED", "passed": "passed", "undecided": "UNDECIDED"}
    return [
        f"{words[found.outcome]}: {found.sentence or found.condition}"
        for found in table.verdicts(report)
    ]
