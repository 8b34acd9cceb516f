"""The packed residual block is the plain one: values, statistics, and gradients in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from churn_jax.models import packed_block
from churn_jax.models.packed_block import Layer, Passes
from churn_jax.models.resnet import Block, CifarResNet
from churn_jax.parallel import stacking

EXAMPLES, SIDE, CHANNELS, GROUP, EPSILON = 6, 8, 3, 2, 1e-5


def plain(x, layers, passes, group, epsilon):
    """The block as it is written down, which JAX differentiates by itself."""

    def layer(images, layer):
        numbers = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(
            images, layer.kernel, (1, 1), "SAME", dimension_numbers=numbers
        )
        parts = y.reshape(-1, group, *y.shape[1:])
        mean, var = (f(parts, (1, 2, 3), keepdims=True) for f in (jnp.mean, jnp.var))
        normalised = (parts - mean) / jnp.sqrt(var + epsilon) * layer.scale + layer.bias
        return normalised.reshape(y.shape), (mean.reshape(-1, 3), var.reshape(-1, 3))

    inner, first = layer(x, layers[0])
    outer, second = layer(jax.nn.relu(inner), layers[1])
    return jax.nn.relu(x + outer), (first, second)


def arguments(dtype=np.float64):
    rng = np.random.default_rng(0)

    def normal(*shape, around=0.0):
        return jnp.asarray(around + rng.normal(size=shape), dtype)

    layers = tuple(
        Layer(normal(3, 3, CHANNELS, CHANNELS), normal(CHANNELS, around=1), normal(CHANNELS))
        for _ in range(2)
    )
    return normal(EXAMPLES, SIDE, SIDE, CHANNELS), layers


@pytest.mark.parametrize("passes", [(1, 1), (4, 4), (4, 1), (2, 8)], ids=str)
def test_values_and_gradients_are_the_plain_block_s(passes):
    with jax.enable_x64(True):

        def loss(x, layers, block):
            out, statistics = block(x, layers, Passes(*passes), GROUP, EPSILON)
            return jnp.sin(out).sum(), (out, statistics)

        value = jax.value_and_grad(loss, (0, 1), has_aux=True)
        (found, aux), gradients = value(*arguments(), packed_block.block)
        (expected, plain_aux), plain_gradients = value(*arguments(), plain)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        for a, b in zip(jax.tree.leaves(aux), jax.tree.leaves(plain_aux), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(plain_gradients), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * float(np.abs(b).max()))


def test_gradients_are_those_of_finite_differences():
    with jax.enable_x64(True):
        x, layers = arguments()

        def loss(x, layers):
            return jnp.sin(packed_block.block(x, layers, Passes(4, 4), GROUP, EPSILON)[0]).sum()

        check_grads(loss, (x, layers), order=1, modes=("rev",), eps=1e-6)


def networks():
    settings = {"num_classes": 7, "blocks_per_stage": 2, "norm_group": 2}
    return (CifarResNet(wide_passes=wide, **settings) for wide in (False, True))


@pytest.mark.parametrize("train", [False, True])
def test_a_network_with_packed_blocks_has_the_same_variables_values_and_gradients(train):
    x = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))
    ours = []
    for net in networks():
        variables = net.init(jax.random.key(1), x, train=train)

        def run(params, net=net, variables=variables):
            given = variables | {"params": params}
            out = net.apply(given, x, train=train, mutable=["batch_stats"])
            return jnp.sin(out[0]).sum(), out

        packs = "custom_vjp" in str(jax.make_jaxpr(run)(variables["params"]))
        assert packs == (train and net.wide_passes)
        made = jax.jit(jax.grad(run, has_aux=True))(variables["params"])
        ours.append((variables["params"], *made))
    plain_net, narrow = ours
    jax.tree.map(np.testing.assert_array_equal, plain_net[0], narrow[0])
    for found, expected in zip(jax.tree.leaves(narrow), jax.tree.leaves(plain_net), strict=True):
        scale = max(float(np.abs(expected).max()), 1)
        np.testing.assert_allclose(found, expected, atol=1e-4 * scale)


def test_batch_statistics_are_found_by_forward_differentiation_too():
    """As `training.step.statistics_step` asks for them."""
    x = jax.random.normal(jax.random.key(0), (4, 16, 16, 3))
    found = []
    for net in networks():
        variables = net.init(jax.random.key(1), x, train=False)

        def update(before, net=net, variables=variables):
            given = {"params": variables["params"], "batch_stats": before}
            return net.apply(given, x, train=True, mutable=["batch_stats"])[1]["batch_stats"]

        running = variables["batch_stats"]
        zeros, ones = (jax.tree.map(fill, running) for fill in (jnp.zeros_like, jnp.ones_like))
        found.append(jax.tree.leaves(jax.jvp(update, (zeros,), (ones,))))
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "group", "examples", "activation", "stride"),
    [(10, 2, 4, "relu", 1), (8, 0, 4, "relu", 1), (8, 8, 4, "relu", 1), (8, 2, 4, "silu", 1),
     (8, 2, 4, "relu", 2)],
)  # fmt: skip
def test_what_cannot_be_packed_is_the_plain_block(width, group, examples, activation, stride):
    """A width in parts of 4, a group of one device, relu and no shortcut are what it takes."""
    x = jax.random.normal(jax.random.key(0), (examples, width, width, 16))
    axis = "data" if group > examples else None
    plain_block, asked = (
        Block(16, stride, jnp.dtype("float32"), group, axis, getattr(jax.nn, activation), passes)
        for passes in (None, Passes(4, 4))
    )
    given = plain_block.init(jax.random.key(1), x, train=False)

    def jaxpr(block):
        def apply(x):
            return block.apply(given, x, train=True, mutable=["batch_stats"])

        return str(jax.make_jaxpr(apply, axis_env=[("data", 2)])(x))

    assert jaxpr(asked) == jaxpr(plain_block)


def test_only_an_early_core_with_many_examples_has_wide_passes():
    kinds = ("TPU v2", "TPU v3", "TPU v4", "TPU v5 lite", "cpu", "NVIDIA H100")
    assert [stacking.wide_passes(kind, 128) for kind in kinds] == [True, True, *[False] * 4]
    assert not stacking.wide_passes("TPU v3", 64)
