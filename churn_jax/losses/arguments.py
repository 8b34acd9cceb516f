"""What losses take: the precision of sums, and refusals of shapes that do not fit."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from churn_jax.errors import UserError


def accumulated(x: ArrayLike) -> Array:
    """`x` in the type that sums over classes are taken in: float32, or float64 if `x` is."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def is_all(top_k: int, logits: Array) -> bool:
    """Whether the `top_k` largest are all classes; a `UserError` if there are not so many."""
    num_classes = logits.shape[-1]
    if not 1 <= top_k <= num_classes:
        raise UserError(f"top_k must lie in 1 … {num_classes}, the number of classes, not {top_k}")
    return top_k == num_classes


def check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raises a `UserError` unless the argument `name` has the expected shape."""
    if shape != expected:
        raise UserError(f"{name} must have shape {list(expected)}, not {list(shape)}")
