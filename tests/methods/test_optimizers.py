"""Optimisers by name: against their equations in NumPy, decay masks, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from churn_jax import methods
from churn_jax.errors import UserError
from churn_jax.methods import optimizers

PARAMS = {"kernel": np.array([[1.0, -2.0], [0.5, 3.0]]), "bias": np.array([0.3, -0.7])}
GRADIENTS = [
    jax.tree.map(lambda leaf, scale=scale: scale * np.cos(3 * leaf), PARAMS)
    for scale in (1.0, -0.5, 2.0)
]


def trained(name, arguments="", rate=0.1, **settings):
    """The parameters after a step with each of `GRADIENTS`."""
    optimizer = optax.chain(*optimizers.steps(name, lambda step: rate, arguments, **settings))
    params = jax.tree.map(jnp.float32, PARAMS)
    state = optimizer.init(params)
    for gradient in GRADIENTS:
        updates, state = optimizer.update(jax.tree.map(jnp.float32, gradient), state, params)
        params = optax.apply_updates(params, updates)
    return params


def assert_close(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), found, expected)


def test_adamw_decays_apart_from_the_gradient():
    b1, b2, decay, rate, eps = 0.8, 0.95, 0.2, 0.1, 1e-8

    def by_hand(w, gradients):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients, 1):
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
            w = w - rate * (step + decay * w)
        return w

    expected = {k: by_hand(w, [g[k] for g in GRADIENTS]) for k, w in PARAMS.items()}
    assert_close(trained("adamw", "b1=0.8, b2=0.95", weight_decay=decay), expected)


def test_adam_has_the_penalty_in_its_gradient():
    b1, b2, decay, rate, eps = 0.9, 0.999, 0.2, 0.1, 1e-8

    def by_hand(w, gradients):
        m, v = np.zeros_like(w), np.zeros_like(w)
        for t, g in enumerate(gradients, 1):
            g = g + decay * w
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            w = w - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        return w

    expected = {k: by_hand(w, [g[k] for g in GRADIENTS]) for k, w in PARAMS.items()}
    assert_close(trained("adam", weight_decay=decay), expected)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb", "lars", "lion", "adan"])
def test_with_kernels_alone_biases_do_not_decay(name):
    settings = {"weight_decay": 0.3}
    none = trained(name, weight_decay=0.0)
    every, masked = (trained(name, **settings, decayed=which) for which in ("all", "kernels"))
    np.testing.assert_array_equal(masked["bias"], none["bias"])
    np.testing.assert_array_equal(masked["kernel"], every["kernel"])
    assert not np.allclose(every["bias"], none["bias"], rtol=1e-4)
    assert not np.allclose(every["kernel"], none["kernel"], rtol=1e-4)


@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
def test_every_optimiser_trains_stacked_models_as_alone(name):
    """Each [run, member] as it would by itself, its state included."""
    optimizer = optax.chain(*optimizers.steps(name, lambda step: 0.01, weight_decay=0.1))
    stacked = jax.tree.map(lambda leaf: jnp.float32(np.stack([leaf, 2 * leaf])), PARAMS)
    state = jax.vmap(optimizer.init)(stacked)
    gradient = jax.tree.map(jnp.sin, stacked)
    together, _ = jax.vmap(optimizer.update)(gradient, state, stacked)
    for place in range(2):
        params, grads = jax.tree.map(lambda leaf, p=place: leaf[p], (stacked, gradient))
        alone, _ = optimizer.update(grads, optimizer.init(params), params)
        assert_close(jax.tree.map(lambda leaf, p=place: leaf[p], together), alone)


@pytest.mark.parametrize(
    ("name", "arguments", "decayed", "message"),
    [
        ("adamm", "", "all", r"optimizer.name: unknown optimiser 'adamm' \(did you mean 'adam'\?"),
        ("adam", "beta1=0.9", "all", r"'adam' takes no 'beta1' \(.*b1"),
        ("adamw", "weight_decay=1", "all", "'weight_decay' is what config.optimizer.weight_decay"),
        ("sgd", "momentum=0.5", "all", "'momentum' is what config.optimizer.momentum says"),
        ("adam", "mu_dtype=1", "all", "takes no 'mu_dtype'"),
        ("adam", "b1", "all", "'b1' is not NAME=NUMBER"),
        ("adam", "b1=__import__('os')", "all", "is not NAME=NUMBER"),
        ("adam", "b1=0.5,b1=0.6", "all", "'b1' is there twice"),
        ("novograd", "", "kernels", "'novograd' decays all weights alike"),
    ],
)
def test_what_no_optimiser_takes_is_one_line(name, arguments, decayed, message):
    with pytest.raises(UserError, match=message) as caught:
        optimizers.check(name, arguments, decayed)
    assert "\n" not in str(caught.value)


def test_an_optimiser_of_ones_own():
    """Whatever it calls its learning rate, which is not one of its arguments."""

    def halved(rate, share=0.5):
        return optax.sgd(lambda step: share * rate(step))

    methods.register_optimizer("halved", halved)
    found = trained("halved", "share=0.25", weight_decay=0.0)
    expected = jax.tree.map(lambda w, *g: w - 0.1 * 0.25 * sum(g), PARAMS, *GRADIENTS)
    assert_close(found, expected)
    with pytest.raises(UserError, match=r"'rate' is what config\.optimizer\.learning_rate says"):
        optimizers.check("halved", "rate=1")
    with pytest.raises(UserError, match="'adam' already, of the package itself"):
        methods.register_optimizer("adam", halved)
