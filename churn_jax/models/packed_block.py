"""A residual block of few filters whose convolutions give several pixels of a row in one pass.

A TPU pushes a CIFAR network's activations through the matrix unit once a kernel tap, whatever the
number of filters up to 128. A kernel widened by zeros (`packed.widened`) gives `forward`
neighbouring pixels in one pass; its gradient can be taken so, too. Batch norm's sums are then taken
of the packed result, as part of the same fusion, and all else of plain images. XLA would share a
float32 copy of an image between the two forms, so a barrier stands between them.

The block is the plain one: the same variables, the same values and gradients but for rounding.
docs/benchmarks/plan.md has what it gains.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from churn_jax.models.layers import beside_groups, channel_means, in_groups
from churn_jax.models.packed import widened

Statistics = tuple[jax.Array, jax.Array]  # mean and variance [group, channel], float32


class Passes(NamedTuple):
    """How many neighbouring pixels come out of one pass; they must divide the width.

    Attributes:
      forward: of a convolution.
      kernel: of the gradient of its kernel.
    """

    forward: int
    kernel: int


class Layer(NamedTuple):
    """A 3×3 convolution's kernel, and the scale and bias [channel] of the norm after it."""

    kernel: jax.Array
    scale: jax.Array
    bias: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def block(
    x: jax.Array, layers: tuple[Layer, Layer], passes: Passes, group: int, epsilon: float
) -> tuple[jax.Array, tuple[Statistics, Statistics]]:
    """relu(x + norm(convolution(relu(norm(convolution(x)))))), as in training.

    Args:
      x: images [example, height, width, channel] in the type to compute in.
      layers: float32, of as many filters as channels.
      passes: see there.
      group: examples of a batch-norm group; it divides the examples.
      epsilon: of the norms.

    Returns:
      images as x, and both norms' statistics, through which no gradient goes.
    """
    return _forward(x, layers, passes, group, epsilon)[0]


class _Kept(NamedTuple):
    """What the backward pass needs: both convolutions' results, packed, and their statistics."""

    x: jax.Array
    layers: tuple[Layer, Layer]
    convolved: tuple[jax.Array, jax.Array]
    statistics: tuple[Statistics, Statistics]
    out: jax.Array


def _forward(
    x: jax.Array, layers: tuple[Layer, Layer], passes: Passes, group: int, epsilon: float
) -> tuple[Any, _Kept]:
    pixels = passes.forward

    def layer(images: jax.Array, layer: Layer) -> tuple[jax.Array, Statistics, jax.Array]:
        """The convolution's result, packed, its statistics, and what is made of it, normalised."""
        packed = _convolution(images, layer.kernel.astype(x.dtype), pixels)
        statistics = _statistics(packed, pixels, group)
        factor, offset = _affine(layer, statistics, epsilon)
        return packed, statistics, _scaled(_unpacked(packed, pixels), factor, offset)

    first, first_statistics, normalised = layer(x, layers[0])
    inner = jax.nn.relu(normalised).astype(x.dtype)
    second, second_statistics, normalised = layer(inner, layers[1])
    out = jax.nn.relu(x + normalised.astype(x.dtype))
    statistics = first_statistics, second_statistics
    return (out, statistics), _Kept(x, layers, (first, second), statistics, out)


def _backward(
    passes: Passes, group: int, epsilon: float, kept: _Kept, cotangents: Any
) -> tuple[jax.Array, tuple[Layer, Layer]]:
    x, layers, out, pixels = kept.x, kept.layers, kept.out, passes.kernel
    given = cotangents[0]
    first, second = (_unpacked(packed, passes.forward) for packed in kept.convolved)

    def through_norm(cotangent: jax.Array, number: int, convolved: jax.Array) -> "_OfNorm":
        statistics = kept.statistics[number]
        return _of_norm(cotangent, convolved, layers[number], statistics, epsilon)

    def kernel_gradient(images: jax.Array, number: int, of_result: jax.Array) -> jax.Array:
        kernel = layers[number].kernel
        pull_back = jax.vjp(lambda k: _convolution(images, k, pixels), kernel.astype(x.dtype))[1]
        return pull_back(of_result)[0].astype(kernel.dtype)

    # What goes into the gradient of the kernel is made packed, beside what goes into that of the
    # images, so that both are fused into their convolutions.
    packed_given = jnp.where(_packed(out, pixels) > 0, _packed(given, pixels), 0)
    given = jnp.where(out > 0, given, 0)
    norm = through_norm(given, 1, second)
    of_second = _from_norm(norm, packed_given, _packed(second, pixels))
    affine = _affine(layers[0], kept.statistics[0], epsilon)
    inner = jax.nn.relu(_scaled(first, *affine)).astype(x.dtype)
    second_gradients = Layer(kernel_gradient(inner, 1, of_second), norm.scale, norm.bias)

    of_inner = _image_gradient(_from_norm(norm, given, second), layers[1], x.dtype)
    of_inner = jax.lax.optimization_barrier(jnp.where(_scaled(first, *affine) > 0, of_inner, 0))
    norm = through_norm(of_inner, 0, first)
    of_first = _from_norm(norm, _packed(of_inner, pixels), _packed(first, pixels))
    first_gradients = Layer(kernel_gradient(x, 0, of_first), norm.scale, norm.bias)

    of_x = _image_gradient(_from_norm(norm, of_inner, first), layers[0], x.dtype) + given
    return of_x, (first_gradients, second_gradients)


