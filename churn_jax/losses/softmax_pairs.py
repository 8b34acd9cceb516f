"""Two softmaxes and their difference, class by class, with nothing subtracted that cancels."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from churn_jax.losses.arguments import accumulated


class Pair(NamedTuple):
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


class Compared(NamedTuple):
    """Two softmaxes p and q, class by class, [..., class], without their normalisers.

    Those are left to the sums over classes, where they cost a division per example and not per
    class: p = exp_a / sum_a, q = exp_b / sum_b and p − q = difference / larger.
    """

    exp_a: Array
    exp_b: Array
    difference: Array
    larger: Array  # max(sum_a, sum_b), [..., 1]
    log_ratio: Array  # log p − log q


def pair_of(a: Array, b: Array) -> Pair:
    """Of logits [..., class] in the precision that sums are taken in."""
    top_a, top_b = jnp.max(a, axis=-1, keepdims=True), jnp.max(b, axis=-1, keepdims=True)
    exp_a, exp_b, difference, _ = _exponentials(a, b, top_a, top_b)
    sum_a, sum_b = sum_over_classes(exp_a), sum_over_classes(exp_b)
    change = sum_over_classes(difference) / jnp.minimum(sum_a, sum_b)
    # log1p(sum_a / sum_b − 1), seen from the smaller sum so that its argument is never below 0.
    log_ratio = jnp.sign(change) * jnp.log1p(jnp.abs(change))
    return Pair(top_a, sum_a, top_b, sum_b, change, log_ratio)


def compared(a: Array, b: Array, pair: Pair) -> Compared:
    """The softmaxes of the logits `a` and `b`, [..., class], of which `pair` was made."""
    exp_a, exp_b, difference, log_ratio = _exponentials(
        accumulated(a), accumulated(b), pair.top_a, pair.top_b
    )
    # With x and y for the exponentials, x / sum_a − y / sum_b is (x − y − y · change) / sum_a where
    # sum_b is the smaller sum, and (x − y − x · change) / sum_b where sum_a is. Neither term is
    # then larger than p or q, and both vanish where p = q.
    of_smaller = jnp.where(pair.change < 0, exp_a, exp_b)
    larger = jnp.maximum(pair.sum_a, pair.sum_b)
    return Compared(
        exp_a, exp_b, difference - of_smaller * pair.change, larger, log_ratio - pair.log_ratio
    )


def _exponentials(
    a: Array, b: Array, top_a: Array, top_b: Array
) -> tuple[Array, Array, Array, Array]:
    """x = e^(a − top_a), y = e^(b − top_b), and x − y and log(x / y) without cancellation."""
    x, y = jnp.exp(a - top_a), jnp.exp(b - top_b)
    log_ratio = _shifted_difference(a, b, top_a, top_b)
    return x, y, (x + y) * jnp.tanh(log_ratio / 2), log_ratio  # (x − y) / (x + y) is that tanh


def sum_over_classes(terms: Array) -> Array:
    """[..., 1]."""
    return jnp.sum(terms, axis=-1, keepdims=True)


def _shifted_difference(a: Array, b: Array, top_a: Array, top_b: Array) -> Array:
    """(a − top_a) − (b − top_b), accurate even where it is tiny beside the logits."""
    across, tops = a - b, top_a - top_b
    return (across - tops) + (_rounding(a, b, across) - _rounding(top_a, top_b, tops))


def _rounding(x: Array, y: Array, difference: Array) -> Array:
    """What rounding took from `difference` = x − y, exactly (Knuth's two-sum)."""
    rounded_y = x - difference
    return (x - (difference + rounded_y)) + (rounded_y - y)
