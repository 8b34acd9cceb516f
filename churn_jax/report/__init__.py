"""Reports for readers: terminal, Markdown and one self-contained HTML page, beside the JSON."""

import json
import math
from typing import Any

from etils import epath

from churn_jax.files import write_atomically
from churn_jax.report import page, text


def write(report: dict[str, Any], out: epath.PathLike) -> None:
    """Writes report.json, report.md and report.html into `out`."""
    out = epath.Path(out)
    write_atomically(out / "report.json", to_json(report))
    write_atomically(out / "report.md", text.markdown(report))
    write_atomically(out / "report.html", page.html(report))


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
