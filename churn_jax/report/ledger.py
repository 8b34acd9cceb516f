"""The page's flip ledger: its first rows as they stand there, and all of them as its script reads.

The script draws rows as they are wanted, so that a page with tens of thousands opens at once. The
first `SHOWN` are in the page itself, for readers without scripts and for printing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from churn_jax.errors import printable
from churn_jax.report.flips import KINDS, Columns, Flips, pack
from churn_jax.report.report import Report

SHOWN = 200
_LONGEST_TEXT = 240  # signs of an example's text
_MOST_TEXT = 400_000  # bytes of all of them, packed


class Votes(NamedTuple):
    """What a group's runs predict: (class, number of runs), and how many of the runs are right."""

    classes: list[tuple[str, int]]
    right: int


class Row(NamedTuple):
    """An example; `kind` is among `KINDS`, and what there is not is None."""

    id: str
    kind: str | None
    disagreement: float
    gap: float | None
    label: str | None
    votes: list[Votes]


def flips(report: Report) -> Flips | None:
    """All flips of a report, where there are any and it is not of a version that kept none."""
    found = report.breakdowns.flips if report.breakdowns else None
    return found if found and found.total else None


def shown_ids(report: Report) -> list[str]:
    """The examples whose rows are in the page itself."""
    found = flips(report)
    return list(found.rows.ids[:SHOWN]) if found else []


def rows(found: Flips) -> list[Row]:
    """The first rows."""
    columns, order = found.rows, list(KINDS)
    result = []
    for i, id in enumerate(columns.ids[:SHOWN]):
        label = None if columns.labels is None else columns.labels[i]
        votes = [_votes(columns, of_group[i], label) for of_group in columns.votes]
        result.append(
            Row(
                id=id,
                kind=None if columns.kinds is None else order[columns.kinds[i]],
                disagreement=columns.changes[i] / columns.pairs,
                gap=None if columns.gaps is None else columns.gaps[i] / 1000,
                label=None if label is None else columns.names[label],
                votes=votes,
            )
        )
    return result


def _votes(columns: Columns, votes: Sequence[int], label: int | None) -> Votes:
    entries = list(zip(votes[::2], votes[1::2], strict=True))
    right = sum(count for code, count in entries if code == label)
    return Votes([(columns.names[code], count) for code, count in entries], right)


def classes(found: Flips) -> dict[str, int]:
    """How many flips each true class has, by name; numbers in their order."""

    def place(name: str) -> tuple[bool, int, str]:
        return not name.isdecimal(), len(name) * name.isdecimal(), name

    return {name: found.classes[name] for name in sorted(found.classes, key=place)}


def about(report: Report) -> dict[str, Any]:
    """What the script must know beside the columns.

    (key, words) of every kind, (name, number of runs) of every group, and how many examples change.
    """
    groups = [[printable(group.name), group.num_runs] for group in report.groups]
    found = flips(report)
    return {
        "kinds": list(KINDS.items()),
        "groups": groups,
        "total": found.total if found else 0,
    }


def texts(found: Flips, given: Mapping[str, str]) -> list[str]:
    """The beginning of each row's text, as many as there is room for; [] if none is known."""
    if not given:
        return []
    shown = [printable(_cut(given.get(id, ""))) for id in found.rows.ids]
    while len(packed := pack(shown)) > _MOST_TEXT:
        shown = shown[: int(len(shown) * 0.95 * _MOST_TEXT / len(packed))]
    return shown


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"
