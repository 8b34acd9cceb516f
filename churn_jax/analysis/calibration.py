"""Calibration errors without the bias of their noise, with intervals that hold.

A calibration error sums absolute values of the bins' gaps G, each a mean of (correct − top
probability). Noise has absolute values too: a perfectly calibrated model shows an ECE of about 3 %
on 1,200 examples. So the plain value T of a sample does not estimate the error e of the model: its
expectation m(e) lies above e, by much where e is small and by nothing where it is large.

m is found by resampling. The noise of all bins of all runs at once is drawn by giving every example
a random sign (the wild bootstrap; runs share examples, so they share signs). On the path s·G, from
no error at all (s = 0) through what was seen (s = 1) to many times that, each point has an error
e(s) = s·T and a plain value m(s): the mean over the draws of what s·G and the noise show together.
With S(s) the standard deviation over the draws, at least that of what was seen,

    estimate: e where T = m,        interval: all e where |T − m| ≤ t·√(S² + D),

with D the variance of the runs' mean beyond what the noise makes, and t as in `intervals`. What the
path takes for granted is that the bins' true gaps are spread as the observed ones are.
`docs/statistics.md` has the simulated coverage.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import special

from churn_jax.analysis import influence, weighting
from churn_jax.analysis.intervals import (
    EXAMPLES_ONLY,
    RESOLUTION,
    RUNS_AND_EXAMPLES,
    Interval,
    Sample,
    interval,
    run_sample,
)
from churn_jax.metrics import bin_indices
from churn_jax.metrics.calibration import NUM_BINS

_DRAWS = 256
_DRAWS_OF_FEW = 64
_CHUNK = 4096  # examples whose signs are in memory at once
_FEW = 512  # examples of a slice: there are hundreds, and their own number decides the interval
_AT_ONCE = 1 << 20  # numbers of some steps of the path
_STEPS = np.concatenate([np.linspace(0, 1.2, 13), [1.4, 1.7, 2, 2.5, 3, 4, 6, 10, 20, 50]])
_FINE_BINS = 3 * NUM_BINS  # at whose ends the Kolmogorov–Smirnov error looks


@dataclasses.dataclass(frozen=True)
class CalibrationError:
    """One way of measuring calibration.

    Attributes:
      bins: the bin of each top probability, [example] of integers.
      num_bins: how many there are.
      sums: what is compared with zero, from the bins' gaps, [..., bin] → [..., bin]; linear, so
        that of s·G + noise it need not be taken anew for each s.
      norm: the plain calibration error from those sums, [..., bin] → [...].
      gradient: how it changes with each gap, [..., bin] → [..., bin].
      values: values of the examples whose mean is the plain error, from (top, correct, weights).
    """

    bins: Callable[[np.ndarray], np.ndarray]
    num_bins: int
    sums: Callable[[np.ndarray], np.ndarray]
    norm: Callable[[np.ndarray], np.ndarray]
    gradient: Callable[[np.ndarray], np.ndarray]
    values: Callable[..., np.ndarray]

    def error(self, gaps: np.ndarray) -> np.ndarray:
        """The plain calibration error from the bins' gaps, [..., bin] → [...]."""
        return self.norm(self.sums(gaps))


def _of_each_bin(gaps: np.ndarray) -> np.ndarray:
    return gaps


def _up_to_each_bin(gaps: np.ndarray) -> np.ndarray:
    return np.cumsum(gaps, -1)


def _all(sums: np.ndarray) -> np.ndarray:
    return np.abs(sums).sum(-1)


def _largest(sums: np.ndarray) -> np.ndarray:
    return np.abs(sums).max(-1)


def _counted(gaps: np.ndarray) -> np.ndarray:
    """The sign of the largest sum, in the bins up to it."""
    sums = np.cumsum(gaps, -1)
    largest = np.abs(sums).argmax(-1)[..., None]
    sign = np.sign(np.take_along_axis(sums, largest, -1))
    return sign * (np.arange(gaps.shape[-1]) <= largest)


