"""Residual networks for small images: 6n+2 layers, 16 to 64 filters (He et al. 2016, 4.2)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models import packed_block
from churn_jax.models.activations import Activation
from churn_jax.models.layers import BatchNorm, NormElsewhere, materialised
from churn_jax.models.packed_block import Layer, Passes


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, a 1×1 convolution where the shape changes."""

    filters: int
    stride: int
    dtype: jnp.dtype
    norm_group: int
    norm_axis: str | None
    activation: Activation
    passes: Passes | None = None  # where the block is to be `packed_block.block`, if it can

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        if train and self.passes and self._can_be_packed(x, self.passes):
            return self._packed(x, self.passes)

        def conv(x: jax.Array, kernel: int, stride: int, name: str) -> jax.Array:
            convolution = nn.Conv(
                self.filters,
                (kernel, kernel),
                (stride, stride),
                use_bias=False,
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=name,
            )
            norm = BatchNorm(self.norm_group, self.norm_axis, dtype=self.dtype, name=f"norm_{name}")
            return norm(convolution(x), train)

        y = materialised(self.activation(conv(x, 3, self.stride, "conv_0")))
        y = conv(y, 3, 1, "conv_1")
        if x.shape != y.shape:
            x = conv(x, 1, self.stride, "shortcut")
        return materialised(self.activation(x + y))

    def _can_be_packed(self, x: jax.Array, passes: Passes) -> bool:
        """Whether there is no shortcut to convolve, and no group spans devices."""
        examples, _, width, channels = x.shape
        fits = not any(width % pixels for pixels in passes)
        grouped = self.norm_group > 0 and examples % self.norm_group == 0
        plain = self.stride == 1 and channels == self.filters
        return plain and grouped and fits and self.activation is nn.relu

    def _packed(self, x: jax.Array, passes: Passes) -> jax.Array:
        names = ("conv_0", "conv_1")
        kernels = [_Kernel(self.filters, name=name)(x.shape[-1]) for name in names]
        make = functools.partial(NormElsewhere, self.norm_group, self.norm_axis)
        norms = [make(name=f"norm_{name}")(self.filters) for name in names]
        first, second = (
            Layer(kernel, norm.scale, norm.bias)
            for kernel, norm in zip(kernels, norms, strict=True)
        )
        out, statistics = packed_block.block(
            x.astype(self.dtype), (first, second), passes, self.norm_group, NormElsewhere.epsilon
        )
        for norm, found in zip(norms, statistics, strict=True):
            norm.remember(*found)
        return out


class _Kernel(nn.Module):
    """The kernel of a 3×3 convolution, as `Block` has it."""

    filters: int

    @nn.compact
    def __call__(self, channels: int) -> jax.Array:
        """[3, 3, channel, filter]."""
        shape = (3, 3, channels, self.filters)
        return self.param("kernel", nn.initializers.he_normal(), shape)


class CifarResNet(nn.Module):
    """ResNet-20, -32 and -56: three stages of `blocks_per_stage` blocks, 16, 32 and 64 filters."""

    num_classes: int
    blocks_per_stage: int
    dtype: jnp.dtype = jnp.dtype("float32")
    norm_group: int = 0
    norm_axis: str | None = None
    activation: Activation = nn.relu
    wide_passes: bool = False  # whether convolutions of few filters give several pixels at once
    remat: bool = False  # whether blocks are computed again in the backward pass

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Images [example, height, width, channel] to float32 logits [example, class]."""
        x = nn.Conv(
            16,
            (3, 3),
            use_bias=False,
            kernel_init=nn.initializers.he_normal(),
            dtype=self.dtype,
            name="conv_first",
        )(x)
        x = self.activation(
            BatchNorm(self.norm_group, self.norm_axis, dtype=self.dtype, name="norm_first")(
                x, train
            )
        )
        make_block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block  # 2 is `train`
        # In stage 2, of 64 filters, and in the kernel's gradient of stage 1, it does not pay.
        passes = (Passes(8, 4), Passes(4, 1), None) if self.wide_passes else (None, None, None)
        for stage, filters in enumerate((16, 32, 64)):
            for block in range(self.blocks_per_stage):
                stride = 2 if stage > 0 and block == 0 else 1
                x = make_block(
                    filters,
                    stride,
                    self.dtype,
                    self.norm_group,
                    self.norm_axis,
                    self.activation,
                    passes[stage],
                    name=f"stage_{stage}_block_{block}",
                )(x, train)
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.he_normal(), name="logits")(x)
