"""What stands between layers: the rectifier, and one that is smooth."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

Activation = Callable[[jax.Array], jax.Array]

ACTIVATIONS = ("relu", "smelu")


def smelu(x: jax.Array, width: float = 1.0) -> jax.Array:
    """A rectifier whose corner is a parabola (Shamir, Lin and Coviello 2020), with width β > 0:

        0 for x ≤ −β,   (x + β)² / 4β for |x| ≤ β,   x for x ≥ β

    Its gradient, (x + β) / 2β in the middle, has no jump.
    """
    inside = jnp.square(jnp.clip(x, -width, width) + width) / (4 * width)
    return jnp.where(x >= width, x, inside)


def activation(name: str, width: float) -> Activation:
    """The one of `ACTIVATIONS` with that name; `width` is that of `smelu`."""
    return nn.relu if name == "relu" else functools.partial(smelu, width=width)
