"""A study's tables as words: rows of cells, then Markdown, CSV and text for a terminal."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from churn_jax.metrics import definitions
from churn_jax.report import layout
from churn_jax.report.best import Cell, best_groups
from churn_jax.report.estimates import Estimate, Group
from churn_jax.report.numbers import MISSING, cell, number, scaled
from churn_jax.studies.design import Sources, Study, Table
from churn_jax.studies.study_report import StudyReport
from churn_jax.system.console import Look

_FAR = 0.001  # a relative distance at which runs count as having gone their own way
_MEASURED = ("seconds", "thousand_predictions")
_HEADINGS = {"thousand_predictions": "seconds of 1,000 predictions"}
_DRIFT_MEASURES = ("accuracy", "churn", "schurn")


class Entry(NamedTuple):
    """A table's cell: its text, whether it is among the best of its column, and a shorter text."""

    text: str
    best: bool = False
    short: str = ""


class Rendered(NamedTuple):
    """A table ready to be written.

    Its first columns, `labels` of them, name the rows; those called `beside` belong to the one
    before.
    """

    name: str
    title: str
    header: list[str]
    rows: list[list[Entry]]
    notes: list[str]
    labels: int = 1
    beside: str = ""


def render_all(study: Study, report: StudyReport) -> list[Rendered]:
    """All tables of a study, that of its choices, and that of its runs' drift."""
    rendered = [render(table, report) for table in study.tables]
    rendered += [_render_parts(f, report) for f in study.figures if isinstance(f, Sources)]
    if report.selections:
        rendered.append(_render_selections(report))
    if report.accuracy_spreads:
        rendered.append(_render_spreads(report))
    if report.divergence:
        rendered.append(_render_divergence(report))
    return rendered


def render(table: Table, report: StudyReport) -> Rendered:
    """The table with our figures, those of the paper beside them, and its notes."""
    best = {key: best_rows(table, key, report) if table.bold else set() for key in table.measures}
    beside = [table.source] if table.source else []
    header = list(table.columns)
    settings = [key for key in table.settings if _is_known(key, table, report)]
    header += [text for key in settings for text in (_HEADINGS.get(key, key), *beside)]
    header += [text for key in table.measures for text in (_title(key), *beside)]
    header += table.shares
    rows = []
    for row in table.rows:
        first, *others = row.labels
        mark = " †" if report.group(row.cell).never_learned else ""
        entries = [Entry(first + mark), *map(Entry, others)]
        for key in settings:
            ours = getattr(report.group(row.cell).settings, key)
            texts = [_setting(value) for value in (ours, row.published.get(key))]
            entries += [Entry(text) for text in texts[: 1 + len(beside)]]
        for key in table.measures:
            text = _ours(key, report.group(row.cell))
            entries.append(Entry(text, row.cell in best[key], text.split(" [")[0]))
            if table.source:
                entries.append(Entry(_published(row.published, key)))
        for reference in row.against:
            text = _share(report.share(row.cell, reference, table.share_of))
            entries.append(Entry(text, short=text.split(" [")[0]))
        rows.append(entries)
    notes, labels = _notes(table, report), len(table.columns)
    return Rendered(table.name, table.title, header, rows, notes, labels, table.source)


def _is_known(key: str, table: Table, report: StudyReport) -> bool:
    """Whether any row has that setting; of those that somebody measured some studies have none."""
    if key not in _MEASURED:
        return True
    return any(getattr(report.group(row.cell).settings, key) is not None for row in table.rows)


def best_rows(table: Table, key: str, report: StudyReport) -> set[str]:
    """The cells with the best mean, and those that are not shown to be worse (`report.best`)."""
    return best_groups(report, key, [report.group(row.cell) for row in table.rows])


def to_markdown(table: Rendered) -> str:
    """A heading, the table and its notes."""
    lines = [
        f"### {table.title}",
        "",
        _row(table.header),
        _row(["---"] * len(table.header)),
        *(_row([f"**{e.text}**" if e.best else e.text for e in row]) for row in table.rows),
        "",
        *(f"- {note}" for note in table.notes),
    ]
    return "\n".join(lines) + "\n"


