"""Verdicts as a person says them: 'churn 28.3 %, limit 5 %: over the limit'."""

import math

from churn_jax.analysis.gate.claims import Claim, Side
from churn_jax.analysis.gate.evaluation import Evaluation
from churn_jax.analysis.gate.needed import needed
from churn_jax.report.gate import Outcome

_MOST_DIGITS = 5
_MOST_NAMED = 5


def sentence(claim: Claim, found: Evaluation, outcome: Outcome, why: str, place: str = "") -> str:
    """What became of a claim on one set of examples.

    Args:
      why: it is undecided.
      place: ' in SLICE', or nothing.
    """
    return f"{opening(claim, found, place)}: {_ending(claim, found, outcome, why)}"


def opening(claim: Claim, found: Evaluation, place: str = "") -> str:
    """'churn 28.3 %, limit 5 %'."""
    value, limit = _numbers(claim, found.subject, found.limit)
    return f"{_words(claim.subject)}{place} {value}, {_limit(claim, limit)}"


def over_slices(
    claim: Claim,
    broken: list[tuple[str, Evaluation]],
    kept: list[tuple[str, Evaluation]],
    open_: list[tuple[str, Evaluation]],
) -> str:
    """What became of a claim on every slice: which is worst, and which are too small to tell.

    Args:
      broken, kept, open_: slices with their evaluations, the worst first.
    """
    total = len(broken) + len(kept) + len(open_)
    text = f"{_words(claim.subject)} in each of {total} slices, {_slice_limit(claim)}: "
    if broken:
        verb = "not shown" if claim.must_be_shown else _beyond(claim)
        text += f"{verb} in {len(broken)} of them, worst in {_named(claim, *broken[0])}"
        text += "".join(f", then {name}" for name, _ in broken[1:_MOST_NAMED])
    elif kept:
        verb = "shown in" if claim.must_be_shown else "within it in"
        text += f"{verb} {len(kept)} of them, nearest in {_named(claim, *kept[0])}"
    else:
        text += "undecided, because all of them have too few examples"
        return text
    if open_:
        names = ", ".join(f"{name} ({e.num_examples})" for name, e in open_[:_MOST_NAMED])
        more = f" and {len(open_) - _MOST_NAMED} more" * (len(open_) > _MOST_NAMED)
        text += f"; too few examples to tell in {len(open_)}: {names}{more}"
    return text


def _ending(claim: Claim, found: Evaluation, outcome: Outcome, why: str) -> str:
    if outcome == "undecided":
        return f"undecided, because {why}"
    interval = _interval(claim, found)
    if claim.must_be_shown:
        if outcome == "passed":
            return f"shown to be within the limit{interval}"
        if found.margin > 0:
            hint = needed(claim, found)
            return f"not shown to be within the limit{interval}" + f"; {hint}" * bool(hint)
    elif not found.certain:
        interval = interval.replace(")", ", which leaves it open)")
    if found.margin >= 0:
        return f"{'not ' * claim.must_be_shown}within the limit{interval}"
    tolerated = ", but not beyond doubt" * (outcome == "passed")
    return f"{_beyond(claim)}{tolerated}{interval}"


def _beyond(claim: Claim) -> str:
    return "over the limit" if claim.upper else "below the limit"


def _words(side: Side) -> str:
    """A side's measure by its title; a sum as it was written."""
    return side.alone.words if side.alone else side.text


def _limit(claim: Claim, value: str) -> str:
    kind = "limit" if claim.upper else "lower limit"
    if not claim.limit.terms:
        return f"{kind} {value}"
    return f"{kind} {value} ({_words(claim.limit)})"


def _slice_limit(claim: Claim) -> str:
    if claim.limit.terms:
        return f"{'limit' if claim.upper else 'lower limit'} {_words(claim.limit)}"
    return _limit(claim, _number(claim.limit.constant, claim.percent, _MOST_DIGITS))


def _named(claim: Claim, name: str, found: Evaluation) -> str:
    value, limit = _numbers(claim, found.subject, found.limit)
    against = f" against {limit}" * bool(claim.limit.terms)
    return f"{name}: {value}{against} ({found.num_examples:,} examples)"


def _interval(claim: Claim, found: Evaluation) -> str:
    """` (95 % interval 24.9 to 31.9 %)`: of the subject, or where both vary of the difference."""
    low, high = found.low, found.high
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    unit = " %" if claim.percent else ""
    if claim.limit.terms:
        of, sign = "95 % interval of the difference ", 1.0 if claim.upper else -1.0
        ends = sorted((-sign * low, -sign * high))
        unit = " points" if claim.percent else ""
    else:
        of = "95 % interval "
        limit = found.limit
        ends = sorted((limit - low, limit - high) if claim.upper else (limit + low, limit + high))
    first, last = (_number(end, claim.percent, 1).removesuffix(" %") for end in ends)
    return f" ({of}{first} to {last}{unit})"


def _numbers(claim: Claim, value: float, limit: float) -> tuple[str, str]:
    """Both, with as many digits as it takes to tell them apart."""
    exact = _number(limit, claim.percent, _MOST_DIGITS)
    for digits in range(1, _MOST_DIGITS):
        shown = _number(value, claim.percent, digits)
        near = _number(limit, claim.percent, digits)
        if shown != near or value == limit:
            break
    return shown, near if claim.limit.terms else exact


def _number(value: float, percent: bool, digits: int) -> str:
    """A rate with `digits` decimals in percent, or a number with three significant digits more."""
    if math.isinf(value):
        return "infinity" if value > 0 else "−infinity"
    if math.isnan(value):
        return "not a number"
    text = f"{100 * value:.{digits}f}" if percent else f"{value:.{digits + 3}g}"
    if percent and digits == _MOST_DIGITS:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−") + " %" * percent
