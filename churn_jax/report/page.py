"""The HTML page: one file with style, script, plots and pictures inside; it needs no network."""

import functools
import importlib.resources
import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jinja2
import markupsafe

from churn_jax.errors import printable
from churn_jax.metrics.definitions import Definition, definition, explained
from churn_jax.report import (
    figures,
    findings,
    footer,
    fragility,
    learning,
    ledger,
    status,
    table,
    text,
    tiles,
)
from churn_jax.report.breakdowns import Breakdowns, Matrix
from churn_jax.report.estimates import Estimate
from churn_jax.report.flips import KINDS, ClassFlips, Flips, pack
from churn_jax.report.making import Making
from churn_jax.report.numbers import MISSING, cell, short_percent
from churn_jax.report.report import Report

# From a figure to its examples: what a link says, and which rows of the ledger it shows.
_LEADS = {
    "near_ties": (
        "The flips that were nearest to a tie.",
        'data-sort="gaps" data-order="ascending"',
    ),
    "triage": ("The examples that flip most often.", 'data-sort="changes"'),
    "surrogate_churn": ("The flips that were surest.", 'data-sort="gaps"'),
}
_NO_BREAKDOWNS = Breakdowns((), None, Matrix((), (), ()), (), ())
_MATRIX_LIMIT = 40
_CLASS = "class"  # as slices call the true classes
_BARS = 40
_MANY = 20
_MOST_CELLS, _FEWEST_ROWS = 8_000, 20  # of the table of slices
_MOST_PICTURES = 400_000  # bytes


