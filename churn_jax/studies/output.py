"""Writes what a study found: report.json, pages in Markdown and HTML, tables, figures."""

import base64
import dataclasses
import importlib.resources
from typing import Any

import jinja2
import markupsafe
from etils import epath

from churn_jax.report import best, layout
from churn_jax.report.footer import CITE
from churn_jax.report.making import today
from churn_jax.report.numbers import short_percent
from churn_jax.storage.files import write_atomically
from churn_jax.studies import figures, tables
from churn_jax.studies.design import Study
from churn_jax.studies.study_report import StudyReport
from churn_jax.system.console import Look


def write(
    study: Study,
    report: StudyReport,
    command: str,
    shrunk: list[str],
    out: epath.PathLike,
    look: Look | None = None,
    pdf: bool = False,
) -> str:
    """Writes all files into `out`.

    Args:
      study: of the report.
      report: of `results.report`.
      command: what made it.
      shrunk: sentences on what was made smaller than in the paper.
      out: folder, made if it is not there.
      look: of what is returned.
      pdf: whether figures are written as PDF, too, beside SVG and PNG.

    Returns:
      The tables as text for a terminal.
    """
    look = look or Look()
    out = epath.Path(out)
    rendered = tables.render_all(study, report)
    drawn = {figure.name: figures.draw(figure, report, pdf) for figure in study.figures}
    titles = {figure.name: figure.title for figure in study.figures}
    notes = [*shrunk, *study.notes]
    warnings = [f"Warning: {warning}" for warning in report.warnings]
    report = dataclasses.replace(report, command=command, notes=tuple(notes))
    files: dict[str, str | bytes] = {
        "study.md": _markdown(study, rendered, titles, [*warnings, *notes], command),
        "study.html": _html(study, report, rendered, titles, drawn),
    }
    if report.groups:
        files["report.json"] = report.to_json()
    for table in study.tables:
        files[f"{table.name}.csv"] = tables.to_csv(table, report)
    for name, kinds in drawn.items():
        files |= {f"{name}.{kind}": content for kind, content in kinds.items()}
    for name in () if pdf else drawn:
        (out / f"{name}.pdf").unlink(missing_ok=True)  # an earlier one would not be of this report
    for name, content in files.items():
        write_atomically(out / name, content)
    shown = [tables.to_terminal(table, look) for table in rendered]
    said = ["\n".join(layout.paragraph(line, look)) for line in (*warnings, *notes)]
    return "\n\n".join([*said[: len(warnings)], *shown, *said[len(warnings) :]])


def _markdown(
    study: Study,
    rendered: list[tables.Rendered],
    titles: dict[str, str],
    notes: list[str],
    command: str,
) -> str:
    lines = [f"# {study.title}", "", *(f"- {note}" for note in notes), "", f"    {command}", ""]
    lines += [tables.to_markdown(table) for table in rendered]
    for name, title in titles.items():
        lines += [f"![{title}]({name}.svg)", "", title, ""]
    return "\n".join(lines)


def _html(
    study: Study,
    report: StudyReport,
    rendered: list[tables.Rendered],
    titles: dict[str, str],
    drawn: dict[str, dict[str, bytes]],
) -> str:
    source = importlib.resources.files(__package__).joinpath("page.html.jinja")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    pictures: list[dict[str, Any]] = [
        {"title": titles[name], "data": base64.b64encode(kinds["svg"]).decode()}
        for name, kinds in drawn.items()
    ]
    style = importlib.resources.files("churn_jax.report").joinpath("page.css").read_text("utf-8")
    return environment.from_string(source.read_text("utf-8")).render(
        study=study,
        report=report,
        tables=rendered,
        figures=pictures,
        style=markupsafe.Markup(style),
        answer=_answer(report),
        made_by=[f"Made on {today()}.", *_made_by(report)],
        cite=CITE,
    )


def _answer(report: StudyReport) -> str:
    """Which cell churns least, and than which that is shown; else how far churn reaches."""
    if said := best.least_churn(report):
        return said
    churns = [(found.mean, g.name) for g in report.groups if (found := g.measures.get("churn"))]
    if len(churns) < 2:
        return ""
    low, high = (f"{short_percent(mean)} ({name})" for mean, name in (min(churns), max(churns)))
    return f"Churn reaches from {low} to {high}; which cells differ, the tables say."


def _made_by(report: StudyReport) -> list[str]:
    """What trained the runs, one line each; nothing where no run was."""
    found = report.made_by or {}
    if not found:
        return []
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [f"Code {found['code_version']}, on {found['platform']}.", f"Versions: {versions}."]
    hashes = {group.name: group.config_hash for group in report.groups if group.config_hash}
    if hashes:
        listed = ", ".join(f"{name} {of_it[:8]}" for name, of_it in hashes.items())
        lines.append(f"Hashes of the configs: {listed}.")
    return lines
