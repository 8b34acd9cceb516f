"""Layers that Flax lacks, or that need more than Flax gives."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

# Columns of a convolution's output that one product computes on CPU: see `_banded_convolution`.
_WIDEST_TILE = 5


class _Norm(nn.Module):
    """The settings of batch normalisation, and its variables."""

    group: int = 0
    axis: str | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: jnp.dtype = jnp.dtype("float32")
    scale_init: Callable[..., jax.Array] = nn.initializers.ones
    columns: int = 1

    def _variables(self, channels: int) -> "NormVariables":
        scale = self.param("scale", self.scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))

        def remember(mean: jax.Array, var: jax.Array) -> None:
            # A group is on few devices, but the running statistics average all of the batch.
            new_mean, new_var = mean.mean(0), var.mean(0)
            if self.axis and self.group:
                new_mean, new_var = jax.lax.pmean((new_mean, new_var), self.axis)
            keep = self.momentum
            running_mean.value = keep * running_mean.value + (1 - keep) * new_mean
            running_var.value = keep * running_var.value + (1 - keep) * new_var

        running = running_mean.value[None], running_var.value[None]
        return NormVariables(scale, bias, running, remember)


class NormVariables(NamedTuple):
    """Of one batch normalisation.

    Attributes:
      scale: [channel], as is `bias`.
      running: mean and variance [1, channel], averages over the batches before.
      remember: takes a batch's mean and variance [group, channel] into them.
    """

    scale: jax.Array
    bias: jax.Array
    running: tuple[jax.Array, jax.Array]
    remember: Callable[[jax.Array, jax.Array], None]


class NormElsewhere(_Norm):
    """`BatchNorm`'s variables under the same names, for who computes the rest by itself."""

    @nn.compact
    def __call__(self, channels: int) -> NormVariables:
        """The variables of so many channels."""
        return self._variables(channels)


def in_groups(x: jax.Array, groups: int) -> jax.Array:
    """[group, example, height, width, channel] of images, float32 or better."""
    x = x.reshape(groups, -1, *x.shape[1:])
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def channel_means(grouped: jax.Array, columns: int) -> jax.Array:
    """[group, channel] of grouped images that are packed by `columns`."""
    means = grouped.mean((1, 2, 3))
    return means.reshape(len(means), columns, -1).mean(1) if columns > 1 else means


def beside_groups(values: jax.Array, channels: int) -> jax.Array:
    """[group, channel] as it meets grouped images of so many channels, more if they are packed."""
    if channels > values.shape[-1]:
        values = jnp.tile(values, channels // values.shape[-1])
    return values[:, None, None, None]


class BatchNorm(_Norm):
    """Batch normalisation over groups of a fixed number of examples, or over the whole batch.

    Statistics are float32. With `group` set no reduction crosses devices and the result does not
    depend on the mesh, unless a device holds less than a group: then neighbours on the mesh axis
    `axis` share one. With `group` 0 the statistics are those of the whole batch, reduced over that
    axis. (The paper's TPU batch norm was per core: a group of 1024 / 32 examples, say.)

    The running statistics are the average over groups. Images may be packed by `columns`
    (`churn_jax.models.packed`).
    """

    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalises [example, height, width, channel]."""
        return self.normaliser(x, train)(x)

    @nn.compact
    def normaliser(self, x: jax.Array, train: bool) -> Callable[[jax.Array], jax.Array]:
        """What normalises `x`, or a part of it, packed or not, by the statistics of `x`."""
        channels = x.shape[-1] // self.columns
        scale, bias, running, remember = self._variables(channels)
        groups = max(x.shape[0] // self.group, 1) if self.group and train else 1

        exact = in_groups(x, groups)
        if train:
            mean, var = self._statistics(exact, examples=x.shape[0])
            remember(mean, var)
        else:
            mean, var = running
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        offset = bias - mean * factor

        def normalise(part: jax.Array) -> jax.Array:
            # Not grouped twice: gradients would be added in another order.
            values = exact if part is x else in_groups(part, groups)
            f, o = (beside_groups(v, part.shape[-1]) for v in (factor, offset))
            return (values * f + o).astype(self.dtype).reshape(part.shape)

        return normalise

    def _statistics(self, exact: jax.Array, examples: int) -> tuple[jax.Array, jax.Array]:
        """Mean and variance [group, channel] of [group, example, height, width, channel].

        `examples` are a device's, of all its groups.
        """
        mean = channel_means(exact, self.columns)
        square = channel_means(jnp.square(exact), self.columns)
        if self.axis and not self.group:
            mean, square = jax.lax.pmean((mean, square), self.axis)
        elif self.axis and self.group > examples:
            together = np.arange(jax.lax.axis_size(self.axis)).reshape(-1, self.group // examples)
            mean, square = jax.lax.pmean(
                (mean, square), self.axis, axis_index_groups=together.tolist()
            )
        return mean, jnp.maximum(square - jnp.square(mean), 0)


def materialised(x: jax.Array) -> jax.Array:
    """`x`, and in the backward pass its cotangent, computed once and held in memory on CPU.

    XLA's CPU backend would rather compute an activation again for every use, from all the residual
    blocks before it, and does so inside the slow transposition that a convolution's weight gradient
    begins with: most of a deep network's step. Needs
    `private_surfaces.KEEP_BARRIERS`; elsewhere it is `x` as it is.
    """
    return jax.lax.platform_dependent(x, cpu=jax.lax.optimization_barrier, default=lambda x: x)


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """2×2 maxima with stride 2 of [example, height, width, channel]; an odd last row is dropped.

    A maximum of strided slices: XLA's CPU backend runs the gradient of `reduce_window` several
    times slower.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    rows = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])


