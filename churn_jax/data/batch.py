"""One batch of every run, as the training step takes it."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

# An array of a tree, or in its place a shape, a sharding or a partition.
Leaf = Any


@partial(
    jax.tree_util.register_dataclass, data_fields=["images", "labels", "previous"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch of every run.

    Attributes:
      images: [run, example, height, width, channel], uint8 pixels or normalised float32.
      labels: int [run, example].
      previous: float32 [run, example, class], the log-probabilities of a previous model; None where
        none is asked for.
    """

    images: Leaf
    labels: Leaf
    previous: Leaf = None


def in_parts(batch: Batch, keys: jax.Array | None, parts: int) -> tuple[Batch, jax.Array | None]:
    """A batch and its keys as [part, …] of neighbouring examples, to be worked off one by one.

    Examples are the second axis of a batch's arrays and the third of `keys`, [run, member,
    example]. Their number must be a multiple of `parts`.
    """

    def split(leaf: jax.Array, axis: int) -> jax.Array:
        apart = leaf.reshape(*leaf.shape[:axis], parts, -1, *leaf.shape[axis + 1 :])
        return jnp.moveaxis(apart, axis, 0)

    split_batch = jax.tree.map(partial(split, axis=1), batch)
    return split_batch, None if keys is None else split(keys, 2)
