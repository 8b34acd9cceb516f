"""Intervals that hold for new runs and new examples, for measures of runs and of pairs of runs.

Ten runs make 45 pairs, but not 45 independent values: every run is in nine of them, and all pairs
look at the same examples. An interval must respect both. Everything here works on one shape of
data, [run, example]:

* A measure of one run (accuracy, negative log-likelihood) has a value for each run and example.
* A measure of a pair (churn) enters by its mean over the pairs a run is in,
  m[i, x] = mean over j ≠ i of h(i, j, x). `pseudo_values` turns these into the jackknife's values
  of each run, which may be treated like the values of a measure of one run (Tukey 1958; the mean
  over pairs is a U-statistic of degree two, for which this is consistent, Arvesen 1969).
* A conditional measure or the calibration error, which are no means over examples, enter
  linearised (`influence`): by values whose mean is the estimate and whose spread is its error.

Runs and examples are crossed random factors. With `z` the values, the variance of their mean is

    V = V_examples + V_runs − V_interaction,

where V_examples comes from the spread of the examples' means, V_runs from the spread of the runs'
means, and V_interaction, from the residuals, is contained in both and must be counted once. The
interval is mean ± t·√V (on a scale that fits the measure) with Satterthwaite's degrees of freedom:
few runs with different churn give a wide interval, however many pairs or examples there are.
`docs/statistics.md` has the simulated coverage of every measure.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from scipy import special

from churn_jax.analysis import weighting

RUNS_AND_EXAMPLES = "runs and examples"
EXAMPLES_ONLY = "examples"
NOTHING = "nothing"

# Differences of fractions or nats that the order of float32 sums alone can make.
RESOLUTION = 1e-6
_NORMAL = 1e9  # degrees of freedom at which the t distribution is the normal one


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % confidence interval.

    Attributes:
      mean: the estimate.
      low, high: the ends of the interval.
      standard_error: √V.
      freedom: degrees of freedom of the t quantile.
      covers: what the interval allows for. 'runs and examples': a new set of runs on new examples.
        'examples': these very runs on new examples, because there are too few runs to say how much
        runs differ (one run, or the single pair of two).
      p: two-sided p-value of the hypothesis that the expectation is zero.
    """

    mean: float
    low: float
    high: float
    standard_error: float
    freedom: float
    covers: str
    p: float
    unknown: str | None = None

    @property
    def ci95(self) -> list[float]:
        return [self.low, self.high]


@dataclasses.dataclass(frozen=True)
class Sample:
    """Values of one statistic, ready for an interval; samples can be added and subtracted.

    Attributes:
      examples: [example], whose mean is the estimate.
      runs: for every group of independent runs the statistic depends on, the values of its runs,
        [run, example], or None where the group has too few runs for its spread to be known.
      independent: standard deviations of the estimate from sources that the values don't show, by
        name; the same source in two samples is the same error.
      known: the interval, where it is no interval around the mean of these values: a calibration
        error's is made on a scale of its own. Sums and parts of the sample don't have it.
      trials: how many examples the estimate rests on, if fewer than all: a class's for its recall.
    """

    examples: np.ndarray
    runs: Mapping[str, np.ndarray | None]
    independent: Mapping[str, float] = dataclasses.field(default_factory=dict)
    known: Interval | None = None
    trials: float = math.inf

    @property
    def mean(self) -> float:
        return _mean(self.examples)

    @property
    def num_trials(self) -> float:
        return min(len(self.examples), self.trials)

    def __mul__(self, factor: float) -> "Sample":
        scaled = {g: None if z is None else factor * z for g, z in self.runs.items()}
        independent = {name: factor * error for name, error in self.independent.items()}
        return Sample(factor * self.examples, scaled, independent, trials=self.trials)

    def __add__(self, other: "Sample") -> "Sample":
        runs = dict(self.runs)
        with np.errstate(invalid="ignore"):  # an infinite loss less an infinite loss is no number
            for group, theirs in other.runs.items():
                ours = runs.get(group, 0.0)
                runs[group] = None if ours is None or theirs is None else ours + theirs
            independent = dict(self.independent)
        for name, error in other.independent.items():
            independent[name] = independent.get(name, 0.0) + error
        trials = min(self.trials, other.trials)
        return Sample(self.examples + other.examples, runs, independent, trials=trials)

    def __sub__(self, other: "Sample") -> "Sample":
        return self + other * -1.0

    def take(self, rows: np.ndarray | slice) -> "Sample":
        """The same statistic on a subset of the examples (a mask, indices or a slice)."""
        runs = {
            # In the order of the runs: one of the examples would make every sum over them slow.
            g: None if z is None else np.ascontiguousarray(z[:, rows])
            for g, z in self.runs.items()
        }
        return Sample(self.examples[rows], runs)

    def weighted(self, weights: np.ndarray | None) -> "Sample":
        """The same where each example counts its weight, as of `weighting`; None are equal."""
        if weights is None:
            return self
        runs = {
            g: None if z is None else weighting.linear(z, weights) for g, z in self.runs.items()
        }
        trials = min(self.trials, weighting.effective(weights))
        examples = weighting.linear(self.examples, weights)
        return dataclasses.replace(self, examples=examples, runs=runs, trials=trials)


