"""The report in the terminal, as Markdown, as records, and as JUnit for CI."""

from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree import ElementTree

from churn_jax.metrics.definitions import DEFINITIONS
from churn_jax.report import table
from churn_jax.report.estimates import Measures
from churn_jax.report.report import Report


def terminal(report: Report) -> str:
    """Warnings, the tables, and the contrasts underneath, aligned for a terminal."""
    lines = [f"warning: {warning}" for warning in report.warnings]
    lines += [""] * bool(lines)
    lines += _aligned(table.group_table(report))
    if changes := table.change_table(report):
        lines += ["", *_aligned(changes)]
    lines += ["", *table.notes(report), *table.sentences(report)]
    return "\n".join([*lines, *_gate_lines(report)])


def markdown(report: Report) -> str:
    """The same as a Markdown document, with the definitions."""
    lines = [
        f"# {title(report)}",
        "",
        table.verdict(report),
        "",
        *(line for warning in report.warnings for line in (f"> **Warning:** {warning}", "")),
        *_markdown_table(table.group_table(report)),
    ]
    if changes := table.change_table(report):
        lines += ["", *_markdown_table(changes)]
    lines += ["", *(f"- {line}" for line in table.notes(report))]
    lines += ["", *(f"- {line}" for line in (*table.sentences(report), *_gate_lines(report)))]
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


def records(report: Report) -> list[dict[str, Any]]:
    """One flat record for each measure of each group and change."""
    found = []
    for name, measures in named_measures(report):
        for key, estimate in measures.items():
            if estimate:
                found.append(
                    {
                        "of": name,
                        "measure": key,
                        "mean": estimate.mean,
                        "low": estimate.low,
                        "high": estimate.high,
                        "covers": estimate.covers,
                    }
                )
    return found


def junit(report: Report) -> str:
    """The gate's conditions as test cases."""
    conditions = table.verdicts(report)
    suite = ElementTree.Element(
        "testsuite",
        name="churn_jax.compare",
        tests=str(len(conditions)),
        failures=str(sum(found.failed for found in conditions)),
        errors="0",
    )
    for found in conditions:
        name = f"not {found.condition}"
        case = ElementTree.SubElement(suite, "testcase", classname="churn_jax.gate", name=name)
        if found.failed:
            message = table.gate_sentence(found)
            ElementTree.SubElement(case, "failure", message=message).text = message
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _gate_lines(report: Report) -> list[str]:
    return [table.gate_sentence(found) for found in table.verdicts(report)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "─" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]]


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]