block.defvjp(_forward, _backward)


def _convolution(x: jax.Array, kernel: jax.Array, pixels: int) -> jax.Array:
    """A 3×3 convolution of plain images, its result packed by `pixels`."""
    wide = widened(kernel, range(pixels), pixels + 2) if pixels > 1 else kernel
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, wide, (1, pixels), ((1, 1), (1, 1)), dimension_numbers=numbers
    )


def _image_gradient(of_result: jax.Array, layer: Layer, dtype: jnp.dtype) -> jax.Array:
    """The gradient of a convolution's images: that with the kernel turned about."""
    turned = layer.kernel.astype(dtype)[::-1, ::-1].transpose(0, 1, 3, 2)
    return _convolution(of_result, turned, 1)


def _packed(x: jax.Array, pixels: int) -> jax.Array:
    if pixels == 1:
        return x
    examples, height, width, channels = x.shape
    shape = (examples, height, width // pixels, pixels * channels)
    return jax.lax.optimization_barrier(x.reshape(shape))


def _unpacked(x: jax.Array, pixels: int) -> jax.Array:
    if pixels == 1:
        return x
    examples, height, width, channels = x.shape
    shape = (examples, height, width * pixels, channels // pixels)
    return jax.lax.optimization_barrier(x.reshape(shape))


def _statistics(packed: jax.Array, pixels: int, group: int) -> Statistics:
    exact = in_groups(packed, packed.shape[0] // group)
    mean, square = channel_means(exact, pixels), channel_means(jnp.square(exact), pixels)
    return mean, jnp.maximum(square - jnp.square(mean), 0)


def _affine(layer: Layer, statistics: Statistics, epsilon: float) -> tuple[jax.Array, jax.Array]:
    """Factor and offset [group, channel] by which the norm maps its images."""
    mean, var = statistics
    factor = layer.scale * jax.lax.rsqrt(var + epsilon)
    return factor, layer.bias - mean * factor


def _scaled(x: jax.Array, factor: jax.Array, offset: jax.Array) -> jax.Array:
    grouped, channels = in_groups(x, len(factor)), x.shape[-1]
    return (grouped * beside_groups(factor, channels) + beside_groups(offset, channels)).reshape(
        x.shape
    )


class _OfNorm(NamedTuple):
    """The gradient through a norm: of its images it is a·cotangent + b·images + c.

    Attributes:
      a: [group, channel], as are b and c.
      scale: the gradient of the scale [channel].
      bias: and of the bias.
    """

    a: jax.Array
    b: jax.Array
    c: jax.Array
    scale: jax.Array
    bias: jax.Array


def _of_norm(
    cotangent: jax.Array, images: jax.Array, layer: Layer, statistics: Statistics, epsilon: float
) -> _OfNorm:
    """With x̂ = (images − m)·r, the images' is s·r·(cotangent − mean − x̂·mean(cotangent·x̂))."""
    mean, var = statistics
    inverse = jax.lax.rsqrt(var + epsilon)
    grouped, values = in_groups(cotangent, len(mean)), in_groups(images, len(mean))
    of_offset, products = channel_means(grouped, 1), channel_means(grouped * values, 1)
    of_factor = (products - mean * of_offset) * inverse
    factor = layer.scale * inverse
    slope = factor * inverse * of_factor
    count = grouped[0, ..., 0].size
    return _OfNorm(
        factor,
        -slope,
        mean * slope - factor * of_offset,
        count * of_factor.sum(0),
        count * of_offset.sum(0),
    )


def _from_norm(norm: _OfNorm, cotangent: jax.Array, images: jax.Array) -> jax.Array:
    """The gradient of the norm's images, packed or not, in their type."""
    groups, channels = len(norm.a), images.shape[-1]
    a, b, c = (beside_groups(values, channels) for values in (norm.a, norm.b, norm.c))
    found = in_groups(cotangent, groups) * a + in_groups(images, groups) * b + c
    return found.astype(images.dtype).reshape(images.shape)
