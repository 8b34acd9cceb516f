"""A small transformer encoder for tokens (Vaswani et al. 2017), normalised before each part."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models.activations import Activation

PADDING = 0  # the token that is none: it is neither attended to nor counted in the mean


class TransformerEncoder(nn.Module):
    """`depth` blocks of attention and two dense layers; the mean over tokens gives the logits."""

    num_classes: int
    vocabulary: int
    width: int = 64
    depth: int = 2
    dropout: float = 0.0
    heads: int = 4
    dtype: jnp.dtype = jnp.dtype("float32")
    activation: Activation = nn.relu
    remat: bool = False  # whether blocks are computed again in the backward pass

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Token ids, int32 [example, token], to float32 logits [example, class]."""
        real = x != PADDING
        places = self.param("places", nn.initializers.normal(0.02), (x.shape[1], self.width))
        y = nn.Embed(self.vocabulary, self.width, dtype=self.dtype, name="tokens")(x)
        y = y + places.astype(self.dtype)
        block = TransformerEncoder._block
        if self.remat:
            block = nn.remat(block, static_argnums=(3, 4))  # `train` and `layer`
        for layer in range(self.depth):
            y = block(self, y, real, train, layer)
        y = nn.LayerNorm(name="norm")(y.astype(jnp.float32))
        count = jnp.maximum(real.sum(1, keepdims=True), 1)
        mean = jnp.where(real[..., None], y, 0).sum(1) / count
        return nn.Dense(self.num_classes, name="logits")(mean)

    def _block(self, y: jax.Array, real: jax.Array, train: bool, layer: int) -> jax.Array:
        y = y + self._attention(y, real, train, f"attention_{layer}")
        return y + self._dense(y, train, f"block_{layer}")

    def _attention(self, y: jax.Array, real: jax.Array, train: bool, name: str) -> jax.Array:
        attention = nn.MultiHeadDotProductAttention(self.heads, dtype=self.dtype, name=name)
        mask = nn.make_attention_mask(jnp.ones_like(real), real)
        normed = nn.LayerNorm(dtype=self.dtype, name=f"{name}_norm")(y)
        return nn.Dropout(self.dropout, deterministic=not train)(attention(normed, mask=mask))

    def _dense(self, y: jax.Array, train: bool, name: str) -> jax.Array:
        y = nn.LayerNorm(dtype=self.dtype, name=f"{name}_norm")(y)
        y = nn.Dense(4 * self.width, dtype=self.dtype, name=f"{name}_in")(y)
        y = nn.Dense(self.width, dtype=self.dtype, name=f"{name}_out")(self.activation(y))
        return nn.Dropout(self.dropout, deterministic=not train)(y)
