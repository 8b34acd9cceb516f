"""A multilayer perceptron, for features and for anything else that can be laid in a row."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models.activations import Activation


class MLP(nn.Module):
    """`depth` layers of `width` units, then the logits."""

    num_classes: int
    width: int = 64
    depth: int = 2
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.dtype("float32")
    activation: Activation = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Floats [example, …] to float32 logits [example, class]."""
        x = x.reshape(x.shape[0], -1)
        for layer in range(self.depth):
            x = self.activation(nn.Dense(self.width, dtype=self.dtype, name=f"dense_{layer}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_classes, name="logits")(x.astype(jnp.float32))
