"""Reports for readers: terminal, Markdown and one self-contained HTML page, beside the JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

from etils import epath

from churn_jax.report import page
from churn_jax.report.table import verdict
from churn_jax.report.text import junit as to_junit
from churn_jax.report.text import markdown as to_markdown
from churn_jax.report.text import records as to_records
from churn_jax.report.text import terminal as to_terminal
from churn_jax.storage.files import write_atomically

__all__ = [
    "to_html",
    "to_json",
    "to_junit",
    "to_markdown",
    "to_records",
    "to_terminal",
    "verdict",
    "write",
]

to_html = page.html


def write(
    report: dict[str, Any], out: epath.PathLike, pictures: Mapping[str, str] | None = None
) -> None:
    """Writes report.json, report.md, report.html and, if there is a gate, junit.xml into `out`.

    Args:
      report: as in DESIGN's schema; see `churn_jax.evaluate` and `churn_jax.analysis.comparison`.
      out: a folder, made if it is not there.
      pictures: a data: URI for the ids of examples whose picture is known.
    """
    files = {
        "report.json": to_json(report),
        "report.md": to_markdown(report),
        "report.html": to_html(report, pictures),
    }
    if report.get("gate", {}).get("conditions"):
        files["junit.xml"] = to_junit(report)
    for name, content in files.items():
        write_atomically(epath.Path(out) / name, content)


def to_json(report: dict[str, Any]) -> str:
    """Valid JSON: what is not a finite number is null."""
    return json.dumps(_finite(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
