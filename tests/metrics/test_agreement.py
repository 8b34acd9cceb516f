"""Agreement, distances and calibration variants against other libraries and plain definitions."""

import itertools

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial import distance
from sklearn import metrics as sklearn_metrics

from churn_jax import metrics
from churn_jax.analysis import influence, intervals
from churn_jax.errors import UserError

RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(500, 7)) * 2
A, B, C = (special.softmax(SHARED + RNG.normal(size=SHARED.shape), axis=1) for _ in range(3))
LABELS = (SHARED + RNG.normal(size=SHARED.shape)).argmax(1)


def test_kappa_is_that_of_scikit_learn():
    expected = sklearn_metrics.cohen_kappa_score(A.argmax(1), B.argmax(1))
    assert metrics.cohens_kappa(A, B) == pytest.approx(expected, abs=1e-12)
    assert influence.kappa(A.argmax(1), B.argmax(1)[None], 7).mean() == pytest.approx(expected)
    assert metrics.cohens_kappa(A, A) == pytest.approx(1)
    one_class = np.tile([[0.9, 0.1]], (5, 1))
    assert metrics.cohens_kappa(one_class, one_class) == 1
    assert influence.kappa(np.zeros(5, int), np.zeros((1, 5), int), 2).tolist() == [[1] * 5]


def test_jensen_shannon_is_that_of_scipy():
    expected = distance.jensenshannon(A, B, axis=1) ** 2
    np.testing.assert_allclose(metrics.jensen_shannon_divergence(A, B), expected, atol=1e-12)


def test_symmetric_kl_is_that_of_scipy():
    expected = stats.entropy(A, B, axis=1) + stats.entropy(B, A, axis=1)
    np.testing.assert_allclose(metrics.symmetric_kl_divergence(A, B), expected, rtol=1e-10)
    certain, other = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    assert metrics.symmetric_kl_divergence(certain, certain) == [0]
    assert metrics.symmetric_kl_divergence(certain, other) == [np.inf]


def test_proper_scores_are_those_of_scikit_learn():
    nll = metrics.negative_log_likelihood(A, LABELS).mean()
    assert nll == pytest.approx(sklearn_metrics.log_loss(LABELS, A), abs=1e-12)
    brier = metrics.brier_score(A, LABELS).mean()
    assert brier == pytest.approx(((A - np.eye(7)[LABELS]) ** 2).sum(1).mean(), abs=1e-12)


def test_flips_add_up_to_the_change_of_accuracy():
    old, new = metrics.accuracy(A, LABELS), metrics.accuracy(B, LABELS)
    good = metrics.positive_flip_rate(A, B, LABELS)
    bad = metrics.negative_flip_rate(A, B, LABELS)
    assert good - bad == pytest.approx(new - old)
    table = sklearn_metrics.confusion_matrix(A.argmax(1) == LABELS, B.argmax(1) == LABELS)
    assert bad == table[1, 0] / 500
    assert metrics.backward_trust_compatibility(A, B, LABELS) == pytest.approx(
        table[1, 1] / table[1].sum()
    )
    assert good + bad <= metrics.churn(A, B)


def test_never_right_has_no_backward_trust():
    always_first = np.array([[0.9, 0.1]] * 3)
    assert np.isnan(metrics.backward_trust_compatibility(always_first, always_first, [1, 1, 1]))
    assert np.isnan(metrics.normalised_disagreement(always_first, always_first, [0, 0, 0]))


def test_a_set_of_models():
    predictions = np.stack([p.argmax(1) for p in (A, B, C)])
    any_differ = [len(set(column)) > 1 for column in predictions.T]
    assert metrics.ambiguity([A, B, C]) == np.mean(any_differ)
    churns = [metrics.churn(A, B), metrics.churn(A, C), metrics.churn(B, C)]
    assert metrics.discrepancy([A, B, C]) == max(churns)
    with pytest.raises(UserError, match="at least 2 models"):
        metrics.ambiguity([A])


def test_equal_mass_bins_hold_equally_many():
    top, right = A.max(1), A.argmax(1) == LABELS
    order = np.argsort(top, kind="stable")
    parts = np.array_split(order, 10)  # 500 examples: ten bins of fifty
    expected = sum(abs(right[p].mean() - top[p].mean()) * len(p) for p in parts) / 500
    assert metrics.equal_mass_calibration_error(A, LABELS, 10) == pytest.approx(expected)


def test_classwise_error_of_one_class_is_its_own_calibration():
    binary = np.stack([A[:, 0], 1 - A[:, 0]], axis=1)
    labels = (LABELS != 0).astype(int)
    edges = np.arange(16) / 15
    expected = 0
    for low, high in itertools.pairwise(edges):
        inside = (binary[:, 0] > low) & (binary[:, 0] <= high)
        expected += abs(((labels == 0) - binary[:, 0])[inside].sum()) / 500
    by_class = metrics.classwise_calibration_error(binary, labels)
    assert by_class == pytest.approx(expected, abs=2 / 500)  # 1 − p may cross an edge


def test_without_bins_it_is_the_kolmogorov_smirnov_distance():
    top, right = A.max(1), (A.argmax(1) == LABELS).astype(float)
    expected = max(abs((right - top)[top <= s].sum()) for s in top) / 500
    assert metrics.kolmogorov_smirnov_calibration_error(A, LABELS) == pytest.approx(expected)


def test_ties_in_top_probability_count_together():
    probs = np.array([[0.8, 0.2], [0.8, 0.2]])
    for labels in ([0, 1], [1, 0]):
        assert metrics.kolmogorov_smirnov_calibration_error(probs, labels) == pytest.approx(0.3)


def test_linearised_calibration_has_the_error_of_a_bootstrap():
    overconfident = special.softmax(3 * np.log(A), axis=1)  # so that no bin is right by chance
    top, right = overconfident.max(1), A.argmax(1) == LABELS
    values = influence.calibration_equal_width(top, right)
    repeats = []
    for _ in range(400):
        rows = RNG.integers(0, 500, 500)
        repeats.append(influence.calibration_equal_width(top[rows], right[rows]).mean())
    assert stats.sem(values) == pytest.approx(np.std(repeats), rel=0.3)


def test_mcnemar_is_the_exact_binomial_test():
    a, b = A.argmax(1) == LABELS, B.argmax(1) == LABELS
    found = intervals.mcnemar(a, b)
    only_a, only_b = found["only_a_right"], found["only_b_right"]
    assert (only_a, only_b) == ((a & ~b).sum(), (b & ~a).sum())
    assert found["p"] == pytest.approx(stats.binomtest(int(only_a), int(only_a + only_b)).pvalue)
    assert intervals.mcnemar(a, a)["p"] == 1
