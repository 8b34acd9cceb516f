"""The paper's losses, one value per example, stable in float32 and with gradients in closed form.

The last axis of logits is the class; all axes before it (run, member, example, …) are kept, and the
mean over examples is left to the caller. Half-precision logits are accumulated in float32, float32
and float64 ones in their own type, which is the result's; gradients have the type of the logits.
Logits must be finite, and may be as large as ±1e4 or more.

How they stay accurate and cheap:

- From the forward to the backward pass a loss keeps its logits and a few numbers per example; the
  probabilities are formed again where they are used, and no softmax is differentiated.
- Nothing that cancels is subtracted: log(1 + x) is `log1p`, and x − y of two exponentials is
  (x + y) · tanh(log(x / y) / 2). So a loss of 1e-9 has as many right digits as one of 10, and so
  has the distance between two nearly equal predictions.
- The rules are `jax.custom_vjp`: reverse mode, `vmap`, `jit` and `shard_map` work; forward mode
  (`jvp`) does not.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from churn_jax.errors import UserError

LOG_PROBABILITY_FLOOR = -30.0
"""Where `skl_to_uniform` stops counting: a probability of e^-30, about 1e-13."""


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
    _check_shape("labels", labels.shape, logits.shape[:-1])
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
    _check_shape("probs", probs.shape, logits.shape)
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
    logits = _accumulated(student_logits)
    # Shifting first leaves the largest logit exactly 0, which dividing by τ then can't round.
    shifted = logits - lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    target = lax.stop_gradient(jnp.asarray(teacher_probs))
    return temperature**2 * soft_cross_entropy(shifted / temperature, target)


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
    if top_k is None or _is_all(top_k, logits):
        return _entropy(logits)
    if renormalise:
        return _entropy(lax.top_k(logits, top_k)[0])
    log_probs = _top_log_probs(top_k, logits)
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
    if top_k is None or _is_all(top_k, logits):
        return _skl_to_uniform(logits)
    if renormalise:
        return _skl_to_uniform(lax.top_k(logits, top_k)[0])
    log_probs = _top_log_probs(top_k, logits)
    excess = jnp.exp(log_probs) - 1 / logits.shape[-1]
    return jnp.sum(excess * jnp.maximum(log_probs, LOG_PROBABILITY_FLOOR), axis=-1)


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
    _check_shape("logits_b", logits_b.shape, logits_a.shape)
    return _symmetric_kl(logits_a, logits_b)


def l1_distance(logits_a: ArrayLike, logits_b: ArrayLike) -> Array:
    """L1 distance of two predictions, ‖p − q‖₁ = Σ_j |p_j − q_j|: eq. 8's agreement term.

    Arguments as in `symmetric_kl`. The gradient takes the sign of 0 as 0.

    Returns:
      [...], in [0, 2]. Symmetric.
    """
    logits_a, logits_b = jnp.asarray(logits_a), jnp.asarray(logits_b)
    _check_shape("logits_b", logits_b.shape, logits_a.shape)
    return _l1_distance(logits_a, logits_b)


# One softmax.


class _Normaliser(NamedTuple):
    """log p = (logits − top) − log_sum. Their sum would lose digits at large logits."""

    top: Array  # the largest logit, [..., 1]
    log_sum: Array  # log Σ_j e^(logit_j − top) in [0, log K], [..., 1]


def _normaliser(logits: Array) -> _Normaliser:
    is_top = _one_hot(jnp.argmax(logits, axis=-1), logits)
    top = jnp.sum(jnp.where(is_top, logits, 0), axis=-1, keepdims=True)
    # The sum without its largest term, which is 1, so that log1p sees all its digits. That term is
    # left out by its place: a compiler that computes the logits twice may round them differently,
    # and then no logit need equal the largest.
    rest = jnp.sum(jnp.where(is_top, 0, jnp.exp(logits - top)), axis=-1, keepdims=True)
    return _Normaliser(top, jnp.log1p(rest))


def _log_probs(logits: Array, normaliser: _Normaliser) -> Array:
    return (logits - normaliser.top) - normaliser.log_sum


@jax.custom_vjp
def _cross_entropy(logits: Array, labels: Array) -> Array:
    return _cross_entropy_forward(logits, labels)[0]


def _cross_entropy_forward(logits: Array, labels: Array) -> tuple[Array, tuple]:
    wide = _accumulated(logits)
    normaliser = _normaliser(wide)
    shifted = jnp.where(_one_hot(labels, logits), wide - normaliser.top, 0)
    value = normaliser.log_sum[..., 0] - jnp.sum(shifted, axis=-1)
    return value, (logits, labels, normaliser)


def _cross_entropy_backward(residuals: tuple, g: Array) -> tuple:
    logits, labels, normaliser = residuals
    probs = jnp.exp(_log_probs(_accumulated(logits), normaliser))
    gradient = g[..., None] * (probs - _one_hot(labels, logits))
    return gradient.astype(logits.dtype), None


_cross_entropy.defvjp(_cross_entropy_forward, _cross_entropy_backward)


def _one_hot(labels: Array, logits: Array) -> Array:
    return labels[..., None] == jnp.arange(logits.shape[-1])


@jax.custom_vjp
def _soft_cross_entropy(logits: Array, target: Array) -> Array:
    return _soft_cross_entropy_forward(logits, target)[0]


def _soft_cross_entropy_forward(logits: Array, target: Array) -> tuple[Array, tuple]:
    normaliser = _normaliser(_accumulated(logits))
    wide_target = _accumulated(target)
    # All terms are at least 0, so the sum loses nothing.
    value = jnp.sum(-wide_target * _log_probs(_accumulated(logits), normaliser), axis=-1)
    mass = jnp.sum(wide_target, axis=-1)
    return value, (logits, target, normaliser, mass)


def _soft_cross_entropy_backward(residuals: tuple, g: Array) -> tuple:
    logits, target, normaliser, mass = residuals
    log_probs = _log_probs(_accumulated(logits), normaliser)
    gradient = g[..., None] * (mass[..., None] * jnp.exp(log_probs) - target)
    return gradient.astype(logits.dtype), (-g[..., None] * log_probs).astype(target.dtype)


_soft_cross_entropy.defvjp(_soft_cross_entropy_forward, _soft_cross_entropy_backward)


@jax.custom_vjp
def _entropy(logits: Array) -> Array:
    return _entropy_forward(logits)[0]


def _entropy_forward(logits: Array) -> tuple[Array, tuple]:
    normaliser = _normaliser(_accumulated(logits))
    log_probs = _log_probs(_accumulated(logits), normaliser)
    value = jnp.sum(-jnp.exp(log_probs) * log_probs, axis=-1)
    return value, (logits, normaliser, value)


def _entropy_backward(residuals: tuple, g: Array) -> tuple:
    logits, normaliser, value = residuals
    log_probs = _log_probs(_accumulated(logits), normaliser)
    gradient = -g[..., None] * jnp.exp(log_probs) * (log_probs + value[..., None])
    return (gradient.astype(logits.dtype),)


_entropy.defvjp(_entropy_forward, _entropy_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _top_log_probs(k: int, logits: Array) -> Array:
    """The k largest log-probabilities of a softmax over all classes, descending, [..., k]."""
    return _top_log_probs_forward(k, logits)[0]


def _top_log_probs_forward(k: int, logits: Array) -> tuple[Array, tuple]:
    normaliser = _normaliser(_accumulated(logits))
    top, indices = lax.top_k(logits, k)
    return _log_probs(_accumulated(top), normaliser), (logits, normaliser, indices)


def _top_log_probs_backward(k: int, residuals: tuple, g: Array) -> tuple:
    logits, normaliser, indices = residuals
    probs = jnp.exp(_log_probs(_accumulated(logits), normaliser))
    gradient = -probs * jnp.sum(g, axis=-1, keepdims=True)
    selected = jnp.put_along_axis(jnp.zeros_like(gradient), indices, g, axis=-1, inplace=False)
    return ((gradient + selected).astype(logits.dtype),)


_top_log_probs.defvjp(_top_log_probs_forward, _top_log_probs_backward)


# Two softmaxes.


class _Pair(NamedTuple):
    """The normalisers of p = e^(a − top_a) / sum_a and q = e^(b − top_b) / sum_b, all [..., 1].

    change is (sum_a − sum_b) / min(sum_a, sum_b) and log_ratio is log(sum_a / sum_b), both with the
    digits that a difference would lose where p ≈ q.
    """

    top_a: Array
    sum_a: Array
    top_b: Array
    sum_b: Array
    change: Array
    log_ratio: Array


class _Compared(NamedTuple):
    """Two softmaxes p and q, class by class, [..., class], without their normalisers.

    Those are left to the sums over classes, where they cost a division per example and not per
    class: p = exp_a / sum_a, q = exp_b / sum_b and p − q = difference / larger.
    """

    exp_a: Array
    exp_b: Array
    difference: Array
    larger: Array  # max(sum_a, sum_b), [..., 1]
    log_ratio: Array  # log p − log q


def _pair(a: Array, b: Array) -> _Pair:
    top_a, top_b = jnp.max(a, axis=-1, keepdims=True), jnp.max(b, axis=-1, keepdims=True)
    exp_a, exp_b, difference, _ = _exponentials(a, b, top_a, top_b)
    sum_a, sum_b = _sum(exp_a), _sum(exp_b)
    change = _sum(difference) / jnp.minimum(sum_a, sum_b)
    # log1p(sum_a / sum_b − 1), seen from the smaller sum so that its argument is never below 0.
    log_ratio = jnp.sign(change) * jnp.log1p(jnp.abs(change))
    return _Pair(top_a, sum_a, top_b, sum_b, change, log_ratio)


def _compared(a: Array, b: Array, pair: _Pair) -> _Compared:
    exp_a, exp_b, difference, log_ratio = _exponentials(
        _accumulated(a), _accumulated(b), pair.top_a, pair.top_b
    )
    # With x and y for the exponentials, x / sum_a − y / sum_b is (x − y − y · change) / sum_a where
    # sum_b is the smaller sum, and (x − y − x · change) / sum_b where sum_a is. Neither term is
    # then larger than p or q, and both vanish where p = q.
    of_smaller = jnp.where(pair.change < 0, exp_a, exp_b)
    larger = jnp.maximum(pair.sum_a, pair.sum_b)
    return _Compared(
        exp_a, exp_b, difference - of_smaller * pair.change, larger, log_ratio - pair.log_ratio
    )


def _exponentials(
    a: Array, b: Array, top_a: Array, top_b: Array
) -> tuple[Array, Array, Array, Array]:
    """x = e^(a − top_a), y = e^(b − top_b), and x − y and log(x / y) without cancellation."""
    x, y = jnp.exp(a - top_a), jnp.exp(b - top_b)
    log_ratio = _shifted_difference(a, b, top_a, top_b)
    return x, y, (x + y) * jnp.tanh(log_ratio / 2), log_ratio  # (x − y) / (x + y) is that tanh


def _sum(terms: Array) -> Array:
    return jnp.sum(terms, axis=-1, keepdims=True)


def _shifted_difference(a: Array, b: Array, top_a: Array, top_b: Array) -> Array:
    """(a − top_a) − (b − top_b), accurate even where it is tiny beside the logits."""
    across, tops = a - b, top_a - top_b
    return (across - tops) + (_rounding(a, b, across) - _rounding(top_a, top_b, tops))


def _rounding(x: Array, y: Array, difference: Array) -> Array:
    """What rounding took from `difference` = x − y, exactly (Knuth's two-sum)."""
    rounded_y = x - difference
    return (x - (difference + rounded_y)) + (rounded_y - y)


@jax.custom_vjp
def _symmetric_kl(a: Array, b: Array) -> Array:
    return _symmetric_kl_forward(a, b)[0]


def _symmetric_kl_forward(a: Array, b: Array) -> tuple[Array, tuple]:
    pair = _pair(_accumulated(a), _accumulated(b))
    exp_a, exp_b, difference, larger, log_ratio = _compared(a, b, pair)
    mean_p = _sum(exp_a * log_ratio) / pair.sum_a
    mean_q = _sum(exp_b * log_ratio) / pair.sum_b
    value = _sum(difference * log_ratio) / larger
    return value[..., 0], (a, b, pair, mean_p, mean_q)


def _symmetric_kl_backward(residuals: tuple, g: Array) -> tuple:
    a, b, pair, mean_p, mean_q = residuals
    exp_a, exp_b, difference, larger, log_ratio = _compared(a, b, pair)
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
    pair = _pair(_accumulated(a), _accumulated(b))
    exp_a, exp_b, difference, larger, log_ratio = _compared(a, b, pair)
    sign = jnp.sign(log_ratio)
    mean_p, mean_q = _sum(exp_a * sign) / pair.sum_a, _sum(exp_b * sign) / pair.sum_b
    value = _sum(difference * sign) / larger
    return value[..., 0], (a, b, pair, mean_p, mean_q)


def _l1_distance_backward(residuals: tuple, g: Array) -> tuple:
    a, b, pair, mean_p, mean_q = residuals
    exp_a, exp_b, _, _, log_ratio = _compared(a, b, pair)
    g, sign = g[..., None], jnp.sign(log_ratio)
    gradient_a = exp_a * (g / pair.sum_a) * (sign - mean_p)
    gradient_b = exp_b * (g / pair.sum_b) * (mean_q - sign)
    return gradient_a.astype(a.dtype), gradient_b.astype(b.dtype)


_l1_distance.defvjp(_l1_distance_forward, _l1_distance_backward)


@jax.custom_vjp
def _skl_to_uniform(logits: Array) -> Array:
    return _skl_to_uniform_forward(logits)[0]


def _skl_to_uniform_forward(logits: Array) -> tuple[Array, tuple]:
    wide = _accumulated(logits)
    pair = _pair(wide, jnp.zeros_like(wide))
    p, difference, clamped, counted = _compared_to_uniform(logits, pair)
    value = jnp.sum(difference * clamped, axis=-1)
    return value, (logits, pair, _sum(p * clamped + counted))


def _skl_to_uniform_backward(residuals: tuple, g: Array) -> tuple:
    logits, pair, mean = residuals
    p, _, clamped, counted = _compared_to_uniform(logits, pair)
    gradient = g[..., None] * (p * (clamped - mean) + counted)
    return (gradient.astype(logits.dtype),)


_skl_to_uniform.defvjp(_skl_to_uniform_forward, _skl_to_uniform_backward)


def _compared_to_uniform(logits: Array, pair: _Pair) -> tuple[Array, Array, Array, Array]:
    """p; p − 1/K; log(K p), clamped; and p − 1/K where the clamp lets log p move, else 0."""
    exp, _, scaled, larger, log_ratio = _compared(logits, jnp.zeros_like(logits), pair)
    p, difference = exp / pair.sum_a, scaled / larger
    floor = LOG_PROBABILITY_FLOOR + jnp.log(pair.sum_b)  # sum_b is K here
    counted = jnp.where(log_ratio > floor, difference, 0)
    return p, difference, jnp.maximum(log_ratio, floor), counted


# Arguments.


def _accumulated(x: ArrayLike) -> Array:
    """`x` in the type that sums over classes are taken in: float32, or float64 if `x` is."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _is_all(top_k: int, logits: Array) -> bool:
    num_classes = logits.shape[-1]
    if not 1 <= top_k <= num_classes:
        raise UserError(f"top_k must lie in 1 … {num_classes}, the number of classes, not {top_k}")
    return top_k == num_classes


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise UserError(f"{name} must have shape {list(expected)}, not {list(shape)}")
