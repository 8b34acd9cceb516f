"""ECE against an independent loop, and against torchmetrics where that is installed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from churn_jax import metrics
from churn_jax.errors import UserError


def random_model(seed, examples=2000, classes=10):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(classes, 0.3), examples), rng.integers(0, classes, examples)


def reference_ece(probs, labels, num_bins):
    error = 0.0
    for k in range(num_bins):
        inside = [i for i, p in enumerate(probs) if k / num_bins < max(p) <= (k + 1) / num_bins]
        if inside:
            accuracy = sum(int(np.argmax(probs[i]) == labels[i]) for i in inside) / len(inside)
            confidence = sum(max(probs[i]) for i in inside) / len(inside)
            error += len(inside) / len(probs) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_equals_an_independent_reference(num_bins):
    probs, labels = random_model(0)
    expected = reference_ece(probs, labels, num_bins)
    assert_allclose(
        metrics.expected_calibration_error(probs, labels, num_bins), expected, atol=1e-6
    )


@pytest.mark.peers
def test_equals_torchmetrics():
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.functional.classification")
    probs, labels = random_model(1)
    expected = classification.multiclass_calibration_error(
        torch.from_numpy(probs), torch.from_numpy(labels), num_classes=10, n_bins=15, norm="l1"
    )
    assert_allclose(metrics.expected_calibration_error(probs, labels), float(expected), atol=1e-6)


def test_bins_are_closed_on_the_right():
    edges = np.arange(1, 16) / 15
    assert_array_equal(metrics.bin_indices(edges), np.arange(15))
    assert_array_equal(metrics.bin_indices(np.nextafter(edges[:-1], 1)), np.arange(1, 15))
    assert_array_equal(metrics.bin_indices(np.array([0.0, 1 + 1e-7])), [0, 14])


def test_bins_by_hand():
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]])
    bins = metrics.reliability_bins(probs, np.array([0, 1, 0]), num_bins=4)
    assert_array_equal(bins.counts, [0, 0, 1, 2])
    assert_allclose(bins.accuracy, [0, 0, 1, 0.5])
    assert_allclose(bins.confidence, [0, 0, 0.6, 0.85])


def test_refuses_no_bins():
    with pytest.raises(UserError, match="num_bins must be at least 1"):
        metrics.expected_calibration_error(*random_model(0, 3), num_bins=0)
