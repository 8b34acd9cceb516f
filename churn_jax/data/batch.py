"""One batch of every run, as the training step takes it."""

import dataclasses
from functools import partial
from typing import Any

import jax

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
