"""A batch that is worked off in parts, one after another, for the sake of memory."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from churn_jax.data.batch import Batch

Tree = Any


def in_parts(batch: Batch, keys: jax.Array | None, parts: int) -> tuple[Batch, jax.Array | None]:
    """A batch and its keys as [part, …] of neighbouring examples.

    Examples are the second axis of a batch's arrays and the third of `keys`, [run, member,
    example]. Their number must be a multiple of `parts`.
    """

    def split(leaf: jax.Array, axis: int) -> jax.Array:
        apart = leaf.reshape(*leaf.shape[:axis], parts, -1, *leaf.shape[axis + 1 :])
        return jnp.moveaxis(apart, axis, 0)

    split_batch = jax.tree.map(partial(split, axis=1), batch)
    return split_batch, None if keys is None else split(keys, 2)


def over_parts(
    of_part: Callable[..., tuple[Tree, Tree]], first: Tree, parts: tuple[Any, ...]
) -> tuple[Tree, Tree]:
    """(the last state, the sum of the values) of `of_part`(state, *part) over [part, …] in turn.

    The sum is carried along, so that what is kept does not grow with the number of parts.
    """

    def step(carry: tuple[Tree, Tree], part: tuple[Any, ...]) -> tuple[tuple[Tree, Tree], None]:
        state, sums = carry
        state, values = of_part(state, *part)
        return (state, jax.tree.map(jnp.add, sums, values)), None

    one = jax.tree.map(lambda leaf: leaf[0], parts)
    _, values = jax.eval_shape(of_part, first, *one)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), values)
    found, _ = jax.lax.scan(step, (first, zeros), parts)
    return found
