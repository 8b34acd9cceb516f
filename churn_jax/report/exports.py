"""The report for other programs and documents: records, CSV, LaTeX, and a notebook's cell."""

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import Any

import markupsafe

from churn_jax.errors import printable
from churn_jax.metrics.definitions import definition
from churn_jax.report import best, table
from churn_jax.report.best import Cell
from churn_jax.report.estimates import Contrast, Estimate
from churn_jax.report.report import Report
from churn_jax.report.text import title

CSV_COLUMNS = (
    *("table", "of", "measure", "mean", "std", "low", "high", "covers"),
    *("p", "p_holm", "runs", "unit"),
)
TEX_MARK = "% Made by churn_jax"
_TEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": r"\textbar{}",
    "−": "$-$",
    "±": r"$\pm$",
    "→": r"$\to$",
    "✓": "right",
    "✗": "wrong",
    "₁": "$_1$",
    "α": r"$\alpha$",
    "γ": r"$\gamma$",
    "κ": r"$\kappa$",
    "–": "--",
}


def records(report: Report) -> list[dict[str, Any]]:
    """One flat record for each measure of each group and change, and for each contrast.

    `table` says which: 'group', 'change' or 'contrast'. The `mean` of a contrast is the difference
    of what `of` names, only contrasts have `p` and `p_holm`, and only groups have `runs`. `unit` is
    'fraction' of what tables show in percent, 'nats', or 'number'.
    """
    found = [
        _record("group", group.name, key, estimate, group.num_runs)
        for group in report.groups
        for key, estimate in group.measures.items()
        if estimate
    ]
    found += [
        _record("change", table.arrow(change), key, estimate)
        for change in report.between or ()
        for key, estimate in change.measures.items()
        if estimate
    ]
    return found + [_contrast(contrast) for contrast in report.contrasts]


def _record(
    kind: str, of: str, key: str, estimate: Estimate, runs: int | None = None
) -> dict[str, Any]:
    return {
        "table": kind,
        "of": of,
        "measure": key,
        "mean": estimate.mean,
        "std": estimate.spread.std if estimate.spread else None,
        "low": estimate.low,
        "high": estimate.high,
        "covers": estimate.covers,
        "p": None,
        "p_holm": None,
        "runs": runs,
        "unit": _unit(key),
    }


def _contrast(contrast: Contrast) -> dict[str, Any]:
    low, high = contrast.ci95
    return {
        "table": "contrast",
        "of": f"{contrast.b} − {contrast.a}",
        "measure": contrast.metric,
        "mean": contrast.difference,
        "std": None,
        "low": low,
        "high": high,
        "covers": contrast.covers,
        "p": contrast.p,
        "p_holm": contrast.p_holm,
        "runs": None,
        "unit": _unit(contrast.metric),
    }


def _unit(key: str) -> str:
    found = definition(key)
    return "fraction" if found.percent else "nats" if found.nats else "number"


def to_csv(report: Report) -> str:
    """The records as a table, in full digits; what isn't known is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for record in records(report):
        writer.writerow([_csv_cell(record[column]) for column in CSV_COLUMNS])
    return stream.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return printable(value) if isinstance(value, str) else value


def to_latex(report: Report) -> str:
    """The tables of groups and changes as `tabular`s, for documents of any class.

    Their rules are booktabs', and plain lines where it is not loaded. Notes and sentences stand
    above them as comments.
    """
    groups = best.marked_rows(report)
    marked = any(cell.best for row in groups for cell in row)
    said = [*([f"Bold: {best.NOTE}"] if marked else []), *table.notes(report)]
    said += table.sentences(report)
    parts = [f"{TEX_MARK}: {printable(title(report))}", *(f"% {printable(line)}" for line in said)]
    parts += [rf"\providecommand{{\{rule}rule}}{{\hline}}" for rule in ("top", "mid", "bottom")]
    changes = [[Cell(text) for text in row] for row in table.change_table(report)]
    for rows in (groups, changes):
        if rows:
            parts += ["", *_tabular(rows)]
    return "\n".join(parts) + "\n"


def _tabular(rows: Sequence[Sequence[Cell]]) -> list[str]:
    lines = [" & ".join(map(_latex_cell, row)) + r" \\" for row in rows]
    columns = "l" * len(rows[0])
    return [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        lines[0],
        r"\midrule",
        *lines[1:],
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _latex_cell(cell: Cell) -> str:
    return rf"\textbf{{{_latex(cell.text)}}}" if cell.best else _latex(cell.text)


def _latex(text: str) -> str:
    """A text in which names are no commands; braces keep a bracket from being an option."""
    escaped = re.sub(r".", lambda found: _TEX.get(found[0], found[0]), printable(text))
    return f"{{{escaped}}}" if escaped.startswith(("[", "*")) else escaped


def to_fragment(report: Report) -> str:
    """The verdict, warnings, tables and sentences as a piece of HTML, which is safe to show."""
    escape = markupsafe.escape
    lines = [
        f"<h4>{escape(title(report))}</h4>",
        f"<p><strong>{escape(table.verdict(report))}</strong></p>",
        *(f"<p>Warning: {escape(warning)}</p>" for warning in report.warnings),
    ]
    for rows in (table.group_table(report), table.change_table(report)):
        if rows:
            lines += _html_table(rows)
    said = [
        *(found.sentence or found.condition for found in table.verdicts(report)),
        *table.sentences(report),
        *table.notes(report),
    ]
    lines += ["<ul>", *(f"<li>{escape(line)}</li>" for line in said), "</ul>"]
    return "\n".join(["<div>", *lines, "</div>"])


def _html_table(rows: Sequence[Sequence[str]]) -> list[str]:
    header, *body = [[markupsafe.escape(cell) for cell in row] for row in rows]
    lines = ["<table>", "<thead><tr>" + "".join(f"<th>{cell}</th>" for cell in header) + "</tr>"]
    lines += ["</thead>", "<tbody>"]
    for first, *others in body:
        cells = "".join(f"<td>{cell}</td>" for cell in others)
        lines.append(f"<tr><th>{first}</th>{cells}</tr>")
    return [*lines, "</tbody>", "</table>"]
