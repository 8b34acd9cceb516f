"""LeNet-5 (LeCun et al. 1998) with max-pooling, for any small image."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.models.activations import Activation
from churn_jax.models.layers import Conv, max_pool_2x2


class LeNet5(nn.Module):
    """Two convolutions, each pooled, then 120, 84 and `num_classes` units.

    The second convolution is unpadded as in the original, except on images too small for that
    (under 16 pixels), where it keeps their size.
    """

    num_classes: int
    dtype: jnp.dtype = jnp.dtype("float32")
    activation: Activation = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Images [example, height, width, channel] to float32 logits [example, class]."""
        del train  # nothing here behaves differently in training
        padding = "VALID" if min(x.shape[1:3]) >= 16 else "SAME"
        x = Conv(6, 5, "SAME", self.dtype, name="conv_0")(x)
        x = self.activation(max_pool_2x2(x))
        x = Conv(16, 5, padding, self.dtype, name="conv_1")(x)
        x = self.activation(max_pool_2x2(x))
        x = x.reshape(x.shape[0], -1)
        x = self.activation(nn.Dense(120, dtype=self.dtype, name="dense_0")(x))
        x = self.activation(nn.Dense(84, dtype=self.dtype, name="dense_1")(x))
        return nn.Dense(self.num_classes, name="logits")(x.astype(jnp.float32))
