"""SmeLU against its definition in float64, and in every network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from churn_jax import models
from churn_jax.errors import UserError
from churn_jax.models.activations import smelu

WIDTH = 0.75


def by_definition(x, width):
    """Float64, piece by piece."""
    x = np.float64(x)
    pieces = [np.zeros_like(x), (x + width) ** 2 / (4 * width), x]
    return np.select([x <= -width, np.abs(x) <= width, x >= width], pieces)


def test_values_and_gradients():
    x = np.linspace(-3, 3, 1001)
    assert_allclose(smelu(jnp.float32(x), WIDTH), by_definition(x, WIDTH), atol=1e-6)
    gradients = jax.vmap(jax.grad(lambda x: smelu(x, WIDTH)))(jnp.float32(x))
    differences = (by_definition(x + 1e-6, WIDTH) - by_definition(x - 1e-6, WIDTH)) / 2e-6
    assert_allclose(gradients, differences, atol=2e-5)


@pytest.mark.parametrize("x", [-1e30, -1e4, 1e4, 1e30])
def test_far_out_it_is_the_rectifier(x):
    value, gradient = jax.value_and_grad(smelu)(jnp.float32(x))
    assert value == max(np.float32(x), 0)
    assert gradient == (x > 0)


@pytest.mark.parametrize("name", ["lenet5", "resnet8", "resnet_v2_18"])
def test_every_network_takes_it(name):
    def logits(**settings):
        model = models.build(name, num_classes=3, image_shape=(8, 8, 1), **settings)
        return jax.jit(lambda v, x: model.apply(v, x, train=True)[0])(variables, images)

    images = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))
    variables = models.build(name, num_classes=3, image_shape=(8, 8, 1)).init(jax.random.key(0))
    rectified = logits()
    assert np.abs(logits(activation="smelu", activation_width=1.0) - rectified).max() > 1e-3
    narrow = logits(activation="smelu", activation_width=1e-6)
    assert_allclose(narrow, rectified, rtol=1e-3, atol=1e-3)


def test_a_network_without_a_choice_is_refused(monkeypatch):
    def own(num_classes):
        raise AssertionError

    models.register("own", own)
    with pytest.raises(UserError, match=r"config\.model\.activation: 'smelu', but own"):
        models.build("own", num_classes=3, image_shape=(8, 8, 1), activation="smelu")