def to_terminal(table: Rendered, look: Look) -> str:
    """Columns that fit the width, without intervals; the best have a star."""
    rows = [[Cell(title) for title in table.header]]
    rows += [[Cell((e.short or e.text) + " *" * e.best, e.best) for e in row] for row in table.rows]
    tied = [i for i, title in enumerate(table.header) if table.beside and title == table.beside]
    lines = [*layout.paragraph(table.title, look), ""]
    lines += [*layout.table(rows, look, table.labels, tied), ""]
    lines += [line for note in table.notes for line in layout.paragraph(note, look)]
    return "\n".join(lines)


def to_csv(table: Table, report: StudyReport) -> str:
    """One line a row: means, standard deviations, intervals and the paper's, in full digits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    parts = ("mean", "std", "low", "high", "published_mean", "published_std", "best")
    of_measures = [f"{key}_{part}" for key in table.measures for part in parts]
    of_shares = [f"{title}_{part}" for title in table.shares for part in ("mean", "low", "high")]
    writer.writerow([*table.columns, *table.settings, *of_measures, *of_shares])
    best = {key: best_rows(table, key, report) for key in table.measures}
    for row in table.rows:
        line: list[Any] = list(row.labels)
        line += [getattr(report.group(row.cell).settings, key) for key in table.settings]
        for key in table.measures:
            theirs = row.published.get(key) or {}
            line += _numbers(key, report.group(row.cell).measures[key])
            line += [theirs.get("mean"), theirs.get("std"), int(row.cell in best[key])]
        for reference in row.against:
            share = report.share(row.cell, reference, table.share_of)
            line += [100 * share.mean, 100 * share.low, 100 * share.high] if share else [None] * 3
        writer.writerow(["" if value is None else value for value in line])
    return stream.getvalue()


def _render_selections(report: StudyReport) -> Rendered:
    by = dict.fromkeys(choice.by or "churn" for choice in report.selections or ())
    keys = ("accuracy", *by, *(["schurn"] if "churn" in by else []))
    rows = []
    for choice in report.selections or ():
        labels = (
            choice.method,
            choice.rule,
            f"{choice.coefficient} = {choice.value:g}",
            number(choice.by or "churn", choice.churn_it_was_chosen_by),
        )
        measured = (_ours(key, report.group(choice.cell)) for key in keys)
        rows.append([Entry(text) for text in (*labels, *measured)])
    header = ["method", "chosen by smallest", "choice", "its value there", *map(_title, keys)]
    notes = [
        "The last columns are of the test split. A coefficient chosen by test churn, as the paper "
        "did it, makes the method look better than it is; one chosen on a validation "
        "split does not."
    ]
    if all(choice.rule.startswith("test") for choice in report.selections or ()):
        notes.append(
            "There is no validation split: --config.data.num_validation=N holds N training "
            "examples out for it."
        )
    return Rendered("selection", "Choice of coefficients", header, rows, notes, labels=2)


def _render_parts(figure: Sources, report: StudyReport) -> Rendered:
    """What each source makes of all churn, as a variance is split (Sobol), in percent."""
    rows = []
    for label, (alone, others) in figure.sources.items():
        parts = [report.part(others, figure.everything, held=True)]
        parts.append(report.part(alone, figure.everything))
        texts = [_percent(*part) for part in parts]
        rows.append([Entry(text, short=text.split(" [")[0]) for text in (label, *texts)])
    notes = [
        "In percent of the churn with all of them varying. By itself: what holding the source "
        "takes away. With interactions: what it makes alone, the others held at one draw; where "
        "these add up to far more than 100, most churn is of several sources at once."
    ]
    header = ["source", "by itself", "with all its interactions"]
    return Rendered(f"{figure.name}_table", figure.title, header, rows, notes)


def _render_spreads(report: StudyReport) -> Rendered:
    """What makes each cell's accuracy vary, as standard deviations."""
    rows = []
    for spread in report.accuracy_spreads or ():
        variances = (spread.over_runs, spread.over_examples, spread.of_the_distribution)
        texts = [f"{100 * max(variance, 0) ** 0.5:.2f}" for variance in variances]
        rows.append([Entry(text) for text in (spread.cell, *texts)])
    header = [
        *("varies", "over runs, on this test set", "over test sets of this size"),
        "over runs, on the distribution",
    ]
    notes = [
        "Standard deviations of accuracy in points. Over runs on the distribution: without what "
        "the few examples of this test set make of it (Jordan 2023); 0.00 where the estimate of "
        "the variance is not above 0."
    ]
    return Rendered("spread", "What makes accuracy vary", header, rows, notes)


