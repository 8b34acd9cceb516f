"""One batch of every run, as the training step takes it."""

import dataclasses
from functools import partial
from typing import Any

import jax

# An array of a tree, or in its place a shape, a sharding or a partition.
Leaf = Any


@partial(
    jax.tree_util.register_dataclass, data_fields=["images", "labels", "share"], meta_fields=[]
)
@dataclasses.dataclass(frozen=True)
class Partners:
    """What each example of a batch is mixed with (mixup; Zhang et al. 2018).

    Attributes:
      images: of the partners, as `Batch.images`; None once they are mixed in.
      labels: int [run, example].
      share: float32 [run, example], λ: how much of the mix is the example itself.
    """

    images: Leaf
    labels: Leaf
    share: Leaf


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["images", "labels", "previous", "partners", "counts"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch of every run.

    Attributes:
      images: [run, example, height, width, channel], uint8 pixels or normalised float32.
      labels: int [run, example].
      previous: float32 [run, example, class], the log-probabilities of a previous model; None where
        none is asked for.
      partners: what the examples are mixed with; None where they are not.
      counts: uint8 [run, example, member], how often each is in each member's own sample; None
        where members have none.
    """

    images: Leaf
    labels: Leaf
    previous: Leaf = None
    partners: Partners | None = None
    counts: Leaf = None


def mixed(batch: Batch) -> Batch:
    """The batch with its partners' images mixed in, λ·x + (1−λ)·x′; as it is where there are none.

    Images must be what the network is given: pixels are normalised first.
    """
    partners = batch.partners
    if partners is None:
        return batch
    inner = batch.images.ndim - partners.share.ndim
    share = partners.share.reshape(*partners.share.shape, *[1] * inner)
    images = share * batch.images + (1 - share) * partners.images
    return dataclasses.replace(
        batch, images=images, partners=dataclasses.replace(partners, images=None)
    )
