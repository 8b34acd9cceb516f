"""A condition whose names are resolved: the margin by which it is kept, and its possible range."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable

from churn_jax.analysis.gate import expressions
from churn_jax.analysis.gate.expressions import Condition, Reference, Slice, Sum
from churn_jax.analysis.gate.names import Measure
from churn_jax.errors import UsageError

Resolve = Callable[[str], Measure]
_LEAST_EXAMPLES = 10  # no claim is decided on fewer
_NUMBER = re.compile(r"(?<![\w@.=\"'[])(\d+\.?\d*|\.\d+)(?![\w.]|\s*[%*])")


@dataclasses.dataclass(frozen=True)
class Side:
    """Σ factor · measure + constant."""

    terms: tuple[tuple[float, Measure], ...]
    constant: float
    text: str

    @property
    def alone(self) -> Measure | None:
        """The measure, where the side is that and nothing else."""
        return self.terms[0][1] if len(self.terms) == 1 and self.is_plain else None

    @property
    def is_plain(self) -> bool:
        return self.constant == 0 and all(factor == 1 for factor, _ in self.terms)


@dataclasses.dataclass(frozen=True)
class Claim:
    """A condition in its normal form: it is kept where `margin`, a sum of measures, is positive.

    Attributes:
      condition: as it was written.
      subject, limit: its sides, with a measure in the subject.
      upper: whether the limit is one that the subject may not be above.
      must_be_shown: whether it is one of --pass_if, which the interval must show.
      part: the slice that all its measures are of.
    """

    condition: Condition
    subject: Side
    limit: Side
    upper: bool
    must_be_shown: bool
    part: Slice | None

    @property
    def margin(self) -> tuple[list[tuple[float, Measure]], float]:
        """(factors of each measure, constant)."""
        sign = 1.0 if self.upper else -1.0
        factors: dict[Measure, float] = {}
        for factor, measure in self.limit.terms:
            factors[measure] = factors.get(measure, 0.0) + sign * factor
        for factor, measure in self.subject.terms:
            factors[measure] = factors.get(measure, 0.0) - sign * factor
        constant = sign * (self.limit.constant - self.subject.constant)
        return [(factor, measure) for measure, factor in factors.items() if factor], constant

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest possible margin."""
        terms, low = self.margin
        high = low
        for factor, measure in terms:
            ends = sorted(factor * end for end in measure.limits)
            low, high = low + ends[0], high + ends[1]
        return low, high

    @property
    def percent(self) -> bool:
        """Whether its sides are shown in percent."""
        return all(m.definition.percent for _, m in (*self.subject.terms, *self.limit.terms))


def claim(condition: Condition, must_be_shown: bool, resolve: Resolve) -> Claim:
    """The claim that a condition makes.

    Raises:
      UsageError: a name means nothing or two things, or no values could make it true or false.
    """
    found = _claim(condition, must_be_shown, resolve)
    _refuse_percent_of_nats(found)
    if impossible(found):
        raise UsageError(
            f"{condition.option}: {condition.text!r} is {impossible(found)} whatever the files "
            f"hold: {_ranges(found)}{_in_percent(found, resolve)}"
        )
    return found


def impossible(claim: Claim) -> str:
    """'never true' or 'always true' where the measures' ranges say so, else ''."""
    low, high = claim.range
    if claim.must_be_shown:
        return "never true" if high <= 0 else "always true" if low > 0 else ""
    return "never true" if low >= 0 else "always true" if high < 0 else ""


def least_examples(claim: Claim) -> int:
    """How many examples it takes that not a single one alone can break the claim.

    A limit of 1 % says nothing about 60 examples, of which one is 1.7 %; but a limit that only the
    best possible value keeps, as nfr>0, is about the very examples.
    """
    low, high = claim.range
    if not (0 < high < math.inf and math.isfinite(low)):
        return _LEAST_EXAMPLES
    return max(_LEAST_EXAMPLES, math.ceil((high - low) / high - 1e-9))


def _claim(condition: Condition, must_be_shown: bool, resolve: Resolve) -> Claim:
    references = list(expressions.references(condition))
    if not references:
        raise UsageError(f"{condition.option}: {condition.text!r} names no measure")
    left = _side(condition.left, condition.left_text, resolve)
    right = _side(condition.right, condition.right_text, resolve)
    subject, limit, greater = left, right, condition.greater
    if not left.terms:
        subject, limit, greater = right, left, not greater
    return Claim(
        condition,
        subject,
        limit,
        upper=greater != must_be_shown,
        must_be_shown=must_be_shown,
        part=_one_part(condition, references),
    )


def _side(found: Sum, text: str, resolve: Resolve) -> Side:
    terms = tuple((factor, resolve(reference.key)) for factor, reference in found.terms)
    return Side(terms, found.constant, text)


def _one_part(condition: Condition, references: Iterable[Reference]) -> Slice | None:
    parts = {reference.part for reference in references}
    if len(parts) > 1:
        raise UsageError(
            f"{condition.option}: {condition.text!r} compares different examples: write the same "
            "slice behind each of its measures"
        )
    return parts.pop()


def _refuse_percent_of_nats(claim: Claim) -> None:
    condition = claim.condition
    if not (condition.left.percent or condition.right.percent):
        return
    for _, measure in (*claim.subject.terms, *claim.limit.terms):
        if measure.definition.nats:
            raise UsageError(
                f"{condition.option}: {condition.text!r}: {measure.definition.title} is in nats, "
                "not in percent: write the limit as a number; 5 % more is *1.05"
            )


def _ranges(claim: Claim) -> str:
    measures = dict.fromkeys(m for _, m in (*claim.subject.terms, *claim.limit.terms))
    texts = []
    for measure in measures:
        low, high = measure.limits
        upper = f"and {high:g}" if math.isfinite(high) else "and infinity"
        percent = measure.definition.percent and math.isfinite(high)
        texts.append(
            f"{measure.definition.title} lies between {low:g} {upper}"
            + (f" ({100 * low:g} to {100 * high:g} %)" if percent else "")
        )
    return ", ".join(dict.fromkeys(texts))


def _in_percent(claim: Claim, resolve: Resolve) -> str:
    """` (did you mean 'churn>5%', which is 0.05?)` where that is possible."""
    text, numbers = claim.condition.text, []

    def mark(match: re.Match[str]) -> str:
        if text[: match.start()].rstrip().endswith("*") or float(match[0]) < 1:
            return match[0]
        numbers.append(f"{float(match[0]) / 100:g}")
        return f"{match[0]}%"

    meant = _NUMBER.sub(mark, text)
    if not numbers:
        return ""
    try:
        (condition,) = expressions.parse(meant, claim.condition.option)
        other = _claim(condition, claim.must_be_shown, resolve)
        _refuse_percent_of_nats(other)
    except UsageError:
        return ""
    return "" if impossible(other) else f" (did you mean {meant!r}, which is {numbers[0]}?)"
