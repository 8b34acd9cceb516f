"""Pre-activation residual networks for large images (He et al. 2016, "Identity Mappings")."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models.activations import Activation
from churn_jax.models.layers import BatchNorm, materialised
from churn_jax.models.packed import PackedConv, pack


class PreactivationBlock(nn.Module):
    """norm, activation, convolution; the last convolution of a bottleneck has 4× the filters."""

    filters: int
    stride: int
    bottleneck: bool
    dtype: jnp.dtype
    norm_group: int
    norm_axis: str | None
    columns: int  # by which its input is packed
    columns_out: int  # and its result: fewer only with a stride
    activation: Activation

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[example, height, width / columns, columns · channel] to the same of its filters."""
        before, after, stride = self.columns, self.columns_out, self.stride
        channels = x.shape[-1] // before
        conv = functools.partial(PackedConv, dtype=self.dtype)

        def activating(x: jax.Array, name: str, columns: int) -> Activation:
            """Of `x`, or of a part of it."""
            norm = BatchNorm(
                self.norm_group, self.norm_axis, dtype=self.dtype, columns=columns, name=name
            )
            normalise = norm.normaliser(x, train)
            return lambda part: materialised(self.activation(normalise(part)))

        def activate(x: jax.Array, name: str, columns: int) -> jax.Array:
            return activating(x, name, columns)(x)

        activate_first = activating(x, "norm_0", before)
        y, shortcut = activate_first(x), x
        out_filters = 4 * self.filters if self.bottleneck else self.filters
        if after < before:
            # What it sees of y is made anew: XLA would hold all of y in memory for its sake.
            seen = activate_first(x[:, ::2, :, :channels])
            shortcut = conv(out_filters, 1, name="shortcut")(seen)
        elif channels != out_filters or stride != 1:
            shortcut = conv(out_filters, 1, stride, before, after, name="shortcut")(y)
        if self.bottleneck:
            y = conv(self.filters, 1, 1, before, before, name="conv_0")(y)
            y = activate(y, "norm_1", before)
            y = conv(self.filters, 3, stride, before, after, name="conv_1")(y)
            y = activate(y, "norm_2", after)
            y = conv(out_filters, 1, 1, after, after, name="conv_2")(y)
        else:
            y = conv(self.filters, 3, stride, before, after, name="conv_0")(y)
            y = activate(y, "norm_1", after)
            y = conv(out_filters, 3, 1, after, after, name="conv_1")(y)
        return materialised(shortcut + y)


class ResNetV2(nn.Module):
    """ResNet-v2: a 7×7 convolution, pooling, and four stages of 64 to 512 filters."""

    num_classes: int
    stage_sizes: tuple[int, ...]
    bottleneck: bool
    dtype: jnp.dtype = jnp.dtype("float32")
    norm_group: int = 0
    norm_axis: str | None = None
    activation: Activation = nn.relu
    columns: int = 1  # by which images are packed while they have 64 channels or 4 · 64: 1 or 2
    remat: bool = False  # whether blocks are computed again in the backward pass

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Images [example, height, width, channel] to float32 logits [example, class]."""
        x = nn.Conv(
            64,
            (7, 7),
            (2, 2),
            use_bias=False,
            kernel_init=nn.initializers.he_normal(),
            dtype=self.dtype,
            name="conv_first",
        )(x)
        x = nn.max_pool(x, (3, 3), (2, 2), padding="SAME")
        columns = self.columns if x.shape[2] % self.columns == 0 else 1
        x = pack(x, columns)
        make_block = PreactivationBlock
        if self.remat:
            make_block = nn.remat(PreactivationBlock, static_argnums=(2,))  # 2 is `train`
        for stage, blocks in enumerate(self.stage_sizes):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                columns_out = max(columns // stride, 1)
                x = make_block(
                    64 * 2**stage,
                    stride,
                    self.bottleneck,
                    self.dtype,
                    self.norm_group,
                    self.norm_axis,
                    columns,
                    columns_out,
                    self.activation,
                    name=f"stage_{stage}_block_{block}",
                )(x, train)
                columns = columns_out
        norm = BatchNorm(self.norm_group, self.norm_axis, dtype=self.dtype, name="norm_last")
        x = self.activation(norm(x, train))
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.num_classes, name="logits")(x)
