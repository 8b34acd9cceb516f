"""The HTML page: one file with style, script, plots and pictures inside; it needs no network."""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Any

import jinja2
import markupsafe

from churn_jax.metrics.definitions import DEFINITIONS, definition
from churn_jax.report import figures, table, text

Report = dict[str, Any]
_MATRIX_LIMIT = 40
_CLASS_LIMIT = 40


def html(report: Report, pictures: Mapping[str, str] | None = None) -> str:
    """The whole page.

    Args:
      report: the report's data.
      pictures: a data: URI for the ids of examples whose picture is known.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = lambda entry, key: table.cell(key, entry)
    return environment.from_string(_asset("page.html.jinja")).render(
        report=report,
        title=text.title(report),
        style=markupsafe.Markup(_asset("page.css")),
        script=markupsafe.Markup(_asset("page.js")),
        headline=table.headline(report),
        verdict=table.verdict(report),
        conditions=[
            (found["failed"], table.gate_sentence(found))
            for found in report.get("gate", {"conditions": []})["conditions"]
        ],
        failed=any(c["failed"] for c in report.get("gate", {"conditions": []})["conditions"]),
        group_table=table.group_table(report),
        step_table=table.step_table(report),
        notes=table.notes(report),
        sentences=table.sentences(report),
        all_measures=_all_measures(report),
        churn_figures=[
            *figures.near_ties(report),
            *figures.surrogate_curve(report),
            *figures.trade_off(report),
            *figures.over_training(report),
        ],
        reliability=figures.reliability(report),
        by_class=_by_class(report),
        slices=_slices(report),
        matrix=report["matrix"] if 2 < len(report["matrix"]["runs"]) <= _MATRIX_LIMIT else None,
        largest_churn=max(map(max, report["matrix"]["churn"]), default=0) or 1,
        pictures=pictures or {},
        definitions=_definitions(report),
    )


@functools.cache
def _asset(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")


def _all_measures(report: Report) -> list[list[str]]:
    """A table of every measure: one row each, one column for each group and step."""
    entries = [*report["groups"], *report["between"]]
    names = [group["name"] for group in report["groups"]]
    names += [f"{step['a']} → {step['b']}" for step in report["between"]]
    keys = dict.fromkeys(
        key for entry in entries for key, value in entry.items() if _is_measure(key, value)
    )
    rows = [
        [
            definition(key).title + (" (%)" if definition(key).percent else ""),
            *(table.cell(key, entry.get(key)) for entry in entries),
        ]
        for key in keys
    ]
    return [["measure", *names], *rows]


def _is_measure(key: str, value: Any) -> bool:
    return isinstance(value, dict) and "ci95" in value


def _by_class(report: Report) -> list[dict[str, Any]]:
    """Churn of each class, the largest first: across the step, or within the one group."""
    rows = []
    for part in report["slices"]:
        entry = (part["between"][len(report["groups"]) - 2 :] or part["groups"])[0]
        if part["by"] == "class" and entry["churn"]:
            rows.append({"name": part["name"], "count": part["num_examples"], **entry["churn"]})
    rows.sort(key=lambda row: -row["mean"])
    return rows[:_CLASS_LIMIT]


def _slices(report: Report) -> list[list[str]]:
    """The user's slices and the classes, with the main measures of each group and step."""
    if not report["slices"]:
        return []
    keys = table.columns(report["groups"], table.GROUP_COLUMNS)
    step_keys = table.columns(report["between"], ("churn", "negative_flip_rate"))
    header = ["slice", "examples"]
    for group in report["groups"]:
        header += [f"{DEFINITIONS[key].title}, {group['name']}" for key in keys]
    for step in report["between"]:
        header += [f"{DEFINITIONS[key].title}, {step['a']} → {step['b']}" for key in step_keys]
    rows = []
    for part in report["slices"]:
        cells = [f"{part['by']}: {part['name']}", f"{part['num_examples']:,}"]
        cells += [table.cell(key, group[key]) for group in part["groups"] for key in keys]
        cells += [table.cell(key, step[key]) for step in part["between"] for key in step_keys]
        rows.append(cells)
    return _without_empty_columns([header, *rows])


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    kept = [i for i in range(len(rows[0])) if any(row[i] != "–" for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]


def _definitions(report: Report) -> list[dict[str, str]]:
    """Definitions of the measures that the report has."""
    entries = [*report["groups"], *report["between"]]
    return [
        {"title": found.title, "text": found.text, "source": found.source}
        for key, found in DEFINITIONS.items()
        if any(entry.get(key) is not None for entry in entries)
    ]