CALIBRATION_ERRORS = {
    "ece": CalibrationError(
        bin_indices, NUM_BINS, _of_each_bin, _all, np.sign, influence.calibration_equal_width
    ),
    "ece_mass": CalibrationError(
        influence.equal_mass_bins,
        NUM_BINS,
        _of_each_bin,
        _all,
        np.sign,
        influence.calibration_equal_mass,
    ),
    "ece_ks": CalibrationError(
        lambda top: influence.equal_mass_bins(top, _FINE_BINS),
        _FINE_BINS,
        _up_to_each_bin,
        _largest,
        _counted,
        influence.calibration_without_bins,
    ),
}


def sample(
    key: str,
    tops: np.ndarray,
    correct: np.ndarray,
    group: str,
    source: str = "",
    weights: np.ndarray | None = None,
) -> Sample:
    """The calibration error of a group's runs, without bias.

    Args:
      key: of `CALIBRATION_ERRORS`.
      tops: [run, example] probability of the predicted class.
      correct: [run, example] whether that is the label.
      group: name of the group.
      source: what its runs are called as a source of variation, where that is not the group.
      weights: of the examples.

    Returns:
      A sample whose mean is the estimate and which knows its interval. Its spread is that of the
      interval, so that differences of such samples have intervals that hold.
    """
    source = source or group
    found = CALIBRATION_ERRORS[key]
    if tops.shape[1] < 2:
        plain = [found.values(top, right) for top, right in zip(tops, correct, strict=True)]
        return run_sample(np.stack(plain), source)
    bins = np.stack([found.bins(top) for top in tops])
    values = correct - tops
    gaps, noise = _gaps_and_noise(bins, values, found.num_bins, weights)
    plain_errors = found.error(gaps)
    # Where no example differs from another, what never happened may still.
    if np.abs(noise).max() < RESOLUTION:
        return _certain(float(plain_errors.mean()), tops.shape, source, weights)
    trials = float(tops.shape[1]) if weights is None else weighting.effective(weights)
    known, step = _interval(found, gaps, noise, trials)
    slopes = found.gradient(step * gaps[:, None] + noise).mean(1)
    linear = run_sample(np.take_along_axis(slopes, bins, 1) * values, source)
    return _as_wide_as(known, linear.weighted(weights), group)


def _certain(
    error: float, shape: tuple[int, ...], group: str, weights: np.ndarray | None
) -> Sample:
    num_runs, num_examples = shape
    covers = RUNS_AND_EXAMPLES if num_runs > 1 else EXAMPLES_ONLY
    trials = num_examples if weights is None else weighting.effective(weights)
    unseen = 1 - 0.025 ** (1 / trials)
    low, high = max(0.0, error - unseen), min(1.0, error + unseen)
    known = Interval(error, low, high, 0.0, math.inf, covers, math.nan)
    return dataclasses.replace(run_sample(np.full(shape, error), group), known=known)


def _interval(
    found: CalibrationError, gaps: np.ndarray, noise: np.ndarray, trials: float
) -> tuple[Interval, float]:
    """The interval of the error, and the step of the path at the estimate."""
    num_runs = len(gaps)
    plain = found.error(gaps)
    means, deviations, within = _along_the_path(found, gaps, noise)
    seen = plain.mean()
    of_runs = float(plain.var(ddof=1)) / num_runs if num_runs > 1 else 0.0
    by_noise = np.interp(seen, means, within) / num_runs
    beyond = max(of_runs - by_noise, 0.0)
    variance = np.interp(seen, means, deviations) ** 2 + beyond
    freedom = trials - 1.0
    if of_runs > 0:
        inflated = of_runs * (num_runs + 1) / (num_runs - 1)
        freedom = max(variance**2 / (inflated**2 / (num_runs - 1)), num_runs - 1)
    arms = special.stdtrit(freedom, 0.975) * np.sqrt(deviations**2 + beyond)
    step = float(np.interp(seen, means, _STEPS))
    low = np.interp(seen, np.maximum.accumulate(means + arms), _STEPS)
    high = np.interp(seen, np.maximum.accumulate(means - arms), _STEPS)
    known = Interval(
        mean=min(1.0, float(step * seen)),
        low=min(1.0, float(low * seen)),
        high=min(1.0, float(high * seen)),
        standard_error=math.sqrt(variance),
        freedom=float(freedom),
        covers=RUNS_AND_EXAMPLES if num_runs > 1 else EXAMPLES_ONLY,
        p=math.nan,
    )
    return known, step