class Conv(nn.Module):
    """A stride-1 convolution with square kernels for images of few channels, as LeNet's.

    On CPU it is one matrix product a row band (`_banded_convolution`): XLA's own convolution is
    about three times slower there, and many times slower when vmapped over models.
    """

    filters: int
    size: int
    padding: str
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[example, height, width, channel] to [example, height', width', filters]."""
        shape = (self.size, self.size, x.shape[-1], self.filters)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.filters,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        if self.padding == "SAME":
            before, after = (self.size - 1) // 2, self.size // 2
            x = jnp.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
        convolved = jax.lax.platform_dependent(
            x, kernel, cpu=_banded_convolution, default=_convolution
        )
        return convolved + bias


def _convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=numbers)


def _banded_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The same as `_convolution`: bands of `size` image rows times a block-Toeplitz matrix.

    A band is cut into tiles of `columns` columns of the output. The matrix [size · width of a
    tile's input · channels, columns · filters] holds the kernel once a column; its zeros cost some
    times the arithmetic, at a matrix product's speed.
    """
    size, _, channels, filters = kernel.shape
    examples, height, width, _ = x.shape
    rows, all_columns = height - size + 1, width - size + 1
    columns = max(n for n in range(1, _WIDEST_TILE + 1) if all_columns % n == 0)
    wide = columns + size - 1
    shifted = [
        jnp.pad(kernel, ((0, 0), (left, columns - 1 - left), (0, 0), (0, 0)))
        for left in range(columns)
    ]
    toeplitz = jnp.stack(shifted, axis=3).reshape(size * wide * channels, columns * filters)
    lefts = range(0, all_columns, columns)
    tiles = [x[:, :, left : left + wide].reshape(examples, height, -1) for left in lefts]
    tiled = jnp.stack(tiles, axis=2)
    bands = jnp.concatenate([tiled[:, top : top + rows] for top in range(size)], axis=-1)
    product = _product(bands.reshape(-1, toeplitz.shape[0]), toeplitz)
    return product.reshape(examples, rows, all_columns, filters)


@jax.custom_vjp
def _product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """x [row, in] times matrix [in, out].

    Its own gradient, because XLA's CPU backend transposes the cotangent before the product that
    gives the matrix's gradient, which takes twice as long.
    """
    return x @ matrix


def _product_forward(
    x: jax.Array, matrix: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return x @ matrix, (x, matrix)


def _product_backward(
    kept: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, matrix = kept
    return cotangent @ matrix.T, x.T @ cotangent


_product.defvjp(_product_forward, _product_backward)
