"""One softmax, by its normaliser: the logarithms of all probabilities, or of the largest."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from churn_jax.losses.arguments import accumulated


class Normaliser(NamedTuple):
    """log p = (logits − top) − log_sum. Their sum would lose digits at large logits."""

    top: Array  # the largest logit, [..., 1]
    log_sum: Array  # log Σ_j e^(logit_j − top) in [0, log K], [..., 1]


def normaliser_of(logits: Array) -> Normaliser:
    """Of logits [..., class] in the precision that sums are taken in."""
    is_top = one_hot(jnp.argmax(logits, axis=-1), logits)
    top = jnp.sum(jnp.where(is_top, logits, 0), axis=-1, keepdims=True)
    # The sum without its largest term, which is 1, so that log1p sees all its digits. That term is
    # left out by its place: a compiler that computes the logits twice may round them differently,
    # and then no logit need equal the largest.
    rest = jnp.sum(jnp.where(is_top, 0, jnp.exp(logits - top)), axis=-1, keepdims=True)
    return Normaliser(top, jnp.log1p(rest))


def log_probs_of(logits: Array, normaliser: Normaliser) -> Array:
    """log p of every class, [..., class]."""
    return (logits - normaliser.top) - normaliser.log_sum


def one_hot(labels: Array, logits: Array) -> Array:
    """Whether each class is the label, bool [..., class] from labels [...]."""
    return labels[..., None] == jnp.arange(logits.shape[-1])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def top_log_probs(k: int, logits: Array) -> Array:
    """The k largest log-probabilities of a softmax over all classes, descending, [..., k]."""
    return _top_log_probs_forward(k, logits)[0]


def _top_log_probs_forward(k: int, logits: Array) -> tuple[Array, tuple]:
    normaliser = normaliser_of(accumulated(logits))
    top, indices = lax.top_k(logits, k)
    return log_probs_of(accumulated(top), normaliser), (logits, normaliser, indices)


def _top_log_probs_backward(k: int, residuals: tuple, g: Array) -> tuple:
    logits, normaliser, indices = residuals
    probs = jnp.exp(log_probs_of(accumulated(logits), normaliser))
    gradient = -probs * jnp.sum(g, axis=-1, keepdims=True)
    selected = jnp.put_along_axis(jnp.zeros_like(gradient), indices, g, axis=-1, inplace=False)
    return ((gradient + selected).astype(logits.dtype),)


top_log_probs.defvjp(_top_log_probs_forward, _top_log_probs_backward)
