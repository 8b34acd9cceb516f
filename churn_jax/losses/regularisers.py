"""How uncertain one prediction is: the regularisers of eq. 6 and 7."""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from churn_jax.losses.arguments import accumulated, is_all
from churn_jax.losses.softmax import log_probs_of, normaliser_of, top_log_probs
from churn_jax.losses.softmax_pairs import Pair, compared, pair_of, sum_over_classes

LOG_PROBABILITY_FLOOR = -30.0
"""Where `skl_to_uniform` stops counting: a probability of e^-30, about 1e-13."""


def entropy(logits: ArrayLike, top_k: int | None = None, renormalise: bool = False) -> Array:
    """Entropy of the prediction, H(p) = −Σ_j p_j log p_j, in nats (eq. 6's regulariser).

    Args:
      logits: [..., class].
      top_k: sum over the k largest probabilities only, as the paper does on ImageNet (k = 10);
        None, or as many as there are classes, for all.
      renormalise: divide the k probabilities by their sum first. The paper does not say; it is not
        done by default, so the sum is then not quite an entropy.

    Returns:
      [...], in [0, log K] for K classes.
    """
    logits = jnp.asarray(logits)
    if top_k is None or is_all(top_k, logits):
        return _entropy(logits)
    if renormalise:
        return _entropy(lax.top_k(logits, top_k)[0])
    log_probs = top_log_probs(top_k, logits)
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)


def skl_to_uniform(logits: ArrayLike, top_k: int | None = None, renormalise: bool = False) -> Array:
    """Symmetric KL divergence between the prediction and the uniform distribution, in nats (eq. 7).

        SKL(p, Unif) = KL(p ‖ Unif) + KL(Unif ‖ p) = Σ_j (p_j − 1/K) · log p_j

    The regulariser *subtracts* it, and it grows without bound as any p_j → 0; training would follow
    it there. So log p_j is clamped from below at `LOG_PROBABILITY_FLOOR`: the value is at most 30
    nats and a class whose probability has fallen below the floor is pushed no further.

    Args:
      logits: [..., class].
      top_k: sum over the k largest probabilities only, with 1/K still of all classes (the paper's
        ImageNet variant, k = 10); None, or as many as there are classes, for all.
      renormalise: divide the k probabilities by their sum first, and count k classes in place of K.

    Returns:
      [...], in [0, 30]; with `top_k` and without `renormalise` it may be below 0.
    """
    logits = jnp.asarray(logits)
    if top_k is None or is_all(top_k, logits):
        return _skl_to_uniform(logits)
    if renormalise:
        return _skl_to_uniform(lax.top_k(logits, top_k)[0])
    log_probs = top_log_probs(top_k, logits)
    excess = jnp.exp(log_probs) - 1 / logits.shape[-1]
    return jnp.sum(excess * jnp.maximum(log_probs, LOG_PROBABILITY_FLOOR), axis=-1)


@jax.custom_vjp
def _entropy(logits: Array) -> Array:
    return _entropy_forward(logits)[0]


def _entropy_forward(logits: Array) -> tuple[Array, tuple]:
    normaliser = normaliser_of(accumulated(logits))
    log_probs = log_probs_of(accumulated(logits), normaliser)
    value = jnp.sum(-jnp.exp(log_probs) * log_probs, axis=-1)
    return value, (logits, normaliser, value)


def _entropy_backward(residuals: tuple, g: Array) -> tuple:
    logits, normaliser, value = residuals
    log_probs = log_probs_of(accumulated(logits), normaliser)
    gradient = -g[..., None] * jnp.exp(log_probs) * (log_probs + value[..., None])
    return (gradient.astype(logits.dtype),)


_entropy.defvjp(_entropy_forward, _entropy_backward)


@jax.custom_vjp
def _skl_to_uniform(logits: Array) -> Array:
    return _skl_to_uniform_forward(logits)[0]


def _skl_to_uniform_forward(logits: Array) -> tuple[Array, tuple]:
    wide = accumulated(logits)
    pair = pair_of(wide, jnp.zeros_like(wide))
    p, difference, clamped, counted = _compared_to_uniform(logits, pair)
    value = jnp.sum(difference * clamped, axis=-1)
    return value, (logits, pair, sum_over_classes(p * clamped + counted))


def _skl_to_uniform_backward(residuals: tuple, g: Array) -> tuple:
    logits, pair, mean = residuals
    p, _, clamped, counted = _compared_to_uniform(logits, pair)
    gradient = g[..., None] * (p * (clamped - mean) + counted)
    return (gradient.astype(logits.dtype),)


_skl_to_uniform.defvjp(_skl_to_uniform_forward, _skl_to_uniform_backward)


def _compared_to_uniform(logits: Array, pair: Pair) -> tuple[Array, Array, Array, Array]:
    """p; p − 1/K; log(K p), clamped; and p − 1/K where the clamp lets log p move, else 0."""
    exp, _, scaled, larger, log_ratio = compared(logits, jnp.zeros_like(logits), pair)
    p, difference = exp / pair.sum_a, scaled / larger
    floor = LOG_PROBABILITY_FLOOR + jnp.log(pair.sum_b)  # sum_b is K here
    counted = jnp.where(log_ratio > floor, difference, 0)
    return p, difference, jnp.maximum(log_ratio, floor), counted
