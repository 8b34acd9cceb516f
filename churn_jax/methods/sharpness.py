"""Sharpness-aware minimisation (SAM; Foret et al. 2021): the gradient where the loss is worse."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def ascended(params: Any, grads: Any, radius: float) -> Any:
    """The weights of one model, moved by `radius` in the direction of its gradient.

        w + ρ·g / ‖g‖,   w itself where g = 0

    The step is then taken from w by the gradient there. In this form it needs nothing but a second
    gradient of the same batch; each member of a run moves by its own, and agreement is that of the
    moved members.
    """
    norm = optax.tree.norm(grads)
    length = radius / jnp.where(norm > 0, norm, 1)
    return jax.tree.map(lambda w, g: w + length * g, params, grads)
