"""Reports for readers: terminal, Markdown and one self-contained HTML page, beside the JSON."""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence

from etils import epath

from churn_jax.errors import UserError
from churn_jax.report import drawings, figures, junit, learning, page
from churn_jax.report.drawings import refuse_without_matplotlib
from churn_jax.report.exports import records as to_records
from churn_jax.report.exports import to_csv, to_fragment, to_latex
from churn_jax.report.gate import Gate
from churn_jax.report.junit import Timing
from churn_jax.report.ledger import shown_ids
from churn_jax.report.making import Making, made_by
from churn_jax.report.markdown import markdown as to_markdown
from churn_jax.report.report import Report
from churn_jax.report.table import verdict, verdicts
from churn_jax.report.text import terminal as to_terminal
from churn_jax.report.text import verdict as to_verdict
from churn_jax.storage.files import write_atomically, writing

__all__ = [
    "Making",
    "Report",
    "Timing",
    "clear",
    "made_by",
    "refuse_overwriting",
    "refuse_without_matplotlib",
    "shown_ids",
    "to_csv",
    "to_fragment",
    "to_html",
    "to_junit",
    "to_latex",
    "to_markdown",
    "to_records",
    "to_terminal",
    "to_verdict",
    "verdict",
    "write",
    "write_broken",
]

# What is written, and by what each is known to be ours: other tools write a report.html, too.
_OURS = {
    "junit.xml": b'name="churn_jax.',
    "report.json": b'"schema"',
    "report.md": b"# Churn",
    "report.html": b"<title>Churn",
    "report.csv": b"table,of,measure,",
    "report.tex": b"% Made by churn_jax",
}
_HEAD = 1024
_FIGURES = "figures"  # the folder of them

to_html = page.html


def refuse_overwriting(out: epath.PathLike, inputs: Iterable[str]) -> None:
    """Raises UserError if one of the `inputs` lies where the report would be written."""
    for path in inputs:
        if os.path.basename(path) in _OURS and os.path.realpath(path) == os.path.realpath(
            os.path.join(out, os.path.basename(path))
        ):
            raise UserError(f"{path}: --out={out} would write over it; rename one of them")


def to_junit(report: Report, timing: Timing | None = None) -> str:
    """The gate's conditions as a JUnit file, one test case each."""
    return junit.junit(report.gate or Gate(False, ()), timing)


def clear(out: epath.PathLike) -> None:
    """Removes what an earlier command wrote into `out`: its verdict must not pass for the next's.

    Raises:
      UserError: a file can't be removed.
    """
    for name, mark in _OURS.items():
        path = epath.Path(out) / name
        with writing(path), contextlib.suppress(FileNotFoundError):
            with path.open("rb") as file:
                ours = mark in file.read(_HEAD)
            if ours:
                path.unlink()
    _clear_figures(epath.Path(out) / _FIGURES)


def _clear_figures(folder: epath.Path) -> None:
    if not folder.is_dir():
        return
    with writing(folder):
        drawn = [path for path in folder.iterdir() if path.suffix in (".svg", ".pdf")]
        ours = [path for path in drawn if drawings.MAKER.encode() in path.read_bytes()]
        for path in ours:
            path.unlink()
        if ours and not any(folder.iterdir()):
            folder.rmdir()


def write_broken(
    out: epath.PathLike, conditions: Sequence[str], error: BaseException, timing: Timing
) -> None:
    """Writes the junit.xml of a comparison that broke before its gate could be tested.

    Args:
      out: a folder, made if it is not there.
      conditions: the options of the gate, as they were given.
      error: what ended it.
      timing: of the comparison.
    """
    write_atomically(epath.Path(out) / "junit.xml", junit.broken(conditions, error, timing))


def write(
    report: Report,
    out: epath.PathLike,
    pictures: Mapping[str, str] | None = None,
    timing: Timing | None = None,
    draw_figures: bool = False,
    texts: Mapping[str, str] | None = None,
    making: Making | None = None,
) -> None:
    """Writes report.json, .md, .html, .csv, .tex and, if there is a gate, junit.xml into `out`.

    Args:
      report: to be shown; `Report.from_json` reads the file again.
      out: a folder, made if it is not there.
      pictures: a data: URI for the ids of examples whose picture is known.
      timing: of the comparison, for junit.xml.
      draw_figures: whether every figure of the page goes into `out`/figures as SVG and PDF.
      texts: what the examples say, by id, where that is known.
      making: by which command, and of which files, for the foot of the page.

    Raises:
      UserError: a file can't be written, or figures can't be drawn.
    """
    if draw_figures:
        refuse_without_matplotlib()
    clear(out)
    files: dict[str, str | bytes] = {
        "report.json": report.to_json(),
        "report.md": to_markdown(report),
        "report.html": to_html(report, pictures, texts, making),
        "report.csv": to_csv(report),
        "report.tex": to_latex(report),
    }
    if verdicts(report):
        files["junit.xml"] = to_junit(report, timing)
    shown = (*figures.every(report), *learning.learning(report)) if draw_figures else ()
    for figure in shown:
        drawn = drawings.draw(figure)
        files |= {f"{_FIGURES}/{figure.name}.{kind}": content for kind, content in drawn.items()}
    for name, content in files.items():
        write_atomically(epath.Path(out) / name, content)
