"""Pre-activation residual networks for large images (He et al. 2016, "Identity Mappings")."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models.layers import BatchNorm, materialised


class PreactivationBlock(nn.Module):
    """norm, relu, convolution; the last convolution of a bottleneck has 4× the filters."""

    filters: int
    stride: int
    bottleneck: bool
    dtype: jnp.dtype
    norm_group: int
    norm_axis: str | None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        def conv(x: jax.Array, filters: int, kernel: int, stride: int, name: str) -> jax.Array:
            return nn.Conv(
                filters,
                (kernel, kernel),
                (stride, stride),
                use_bias=False,
                kernel_init=nn.initializers.he_normal(),
                dtype=self.dtype,
                name=name,
            )(x)

        def activate(x: jax.Array, name: str) -> jax.Array:
            norm = BatchNorm(self.norm_group, self.norm_axis, dtype=self.dtype, name=name)
            return materialised(nn.relu(norm(x, train)))

        y = activate(x, "norm_0")
        out_filters = 4 * self.filters if self.bottleneck else self.filters
        shortcut = x
        if x.shape[-1] != out_filters or self.stride != 1:
            shortcut = conv(y, out_filters, 1, self.stride, "shortcut")
        if self.bottleneck:
            y = activate(conv(y, self.filters, 1, 1, "conv_0"), "norm_1")
            y = activate(conv(y, self.filters, 3, self.stride, "conv_1"), "norm_2")
            y = conv(y, out_filters, 1, 1, "conv_2")
        else:
            y = activate(conv(y, self.filters, 3, self.stride, "conv_0"), "norm_1")
            y = conv(y, out_filters, 3, 1, "conv_1")
        return materialised(shortcut + y)


class ResNetV2(nn.Module):
    """ResNet-v2: a 7×7 convolution, pooling, and four stages of 64 to 512 filters."""

    num_classes: int
    stage_sizes: tuple[int, ...]
    bottleneck: bool
    dtype: jnp.dtype = jnp.dtype("float32")
    norm_group: int = 0
    norm_axis: str | None = None

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
                    name=f"stage_{stage}_block_{block}",
                )(x, train)
        norm = BatchNorm(self.norm_group, self.norm_axis, dtype=self.dtype, name="norm_last")
        x = nn.relu(norm(x, train))
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.num_classes, name="logits")(x)
