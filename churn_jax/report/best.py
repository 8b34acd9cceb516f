"""Which groups are best by a measure, so far as the report shows it."""

import math
from collections.abc import Sequence

from churn_jax.metrics.definitions import definition
from churn_jax.report.estimates import Group
from churn_jax.report.report import Report

NOTE = (
    "*: the best of the groups, and whatever is not shown to be worse after Holm's correction for "
    "all comparisons of the report."
)


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