def _render_divergence(report: StudyReport) -> Rendered:
    """When the runs of each cell part, how far they get, and what churn comes of it."""
    header = [
        *("cell", "weights part after step", f"farther than {_FAR:.1%} after step"),
        *("‖w − w₀‖ / ‖w₀‖ at the start", "at the end", "largest |w − w₀| at the end"),
        *map(_title, _DRIFT_MEASURES),
    ]
    rows = []
    for drift in report.divergence or ():
        relative, steps = np.array(drift.relative_l2), drift.steps
        parted = [step for step in drift.parted if step is not None]
        median = np.median(relative, axis=1)
        far = steps[int((median > _FAR).argmax())] if (median > _FAR).any() else None
        texts = [
            drift.cell,
            str(min(parted)) if parted else "never",
            "never" if far is None else str(far),
            *(_distance(values) for values in (relative[0], relative[-1], drift.max_abs[-1])),
            *(_ours(key, report.group(drift.cell)) for key in _DRIFT_MEASURES),
        ]
        rows.append([Entry(text, short=text.split(" [")[0]) for text in texts])
    notes = [
        f"Distances are from the first of the runs to each of the others ({steps[-1]} steps in "
        "all): one number where all are alike, else the least and the largest. Step 0 is before "
        "the first; “farther” is of the median run. Rates in percent."
    ]
    return Rendered("divergence", "How far the weights part", header, rows, notes)


def _distance(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"


def _notes(table: Table, report: StudyReport) -> list[str]:
    if not table.measures:
        return list(table.notes)
    runs = sorted({report.group(row.cell).num_runs for row in table.rows})
    unit = "entropy in nats, the rest in percent" if "entropy" in table.measures else "in percent"
    notes = [
        f"{' or '.join(map(str, runs))} runs, {report.num_examples:,} {report.split} "
        "examples; mean ± standard deviation over runs (over pairs of runs for churn) "
        f"[95 % interval for new runs and new examples]; {unit}."
    ]
    if table.bold:
        notes.append(
            "Bold (a star in the terminal): the best, and whatever is not shown to be worse after "
            "Holm's correction for all comparisons of the study."
        )
    if any(report.group(row.cell).never_learned for row in table.rows):
        notes.append("†: has runs that never learned, so its churn is no result; see the warnings.")
    if table.source:
        notes.append(f"The columns “{table.source}” are the published mean ± standard deviation.")
    return [*notes, *table.notes]


def _title(key: str) -> str:
    return definitions.definition(key).title


def _ours(key: str, group: Group) -> str:
    return cell(key, group.measures[key], rounded=True)


def _share(found: Estimate | None) -> str:
    if found is None or math.isnan(found.mean):
        return MISSING
    return _percent(found.mean, found.low, found.high)


def _percent(mean: float, low: float, high: float) -> str:
    ends = "" if low == high else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * mean:.0f}{ends}".replace("-", "−")


def _setting(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _published(published: Mapping[str, Any], key: str) -> str:
    entry = published.get(key)
    return f"{entry['mean']:.2f} ± {entry['std']:.2f}" if entry else MISSING


def _numbers(key: str, found: Estimate | None) -> list[float | None]:
    """[mean, std, low, high] in full digits; None for what isn't known."""
    if found is None:
        return [None] * 4
    values = (found.mean, found.spread.std if found.spread else None, *found.ci95)
    return [None if value is None or math.isnan(value) else scaled(key, value) for value in values]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
