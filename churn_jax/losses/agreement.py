"""How far two predictions are from each other: the agreement terms of eq. 8 and 9."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from churn_jax.losses.arguments import accumulated, check_shape
from churn_jax.losses.softmax_pairs import compared, pair_of, sum_over_classes


def symmetric_kl(logits_a: ArrayLike, logits_b: ArrayLike) -> Array:
    """Symmetric KL divergence of two predictions, in nats: eq. 9's agreement term.

        SKL(p, q) = KL(p ‖ q) + KL(q ‖ p) = Σ_j (p_j − q_j) · (log p_j − log q_j)

    Gradients flow into both, as the paper's joint update wants.

    Args:
      logits_a: of p, [..., class].
      logits_b: of q, [..., class].

    Returns:
      [...], at least 0; 0 only for equal predictions. Symmetric.
    """
    logits_a, logits_b = jnp.asarray(logits_a), jnp.asarray(logits_b)
    check_shape("logits_b", logits_b.shape, logits_a.shape)
    return _symmetric_kl(logits_a, logits_b)


def l1_distance(logits_a: ArrayLike, logits_b: ArrayLike) -> Array:
    """L1 distance of two predictions, ‖p − q‖₁ = Σ_j |p_j − q_j|: eq. 8's agreement term.

    Arguments as in `symmetric_kl`. The gradient takes the sign of 0 as 0.

    Returns:
      [...], in [0, 2]. Symmetric.
    """
    logits_a, logits_b = jnp.asarray(logits_a), jnp.asarray(logits_b)
    check_shape("logits_b", logits_b.shape, logits_a.shape)
    return _l1_distance(logits_a, logits_b)


@jax.custom_vjp
def _symmetric_kl(a: Array, b: Array) -> Array:
    return _symmetric_kl_forward(a, b)[0]


def _symmetric_kl_forward(a: Array, b: Array) -> tuple[Array, tuple]:
    pair = pair_of(accumulated(a), accumulated(b))
    exp_a, exp_b, difference, larger, log_ratio = compared(a, b, pair)
    mean_p = sum_over_classes(exp_a * log_ratio) / pair.sum_a
    mean_q = sum_over_classes(exp_b * log_ratio) / pair.sum_b
    value = sum_over_classes(difference * log_ratio) / larger
    return value[..., 0], (a, b, pair, mean_p, mean_q)


def _symmetric_kl_backward(residuals: tuple, g: Array) -> tuple:
    a, b, pair, mean_p, mean_q = residuals
    exp_a, exp_b, difference, larger, log_ratio = compared(a, b, pair)
    g = g[..., None]
    shared = difference * (g / larger)
    gradient_a = exp_a * (g / pair.sum_a) * (log_ratio - mean_p) + shared
    gradient_b = exp_b * (g / pair.sum_b) * (mean_q - log_ratio) - shared
    return gradient_a.astype(a.dtype), gradient_b.astype(b.dtype)


_symmetric_kl.defvjp(_symmetric_kl_forward, _symmetric_kl_backward)


@jax.custom_vjp
def _l1_distance(a: Array, b: Array) -> Array:
    return _l1_distance_forward(a, b)[0]


def _l1_distance_forward(a: Array, b: Array) -> tuple[Array, tuple]:
    pair = pair_of(accumulated(a), accumulated(b))
    exp_a, exp_b, difference, larger, log_ratio = compared(a, b, pair)
    sign = jnp.sign(log_ratio)
    mean_p, mean_q = (
        sum_over_classes(exp_a * sign) / pair.sum_a,
        sum_over_classes(exp_b * sign) / pair.sum_b,
    )
    value = sum_over_classes(difference * sign) / larger
    return value[..., 0], (a, b, pair, mean_p, mean_q)


def _l1_distance_backward(residuals: tuple, g: Array) -> tuple:
    a, b, pair, mean_p, mean_q = residuals
    exp_a, exp_b, _, _, log_ratio = compared(a, b, pair)
    g, sign = g[..., None], jnp.sign(log_ratio)
    gradient_a = exp_a * (g / pair.sum_a) * (sign - mean_p)
    gradient_b = exp_b * (g / pair.sum_b) * (mean_q - sign)
    return gradient_a.astype(a.dtype), gradient_b.astype(b.dtype)


_l1_distance.defvjp(_l1_distance_forward, _l1_distance_backward)
