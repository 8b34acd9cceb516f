"""What the definitions promise for all models, examples and classes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from churn_jax import metrics
from tests.metrics.probabilities import models


@given(models())
def test_symmetric_and_in_range(drawn):
    a, b, _ = drawn
    assert metrics.churn(a, b) == metrics.churn(b, a)
    assert metrics.surrogate_churn(a, b) == metrics.surrogate_churn(b, a)
    assert 0 <= metrics.churn(a, b) <= 1
    assert 0 <= metrics.surrogate_churn(a, b) <= a.shape[1] / 2
    assert metrics.churn(a, a) == metrics.surrogate_churn(a, a) == 0


@given(models(), st.floats(0.1, 10))
def test_surrogate_churn_tends_to_churn(drawn, alpha):
    a, b, _ = drawn
    confidence = np.minimum(metrics.prediction_confidence(a), metrics.prediction_confidence(b))
    unique = confidence > 1e-3
    if unique.any():
        a, b = a[unique], b[unique]
        assert_allclose(metrics.surrogate_churn(a, b, alpha=1e6), metrics.churn(a, b), atol=1e-9)
        # On the way there, two relative probabilities of 1 in different places stay apart.
        assert metrics.surrogate_churn(a, b, alpha) > 0 or metrics.churn(a, b) == 0


@given(models())
def test_law_of_total_probability(drawn):
    a, b, labels = drawn
    accuracy = metrics.accuracy(a, labels)
    parts = [
        accuracy * metrics.churn_correct(a, b, labels),
        (1 - accuracy) * metrics.churn_incorrect(a, b, labels),
    ]
    assert_allclose(np.nansum(parts), metrics.churn(a, b), atol=1e-12)


@given(models(), st.randoms(use_true_random=False))
def test_order_of_examples_does_not_matter(drawn, random):
    a, b, labels = drawn
    order = random.sample(range(len(a)), len(a))
    measures = [
        lambda a, b, y: metrics.churn(a, b),
        lambda a, b, y: metrics.surrogate_churn(a, b),
        lambda a, b, y: metrics.expected_calibration_error(a, y),
        metrics.churn_correct,
        metrics.churn_incorrect,
    ]
    for measure in measures:
        shuffled = measure(a[order], b[order], labels[order])
        assert_allclose(shuffled, measure(a, b, labels), atol=1e-12)


@given(models(), st.randoms(use_true_random=False))
def test_names_of_classes_do_not_matter_where_no_two_tie(drawn, random):
    a, b, _ = drawn
    unique = (metrics.prediction_confidence(a) > 0) & (metrics.prediction_confidence(b) > 0)
    order = random.sample(range(a.shape[1]), a.shape[1])
    same = metrics.disagreement(a[:, order], b[:, order]) == metrics.disagreement(a, b)
    assert same[unique].all()
    distance = metrics.surrogate_distance(a[:, order], b[:, order])
    assert_allclose(distance, metrics.surrogate_distance(a, b), atol=1e-12)


@given(models())
def test_lemmas(drawn):
    a, b, labels = drawn
    assert metrics.lemma1_holds(a, b, labels)
    assert metrics.lemma2_holds(a, b)
    assert metrics.churn(a, b) <= metrics.lemma1_bound(a, b, labels) + 1e-12
    assert metrics.churn(a, b) <= metrics.lemma2_bound(a, b)


@given(models())
def test_entropy_and_confidence_in_range(drawn):
    a, _, _ = drawn
    entropy, confidence = metrics.prediction_entropy(a), metrics.prediction_confidence(a)
    assert ((entropy >= 0) & (entropy <= np.log(a.shape[1]) + 1e-12)).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


@given(st.floats(0.5, 1), st.floats(0.5, 1))
def test_theorem_3(p, q):
    # With two classes, lower entropy means a confidence at least as large.
    probs = np.array([[p, 1 - p], [q, 1 - q]])
    entropy, confidence = metrics.prediction_entropy(probs), metrics.prediction_confidence(probs)
    if entropy[0] < entropy[1] - 1e-12:
        assert confidence[0] >= confidence[1]


@given(models())
def test_building_blocks_agree_with_the_whole(drawn):
    a, b, _ = drawn
    relative = metrics.relative_probabilities(a) - metrics.relative_probabilities(b)
    assert_allclose(np.abs(relative).sum(axis=-1) / 2, metrics.surrogate_distance(a, b), atol=1e-12)
    assert (metrics.disagreement(a, b) == (metrics.predictions(a) != metrics.predictions(b))).all()
