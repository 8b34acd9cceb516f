"""Intervals: against known results, and by simulation of what they promise to cover."""

import numpy as np
import pytest
from scipy import stats

from churn_jax.analysis import influence, intervals
from churn_jax.analysis.intervals import Sample, interval


def pair_means(predictions):
    """[run, example] churn of each run with the others."""
    differ = predictions[:, None] != predictions[None]
    return differ.sum(1) / (len(predictions) - 1)


def test_without_interaction_a_run_measure_has_the_interval_of_its_run_means():
    runs = np.array([0.3, 0.5, 0.1, 0.7])
    values = np.repeat(runs[:, None], 1000, axis=1)
    found = interval(intervals.run_sample(values))
    low, high = stats.t.interval(0.95, 3, runs.mean(), stats.sem(runs))
    np.testing.assert_allclose([found.mean, *found.ci95], [0.4, low, high])
    assert found.freedom == pytest.approx(3)
    assert found.p == pytest.approx(stats.ttest_1samp(runs, 0).pvalue)
    assert found.covers == intervals.RUNS_AND_EXAMPLES


def test_identical_runs_have_the_interval_of_their_examples():
    examples = np.random.default_rng(0).normal(size=50)
    found = interval(intervals.run_sample(np.tile(examples, (3, 1))))
    low, high = stats.t.interval(0.95, 49, examples.mean(), stats.sem(examples))
    np.testing.assert_allclose(found.ci95, [low, high])


def test_one_run_says_that_it_covers_examples_only():
    found = interval(intervals.run_sample(np.arange(10.0)[None]))
    assert found.covers == intervals.EXAMPLES_ONLY
    two_runs = np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    assert interval(intervals.pair_sample(two_runs)).covers == intervals.EXAMPLES_ONLY


def test_pseudo_values_are_those_of_leaving_a_run_out():
    predictions = np.random.default_rng(0).integers(0, 3, (6, 40))
    means = pair_means(predictions)
    values = intervals.pseudo_values(means).mean(1)
    for i in range(6):
        without = pair_means(np.delete(predictions, i, axis=0)).mean()
        assert values[i] == pytest.approx(6 * means.mean() - 5 * without)
    with pytest.raises(ValueError, match="no pair"):
        intervals.pseudo_values(means[:2])


def test_ratio_values_average_to_the_ratio_with_its_standard_error():
    rng = np.random.default_rng(0)
    denominator = rng.random((1, 2000)) < 0.3
    numerator = denominator & (rng.random((1, 2000)) < 0.5)
    values = influence.ratio_values(numerator, denominator)
    ratio = numerator.sum() / denominator.sum()
    assert values.mean() == pytest.approx(ratio)
    binomial = np.sqrt(ratio * (1 - ratio) / denominator.sum())
    assert stats.sem(values[0]) == pytest.approx(binomial, rel=1e-3)
    assert np.isnan(influence.ratio_values(numerator, np.zeros((1, 2000)))).all()


def test_samples_of_shared_runs_cancel():
    means = pair_means(np.random.default_rng(0).integers(0, 3, (5, 30)))
    sample = intervals.pair_sample(means, "a")
    nothing = interval(sample - sample)
    assert (nothing.mean, nothing.standard_error, nothing.p) == (0, 0, 1)
    others = pair_means(np.random.default_rng(1).integers(0, 3, (5, 30)))
    contrast = interval(sample - intervals.pair_sample(others, "b"))
    parts = [interval(sample), interval(intervals.pair_sample(others))]
    assert contrast.mean == pytest.approx(parts[0].mean - parts[1].mean)
    assert contrast.standard_error > max(part.standard_error for part in parts)
    assert interval(sample * 2.0).mean == pytest.approx(2 * means.mean())


def test_take_restricts_to_a_slice():
    means = pair_means(np.random.default_rng(0).integers(0, 3, (5, 30)))
    mask = np.arange(30) % 2 == 0
    assert interval(intervals.pair_sample(means).take(mask)) == interval(
        intervals.pair_sample(np.ascontiguousarray(means[:, mask]))
    )


def test_the_interval_stays_inside_the_possible_range():
    for values in ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0]):
        found = interval(Sample(np.array(values), {}), 0, 1)
        assert 0 < found.low < found.mean < found.high < 1
    skewed = interval(Sample(np.array([0.0, 0.1, 9.0]), {}), 0)
    assert 0 < skewed.low < skewed.mean < 9 < skewed.high
    assert skewed.high - skewed.mean > skewed.mean - skewed.low


def test_what_was_never_seen_may_still_happen():
    never = interval(Sample(np.zeros(1000), {}), 0, 1)
    exact = stats.binomtest(0, 1000).proportion_ci()
    assert (never.low, never.high) == pytest.approx((exact.low, exact.high))
    always = interval(Sample(np.ones(1000), {}), 0, 1)
    assert (always.low, always.high) == pytest.approx((1 - never.high, 1))
    found = interval(Sample(np.zeros(1000), {}), 0)  # how large it could be, nothing says
    assert found.unknown == "can't be known where every example has 0"


