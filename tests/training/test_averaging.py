"""Averaged weights in the state, in prediction, and over a resume."""

import dataclasses

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from churn_jax.config import AveragesConfig
from churn_jax.data.resident import normalise
from churn_jax.errors import UserError
from churn_jax.training import averaging, prediction
from churn_jax.training.feeds import make_feed
from tests.fixtures.experiments import PAIR, assert_close, digits, make_config, make_experiment

PAIRS = {key.replace(".", "__"): value for key, value in PAIR.items()}


def trained(config, steps):
    """The experiment and its states on the host, before the first step and after each."""
    experiment = make_experiment(config)
    feed = make_feed(experiment, digits(config.data.num_train), 0)
    state = experiment.init_state()
    states = [jax.device_get(state)]
    for step in range(steps):
        state, _ = feed.advance(state, step)
        states.append(jax.device_get(state))
    return experiment, state, states


def assert_follows(states, largest_decay, members=1):
    """The averages of the last state are the definition's, in double precision."""
    expected = jax.tree.map(np.float64, states[0].params)
    for update, state in enumerate(states[1:]):
        decay = min(largest_decay, (update + 1) / (update + 10))
        expected = jax.tree.map(
            lambda mean, new, d=decay: d * mean + (1 - d) * np.float64(new), expected, state.params
        )
    for got, want in zip(
        jax.tree.leaves(states[-1].averages), jax.tree.leaves(expected), strict=True
    ):
        assert got.shape[:3] == (2, members, 1)
        assert_allclose(got[:, :, 0], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("members", [1, 2])
def test_ema_follows_the_weights_of_every_member_of_every_run(members):
    config = make_config(
        method__prediction="ema", averages__decay=0.5, **(PAIRS if members == 2 else {})
    )
    _, _, states = trained(config, 6)
    assert_follows(states, 0.5, members)


def test_the_trained_weights_are_the_same_with_and_without_averages():
    """To rounding: the two are different programs."""
    _, _, plain = trained(make_config(), 4)
    _, _, averaged = trained(make_config(method__prediction="swa"), 4)
    assert_close(averaged[-1].params, plain[-1].params, 1e-4)
    assert not jax.tree.leaves(plain[-1].averages)


def test_statistics_of_averaged_weights_are_those_of_the_next_epochs_batches():
    """Against batch norm's definition: of the first layer, whose input no other layer changes."""
    config = make_config(
        model__name="resnet8", data__crop="none", data__flip=False, method__prediction="ema"
    )
    experiment, state, states = trained(config, 4)
    assert_follows(states, 0.999)
    (weights,) = averaging.predicting(experiment, state, digits(64))
    run = 1
    order = np.asarray(experiment.order_window(experiment.runs, 1))[run][:64]
    images = np.asarray(normalise(digits(64).train.images[order], experiment.info), np.float64)
    kernel = np.float64(states[-1].averages["conv_first"]["kernel"][run, 0, 0])
    means, variances = [], []
    for batch in images.reshape(4, 16, *images.shape[1:]):
        padded = np.pad(batch, ((0, 0), (1, 1), (1, 1), (0, 0)))
        convolved = sum(
            np.einsum("nhwc,cf->nhwf", padded[:, i : i + 8, j : j + 8], kernel[i, j])
            for i in range(3)
            for j in range(3)
        )
        means.append(convolved.mean((0, 1, 2)))
        variances.append(convolved.var((0, 1, 2)))
    found = jax.device_get(weights.batch_stats)["norm_first"]
    assert_allclose(found["mean"][run, 0], np.mean(means, 0), rtol=1e-4, atol=1e-5)
    assert_allclose(found["var"][run, 0], np.mean(variances, 0), rtol=1e-4, atol=1e-5)


def test_statistics_are_gathered_in_parts_as_of_the_batch():
    """Of groups of four examples, which each part has whole."""
    grouped = {"model__name": "resnet8", "model__norm_group": 4, "method__prediction": "ema"}
    found = []
    for parts in (1, 4):
        config = make_config(**grouped, optimizer__accumulate=parts, optimizer__learning_rate=0.0)
        experiment, state, _ = trained(config, 1)
        (weights,) = averaging.predicting(experiment, state, digits(64))
        found.append(jax.device_get(weights.batch_stats))
    assert_close(found[1], found[0], 1e-5)


def test_snapshots_predict_by_their_mean_probability():
    config = make_config(
        method__prediction="snapshots", optimizer__schedule="cycles", optimizer__cycles=2
    )
    experiment, state, states = trained(config, 8)
    models = averaging.predicting(experiment, state, digits(64))
    halfway = dataclasses.replace(state, params=states[4].params)
    jax.tree.map(assert_array_equal, jax.device_get(models[0].params), halfway.params)
    probs = [
        np.exp(np.float64(prediction.predict(experiment, [model], digits(64).test)))
        for model in models
    ]
    both = prediction.predict(experiment, models, digits(64).test)
    assert_allclose(np.exp(np.float64(both)), np.mean(probs, 0), atol=1e-6)


def test_a_streamed_and_a_resident_pass_gather_the_same_statistics():
    """And leave models that predict: a pass takes over what it is given."""
    found = []
    for pipeline in ("resident", "streaming"):
        config = make_config(
            model__name="resnet8", method__prediction="ema", data__pipeline=pipeline
        )
        experiment, state, _ = trained(config, 2)
        (weights,) = averaging.predicting(experiment, state, digits(64))
        probs = np.exp(prediction.predict(experiment, [weights], digits(64).test))
        found.append((jax.device_get(weights.batch_stats), probs))
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-5), *found)


def test_a_decay_of_one_would_never_move():
    with pytest.raises(UserError, match=r"averages\.decay"):
        make_config(averages__decay=1.5)
    assert AveragesConfig().decay < 1
