"""Networks: shapes, sizes, precision, and the layers that Flax lacks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from churn_jax import models
from churn_jax.errors import UserError
from churn_jax.models import layers, packed
from churn_jax.models.resnet import CifarResNet
from churn_jax.models.resnet_v2 import ResNetV2

# Weights of a 10-class network on 32×32×3 images; the ResNets' are those of He et al. (0.27 M,
# 0.46 M and 0.85 M) with projection shortcuts.
SIZES = {"lenet5": 83_126, "resnet20": 272_474, "resnet32": 466_906, "resnet56": 855_770}


def build(name, shape=(32, 32, 3), **settings):
    return models.build(name, num_classes=10, image_shape=shape, **settings)


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    variables = jax.eval_shape(build(name).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == SIZES[name]


def test_resnet_v2_50_has_the_size_of_the_original():
    model = models.build("resnet_v2_50", num_classes=1000, image_shape=(224, 224, 3))
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 25_549_352


@pytest.mark.parametrize("name", [*models.MODELS])
@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (33, 47, 3)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_input_gives_float32_logits_and_keeps_float32_variables(name, shape, dtype):
    tokens = {"input_dtype": "int32", "vocabulary": 7} if name == "transformer" else {}
    shape = shape[:1] if tokens else shape
    model = build(name, shape, dtype=dtype, **tokens)

    def run():
        variables = model.init(jax.random.key(0))
        inputs = jnp.zeros((4, *shape), model.input_dtype)
        logits, stats = model.apply(variables, inputs, train=True)
        return variables, logits, stats

    variables, logits, stats = jax.eval_shape(run)
    assert (logits.shape, logits.dtype) == ((4, 10), jnp.float32)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((variables, stats)))


@pytest.mark.parametrize("name", ["resnet8", "two_blocks_v2"])
def test_blocks_that_are_computed_again_give_the_same(name):
    """Gradients and batch statistics, and the backward pass does compute blocks again."""
    inputs = jax.random.normal(jax.random.key(1), (4, 8, 8, 1))

    def network(remat):
        if name == "two_blocks_v2":
            return ResNetV2(num_classes=10, stage_sizes=(2,), bottleneck=False, remat=remat)
        return CifarResNet(num_classes=10, blocks_per_stage=1, remat=remat)

    def of(remat):
        def loss(params):
            logits, changed = network(remat).apply(
                {**variables, "params": params}, inputs, True, mutable=["batch_stats"]
            )
            return jnp.square(logits).sum(), changed

        return jax.value_and_grad(loss, has_aux=True)

    variables = network(False).init(jax.random.key(0), inputs, False)
    found = {remat: jax.jit(of(remat))(variables["params"]) for remat in (False, True)}
    for again, kept in zip(*map(jax.tree.leaves, (found[True], found[False])), strict=True):
        np.testing.assert_allclose(again, kept, rtol=1e-3, atol=1e-4)
    blocks = {name: str(jax.make_jaxpr(of(name))(variables["params"])) for name in (False, True)}
    assert "checkpoint" in blocks[True] or "remat" in blocks[True]
    assert "checkpoint" not in blocks[False]


def test_unknown_models_are_refused():
    with pytest.raises(UserError, match="did you mean 'resnet56'"):
        build("resnet65")


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("shape", [(2, 8, 8, 1), (3, 11, 7, 6)])
def test_the_banded_convolution_is_the_convolution(padding, shape):
    layer = layers.Conv(4, 5, padding)
    x = jax.random.normal(jax.random.key(0), shape)
    variables = layer.init(jax.random.key(1), x)
    kernel, bias = variables["params"]["kernel"], variables["params"]["bias"]

    def ours(kernel):
        return layer.apply({"params": {"kernel": kernel, "bias": bias}}, x)

    def xla(kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=numbers)

    np.testing.assert_allclose(ours(kernel), xla(kernel), atol=1e-5)
    gradients = [jax.grad(lambda k, f=f: jnp.sin(f(k)).sum())(kernel) for f in (ours, xla)]
    np.testing.assert_allclose(*gradients, atol=1e-4)


def test_max_pooling_is_that_of_reduce_window():
    x = jax.random.normal(jax.random.key(0), (2, 7, 6, 3))
    expected = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    np.testing.assert_array_equal(layers.max_pool_2x2(x), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
@pytest.mark.parametrize(
    ("stride", "before", "after"),
    [
        *((1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 4, 4), (1, 2, 4), (2, 1, 1), (2, 1, 2), (2, 2, 1)),
        *((2, 2, 2), (2, 4, 2), (4, 1, 4), (4, 2, 1), (4, 4, 1), (4, 4, 4)),
    ],
)
def test_a_packed_convolution_is_the_convolution(size, stride, before, after):
    x = jax.random.normal(jax.random.key(0), (2, 9, 16, 3))
    plain = nn.Conv(5, (size, size), (stride, stride), use_bias=False)
    layer = packed.PackedConv(5, size, stride, before, after)
    variables = plain.init(jax.random.key(1), x)
    expected = packed.pack(plain.apply(variables, x), after)
    np.testing.assert_allclose(layer.apply(variables, packed.pack(x, before)), expected, atol=1e-5)


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("train", [False, True])
def test_a_packed_resnet_v2_is_the_same_network(bottleneck, train):
    settings = {"num_classes": 7, "stage_sizes": (2, 2), "bottleneck": bottleneck, "norm_group": 2}
    plain, narrow = (ResNetV2(columns=columns, **settings) for columns in (1, 2))
    x = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
    variables, same = (net.init(jax.random.key(1), x, train=False) for net in (plain, narrow))
    jax.tree.map(np.testing.assert_array_equal, variables, same)

    def run(net, params):
        out = net.apply(variables | {"params": params}, x, train=train, mutable=["batch_stats"])
        return jnp.sin(out[0]).sum(), out

    for found, expected in zip(
        *(
            jax.tree.leaves(jax.grad(run, 1, has_aux=True)(net, variables["params"]))
            for net in (narrow, plain)
        ),
        strict=True,
    ):
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(scale, 1))


@pytest.mark.parametrize("group", [0, 2, 4])
def test_batch_norm_normalises_each_group(group):
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (8, 5, 5, 4))
    norm = layers.BatchNorm(group=group)
    variables = norm.init(jax.random.key(1), x, train=False)
    y, updated = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    for part in np.split(np.asarray(y, np.float64), 8 // group if group else 1):
        np.testing.assert_allclose(part.mean((0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(part.std((0, 1, 2)), 1, atol=1e-3)
    expected = 0.1 * np.asarray(x, np.float64).mean((0, 1, 2))
    np.testing.assert_allclose(updated["batch_stats"]["mean"], expected, rtol=1e-5)


def test_batch_norm_in_inference_uses_the_running_statistics():
    x = jax.random.normal(jax.random.key(0), (8, 5, 5, 4))
    norm = layers.BatchNorm()
    variables = {
        "params": {"scale": jnp.full(4, 2.0), "bias": jnp.ones(4)},
        "batch_stats": {"mean": jnp.full(4, 0.5), "var": jnp.full(4, 4.0)},
    }
    expected = (np.asarray(x) - 0.5) / np.sqrt(4 + 1e-5) * 2 + 1
    np.testing.assert_allclose(norm.apply(variables, x, train=False), expected, atol=1e-5)
