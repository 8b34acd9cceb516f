"""Which groups are best by a measure, so far as the report shows it."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from churn_jax.metrics.definitions import definition
from churn_jax.report import table
from churn_jax.report.claims import WITHHELD
from churn_jax.report.estimates import Contrast, Group
from churn_jax.report.numbers import number, p_text
from churn_jax.report.report import Report

_LISTED = 4
NOTE = (
    "the best of the groups, and whatever is not shown to be worse after Holm's correction for "
    "all comparisons of the report."
)


class Cell(NamedTuple):
    """A cell's text, and whether it is among the best of its column, which is shown in bold."""

    text: str
    best: bool = False


def best_groups(report: Report, key: str, groups: Sequence[Group]) -> set[str]:
    """The groups with the best mean, and those that are not shown to be worse (`report.claims`).

    A group with runs that never learned is no candidate. None is best where neither way is better,
    or where one of them has no value.
    """
    measure = definition(key)
    learned = [group for group in groups if not group.never_learned]
    means = {
        group.name: found.mean
        for group in learned
        if (found := group.measures.get(key)) and not math.isnan(found.mean)
    }
    if measure.plain or not measure.better or not means or len(means) < len(learned):
        return set()
    first = (max if measure.better == "higher" else min)(means, key=means.__getitem__)
    others = ((name, report.contrast(first, name, key)) for name in means)
    return {first, *(name for name, held in others if held and not held.shows_a_difference)}


def marked(report: Report, key: str) -> set[str]:
    """The best groups of a report where they stand out: where some group is shown to be worse.

    None where the best was not held against every other, as of more than ten groups.
    """
    learned = {group.name for group in report.groups if not group.never_learned}
    found = best_groups(report, key, report.groups)
    worse = learned - found
    shown = all(any(report.contrast(name, each, key) for name in found) for each in worse)
    return found if worse and shown else set()


def marked_rows(report: Report) -> list[list[Cell]]:
    """The table of groups, its header first, with the best of each measure marked."""
    header, *rows = table.group_table(report)
    names = [set(), *(marked(report, key) for key in table.group_keys(report))]
    return [
        [Cell(title) for title in header],
        *(
            [Cell(text, group.name in found) for text, found in zip(row, names, strict=True)]
            for group, row in zip(report.groups, rows, strict=True)
        ),
    ]


def calmest(report: Report) -> str:
    """The group with the least estimate of churn; '' where none has several runs."""
    churns = {group.name: churn for group in report.groups if (churn := group.measures["churn"])}
    return min(churns, key=lambda name: churns[name].mean, default="")


def least_churn(report: Report) -> str:
    """Which group churns least, and than which others that is shown (p below 0.05 by Holm).

    '' where no two groups have several runs, or where nothing may be said of them.
    """
    first = calmest(report)
    held = [
        found for group in report.groups if (found := report.contrast(group.name, first, "churn"))
    ]
    if not held or any(found.claim == WITHHELD for found in held):
        return ""
    more = [found for found in held if found.shows_a_difference]
    rest = [found for found in held if not found.shows_a_difference]
    said = f"{_with_churn(report, first)} churns least"
    if more:
        said += f": less than {_listed(report, more)}, p {_p_values(more, max, '≤')}"
    if rest:
        said += f"{';' if more else ', but'} it is not shown to churn less than "
        said += f"{_listed(report, rest)}, p {_p_values(rest, min, '≥')}"
    return said + (", for these very runs." if held[0].covers == "examples" else ".")


def _with_churn(report: Report, name: str) -> str:
    churn = report.group(name).measures["churn"]
    return f"{name} ({number('churn', churn.mean if churn else None, unit=True)})"


def _listed(report: Report, contrasts: Sequence[Contrast]) -> str:
    """The groups that something is held against, the first of them by name."""
    shown = [_with_churn(report, found.a) for found in contrasts[:_LISTED]]
    if len(contrasts) > _LISTED:
        shown.append(f"{len(contrasts) - _LISTED} others")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _p_values(
    contrasts: Sequence[Contrast], pick: Callable[[Iterable[float]], float], sign: str
) -> str:
    corrected = pick([found.p_holm for found in contrasts])
    return f"{sign if len(contrasts) > 1 else '='} {p_text(corrected)} by Holm"
