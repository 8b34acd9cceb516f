"""How far a prediction is from labels, or from given probabilities: what every method minimises."""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from churn_jax.losses.arguments import accumulated, check_shape
from churn_jax.losses.softmax import log_probs_of, normaliser_of, one_hot


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Cross entropy with the label, −log p_y, in nats: the paper's L before its mean.

    Args:
      logits: [..., class].
      labels: integers [...]. They are not checked against the number of classes, as nothing can be
        raised from compiled code.

    Returns:
      [...], at least 0.
    """
    logits, labels = jnp.asarray(logits), jnp.asarray(labels)
    check_shape("labels", labels.shape, logits.shape[:-1])
    return _cross_entropy(logits, labels)


def soft_cross_entropy(logits: ArrayLike, probs: ArrayLike) -> Array:
    """Cross entropy with given probabilities, H(t, p) = −Σ_j t_j log p_j, in nats.

    With `probs` those of a stale peer this is the agreement term of co-distillation with cross
    entropy (Anil et al., 2018; eq. 17 and 18). There the caller stops the peer's gradient.

    Args:
      logits: of p, [..., class].
      probs: t, [..., class].

    Returns:
      [...], at least the entropy of t.
    """
    logits, probs = jnp.asarray(logits), jnp.asarray(probs)
    check_shape("probs", probs.shape, logits.shape)
    return _soft_cross_entropy(logits, probs)


def distillation(student_logits: ArrayLike, teacher_probs: ArrayLike, temperature: float) -> Array:
    """Distillation towards a teacher's probabilities (Hinton et al., 2015), in nats.

        τ² · H(t, softmax(z / τ))

    The factor τ² keeps the size of the gradient, which a high temperature makes 1 / τ² as large.
    The minimum over z is τ² times the entropy of t, not 0.

    Args:
      student_logits: z, [..., class].
      teacher_probs: t, [..., class], used as they are: temper each teacher, softmax(logits / τ),
        before taking the mean over teachers. No gradient flows into them.
      temperature: τ, above 0.

    Returns:
      [...].
    """
    logits = accumulated(student_logits)
    # Shifting first leaves the largest logit exactly 0, which dividing by τ then can't round.
    shifted = logits - lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    target = lax.stop_gradient(jnp.asarray(teacher_probs))
    return temperature**2 * soft_cross_entropy(shifted / temperature, target)


@jax.custom_vjp
def _cross_entropy(logits: Array, labels: Array) -> Array:
    return _cross_entropy_forward(logits, labels)[0]


def _cross_entropy_forward(logits: Array, labels: Array) -> tuple[Array, tuple]:
    wide = accumulated(logits)
    normaliser = normaliser_of(wide)
    shifted = jnp.where(one_hot(labels, logits), wide - normaliser.top, 0)
    value = normaliser.log_sum[..., 0] - jnp.sum(shifted, axis=-1)
    return value, (logits, labels, normaliser)


def _cross_entropy_backward(residuals: tuple, g: Array) -> tuple:
    logits, labels, normaliser = residuals
    probs = jnp.exp(log_probs_of(accumulated(logits), normaliser))
    gradient = g[..., None] * (probs - one_hot(labels, logits))
    return gradient.astype(logits.dtype), None


_cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


@jax.custom_vjp
def _soft_cross_entropy(logits: Array, target: Array) -> Array:
    return _soft_cross_entropy_forward(logits, target)[0]


def _soft_cross_entropy_forward(logits: Array, target: Array) -> tuple[Array, tuple]:
    normaliser = normaliser_of(accumulated(logits))
    wide_target = accumulated(target)
    # All terms are at least 0, so the sum loses nothing.
    value = jnp.sum(-wide_target * log_probs_of(accumulated(logits), normaliser), axis=-1)
    mass = jnp.sum(wide_target, axis=-1)
    return value, (logits, target, normaliser, mass)


def _soft_cross_entropy_backward(residuals: tuple, g: Array) -> tuple:
    logits, target, normaliser, mass = residuals
    log_probs = log_probs_of(accumulated(logits), normaliser)
    gradient = g[..., None] * (mass[..., None] * jnp.exp(log_probs) - target)
    return gradient.astype(logits.dtype), (-g[..., None] * log_probs).astype(target.dtype)


_soft_cross_entropy.defvjp(_soft_cross_entropy_forward, _soft_cross_entropy_backward)
