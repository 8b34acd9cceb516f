"""Inputs of any type: what is normalised, and what is refused."""

import dataclasses

import numpy as np
import pytest

from churn_jax import data
from churn_jax.config import DataConfig
from churn_jax.data import ArrayExamples, Dataset, DatasetInfo, fingerprint
from churn_jax.data.resident import normalise
from churn_jax.errors import UserError

IDS = np.array([f"{i:02d}" for i in range(12)])
LABELS = np.arange(12, dtype=np.int32) % 3
FLOATS = np.random.default_rng(0).normal(3, 2, (12, 5, 4)).astype(np.float32)
TOKENS = np.random.default_rng(1).integers(0, 9, (12, 6), np.int32)
OF_FLOATS = DatasetInfo("inputs", ("a", "b", "c"), (5, 4), dtype="float32")
OF_TOKENS = DatasetInfo("inputs", ("a", "b", "c"), (6,), dtype="int32", vocabulary=9)


def load(info, inputs, labels=LABELS, **settings):
    every = ArrayExamples(inputs, labels, IDS)
    made = Dataset(info, every.take(np.arange(8)), every.take(np.arange(8, 12)))
    data.register("inputs", lambda _: made)
    return data.load(DataConfig(name="inputs", **settings))


def test_floats_are_normalised_by_their_training_part_alone():
    info = load(OF_FLOATS, FLOATS).info
    rows = FLOATS[:8].astype(np.float64).reshape(-1, 4)
    np.testing.assert_allclose(info.mean, rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(info.std, rows.std(0), rtol=1e-6)
    normal = np.asarray(normalise(FLOATS, info))
    np.testing.assert_allclose(normal, (FLOATS - rows.mean(0)) / rows.std(0), atol=1e-5)
    held_out = load(OF_FLOATS, FLOATS, num_validation=3)
    assert held_out.validation is not None
    of_five = held_out.train.images.reshape(-1, 4).mean(0)
    np.testing.assert_allclose(held_out.info.mean, of_five, rtol=1e-5)


def test_an_entry_that_never_changes_is_not_divided_by_zero():
    still = FLOATS.copy()
    still[..., 1] = 1e6 + 0.1
    dataset = load(OF_FLOATS, still)
    assert dataset.info.std[1] == 1
    assert np.isfinite(normalise(still, dataset.info)).all()


def test_tokens_stay_what_they_are():
    dataset = load(OF_TOKENS, TOKENS)
    found = normalise(dataset.test.images, dataset.info)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, TOKENS[8:])


def test_versions_of_the_training_set_are_compared_on_one_test_split():
    whole, part = load(OF_FLOATS, FLOATS), load(OF_FLOATS, FLOATS, num_train=4)
    assert whole.info.mean != part.info.mean
    assert fingerprint(whole.info, whole.test) == fingerprint(part.info, part.test)
    more = dataclasses.replace(OF_TOKENS, vocabulary=10)
    tokens = load(OF_TOKENS, TOKENS)
    assert fingerprint(OF_TOKENS, tokens.test) != fingerprint(more, tokens.test)


def with_value(inputs, value):
    wrong = inputs.copy()
    wrong[(9, *[1] * (inputs.ndim - 1))] = value
    return wrong


@pytest.mark.parametrize(
    ("info", "inputs", "labels", "said"),
    [
        (OF_FLOATS, FLOATS.astype(np.float64), LABELS, r"inputs are float64 .*, not float32 \[exa"),
        (OF_FLOATS, FLOATS[:, :3], LABELS, r"float32 \[8, 3, 4\], not float32 \[example, 5, 4\]"),
        (
            OF_FLOATS,
            with_value(FLOATS, np.nan),
            LABELS,
            r"test: nan is no finite .* '09', .*\[1",
        ),
        (OF_TOKENS, with_value(TOKENS, 9), LABELS, r"9 is no token id in 0 … 8: example '09'"),
        (OF_TOKENS, with_value(TOKENS, -1), LABELS, "-1 is no token id"),
        (OF_TOKENS, TOKENS, LABELS.astype(np.float32), "the labels are float32"),
        (OF_TOKENS, TOKENS, LABELS + 1, r"labels from 1 to 3, but the 3 classes .* 0 to 2"),
        (dataclasses.replace(OF_TOKENS, vocabulary=0), TOKENS, LABELS, "size of their vocabulary"),
        (dataclasses.replace(OF_FLOATS, dtype="float16"), FLOATS, LABELS, "'float16' is none of"),
        (dataclasses.replace(OF_FLOATS, dtype="uint8"), FLOATS, LABELS, "is no picture"),
    ],
)
def test_what_is_not_what_it_says_is_refused_in_one_line(info, inputs, labels, said):
    with pytest.raises(UserError, match=said):
        load(info, inputs, labels)


def test_only_pictures_are_resized():
    with pytest.raises(UserError, match="image_size: inputs holds no pictures"):
        load(OF_FLOATS, FLOATS, image_size=8)
