"""The flip ledger of the page: which way each example flips, the worst and surest first."""

from collections.abc import Sequence
from typing import NamedTuple

from churn_jax.report.breakdowns import Flip
from churn_jax.report.report import Report

# Of the change from the first group to the last; the order is the ledger's.
KINDS = {
    "bad": "bad flip ✓→✗",
    "wrong": "wrong either way",
    "both": "right as often ✓⇄✗",
    "good": "good flip ✗→✓",
    "unlabelled": "unlabelled",
}


class Row(NamedTuple):
    """An example, and its kind among `KINDS`; '' where there is no change from old to new."""

    flip: Flip
    kind: str


def rows(report: Report) -> list[Row]:
    """Bad flips first and good ones last, among each the most confident first.

    Without labels, or with one group, there are no kinds: those that flip most often come first.
    Rows that are equal in all of it stay as report.json has them.
    """
    flips = report.breakdowns.ledger if report.breakdowns else ()
    if len(report.groups) < 2 or all(flip.label is None for flip in flips):
        return [Row(flip, "") for flip in flips]
    found = [Row(flip, kind(flip)) for flip in flips]
    order = list(KINDS)
    return sorted(
        found,
        key=lambda row: (order.index(row.kind), -(row.flip.gap or 0.0), -row.flip.instability),
    )


def kind(flip: Flip) -> str:
    """Whether the runs of the last group are right on it less often than those of the first.

    Of single models that is exactly the flip; of several runs it is the sign of bad flips less good
    ones over all pairs of an old and a new run, p_old − p_new.
    """
    if flip.label is None:
        return "unlabelled"
    old, new = (_right(flip, group) for group in (0, -1))
    if old == new:
        return "both" if old else "wrong"
    return "bad" if old > new else "good"


def _right(flip: Flip, group: int) -> float:
    """The share of a group's runs that are right."""
    votes = flip.votes[group]
    assert flip.label is not None
    return votes.get(flip.label, 0) / sum(votes.values())


def counts(found: Sequence[Row]) -> list[tuple[str, str, int]]:
    """(kind, its words, how many rows) of the kinds that there are."""
    each = [(key, words, sum(row.kind == key for row in found)) for key, words in KINDS.items()]
    return [entry for entry in each if entry[2]]


def classes(found: Sequence[Row]) -> dict[str, int]:
    """How many rows each true class has, by name; numbers in their order."""
    labels = [row.flip.label for row in found if row.flip.label is not None]
    order = sorted(
        set(labels), key=lambda name: (not name.isdecimal(), len(name) * name.isdecimal(), name)
    )
    return {name: labels.count(name) for name in order}
