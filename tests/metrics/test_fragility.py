"""Flip probability, the triage curve and selective votes against values by hand and SciPy."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from churn_jax import metrics
from churn_jax.errors import UserError

CLASSES = np.array([[0, 0, 2], [0, 1, 2], [1, 1, 2], [2, 1, 2]])  # four runs, three examples


def test_flip_probability_by_hand():
    # Of six pairs agree: one on the first example, three on the second, all on the third.
    assert_allclose(metrics.flip_probability(CLASSES), [5 / 6, 3 / 6, 0])


def test_flip_probability_averages_to_churn():
    classes = np.random.default_rng(0).integers(0, 3, (5, 40))
    churns = [(a != b).mean() for a, b in itertools.combinations(classes, 2)]
    assert_allclose(metrics.flip_probability(classes).mean(), np.mean(churns))


def test_review_by_hand():
    suspicion, flips = [0.1, 0.9, 0.5, 0.2], [1, 4, 3, 0]
    found = metrics.caught_by_review(suspicion, flips, [0, 0.25, 0.5, 0.75, 1])
    assert_allclose(found, [0, 4 / 8, 7 / 8, 7 / 8, 1])


def test_equally_suspicious_examples_are_reviewed_in_any_order():
    found = metrics.caught_by_review([1, 0, 0, 0], [0, 1, 0, 2], [0.25, 0.5, 0.75])
    assert_allclose(found, [0, 1 / 3, 2 / 3])
    assert np.isnan(metrics.caught_by_review([1, 0], [0, 0], [0.5])).all()


def test_a_vote_answers_where_scipys_test_tells_its_two_classes_apart():
    rng = np.random.default_rng(1)
    classes = np.where(rng.random((9, 60)) < np.linspace(0, 1, 60), 1, rng.integers(0, 4, (9, 60)))
    answer, sure = metrics.selective_vote(classes)
    for example in range(60):
        counts = np.bincount(classes[:, example], minlength=4)
        second, most = np.sort(counts)[-2:]
        assert counts[answer[example]] == most
        p = stats.binomtest(int(most), int(most + second), 0.5).pvalue
        assert sure[example] == (p <= 0.05)
    assert 0 < sure.mean() < 1


def test_five_runs_are_too_few_to_be_sure_at_five_percent():
    _, sure = metrics.selective_vote(np.zeros((5, 2), np.int64))
    assert_array_equal(sure, [False, False])
    _, sure = metrics.selective_vote(np.zeros((6, 2), np.int64))
    assert_array_equal(sure, [True, True])


@pytest.mark.parametrize("bad", [[[0, 1]], [0, 1], [[0.0], [1.0]]])
def test_what_are_no_classes_of_runs_is_refused(bad):
    with pytest.raises(UserError, match=r"integers \[run, example\]"):
        metrics.flip_probability(bad)
    with pytest.raises(UserError, match=r"integers \[run, example\]"):
        metrics.selective_vote(bad)


def test_a_level_that_is_none_is_refused():
    with pytest.raises(UserError, match="alpha"):
        metrics.selective_vote(CLASSES, alpha=1.0)
