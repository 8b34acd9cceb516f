"""The report's answer in one sentence: whether it ships, or who changes its mind less."""

from typing import Literal, NamedTuple

from churn_jax.report import best, table
from churn_jax.report.claims import HINT, NO_DIFFERENCE, WITHHELD
from churn_jax.report.estimates import Contrast, Estimate, Group
from churn_jax.report.gate import Gate, Outcome
from churn_jax.report.numbers import short_percent, signed
from churn_jax.report.report import Report

_SHIPS: dict[Outcome, str] = {
    "passed": "Ships", "failed": "Does not ship", "undecided": "Undecided",
}  # fmt: skip


class Status(NamedTuple):
    """What the page opens with.

    Attributes:
      outcome: of the gate; '' where there is none.
      word: what that means for a release; '' where there is no gate.
      text: the rest of the sentence.
      details: how sure that is, a line each.
    """

    outcome: Outcome | Literal[""]
    word: str
    text: str
    details: tuple[str, ...] = ()


def status(report: Report) -> Status:
    """The gate's verdict, or without a gate what is shown of churn and accuracy.

    Nobody is called better, worse, or less given to changing its mind than another but where the
    contrast's p-value shows it after Holm's correction (`Contrast.claim`).
    """
    if report.gate and report.gate.conditions:
        outcome = report.gate.outcome
        return Status(outcome, _SHIPS[outcome], _of_gate(report.gate), _mend(report))
    if (mend := _mend(report)) or (len(report.groups) > 1 and not report.between):
        return Status("", "", table.headline(report), mend)
    first, last = report.groups[0], report.groups[-1]
    if len(report.groups) == 1:
        return Status("", "", _of_one(first))
    if len(report.groups) > 2 and (said := best.least_churn(report)):
        return Status("", "", said + _accuracy_of_least(report))
    if not (churn := report.contrast(first.name, last.name, "churn")):
        return Status("", "", _of_change(report, first, last))
    text = _of_churn(churn, first, last) + _of_accuracy(report, first, last)
    return Status("", "", text + ".", _how_sure(churn))


def background(report: Report) -> str:
    """What retraining alone changes and what the change does, where the status leaves it out."""
    alone = len(report.groups) == 1 or all(group.num_runs < 2 for group in report.groups)
    gated = report.gate and report.gate.conditions
    said = table.headline(report)
    return "" if (alone and not gated) or said == status(report).text else said


def _of_gate(gate: Gate) -> str:
    """The only condition's sentence, or how many of several are not met."""
    count = len(gate.conditions)
    if count == 1:
        (found,) = gate.conditions
        passes = " (--undecided=pass)" * (found.outcome == "undecided" and gate.pass_undecided)
        return (found.sentence or found.condition) + passes
    if gate.failed:
        broken = len(gate.failed)
        return f"{broken} of {count} conditions {'is' if broken == 1 else 'are'} not met"
    if gate.undecided:
        passes = ", which passes (--undecided=pass)" * gate.pass_undecided
        return f"{len(gate.undecided)} of {count} conditions can't be decided{passes}"
    return "both conditions are met" if count == 2 else f"all {count} conditions are met"


def _mend(report: Report) -> tuple[str, ...]:
    """What to do about runs that never learned."""
    if not any(group.never_learned for group in report.groups):
        return ()
    return ("Next: train the runs that the warnings name for longer, or leave them out and "
            "compare the others.",)  # fmt: skip


def _of_one(group: Group) -> str:
    """Of a group alone: how often its runs disagree."""
    churn, accuracy = group.measures["churn"], group.measures.get("accuracy")
    right = f"accuracy {short_percent(accuracy.mean)}" if accuracy else ""
    if not churn:
        alone = f"One run of {group.name}, and churn takes two"
        return f"{alone}; {right}." if right else f"{alone}."
    said = f"Two runs of {group.name} disagree on {_with_range(churn)} of the examples"
    return f"{said}; {right}." if right else f"{said}."


def _of_change(report: Report, a: Group, b: Group) -> str:
    """Of single models: what going from one to the other changes."""
    measures = report.first_to_last.measures
    churn, bad = measures["churn"], measures.get("negative_flip_rate")
    assert churn is not None
    said = f"Going from {a.name} to {b.name} changes {_with_range(churn)} of the predictions"
    if bad:
        said += f"; bad flips, right before and wrong after: {_with_range(bad)}"
    return said + _of_accuracy(report, a, b) + "."


def _of_churn(contrast: Contrast, a: Group, b: Group) -> str:
    """Who changes its mind less, so far as that is shown."""
    reach = ", for these very runs" if contrast.covers == "examples" else ""
    values = _from_to(a.measures["churn"], b.measures["churn"])
    less = (
        f"{b.name} changes its mind {'less' if contrast.difference < 0 else 'more'} than {a.name}"
    )
    match contrast.claim:
        case claim if claim == WITHHELD:
            why = contrast.withheld or "there is no p-value"
            return f"No verdict on churn from {a.name} to {b.name} ({values}), because {why}"
        case claim if claim == HINT:
            return f"A hint that {less}, no more after correction{reach}: {values}"
        case claim if claim == NO_DIFFERENCE:
            between = f"{a.name} and {b.name}"
            return f"No difference in churn shown between {between}{reach}: {values}"
    return f"{less}{reach}: {values}"


def _of_accuracy(report: Report, a: Group, b: Group) -> str:
    found = report.contrast(a.name, b.name, "accuracy")
    if not found or found.claim == WITHHELD:
        return ""
    values = _from_to(a.measures["accuracy"], b.measures["accuracy"])
    return f"; accuracy: {table.verdict_on(found)} ({values})"


def _accuracy_of_least(report: Report) -> str:
    """Than which groups the one with the least churn is more or less accurate."""
    first = best.calmest(report)
    others = [group.name for group in report.groups if group.name != first]
    held = [found for name in others if (found := report.contrast(name, first, "accuracy"))]
    if not held or any(found.claim == WITHHELD for found in held):
        return ""
    if not any(found.shows_a_difference for found in held):
        return " Accuracy: no difference shown."
    said = [
        f"{word} accurate than {' and '.join(names)}"
        for word, claim in (("more", "better"), ("less", "worse"))
        if (names := [found.a for found in held if found.claim == claim])
    ]
    return f" It is {', and '.join(said)}."


def _how_sure(contrast: Contrast) -> tuple[str, ...]:
    """Where nothing is shown: how large the difference may be, and what would tell."""
    low, high = contrast.ci95
    if contrast.claim not in (HINT, NO_DIFFERENCE) or low != low or high != high:
        return ()
    more = "examples" if contrast.covers == "examples" else "runs"
    ends = f"{signed('churn', low)} to {signed('churn', high)} points"
    return (f"The difference in churn may be anything from {ends} (95 % interval); more {more} "
            "would narrow it.",)  # fmt: skip


def _with_range(estimate: Estimate) -> str:
    """`6.1 % [5.2, 7.2]`; without brackets where there is no interval."""
    value = short_percent(estimate.mean)
    if estimate.low != estimate.low or estimate.high != estimate.high:
        return value
    return f"{value} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _from_to(a: Estimate | None, b: Estimate | None) -> str:
    """`6.1 → 5.0 %`, with a digit more where one does not tell them apart."""
    assert a is not None
    assert b is not None
    digits = 1 if f"{100 * a.mean:.1f}" != f"{100 * b.mean:.1f}" else 2
    return f"{100 * a.mean:.{digits}f} → {100 * b.mean:.{digits}f} %"
