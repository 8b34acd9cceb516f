"""How far a prediction is from that of a previous model: terms of an update.

The previous model is known by its probabilities, so its logits are known up to a constant for each
example. What compares logits therefore compares centred ones, z − mean z.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from churn_jax.losses.arguments import accumulated, check_shape, is_all


def divergence(logits: ArrayLike, previous_logits: ArrayLike, temperature: float = 1.0) -> Array:
    """KL divergence from the previous prediction, tempered, in nats.

        τ² · KL(softmax(z_old / τ) ‖ softmax(z / τ))

    The factor τ² keeps the size of the gradient; for large τ the value tends to half the mean
    square of the difference of the centred logits (Hinton et al., 2015). Focal distillation with KL
    takes τ = 100 (Yan et al., 2021).

    Args:
      logits: z, [..., class].
      previous_logits: z_old, [..., class]; no gradient flows into them.
      temperature: τ, above 0.

    Returns:
      [...], at least 0 but for rounding.
    """
    logits, previous = _pair(logits, previous_logits)
    log_p = jax.nn.log_softmax(logits / temperature)
    log_q = jax.nn.log_softmax(previous / temperature)
    return temperature**2 * jnp.sum(jnp.exp(log_q) * (log_q - log_p), axis=-1)


def logit_distance(logits: ArrayLike, previous_logits: ArrayLike) -> Array:
    """Half the squared distance of the centred logits, ½‖z − z_old‖² (Yan et al., 2021).

    Arguments as in `divergence`.

    Returns:
      [...], at least 0.
    """
    difference = _difference(*_pair(logits, previous_logits))
    return jnp.sum(jnp.square(difference), axis=-1) / 2


def logit_inhibition(
    logits: ArrayLike, previous_logits: ArrayLike, margin: float, power: float, top_k: int
) -> Array:
    """Logit difference inhibition (LDI; Zhao et al., 2022): differences beyond a margin.

        Σ_k max(0, |z_k − z_old,k| − ξ)^p

    over the classes of the `top_k` largest previous logits, both centred. With the mean of an
    ensemble as the previous model this is ELODI's term.

    Args:
      logits: z, [..., class].
      previous_logits: z_old, [..., class]; no gradient flows into them.
      margin: ξ, at least 0.
      power: p, at least 1.
      top_k: how many classes count.

    Returns:
      [...], at least 0.
    """
    logits, previous = _pair(logits, previous_logits)
    difference = _difference(logits, previous)
    if not is_all(top_k, previous):
        _, classes = lax.top_k(previous, top_k)
        difference = jnp.take_along_axis(difference, classes, axis=-1)
    beyond = jnp.maximum(jnp.abs(difference) - margin, 0)
    return jnp.sum(beyond**power, axis=-1)


def _pair(logits: ArrayLike, previous_logits: ArrayLike) -> tuple[Array, Array]:
    logits, previous = accumulated(logits), accumulated(previous_logits)
    check_shape("previous_logits", previous.shape, logits.shape)
    return logits, lax.stop_gradient(previous)


def _difference(logits: Array, previous: Array) -> Array:
    """Of the centred logits."""
    across = logits - previous
    return across - jnp.mean(across, axis=-1, keepdims=True)
