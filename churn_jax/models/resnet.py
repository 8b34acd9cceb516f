"""Residual networks for small images: 6n+2 layers, 16 to 64 filters (He et al. 2016, 4.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models.activations import Activation
from churn_jax.models.layers import BatchNorm, materialised


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut, a 1×1 convolution where the shape changes."""

    filters: int
    stride: int
    dtype: jnp.dtype
    norm_group: int
    norm_axis: str | None
    activation: Activation

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
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


class CifarResNet(nn.Module):
    """ResNet-20, -32 and -56: three stages of `blocks_per_stage` blocks, 16, 32 and 64 filters."""

    num_classes: int
    blocks_per_stage: int
    dtype: jnp.dtype = jnp.dtype("float32")
    norm_group: int = 0
    norm_axis: str | None = None
    activation: Activation = nn.relu
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
                    name=f"stage_{stage}_block_{block}",
                )(x, train)
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.he_normal(), name="logits")(x)
