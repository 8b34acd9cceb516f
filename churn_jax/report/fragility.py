"""Which examples to watch and which run to ship, as a table and as sentences."""

from churn_jax.metrics.definitions import DEFINITIONS
from churn_jax.report.breakdowns import Fragility
from churn_jax.report.numbers import MISSING, short_percent
from churn_jax.report.report import Report

_SHOWN = 0.1  # of the examples, reviewed

NOTES = (
    "Flips are disagreements between two runs of a group; on the stable examples all runs agree.",
    "Flips caught: those on the tenth of the examples where a run is least confident (smallest γ), "
    "and on the tenth that flips most often among half of the runs, of flips among the other half.",
    "Abstention: a vote of all runs that answers where a two-sided binomial test at 5 % tells its "
    "two most frequent classes apart; with 5 % at most that is other than what most of all runs "
    "there could be would say (Black et al. 2022). Accuracy is of its answers.",
    "Nearest run: the one with the least mean distance to the others. Its churn is of examples "
    "that did not choose it.",
)


def fragility_table(report: Report) -> list[list[str]]:
    """One column a group, the names of the rows first; empty where no group has two runs."""
    found = report.breakdowns.fragility if report.breakdowns else ()
    if not found:
        return []
    columns = [_column(each, report) for each in found]
    rows = [[title, *(column[title] for column in columns)] for title in columns[0]]
    return [["", *(each.group for each in found)], *rows]


def _column(found: Fragility, report: Report) -> dict[str, str]:
    vote, nearest = found.abstention, found.nearest
    churn = report.group(found.group).measures["churn"]
    return {
        "stable examples (%)": _percent(found.stable),
        "flips caught by confidence (%)": _percent(_caught(found, "by_confidence")),
        "flips caught by flips of other runs (%)": _percent(_caught(found, "by_flips")),
        "the vote abstains (%)": _percent(vote.abstains if vote else None),
        "accuracy when it answers (%)": _percent(vote.accuracy_of_answers if vote else None),
        "nearest run": nearest.run if nearest else MISSING,
        "its churn with the others (%)": _percent(nearest.churn if nearest else None),
        "churn of any two runs (%)": _percent(churn.mean if churn else None),
    }


def sentences(report: Report) -> list[str]:
    """What may be done about each group's flips, in one line."""
    found = report.breakdowns.fragility if report.breakdowns else ()
    return [line for each in found if (line := _sentence(each))]


def _sentence(found: Fragility) -> str:
    parts = []
    if (caught := _caught(found, "by_confidence")) is not None:
        parts.append(
            f"{short_percent(caught)} of a run's flips are on the {short_percent(_SHOWN)} of the "
            "examples it is least confident of"
        )
    if found.abstention:
        parts.append(
            f"a vote of all runs would abstain on {short_percent(found.abstention.abstains)}"
        )
    if found.nearest:
        title = DEFINITIONS[found.nearest.distance].title
        parts.append(f"nearest to the others by {title} is {found.nearest.run}")
    return f"{found.group}: {'; '.join(parts)}" if parts else ""


def _caught(found: Fragility, how: str) -> float | None:
    """At a tenth of the examples."""
    curve = getattr(found.triage, how) if found.triage else None
    return curve[found.triage.reviewed.index(_SHOWN)] if found.triage and curve else None


def _percent(value: float | None) -> str:
    return MISSING if value is None or value != value else f"{100 * value:.1f}"
