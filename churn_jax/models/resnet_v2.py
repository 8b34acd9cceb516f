"""Pre-activation residual networks for large images (He et al. 2016, "Identity Mappings")."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models.layers import BatchNorm, materialised
from churn_jax.models.packed import PackedConv, pack


class PreactivationBlock(nn.Module):
    """norm, relu, convolution; the last convolution of a bottleneck has 4× the filters."""

    filters: int
    stride: int
    bottleneck: bool
    dtype: jnp.dtype
    norm_group: int
    norm_axis: str | None
    columns: int  # by which its input is packed

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[example, height, width / columns, columns · channel], packed no more with a stride."""
        columns, channels = self.columns, x.shape[-1] // self.columns
        columns_out = max(columns // self.stride, 1)

        def conv(
            x: jax.Array, filters: int, size: int, name: str, stride: int, columns: int, out: int
        ) -> jax.Array:
            return PackedConv(filters, size, stride, columns, out, self.dtype, name=name)(x)

        def activate(
            x: jax.Array, name: str, columns: int, parts: tuple[jax.Array, ...] | None = None
        ) -> Any:
            norm = BatchNorm(
                self.norm_group, self.norm_axis, dtype=self.dtype, columns=columns, name=name
            )
            return jax.tree.map(lambda y: materialised(nn.relu(y)), norm(x, train, parts))

        out_filters = 4 * self.filters if self.bottleneck else self.filters
        if columns_out < columns:
            # XLA would hold y in memory for the shortcut's sake, which needs a quarter of it.
            y, seen = activate(x, "norm_0", columns, (x, x[:, ::2, :, :channels]))
            shortcut = conv(seen, out_filters, 1, "shortcut", 1, 1, 1)
        else:
            y = activate(x, "norm_0", columns)
            shortcut = x
            if channels != out_filters or self.stride != 1:
                shortcut = conv(y, out_filters, 1, "shortcut", self.stride, columns, columns_out)
        if self.bottleneck:
            y = activate(conv(y, self.filters, 1, "conv_0", 1, columns, columns), "norm_1", columns)
            y = activate(
                conv(y, self.filters, 3, "conv_1", self.stride, columns, columns_out),
                "norm_2",
                columns_out,
            )
            y = conv(y, out_filters, 1, "conv_2", 1, columns_out, columns_out)
        else:
            y = activate(
                conv(y, self.filters, 3, "conv_0", self.stride, columns, columns_out),
                "norm_1",
                columns_out,
            )
            y = conv(y, out_filters, 3, "conv_1", 1, columns_out, columns_out)
        return materialised(shortcut + y)


class ResNetV2(nn.Module):
    """ResNet-v2: a 7×7 convolution, pooling, and four stages of 64 to 512 filters."""

    num_classes: int
    stage_sizes: tuple[int, ...]
    bottleneck: bool
    dtype: jnp.dtype = jnp.dtype("float32")
    norm_group: int = 0
    norm_axis: str | None = None
    columns: int = 1  # by which images are packed while they have 64 channels or 4 · 64: 1 or 2

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
        for stage, blocks in enumerate(self.stage_sizes):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = PreactivationBlock(
                    64 * 2**stage,
                    stride,
                    self.bottleneck,
                    self.dtype,
                    self.norm_group,
                    self.norm_axis,
                    columns,
                    name=f"stage_{stage}_block_{block}",
                )(x, train)
                columns = max(columns // stride, 1)
        norm = BatchNorm(self.norm_group, self.norm_axis, dtype=self.dtype, name="norm_last")
        x = nn.relu(norm(x, train))
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.num_classes, name="logits")(x)