def test_three_nearly_equal_runs_have_an_interval_of_sane_width():
    """Their degrees of freedom must not fall below one, where quantiles are astronomical."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.normal(size=(1, 30)) * 0.01 + rng.normal(size=(3, 30))
        values -= values.mean(1, keepdims=True) - 1e-3 * rng.normal(size=(3, 1))
        found = interval(intervals.run_sample(values))
        assert found.freedom >= 2
        assert found.high - found.low < 2 * 4.31 * found.standard_error


def test_what_is_signed_stays_between_its_limits():
    for values in ([0.9, 1.0, 1.0], [-1.0, -1.0, 0.4], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]):
        found = interval(Sample(np.array(values), {}), -1, 1)
        assert -1 <= found.low <= found.mean <= found.high <= 1
    nothing = interval(Sample(np.zeros(300), {}), -1, 1)
    assert nothing.ci95 == pytest.approx([-(1 - 0.025 ** (1 / 300)), 1 - 0.025 ** (1 / 300)])


def test_what_has_no_interval_says_why():
    for values, why in (
        ([np.nan, 1.0], "not defined"),
        ([np.inf, 1.0], "infinite"),
        ([1.0], "one example"),
    ):
        found = interval(Sample(np.array(values), {}), 0)
        assert why in found.unknown
        assert np.isnan([found.low, found.high, found.p]).all()


def test_the_p_value_and_the_interval_of_a_difference_agree():
    rng = np.random.default_rng(0)
    for shift in np.linspace(0, 0.3, 30):
        a, b = (Sample((rng.random(80) < p).astype(float), {}) for p in (0.5, 0.5 + shift))
        found = intervals.difference(b, a, 0, 1)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


class World:
    """Runs that share each example's logits and have their own noise, strength and class biases."""

    def __init__(self, strength: float, bias: float, examples: int = 400, classes: int = 3):
        self.strength, self.bias = strength, bias
        self.examples, self.classes = examples, classes

    def predictions(self, rng: np.random.Generator, runs: int) -> np.ndarray:
        shared = 2 * rng.normal(size=(self.examples, self.classes)) + np.array([1.5, 0, 0])
        strength = 0.7 * np.exp(self.strength * rng.normal(size=(runs, 1, 1)))
        bias = self.bias * rng.normal(size=(runs, 1, self.classes))
        noise = rng.normal(size=(runs, self.examples, self.classes))
        return (shared + bias + strength * noise).argmax(-1)

    def churn(self, rng: np.random.Generator, repeats: int = 60) -> float:
        """The expectation over new runs and new examples, from pairs of independent runs."""
        found = []
        for _ in range(repeats):
            predictions = self.predictions(rng, 100)
            found.append(np.mean(predictions[::2] != predictions[1::2]))
        return float(np.mean(found))


def coverage(world: World, runs: int, repeats: int, seed: int = 0) -> float:
    """How often the interval holds the true churn, over new sets of runs and examples."""
    rng = np.random.default_rng(seed)
    truth = world.churn(rng)
    hits = 0
    for _ in range(repeats):
        found = interval(intervals.pair_sample(pair_means(world.predictions(rng, runs))), 0, 1)
        hits += found.low <= truth <= found.high
    return hits / repeats


@pytest.mark.parametrize("runs", [5, 10, 20])
def test_the_interval_of_churn_covers_it_95_percent_of_the_time(runs):
    assert 0.93 <= coverage(World(strength=0.15, bias=0.15), runs, repeats=1000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("runs", [5, 10, 20])
@pytest.mark.parametrize(("strength", "bias"), [(0.05, 0.05), (0.1, 0.1), (0.3, 0.0), (0.3, 0.3)])
def test_coverage_whether_runs_or_examples_matter_more(strength, bias, runs):
    assert 0.93 <= coverage(World(strength, bias), runs, repeats=4000) <= 0.97


def test_the_usual_interval_over_pairs_would_be_far_too_narrow():
    """Why this module exists: 45 pairs of 10 runs are not 45 independent values."""
    world, rng = World(strength=0.3, bias=0.3), np.random.default_rng(0)
    truth = world.churn(rng)
    hits = 0
    for _ in range(300):
        predictions = world.predictions(rng, 10)
        pairs = [(predictions[i] != predictions[j]).mean() for i in range(10) for j in range(i)]
        low, high = stats.t.interval(0.95, len(pairs) - 1, np.mean(pairs), stats.sem(pairs))
        hits += low <= truth <= high
    assert hits / 300 < 0.7


def test_a_contrast_of_equal_groups_is_significant_5_percent_of_the_time():
    world, rng = World(strength=0.15, bias=0.15), np.random.default_rng(0)
    rejected = 0
    for _ in range(600):
        predictions = world.predictions(rng, 12)
        a = intervals.pair_sample(pair_means(predictions[:6]), "a")
        b = intervals.pair_sample(pair_means(predictions[6:]), "b")
        rejected += interval(a - b).p < 0.05
    assert 0.03 <= rejected / 600 <= 0.07
