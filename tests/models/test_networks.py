"""NNX modules and pairs of functions train as Linen's do where they are the same function."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from churn_jax import models
from churn_jax.errors import UserError
from tests.fixtures.experiments import PAIR, make_config, train_steps


def weights(key, shape, dtype=jnp.float32):
    """The same for the same shape, whoever asks and with which key."""
    del key
    return jnp.sin(jnp.arange(np.prod(shape), dtype=dtype) * 12.9898).reshape(shape) / 8


class InLinen(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(16, kernel_init=weights)(x.reshape(len(x), -1)))
        return nn.Dense(self.num_classes, kernel_init=weights)(x)


class InNnx(nnx.Module):
    def __init__(self, input_shape, num_classes, rngs):
        inputs = int(np.prod(input_shape))
        self.first = nnx.Linear(inputs, 16, kernel_init=weights, rngs=rngs)
        self.second = nnx.Linear(16, num_classes, kernel_init=weights, rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x.reshape(len(x), -1))))


def init(key, input_shape, num_classes):
    inputs = int(np.prod(input_shape))
    return [
        (weights(key, (inputs, 16)), jnp.zeros(16)),
        (weights(key, (16, num_classes)), jnp.zeros(num_classes)),
    ]


def apply(parameters, x):
    (a, b), (c, d) = parameters
    return jax.nn.relu(x.reshape(len(x), -1) @ a + b) @ c + d


def ordered(params):
    """Parameters by shape: what a network calls them is its own business."""
    return sorted(map(np.asarray, jax.tree.leaves(params)), key=lambda leaf: leaf.shape)


def test_the_same_function_trains_to_the_same_numbers_in_all_three_forms():
    trained = []
    for network in (InLinen, InNnx, (init, apply)):
        models.register("theirs", network)
        state, metrics = train_steps(make_config(model__name="theirs", **pair()), 6)
        trained.append((ordered(state.params), metrics[-1]["cross_entropy"]))
    (linen, loss), *others = trained
    for params, other_loss in others:
        for expected, found in zip(linen, params, strict=True):
            np.testing.assert_allclose(found, expected, atol=2e-6)
        np.testing.assert_allclose(other_loss, loss, rtol=1e-5)


def pair():
    return {key.replace(".", "__"): value for key, value in PAIR.items()}


class Normalised(nnx.Module):
    """Batch norm and dropout."""

    def __init__(self, num_classes, rngs):
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.dense = nnx.Linear(64, num_classes, rngs=rngs)

    def __call__(self, x):
        return self.dense(self.drop(self.norm(x.reshape(len(x), -1))))


def with_statistics(key, num_classes):
    del key
    return {"params": jnp.zeros((64, num_classes)), "batch_stats": {"mean": jnp.zeros(64)}}


def running(variables, x, train):
    x = x.reshape(len(x), -1)
    mean = x.mean(0) if train else variables["batch_stats"]["mean"]
    logits = (x - mean) @ variables["params"]
    return (logits, {"mean": mean}) if train else logits


@pytest.mark.parametrize("network", [Normalised, (with_statistics, running)])
def test_batch_statistics_of_any_form_are_trained_and_kept(network):
    models.register("theirs", network)
    state, metrics = train_steps(make_config(model__name="theirs"), 2)
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(state.batch_stats))
    assert np.isfinite(metrics[-1]["cross_entropy"]).all()


class Dropping(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        x = nn.relu(nn.Dense(32)(x.reshape(len(x), -1)))
        return nn.Dense(self.num_classes)(nn.Dropout(0.5, deterministic=not train)(x))


def test_dropout_is_a_stream_of_its_run_and_no_matter_of_the_mesh():
    models.register("theirs", Dropping)
    train = {"model__name": "theirs", "epochs": 1.0, "data__crop": "none", "data__flip": False}
    one, _ = train_steps(make_config(**train), 3)
    split, _ = train_steps(make_config(**train, mesh__data=2), 3)
    for expected, found in zip(*map(jax.tree.leaves, (one.params, split.params)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    # Only what varies differs: with everything held, both runs draw the same.
    held, _ = train_steps(make_config(**train, randomness__vary=()), 3)
    noise, _ = train_steps(make_config(**train, randomness__vary=("augmentation",)), 3)
    of_held, of_noise = held.params["Dense_1"]["kernel"], noise.params["Dense_1"]["kernel"]
    np.testing.assert_array_equal(of_held[0], of_held[1])
    assert not np.array_equal(of_noise[0], of_noise[1])
    np.testing.assert_array_equal(of_held[0], of_noise[0])


class Caching(nnx.Module):
    def __init__(self, num_classes, rngs):
        self.dense = nnx.Linear(64, num_classes, rngs=rngs)
        self.calls = nnx.Cache(jnp.zeros(()))

    def __call__(self, x):
        return self.dense(x.reshape(len(x), -1))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Caching, "'theirs' has variables of type Cache; only Param and BatchStat are kept"),
        ((lambda key: jnp.zeros(3), lambda p, x, mode: x), "'theirs' wants 'mode' beside images"),
        ((lambda key: {}, lambda p, x: jnp.zeros((len(x), 3))), "has no parameters"),
    ],
)
def test_what_is_no_classifier_is_refused_in_one_line(network, said):
    models.register("theirs", network)
    model = models.build("theirs", num_classes=3, image_shape=(8, 8, 1))
    with pytest.raises(UserError, match=said):
        jax.eval_shape(model.init, jax.random.key(0))


@pytest.mark.parametrize("network", [3, (init,), (init, 3)])
def test_what_is_no_network_is_not_registered(network):
    with pytest.raises(UserError, match="neither a Flax module's class, nor a function"):
        models.register("theirs", network)