def _gaps_and_noise(
    bins: np.ndarray, values: np.ndarray, num_bins: int, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Each bin's Σ (correct − top) / N, [run, bin], and draws of its noise, [run, draw, bin]."""
    num_runs, num_examples = values.shape
    values = values if weights is None else weights * values
    sums = [np.bincount(b, v, num_bins) for b, v in zip(bins, values, strict=True)]
    gaps = np.stack(sums) / num_examples
    draws = _DRAWS if num_examples > _FEW else _DRAWS_OF_FEW
    noise = np.zeros((num_runs, draws, num_bins))
    for part, signs in _signs(num_examples):
        totals = (signs.sum(1) if weights is None else signs @ weights[part])[:, None]
        for run in range(num_runs):
            spread = np.zeros((signs.shape[1], num_bins), np.float32)
            spread[np.arange(len(spread)), bins[run, part]] = values[run, part]
            noise[run] += signs @ spread - totals * gaps[run]
    return gaps, noise / num_examples


def _signs(num_examples: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Random signs of some examples at a time, [draw, example]; always the same."""
    if num_examples <= _FEW:
        yield slice(None), _signs_of_few(num_examples)
        return
    rng = np.random.default_rng(0)
    for start in range(0, num_examples, _CHUNK):
        part = slice(start, min(start + _CHUNK, num_examples))
        yield part, _draw_signs(rng, _DRAWS, part.stop - part.start)


@functools.lru_cache(32)
def _signs_of_few(num_examples: int) -> np.ndarray:
    """Kept, as slices by the hundred have as many examples as others."""
    return _draw_signs(np.random.default_rng(0), _DRAWS_OF_FEW, num_examples)


def _draw_signs(rng: np.random.Generator, draws: int, count: int) -> np.ndarray:
    return 2 * rng.integers(0, 2, (draws, count), np.int8).astype(np.float32) - 1


def _along_the_path(
    found: CalibrationError, gaps: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At each of `_STEPS`, of the plain error: its mean, its deviation, its variance within runs.

    The plain error is the mean over the runs. Its variance within runs is the part in which the
    noise of one run differs from that of another.
    """
    gaps, noise = (found.sums(each).astype(np.float32) for each in (gaps, noise))
    at_once = max(1, _AT_ONCE // noise.size)
    parts = []
    for start in range(0, len(_STEPS), at_once):
        steps = _STEPS[start : start + at_once, None, None, None].astype(np.float32)
        shown = found.norm(steps * gaps[:, None] + noise).astype(np.float64)  # [step, run, draw]
        within = np.zeros(len(steps))
        if len(gaps) > 1:
            within = (shown - shown.mean(2, keepdims=True)).var(1, ddof=1).mean(1)
        parts.append((shown.mean((1, 2)), shown.mean(1).std(1, ddof=1), within))
    means, deviations, within = map(np.concatenate, zip(*parts, strict=True))
    least = deviations[int(np.argmin(np.abs(_STEPS - 1)))]
    return np.maximum.accumulate(means), np.maximum(deviations, least), within


def _as_wide_as(known: Interval, linear: Sample, group: str) -> Sample:
    """The linear part's values, moved to the estimate, with as wide an interval as the known one.

    Of gaps near zero the absolute value has noise that is not linear in the examples: it goes with
    nobody else's, and is what is missing to the width. Where the error itself may be zero all of it
    is of that kind, and the upper arm counts, since the lower one is cut short.
    """
    own = interval(linear)
    apart_from_zero = known.low > 0 and min(known.standard_error, own.standard_error) > 0
    arm = (known.high - known.low) / 2 if known.low > 0 else known.high - known.mean
    wanted = arm / float(special.stdtrit(known.freedom, 0.975))  # the standard error
    slope = 0.0
    if apart_from_zero:
        slope = wanted / max(known.standard_error, own.standard_error)
    hidden = math.sqrt(max(wanted**2 - (slope * own.standard_error) ** 2, 0.0))
    moved = linear * slope
    shift = known.mean - moved.mean
    runs = {name: None if z is None else z + shift for name, z in moved.runs.items()}
    noise = {f"noise of {group}": hidden}
    return Sample(moved.examples + shift, runs, noise, known, linear.trials)
