"""How many examples or runs would show a claim that the interval does not show yet."""

import math

from scipy import special

from churn_jax.analysis import intervals
from churn_jax.analysis.gate.claims import Claim
from churn_jax.analysis.gate.evaluation import Evaluation

_MOST = 10**9
_ROUNDS = 20


def needed(claim: Claim, found: Evaluation) -> str:
    """`about 2,400 examples would show it`, if the estimate stays; '' where none would.

    The margin's variance is V = V_examples + Σ V_runs, of which the first shrinks with more
    examples and the others with more runs. The interval shows the claim once t·√V is the distance
    from the estimate to the limit, on the scale of the interval.
    """
    if found.sample is None or not found.margin > 0 or math.isnan(found.low):
        return ""
    of_examples, parts = intervals.variance_parts(found.sample)
    of_runs = sum(part for _, part in parts)
    distance, freedom = _distance(claim, found), intervals.interval(found.sample).freedom
    if math.isnan(freedom):
        return ""
    wanted = (distance / special.stdtrit(freedom, 0.975)) ** 2
    if of_runs < wanted:
        examples = found.num_examples * of_examples / (wanted - of_runs)
        examples = max(examples, _unseen(claim, distance), found.num_examples + 1)
        return f"about {_rounded(examples)} examples would show it" if examples < _MOST else ""
    runs = max(number for number, _ in parts)
    factor, examples = 1.0, 1.0
    for _ in range(_ROUNDS):  # more runs also make the t distribution narrower
        more = max(freedom * (factor * runs - 1) / (runs - 1), 1.0)
        wanted = (distance / special.stdtrit(more, 0.975)) ** 2
        alone = of_examples < wanted / 2
        factor = of_runs / (wanted - of_examples) if alone else (of_examples + of_runs) / wanted
        examples = 1.0 if alone else factor
    if factor * runs > _MOST:
        return ""
    besides = f" of {_rounded(examples * found.num_examples)} examples" * (examples > 1)
    return f"about {_rounded(factor * runs)} runs of each{besides} would show it"


def _distance(claim: Claim, found: Evaluation) -> float:
    """The arm that just reaches the limit, on the scale on which the interval is symmetric."""
    terms, _ = claim.margin
    if len(terms) > 1 or terms[0][1].definition.signed:
        return found.margin
    factor, measure = terms[0]
    low, high = measure.limits
    mean = (found.sample.mean if found.sample else math.nan) / factor
    limit = mean - found.margin / factor  # the measure's value at which the margin is 0
    if high == math.inf and mean > 0 < limit:
        return abs(factor) * mean * abs(math.log(limit / mean))
    rate, edge = (mean - low) / (high - low), (limit - low) / (high - low)
    if not (0 < rate < 1 and 0 < edge < 1):
        return found.margin
    arm = rate * (1 - rate) * abs(special.logit(edge) - special.logit(rate))
    return float(abs(factor) * (high - low) * arm)


def _unseen(claim: Claim, distance: float) -> float:
    """Examples without a single event that leave less than the distance possible."""
    if not claim.percent or not 0 < distance < 1:
        return 0.0
    return math.log(0.025) / math.log1p(-distance)


def _rounded(number: float) -> str:
    """Up to two digits."""
    step = 10 ** max(math.floor(math.log10(max(number, 1))) - 1, 0)
    return f"{math.ceil(number / step) * step:,}"