def run_sample(values: np.ndarray, group: str = "") -> Sample:
    """A measure of single runs: `values` [run, example]."""
    return Sample(values.mean(0, dtype=np.float64), {group: values if len(values) > 1 else None})


def pair_sample(means: np.ndarray, group: str = "") -> Sample:
    """A measure of pairs within one group.

    Args:
      means: [run, example], the mean of the measure over the pairs that a run is in.
    """
    examples = means.mean(0, dtype=np.float64)
    return Sample(examples, {group: pseudo_values(means) if len(means) > 2 else None})


def cross_sample(means_a: np.ndarray, means_b: np.ndarray, a: str, b: str) -> Sample:
    """A measure of pairs of one run of group `a` and one of group `b`.

    Args:
      means_a: [run of a, example], the mean over the runs of b.
      means_b: [run of b, example], the mean over the runs of a.
    """
    runs = {a: means_a if len(means_a) > 1 else None, b: means_b if len(means_b) > 1 else None}
    return Sample(means_a.mean(0, dtype=np.float64), runs)


def pseudo_values(means: np.ndarray) -> np.ndarray:
    """The jackknife's values of each run for the mean over pairs.

    n·U − (n−1)·U₍₋ᵢ₎, with U the mean over all pairs and U₍₋ᵢ₎ the mean over the pairs without run
    i, which is (n·U − 2·mᵢ)/(n − 2).

    Args:
      means: [run, example] mean over the pairs that a run is in; at least three runs.
    """
    n = len(means)
    if n < 3:
        raise ValueError(f"leaving one of {n} runs out leaves no pair")
    return (2 * (n - 1) * means - n * means.mean(0, dtype=np.float64)) / (n - 2)


def interval(sample: Sample, low: float = -math.inf, high: float = math.inf) -> Interval:
    """The 95 % interval of the sample's mean, inside the possible range [low, high].

    It covers the expectation over new runs and new examples, or over new examples alone where the
    runs are too few: `covers` says which. What lies between two limits has its interval made on the
    scale of log-odds of (mean − low) / (high − low), which for a difference of rates is Fisher's z,
    and what is not negative on a log scale, and brought back: the spread of churn grows with churn,
    so that an interval symmetric around the estimate would too often lie below the truth.

    Args:
      sample: values whose mean is wanted.
      low: smallest possible value: 0, −high, or −∞.
      high: largest possible value; ∞ where `low` is −∞.
    """
    return sample.known or _interval(sample, low, high, 0.0)


