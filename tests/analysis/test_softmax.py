"""A block's probabilities by NumPy and by the compiled loop, against a float64 definition."""

import numpy as np
import pytest

from churn_jax.analysis import softmax
from churn_jax.errors import UserError
from churn_jax.predictions.run import Run

ROWS, CLASSES = 40, 333
LOGITS = 3 * np.random.default_rng(0).standard_normal((2, ROWS, CLASSES))
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(2, keepdims=True)


@pytest.fixture(params=["numpy", "loop", "compiled loop"])
def scaling(request, monkeypatch):
    if request.param == "numpy":
        assert softmax.choose(1) is None
        return None
    if request.param == "compiled loop":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(softmax, "compiled", lambda loop: loop)
    return softmax.choose(1 << 40)


def of_runs(values, scaling, labels=None, with_logs=False, kind="probs"):
    runs = [Run(each.__getitem__, kind, name=f"run{i}") for i, each in enumerate(values)]
    relative = np.empty(np.shape(values), np.float32)
    logs = np.empty_like(relative) if with_logs else None
    return softmax.of_runs(runs, slice(0, len(values[0])), labels, relative, logs, scaling)


def test_probabilities_by_their_definition(scaling):
    labels = np.arange(ROWS)
    found = of_runs(PROBS.astype(np.float32), scaling, labels, with_logs=True)
    largest = PROBS.max(2, keepdims=True)
    np.testing.assert_array_equal(found.prediction, PROBS.argmax(2))
    np.testing.assert_allclose(found.relative, PROBS / largest, rtol=1e-6)
    np.testing.assert_allclose(found.logs, LOGITS - LOGITS.max(2, keepdims=True), atol=2e-6)
    np.testing.assert_allclose(found.top, largest[..., 0], rtol=1e-6)
    np.testing.assert_allclose(found.total, (PROBS / largest).sum(2), rtol=1e-6)
    np.testing.assert_allclose(found.second, np.sort(PROBS / largest)[..., -2], rtol=1e-6)
    np.testing.assert_allclose(found.label_logs, np.log(PROBS[:, labels, labels]), rtol=1e-5)
    assert (found.relative.max(2) == 1).all()


def test_ties_go_to_the_lowest_class(scaling):
    rows = np.array([[0.2, 0.4, 0.4], [1, 0, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]], np.float32)
    found = of_runs(rows[None], scaling)
    np.testing.assert_array_equal(found.prediction[0], [1, 0, 2, 0])
    np.testing.assert_array_equal(found.second[0], [1, 0, 0, 1])


def test_a_negative_zero_is_a_probability(scaling):
    found = of_runs(np.array([[[-0.0, 1, 0.0]]], np.float32), scaling)
    assert found.prediction[0, 0] == 1


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ([0.5, np.nan, 0.5], "example 1 has values that are not numbers"),
        ([-np.nan, 0.5, 0.5], "example 1 has values that are not numbers"),
        ([np.inf, 0, 0], "example 1 has values that are not numbers"),
        ([-0.5, 1, 0.5], "example 1 has a negative probability"),
        ([0.5, 0.5, 0.5], "example 1 has probabilities that sum to 1.5"),
        ([0, 0, 0], "example 1 has values that are not numbers"),
    ],
)
def test_what_is_no_prediction_is_refused_in_the_same_words(scaling, row, fault):
    good = [0.25, 0.5, 0.25]
    with pytest.raises(UserError, match=f"run1: {fault}"):
        of_runs(np.array([[good, good], [good, row]], np.float32), scaling)


@pytest.mark.parametrize("kind", ["log_probs", "logits"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_other_kinds_and_types_agree_with_probabilities(scaling, kind, dtype):
    values = (LOGITS if kind == "logits" else np.log(PROBS)).astype(dtype)
    found = of_runs(values, scaling, kind=kind)
    exact = np.exp(values.astype(np.float64))
    exact /= exact.max(2, keepdims=True)
    # Half-precision values are subtracted in their own precision.
    np.testing.assert_allclose(found.relative, exact, rtol=2e-2 if dtype == np.float16 else 2e-6)
    np.testing.assert_array_equal(found.prediction, values.argmax(2))


def test_a_files_read_only_rows_and_every_second_row(scaling):
    every = PROBS.astype(np.float32).repeat(2, axis=1)
    every.flags.writeable = False
    found = of_runs([each[::2] for each in every], scaling)
    np.testing.assert_array_equal(found.prediction, PROBS.argmax(2))