def html(
    report: Report,
    pictures: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    making: Making | None = None,
) -> str:
    """The whole page.

    Args:
      report: the report's data.
      pictures: a data: URI for the ids of examples whose picture is known.
      texts: the text of those whose text is known.
      making: by which command, and of which files, where that is known.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names in files are anybody's, and could turn the direction of what stands beside them.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    shown_tiles = tiles.tiles(report)
    environment.filters["whole"] = _whole
    environment.filters["percent"] = short_percent
    environment.filters["cell"] = lambda estimate, key: cell(key, estimate)
    shown, flips = report.breakdowns or _NO_BREAKDOWNS, ledger.flips(report)
    bars, several_pairs = _bars(report, shown), bool(flips and flips.rows.pairs > 1)
    environment.filters["examples"] = functools.partial(_examples, of_pairs=several_pairs)
    return environment.from_string(_asset("page.html.jinja")).render(
        report=report,
        title=text.title(report),
        style=markupsafe.Markup(_asset("page.css")),
        script=markupsafe.Markup(_asset("page.js")),
        status=status.status(report),
        headline=status.background(report),
        learned=not any(group.never_learned for group in report.groups),
        conditions=_conditions(report),
        tiles=shown_tiles,
        tile_links=_tile_links(shown, flips, bars),
        leads=_LEADS,
        limited=any(row.limits for tile in shown_tiles for row in tile.rows),
        group_table=table.group_table(report),
        change_table=table.change_table(report),
        notes=table.notes(report),
        sentences=table.sentences(report),
        all_measures=_all_measures(report),
        fragility_table=fragility.fragility_table(report),
        fragility_notes=fragility.NOTES,
        churn_figures=figures.of_churn(report),
        learning=learning.learning(report),
        reliability=figures.reliability(shown.reliability),
        by_class=bars.get(_CLASS),
        whose=findings.whose(report),
        slices=_slices(report, shown),
        shown_slices=len(shown.slices),
        matrix=shown.matrix if 2 < len(shown.matrix.runs) <= _MATRIX_LIMIT else None,
        largest_churn=_largest(shown.matrix) or 1,
        by_slice=[found for by, found in bars.items() if by != _CLASS],
        moves=shown.class_flips
        if shown.class_flips and _worth_showing(shown.class_flips)
        else None,
        several_pairs=several_pairs,
        flips=flips,
        kind_words=KINDS,
        ledger=ledger.rows(flips) if flips else [],
        about=ledger.about(report),
        classes=ledger.classes(flips) if flips else {},
        texts=ledger.texts(flips, texts or {}) if flips else [],
        pack=pack,
        pictures=_fitting(pictures or {}),
        definitions=_definitions(report),
        made=footer.footer(report, making),
    )


@functools.cache
def _asset(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")


def _fitting(pictures: Mapping[str, str]) -> dict[str, str]:
    """The first pictures, as many as there is room for."""
    sizes = itertools.accumulate(map(len, pictures.values()))
    return {
        id: uri
        for (id, uri), size in zip(pictures.items(), sizes, strict=True)
        if size <= _MOST_PICTURES
    }


def _examples(number: float, of_pairs: bool) -> str:
    """A number of examples, `of_pairs` a mean."""
    if not of_pairs or number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 0.95 else f"{number:.1g}"


def _whole(text: str) -> markupsafe.Markup:
    """A sentence whose percent signs and arrows stay with their numbers at the end of a line."""
    kept = printable(text).replace(" %", "\u00a0%").replace(" → ", "\u00a0→\u00a0")
    return markupsafe.escape(kept)


def _conditions(report: Report) -> list[tuple[str, str]]:
    """What became of each of several conditions; the only one is the status itself."""
    order = ("failed", "undecided", "passed")
    found = [(each.outcome, each.sentence or each.condition) for each in table.verdicts(report)]
    return sorted(found, key=lambda entry: order.index(entry[0])) if len(found) > 1 else []


def _all_measures(report: Report) -> list[list[str]]:
    """A table of every measure: one row each, one column for each group and change."""
    names, entries = zip(*text.named_measures(report), strict=True)
    keys = dict.fromkeys(key for entry in entries for key, found in entry.items() if found)
    rows = [
        [
            definition(key).title + (" (%)" if definition(key).percent else ""),
            *(cell(key, entry.get(key)) for entry in entries),
        ]
        for key in keys
    ]
    return [["measure", *names], *rows]


def _largest(matrix: Matrix) -> float:
    """The largest churn of two runs that were compared."""
    return max((value for row in matrix.churn for value in row if value == value), default=0.0)


class _Bar(NamedTuple):
    """A slice and its churn."""

    by: str
    name: str
    num_examples: int
    churn: Estimate


class _Bars(NamedTuple):
    """Slices of one way of slicing, those with the most churn; `total` is how many there are.

    `by` is '' where they are of several ways that have a single slice each, as labels have.
    """

    by: str
    rows: list[_Bar]
    total: int


def _bars(report: Report, shown: Breakdowns) -> dict[str, _Bars]:
    """Churn of each slice: from the first group to the last, or in the one."""
    ways: dict[str, list[_Bar]] = {}
    for part in shown.slices:
        ends = (report.groups[0].name, report.groups[-1].name)
        across = [each.measures for each in part.between if (each.a, each.b) == ends]
        measures = across[0] if across else part.groups[0].measures
        if churn := measures["churn"]:
            bar = _Bar(part.by, part.name, part.num_examples, churn)
            ways.setdefault(part.by, []).append(bar)
    single = [by for by, rows in ways.items() if len(rows) == 1 and by != _CLASS]
    if len(single) > 1:
        ways[""] = [ways.pop(by)[0] for by in single]
    return {
        by: _Bars(by, sorted(rows, key=lambda row: -row.churn.mean)[:_BARS], len(rows))
        for by, rows in ways.items()
    }


def _tile_links(shown: Breakdowns, flips: Flips | None, bars: Mapping[str, Any]) -> dict[str, str]:
    """From a number to where it comes from, as attributes of a link."""
    found = {"Accuracy": 'href="#classes"' if _CLASS in bars else 'href="#measures"'}
    if flips:
        found["Churn"] = 'href="#where"'
    if flips and flips.kinds.get("bad"):
        found["Bad flips"] = 'href="#ledger" data-kind="bad"'
    if shown.reliability:
        found["Calibration error"] = 'href="#calibration"'
    return found


def _worth_showing(moves: ClassFlips) -> bool:
    """Of many classes only what recurs: free answers are as many classes as there are words."""
    return len(moves.most) > 0 and (len(moves.classes) < _MANY or moves.most[0].examples >= 2)


def _slices(report: Report, shown: Breakdowns) -> list[list[str]]:
    """The user's slices, then the classes, with the main measures of each group and change.

    As many as there is room for; report.json has all.
    """
    if not shown.slices:
        return []
    changes = report.between or ()
    keys = table.columns([group.measures for group in report.groups], table.GROUP_COLUMNS)
    changed = table.columns(
        [change.measures for change in changes], ("churn", "negative_flip_rate")
    )
    header = ["slice", "examples"]
    for group in report.groups:
        header += [f"{definition(key).title}, {group.name}" for key in keys]
    for change in changes:
        header += [f"{definition(key).title}, {table.arrow(change)}" for key in changed]
    rows = []
    for part in sorted(shown.slices, key=lambda part: part.by == _CLASS):
        cells = [f"{part.by}: {part.name}", f"{part.num_examples:,}"]
        cells += [cell(key, group.measures.get(key)) for group in part.groups for key in keys]
        cells += [cell(key, each.measures.get(key)) for each in part.between for key in changed]
        rows.append(cells)
    return _without_empty_columns([header, *rows[: max(_FEWEST_ROWS, _MOST_CELLS // len(header))]])


def _without_empty_columns(rows: list[list[str]]) -> list[list[str]]:
    kept = [i for i in range(len(rows[0])) if any(row[i] != MISSING for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]


def _definitions(report: Report) -> list[Definition]:
    """Definitions of the measures that the report has."""
    entries = [measures for _, measures in text.named_measures(report)]
    keys = (key for entry in entries for key, found in entry.items() if found is not None)
    return list(explained(keys).values())
