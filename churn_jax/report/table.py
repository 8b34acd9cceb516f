"""A report as words: the rows of its tables, and its sentences."""

from collections.abc import Sequence

from churn_jax.metrics.asked import is_asked
from churn_jax.metrics.definitions import definition
from churn_jax.report.claims import HINT, WITHHELD
from churn_jax.report.estimates import Change, Contrast, Group, Measures
from churn_jax.report.gate import Verdict
from churn_jax.report.numbers import cell, number, p_text, short_percent, short_range, signed
from churn_jax.report.report import Report

GROUP_COLUMNS = (
    "accuracy",
    "churn",
    "schurn",
    "churn_correct",
    "churn_incorrect",
    "ece",
    "ece_plain",
    *("hamming_churn", "hamming_loss"),
)
CHANGE_COLUMNS = (
    "churn",
    "hamming_churn",
    "negative_flip_rate",
    "positive_flip_rate",
    "schurn",
    "excess_churn",
)
SAID = ("churn", "accuracy", "schurn", "ece")
_MOST_ASKED = 10  # that a table has room for


def columns(entries: Sequence[Measures], keys: Sequence[str]) -> list[str]:
    """Those of the keys that any of the entries has a value for, then what was asked for."""
    asked = dict.fromkeys(key for entry in entries for key in entry if is_asked(key))
    listed = [*keys, *list(asked)[:_MOST_ASKED]]
    return [key for key in listed if any(entry.get(key) is not None for entry in entries)]


def group_keys(report: Report) -> list[str]:
    """The measures that are the columns of the table of groups."""
    return columns([group.measures for group in report.groups], GROUP_COLUMNS)


def group_table(report: Report) -> list[list[str]]:
    """The table of groups, its header first."""
    keys = group_keys(report)
    return [
        ["group (runs)", *(definition(key).title for key in keys)],
        *(
            [
                f"{group.name} ({_runs(group)})",
                *(cell(key, group.measures.get(key)) for key in keys),
            ]
            for group in report.groups
        ),
    ]


def _runs(group: Group) -> str:
    """How many runs a group has, and what is wrong with them."""
    faults = [f"{len(group.never_learned)} never learned"] * bool(group.never_learned)
    faults += ["not independent"] * bool(group.not_independent)
    return ", ".join([str(group.num_runs), *faults])


def change_table(report: Report) -> list[list[str]]:
    """The table of changes between groups, its header first; empty if there is one group."""
    changes = report.between or ()
    if not changes:
        return []
    keys = columns([change.measures for change in changes], CHANGE_COLUMNS)
    return [
        ["from → to", *(definition(key).title for key in keys)],
        *(
            [arrow(change), *(cell(key, change.measures.get(key)) for key in keys)]
            for change in changes
        ),
    ]


def arrow(change: Change) -> str:
    """What a change is called: `old → new`."""
    return f"{change.a} → {change.b}"


def sentences(report: Report) -> list[str]:
    """One sentence for each contrast: whether the second group is better by its corrected p-value.

    And one for each pair of single models: McNemar's test that they are right equally often.
    """
    found = [
        contrast_sentence(contrast, report.group(contrast.a), report.group(contrast.b))
        for contrast in report.contrasts
        if contrast.metric in SAID or is_asked(contrast.metric)
    ]
    return found + [_mcnemar(change) for change in report.between or () if change.mcnemar]


def contrast_sentence(contrast: Contrast, a: Group, b: Group) -> str:
    """What the contrast says, with its numbers."""
    key = contrast.metric
    found, (low, high) = definition(key), contrast.ci95
    return (
        f"{found.title}: {b.name} {_mean(key, b)}, {a.name} {_mean(key, a)}: "
        f"{signed(key, contrast.difference)}{' points' if found.percent else ''} "
        f"[{signed(key, low)}, {signed(key, high)}], p = {p_text(contrast.p)} "
        f"({p_text(contrast.p_holm)} by Holm): {verdict_on(contrast)}"
    )


def verdict_on(contrast: Contrast) -> str:
    """What may be said of the second group, in words."""
    if contrast.claim == WITHHELD:
        return f"no verdict, because {contrast.withheld or 'there is no p-value'}"
    reach = ", for these very runs" if contrast.covers == "examples" else ""
    if contrast.claim != HINT:
        return contrast.claim + reach
    side = "higher" if contrast.difference > 0 else "lower"
    better = definition(contrast.metric).better
    word = ("better" if side == better else "worse") if better else side
    return f"a hint that it is {word}, no more after correction{reach}"


