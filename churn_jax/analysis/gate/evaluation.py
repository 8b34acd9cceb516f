"""What a claim comes to on some examples: its margin, the margin's interval, and the outcome."""

import dataclasses
import math

from churn_jax.analysis import intervals
from churn_jax.analysis.gate.claims import Claim, Side, least_examples
from churn_jax.analysis.gate.names import Measure
from churn_jax.analysis.intervals import EXAMPLES_ONLY, Interval, Sample
from churn_jax.analysis.samples import Samples, interval_of
from churn_jax.report.gate import Outcome


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The margin by which a claim is kept; negative where it is broken.

    Attributes:
      subject, limit: the estimates of the two sides.
      margin: their difference, infinite where a loss is.
      low, high: its 95 % interval; NaN where it is not known.
      covers: what the interval allows for, as in `intervals.Interval`.
      num_examples: that it is of.
      num_trials: those that it rests on, as of `Sample.trials`.
      sample: of the margin without its constant, or None where a mean is not finite.
      unknown: why there is no interval, where there is none.
    """

    subject: float
    limit: float
    margin: float
    low: float
    high: float
    covers: str
    num_examples: int
    num_trials: int
    sample: Sample | None
    unknown: str | None = None

    @property
    def certain(self) -> bool:
        """Whether the interval is on one side of zero."""
        return self.low > 0 or self.high < 0


def evaluate(claim: Claim, samples: Samples) -> Evaluation:
    """The claim on the examples of `samples`."""
    found = {m: m.sample(samples) for _, m in (*claim.subject.terms, *claim.limit.terms)}
    means = {measure: sample.mean for measure, sample in found.items()}
    subject, limit = _value(claim.subject, means), _value(claim.limit, means)
    terms, constant = claim.margin
    margin = sum(factor * means[measure] for factor, measure in terms) + constant
    count = samples.measured.predictions.shape[1]
    trials = min(int(sample.num_trials) for sample in found.values())
    if not terms or not all(map(math.isfinite, means.values())):
        # A measure against itself, or an infinite loss: as sure as can be, or no number.
        low, high, sample, covers, unknown = margin, margin, None, EXAMPLES_ONLY, None
    else:
        sample, own, ends = _interval(claim, found)
        low, high = _inside(claim, ends)
        covers, unknown = own.covers, own.unknown
    return Evaluation(subject, limit, margin, low, high, covers, count, trials, sample, unknown)


def outcome(
    claim: Claim, found: Evaluation, confident: bool, no_result: str | None
) -> tuple[Outcome, str]:
    """What becomes of a claim, and why where it is undecided.

    A claim of --fail_if is broken by the estimate, or with `confident` by the whole interval; one
    of --pass_if is kept only by the whole interval. What is broken has failed, whatever else is
    wrong; what is not can pass only where there is a result.
    """
    if math.isnan(found.margin):
        return "undecided", "it is not a number"
    over = found.margin < 0
    if found.unknown and (claim.must_be_shown or confident) and over != claim.must_be_shown:
        return "undecided", f"its interval is not known: {found.unknown}"
    if claim.must_be_shown:
        broken = not found.low > 0
    elif confident:
        broken = found.high < 0
    else:
        broken = over
    if broken:
        return "failed", ""
    if no_result:
        return "undecided", no_result
    if not claim.must_be_shown and (needed := least_examples(claim)) > found.num_trials:
        return "undecided", f"it has {found.num_trials} examples and needs {needed:,} at least"
    return "passed", ""


def _value(side: Side, means: dict[Measure, float]) -> float:
    return sum(factor * means[measure] for factor, measure in side.terms) + side.constant


def _interval(
    claim: Claim, found: dict[Measure, Sample]
) -> tuple[Sample, Interval, tuple[float, float]]:
    """(the margin's sample without the constant, that one's interval, the ends of the margin's)."""
    terms, constant = claim.margin
    sample = sum_of([found[measure] * factor for factor, measure in terms])
    if len(terms) == 1:
        ((factor, measure),) = terms
        own = interval_of(measure.key, found[measure])
        ends = sorted((constant + factor * own.low, constant + factor * own.high))
        return sample, own, (ends[0], ends[1])
    least, most = (end - constant for end in claim.range)
    bounded = math.isfinite(least) and math.isfinite(most)
    own = intervals.interval(sample, least, most) if bounded else intervals.interval(sample)
    unseen = _unseen(claim, sample)
    low, high = min(own.low, own.mean - unseen), max(own.high, own.mean + unseen)
    return sample, own, (constant + low, constant + high)


def sum_of(samples: list[Sample]) -> Sample:
    """All of them added."""
    total = samples[0]
    for sample in samples[1:]:
        total = total + sample
    return total


def _unseen(claim: Claim, sample: Sample) -> float:
    """How much a difference of rates may be although no example shows it, with 97.5 %.

    Two models that agree on all of 300 examples may still differ on 1.2 %.
    """
    if not claim.percent:
        return 0.0
    return 1 - 0.025 ** (1 / sample.num_trials)


def _inside(claim: Claim, ends: tuple[float, float]) -> tuple[float, float]:
    """The interval within the margin's possible range."""
    (low, high), (least, most) = ends, claim.range
    if math.isnan(low) or math.isnan(high):
        return math.nan, math.nan
    return min(max(low, least), most), max(min(high, most), least)
