"""Reports for readers: terminal, Markdown and one self-contained HTML page, beside the JSON."""

from collections.abc import Mapping

from etils import epath

from churn_jax.report import page
from churn_jax.report.report import Report
from churn_jax.report.table import verdict, verdicts
from churn_jax.report.text import junit as to_junit
from churn_jax.report.text import markdown as to_markdown
from churn_jax.report.text import records as to_records
from churn_jax.report.text import terminal as to_terminal
from churn_jax.storage.files import write_atomically

__all__ = [
    "Report",
    "to_html",
    "to_junit",
    "to_markdown",
    "to_records",
    "to_terminal",
    "verdict",
    "write",
]

to_html = page.html


def write(report: Report, out: epath.PathLike, pictures: Mapping[str, str] | None = None) -> None:
    """Writes report.json, report.md, report.html and, if there is a gate, junit.xml into `out`.

    Args:
      report: to be shown; `Report.from_json` reads the file again.
      out: a folder, made if it is not there.
      pictures: a data: URI for the ids of examples whose picture is known.
    """
    files = {
        "report.json": report.to_json(),
        "report.md": to_markdown(report),
        "report.html": to_html(report, pictures),
    }
    if verdicts(report):
        files["junit.xml"] = to_junit(report)
    for name, content in files.items():
        write_atomically(epath.Path(out) / name, content)
