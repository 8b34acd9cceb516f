"""The HTML page: one file with its style and plots inside, which needs no network."""

import importlib.resources
from typing import Any

import jinja2

from churn_jax.report import figures, table


def html(report: dict[str, Any]) -> str:
    """The whole page."""
    template = importlib.resources.files(__package__).joinpath("page.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        report=report,
        header=table.header(),
        rows=table.group_rows(report),
        notes=table.notes(report),
        sentences=table.sentences(report),
        figures=figures.all_figures(report),
    )