def _mean(key: str, group: Group) -> str:
    found = group.measures[key]
    return number(key, found.mean if found else None, unit=True)


def _mcnemar(change: Change) -> str:
    found = change.mcnemar
    assert found is not None
    return (
        f"McNemar: {change.a} alone is right {found.only_a_right} times, {change.b} alone "
        f"{found.only_b_right} times, p = {p_text(found.p)}"
    )


def headline(report: Report) -> str:
    """What changes, in a few sentences for anybody; or why nothing can be said."""
    if broken := [group.name for group in report.groups if group.never_learned]:
        return (
            f"No result: {' and '.join(broken)} {'has' if len(broken) == 1 else 'have'} runs that "
            "never learned, and churn between broken models says nothing about a method."
        )
    retrained = [(g.name, churn) for g in report.groups if (churn := g.measures["churn"])]
    parts = [f"{short_percent(churn.mean)} of {name}'s" for name, churn in retrained[:4]]
    lines = []
    if len(parts) == 1:
        interval = short_range(retrained[0][1])
        lines.append(f"{_again(report).capitalize()} changes {parts[0]} predictions ({interval}).")
    elif parts:
        listed = ", ".join(parts[:-1]) + f" and {parts[-1]}"
        lines.append(f"{_again(report).capitalize()} alone changes {listed} predictions.")
    if report.between:
        lines.append(_change_headline(report.first_to_last, _again(report)))
    return " ".join(lines)


def _again(report: Report) -> str:
    """What makes runs of one thing differ."""
    return "repeating" if report.runs_are == "repeats" else "retraining"


def _change_headline(change: Change, again: str) -> str:
    measures = {key: found for key, found in change.measures.items() if found}
    churn = measures["churn"]
    text = (
        f"Going from {change.a} to {change.b} changes {short_percent(churn.mean)} of the "
        f"predictions ({short_range(churn)})"
    )
    if "negative_flip_rate" in measures:
        good, bad = measures["positive_flip_rate"].mean, measures["negative_flip_rate"].mean
        text += f": {short_percent(good)} for the better, {short_percent(bad)} for the worse"
    if change.excess_churn_test:
        text += _excess(change.excess_churn_test.claim, again)
    return text + "."


def _excess(claim: str, again: str) -> str:
    match claim:
        case "worse":
            return f". That is more than {again} alone changes"
        case "better":
            return f". That is less than {again} alone changes"
        case "withheld":
            return ""
        case _:
            return f". It is not shown to be more than {again} alone changes"


def verdict(report: Report) -> str:
    """The gate's verdict in one line, or the headline where there is no gate."""
    if not report.gate or not report.gate.conditions:
        return headline(report)
    return report.gate.line()


def verdicts(report: Report) -> tuple[Verdict, ...]:
    """What became of each condition of the gate; none where there is no gate."""
    return report.gate.conditions if report.gate else ()


def notes(report: Report) -> list[str]:
    """What a reader must know to read the tables rightly."""
    lines = [
        "Rates in percent: mean ± standard deviation over runs (for churn, over pairs of runs) "
        "[95 % interval]."
    ]
    if any(group.num_runs < 3 for group in report.groups):
        lines.append(
            "Fewer than three runs cannot show how much churn differs from one set of runs to the "
            "next: such a group's intervals allow for other examples, not for other runs."
        )
    asked = {key for group in report.groups for key in group.measures if is_asked(key)}
    asked |= {key for change in report.between or () for key in change.measures if is_asked(key)}
    if len(asked) > _MOST_ASKED:
        lines.append(
            f"Tables show {_MOST_ASKED} of the measures that were asked for; all {len(asked)} are "
            "in report.json and .csv, and on the page under “Every measure”."
        )
    bounds = [group.bounds for group in report.groups]
    bounds += [change.bounds or {} for change in report.between or ()]
    if not all(all(found.values()) for found in bounds):
        lines.append("A bound of the paper (Lemma 1 or 2) failed: this is a bug, please report it.")
    return [*lines, *report.notes]
