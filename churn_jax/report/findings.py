"""What each figure shows, as its title: estimates in words, which make no claim of a difference."""

import math
from collections.abc import Mapping, Sequence

from churn_jax.report.breakdowns import Fragility, NearTies, Reliability
from churn_jax.report.estimates import Estimate
from churn_jax.report.numbers import short_percent
from churn_jax.report.report import Point, Report

_NEAR = 3  # bins of confidence, a tenth each, that are nearly ties
_REVIEWED = 0.1  # of the examples
_SAME = 0.01  # confidence and accuracy that are called about the same
_NAMED = 3


def whose(report: Report) -> str:
    """Whose churn the report breaks down, and of how many examples."""
    first, last = report.groups[0].name, report.groups[-1].name
    of = f"from {first} to {last}" if len(report.groups) > 1 else f"among the runs of {first}"
    return f"Churn {of}, n = {report.examples}."


def near_ties(found: NearTies) -> str:
    """How much of the churn is on how many nearly tied predictions."""
    churn, few = sum(found.part_of_churn[:_NEAR]), sum(found.share[:_NEAR])
    return (
        f"{100 * churn:.0f} % of the churn is on the {100 * few:.0f} % of examples "
        "that were nearly ties"
    )


def triage(found: Sequence[Fragility]) -> str:
    """What reviewing a tenth of the examples catches of each group's flips."""
    caught = {
        group.group: curve[group.triage.reviewed.index(_REVIEWED)]
        for group in found
        if group.triage
        and (curve := group.triage.by_confidence or group.triage.by_flips)
        and _REVIEWED in group.triage.reviewed
    }
    if not caught:
        return "Which examples to review"
    sure = all(group.triage.by_confidence for group in found if group.triage)
    which = "10 % least sure examples" if sure else "10 % most suspicious examples"
    if len(caught) == 1:
        ((name, part),) = caught.items()
        return f"The {which} have {100 * part:.0f} % of {name}'s flips"
    low, high = 100 * min(caught.values()), 100 * max(caught.values())
    return f"The {which} have {low:.0f} to {high:.0f} % of the flips"


def surrogate(curves: Mapping[str, tuple[float, float]]) -> str:
    """How SChurn₁ stands to churn.

    Args:
      curves: for each name (SChurn₁, churn), in percent.
    """
    if len(curves) == 1:
        ((name, (soft, hard)),) = curves.items()
        return f"{name}: SChurn₁ is {soft:.1f} %, churn {hard:.1f} %"
    by_soft = sorted(curves, key=lambda name: curves[name][0])
    by_hard = sorted(curves, key=lambda name: curves[name][1])
    same = "as" if by_soft == by_hard else "otherwise than"
    return f"SChurn₁ orders the groups {same} churn does"


def trade_off(groups: Sequence[tuple[str, Estimate, Estimate]]) -> str:
    """Which group's estimates are best.

    Args:
      groups: (name, accuracy, churn) of each.
    """
    calm, _, churn = min(groups, key=lambda group: group[2].mean)
    right, accuracy, _ = max(groups, key=lambda group: group[1].mean)
    least, most = short_percent(churn.mean), short_percent(accuracy.mean)
    if calm == right:
        return f"{calm} has the least churn ({least}) and the highest accuracy ({most})"
    return f"Least churn: {calm} ({least}); highest accuracy: {right} ({most})"


def history(key: str, history: Mapping[str, Sequence[Point]]) -> str:
    """From where to where a measure goes in each group.

    Args:
      key: 'churn' or 'accuracy'.
      history: the points of each group, two or more, each with churn.
    """
    said = []
    for name, points in list(history.items())[:_NAMED]:
        first, last = (100 * getattr(points[place], key).mean for place in (0, -1))
        said.append(f"{name} {first:.1f} → {last:.1f} %")
    more = len(history) - len(said)
    return f"{key.capitalize()} over training: {', '.join(said)}" + f" and {more} more" * (more > 0)


def calibration(found: Reliability) -> str:
    """Whether a group's runs are surer than they are right."""
    if not any(found.count):
        return f"Calibration of {found.group}"
    right, sure = (
        math.fsum(share * value for share, value in zip(found.shares, of_bins, strict=True))
        for of_bins in (found.accuracy, found.confidence)
    )
    than = "surer than it is" if sure > right else "less sure than it is"
    word = "about as sure as it is" if abs(sure - right) < _SAME else than
    return (
        f"{found.group} is {word} right: confidence {short_percent(sure)}, accuracy "
        f"{short_percent(right)}"
    )