def difference(b: Sample, a: Sample, low: float, high: float) -> Interval:
    """The 95 % interval of how much larger b's mean is than a's, and the p-value of no difference.

    Its standard error is at least `RESOLUTION`: what rounding can make is no difference.

    Args:
      b, a: samples on the same examples.
      low, high: the possible range of either; the difference's is [low − high, high − low].
    """
    for mean in (b.mean, a.mean):
        if why := _why_unknown(mean):
            return unknown(b.mean - a.mean, why)
    scale = max(1.0, abs(a.mean), abs(b.mean))
    return _interval(b - a, low - high, high - low, RESOLUTION * scale)


def unknown(mean: float, why: str) -> Interval:
    """An estimate whose interval can't be known."""
    nan = math.nan
    return Interval(mean, nan, nan, nan, nan, NOTHING, nan, why)


def _interval(sample: Sample, low: float, high: float, resolution: float) -> Interval:
    mean, trials = sample.mean, sample.num_trials
    if why := _why_unknown(mean):
        return unknown(mean, why)
    if trials < 2:
        return unknown(mean, "can't be known from one example")
    if high == math.inf and low == 0 and not sample.examples.any():
        return unknown(mean, "can't be known where every example has 0")
    error, freedom = _standard_error(sample)
    unseen = _unseen(trials) if error == 0 else 0.0
    error = math.hypot(error, resolution)
    quantile = float(special.stdtrit(freedom, 0.975))
    ends = _ends(mean, quantile * error, low, high, unseen)
    too_few_runs = any(values is None for values in sample.runs.values())
    return Interval(
        mean=mean,
        low=ends[0],
        high=ends[1],
        standard_error=error,
        freedom=freedom,
        covers=EXAMPLES_ONLY if too_few_runs else RUNS_AND_EXAMPLES,
        p=_sign_test(mean, trials, resolution)
        if unseen
        else _p_value(mean, error, freedom, low, high),
    )


def variance_parts(sample: Sample) -> tuple[float, list[tuple[int, float]]]:
    """What the variance of the sample's mean is made of.

    Returns:
      The part that shrinks with more examples, and for each group of runs whose spread is known
      (their number, the part that shrinks with more of them).
    """
    parts = []
    for values in sample.runs.values():
        if values is not None:
            of_runs, interaction = _run_variances(values)
            parts.append((len(values), max(of_runs - interaction, 0.0)))
    return _variance_of_examples(sample), parts


def _why_unknown(mean: float) -> str | None:
    if math.isnan(mean):
        return "not defined: it divides by a count that is 0 for one of the runs"
    return "infinite" if math.isinf(mean) else None


def _standard_error(sample: Sample) -> tuple[float, float]:
    """√V of the module's docstring, and Satterthwaite's degrees of freedom.

    By chance runs can differ less than their interaction with the examples makes them: nothing is
    subtracted then. How uncertain that difference is would need its true parts; half of the
    interaction and the factor (n + 1)/(n − 1), the χ² distribution's E x² / (E x)², are what kept
    the coverage nearest to 95 % over all ratios of the parts at 3, 5 and 10 runs. The degrees of
    freedom are never fewer than the spread of the runs has by itself, without which three nearly
    equal runs would get an interval of any width.
    """
    of_examples = _variance_of_examples(sample)
    of_runs = interaction = own = inflated = 0.0
    for values in sample.runs.values():
        if values is not None:
            n = len(values)
            spread, shared = _run_variances(values)
            of_runs, interaction = of_runs + spread, interaction + shared
            own += spread**2 / (n - 1)
            inflated += (spread * (n + 1) / (n - 1)) ** 2 / (n - 1)
    variance = of_examples + max(of_runs - interaction, 0.0)
    if variance == 0:
        return 0.0, _NORMAL
    least, uncertainty = 0.0, of_examples**2 / (sample.num_trials - 1)
    if own > 0:
        least = of_runs**2 / own
        uncertainty += inflated * (max(of_runs - interaction / 2, 0.0) / of_runs) ** 2
    return math.sqrt(variance), max(variance**2 / uncertainty if uncertainty else _NORMAL, least)


def _variance_of_examples(sample: Sample) -> float:
    """With what the values don't show, which may go with what they do.

    How far is not known: half of all that it could is what kept the coverage of differences of
    calibration errors nearest to 95 %, of which the one may be zero and the other not.
    """
    shown = _variance_of_mean(sample.examples)
    hidden = sum(error**2 for error in sample.independent.values())
    return shown + hidden + math.sqrt(shown * hidden)


