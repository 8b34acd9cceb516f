"""The report in the terminal and as Markdown."""

from typing import Any

from churn_jax.report import table


def terminal(report: dict[str, Any]) -> str:
    """The table of groups with the contrasts underneath, aligned for a terminal."""
    rows = [table.header(), *table.group_rows(report)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join([*lines, "", *table.notes(report), *table.sentences(report)])


def markdown(report: dict[str, Any]) -> str:
    """The same as a Markdown document."""
    lines = [
        f"# Churn on {report['dataset']} ({report['split']}, {report['num_examples']:,} examples)",
        "",
        _row(table.header()),
        _row(["---"] * len(table.header())),
        *(_row(row) for row in table.group_rows(report)),
        "",
        *table.notes(report),
        "",
        *(f"- {sentence}" for sentence in table.sentences(report)),
    ]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