def _ends(mean: float, arm: float, low: float, high: float, unseen: float) -> tuple[float, float]:
    """mean ± arm, on the scale that keeps the ends inside the possible range.

    `unseen` is how often something may happen that never did, where no example differs from
    another; else 0.
    """
    if low == -math.inf:
        return mean - arm, mean + arm
    if high == math.inf:
        return _ends_above_zero(mean, arm)
    rate = min(max((mean - low) / (high - low), 0.0), 1.0)
    if unseen:
        ends = [rate - unseen * rate, rate + unseen * (1 - rate)]
    elif 0 < rate < 1:
        logit, arm = special.logit(rate), arm / ((high - low) * rate * (1 - rate))
        ends = special.expit([logit - arm, logit + arm]).tolist()
    else:
        arm /= high - low
        ends = [max(rate - arm, 0.0), min(rate + arm, 1.0)]
    return low + (high - low) * ends[0], low + (high - low) * ends[1]


def _ends_above_zero(mean: float, arm: float) -> tuple[float, float]:
    """mean · e^±(arm/mean); upwards, no faster than in proportion to the arm from e-fold on."""
    if mean <= 0:
        return mean, mean
    ratio = arm / mean
    return mean * math.exp(-ratio), mean * (math.exp(ratio) if ratio < 1 else math.e * ratio)


def _unseen(trials: float) -> float:
    """What never happened in n examples may still have any rate up to 1 − 0.025^(1/n)."""
    return 1 - 0.025 ** (1 / trials)


def _mean(values: np.ndarray) -> float:
    """np.mean, and like `_variance_of_mean` without what that costs where there are few values."""
    return float(np.add.reduce(values, dtype=np.float64)) / len(values)


def _variance_of_mean(values: np.ndarray) -> float:
    """np.var with one degree of freedom less, over the number of values."""
    residuals = values - _mean(values)
    return float(np.add.reduce(residuals * residuals)) / (len(values) - 1) / len(values)


def _run_variances(values: np.ndarray) -> tuple[float, float]:
    """(variance of the mean from the spread of the runs, the part that is interaction)."""
    n, num_examples = values.shape
    run_means = np.add.reduce(values, 1, dtype=np.float64) / num_examples
    residuals = values - run_means[:, None]
    residuals -= np.add.reduce(residuals, 0) / n
    residuals *= residuals
    interaction = float(np.add.reduce(residuals, None)) / ((n - 1) * (num_examples - 1))
    return _variance_of_mean(run_means), interaction / (n * num_examples)


def _p_value(mean: float, error: float, freedom: float, low: float, high: float) -> float:
    """Of an expectation of zero, on the interval's scale: below 0.05 where that leaves zero out."""
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    if math.isfinite(low) and low < 0 < high:
        inside = min(max(mean / high, -1.0), 1.0)
        if abs(inside) < 1:
            mean = high * math.atanh(inside) * (1 - inside**2)
    return float(2 * special.stdtr(freedom, -abs(mean) / error))


def _sign_test(mean: float, trials: float, resolution: float) -> float:
    """The p-value where all examples differ by the same: that all have one sign by chance."""
    return 1.0 if abs(mean) <= resolution else 2 * 0.5**trials


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> dict[str, float]:
    """McNemar's exact test that two models are right equally often, on the same examples.

    Args:
      correct_a, correct_b: [example] bool.

    Returns:
      How many examples only the first and only the second gets right, and the two-sided p-value.
    """
    only_a = int(np.count_nonzero(correct_a & ~correct_b))
    only_b = int(np.count_nonzero(~correct_a & correct_b))
    # P(at most the smaller count) under a fair coin, both tails.
    tail = float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5))
    p = min(1.0, 2 * tail) if only_a + only_b else 1.0
    return {"only_a_right": only_a, "only_b_right": only_b, "p": p}
