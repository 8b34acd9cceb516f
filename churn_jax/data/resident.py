"""The device-resident pipeline: data that fits in memory is shuffled and augmented inside the step.

Position p of a run's training is example `order[p mod N]` of epoch `p div N`, so every example is
seen exactly once an epoch and a batch may straddle two. Position is a function of the step alone.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from churn_jax import random_streams
from churn_jax.config import DataConfig
from churn_jax.data.augmentation import augment
from churn_jax.data.batch import Batch, Leaf, Partners, mixed
from churn_jax.data.examples import DatasetInfo


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        *("images", "labels", "runs", "order", "epoch", "first_step", "offset"),
        *("previous", "partners", "shares", "counts"),
    ],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class ResidentSource:
    """The training split on every device, and the order of the current epoch.

    Attributes:
      images: [example, height · width · channel] of the data set's type: rows, which a TPU gathers
        where they lie.
      labels: int32 [example].
      runs: int32 [run], the index of each run.
      order: int32 [run, examples + batch size]: this epoch's permutation and the next one's start.
      epoch: int32, the epoch of `order`.
      first_step: int32, the first step whose batch begins in `epoch`.
      offset: int32, where in `order` that batch begins.
      previous: float32 [run, example, class] log-probabilities of a previous model, or None.
      partners: int32 [run, 2, example], with which each is mixed in this epoch and in the next one,
        and shares: float32, how much of it is itself (`mixing`); None where none is.
      counts: uint8 [run, example, member], how often it is in each member's own sample, or None.
    """

    images: Leaf
    labels: Leaf
    runs: Leaf
    order: Leaf
    epoch: Leaf
    first_step: Leaf
    offset: Leaf
    previous: Leaf = None
    partners: Leaf = None
    shares: Leaf = None
    counts: Leaf = None


@dataclasses.dataclass(frozen=True)
class ResidentPlan:
    """What is static in taking a batch."""

    data: DataConfig
    info: DatasetInfo
    seed: int
    vary: tuple[str, ...]
    num_examples: int
    batch_size: int  # over all devices


def is_resident(data: DataConfig, in_memory: bool) -> bool:
    """Whether the config and a data set that is `in_memory`, or isn't, choose this pipeline."""
    return data.pipeline != "streaming" and in_memory


def epoch_window(runs: jax.Array, epoch: jax.Array, plan: ResidentPlan) -> jax.Array:
    """`ResidentSource.order` during `epoch`: int32 [run, examples + batch size]."""

    def one_run(run: jax.Array) -> jax.Array:
        def order(epoch: jax.Array) -> jax.Array:
            return random_streams.epoch_order(
                plan.seed, run, epoch, plan.vary, plan.num_examples, plan.data.sample
            )

        this, following = order(epoch), order(epoch + 1)
        return jnp.concatenate([this, following[: plan.batch_size]])

    return jax.vmap(one_run)(runs)


def take_batch(source: ResidentSource, step: jax.Array, plan: ResidentPlan) -> Batch:
    """This device's runs' and examples' share of the batch of `step`; runs inside `shard_map`."""
    share = plan.batch_size // jax.lax.axis_size("data")
    start = source.offset + (step - source.first_step) * plan.batch_size
    places = start + jax.lax.axis_index("data") * share + jnp.arange(share)

    def one_run(
        run: jax.Array,
        order: jax.Array,
        previous: jax.Array | None,
        partners: jax.Array | None,
        shares: jax.Array | None,
        counts: jax.Array | None,
    ) -> Batch:
        examples = order[places]
        later = places // plan.num_examples  # epochs after that of the source

        def image_of(example: jax.Array, later: jax.Array) -> jax.Array:
            epoch = source.epoch + later
            key = random_streams.epoch_augmentation_key(plan.seed, run, epoch, plan.vary)
            image = source.images[example].reshape(plan.info.image_shape)
            return augment(jax.random.fold_in(key, example), image, plan.data)

        mixing = None
        if partners is not None and shares is not None:
            others = partners[later, examples]
            images = jax.vmap(image_of)(others, later)
            mixing = Partners(images, source.labels[others], shares[later, examples])
        images = jax.vmap(image_of)(examples, later)
        anchors = None if previous is None else previous[examples]
        samples = None if counts is None else counts[examples]
        batch = Batch(images, source.labels[examples], anchors, mixing, samples)
        return prepared(batch, plan.info)

    return jax.vmap(one_run)(
        *(source.runs, source.order, source.previous),
        *(source.partners, source.shares, source.counts),
    )


def normalise(images: jax.Array | np.ndarray, info: DatasetInfo) -> jax.Array:
    """What a network is given: (x − mean) / std, float32, per entry of the last axis.

    x are pixels as parts of 255, or floats as they are; tokens stay int32.
    """
    if info.dtype == "int32":
        return jnp.asarray(images)
    mean, std = np.array(info.mean, np.float32), np.array(info.std, np.float32)
    values = jnp.asarray(images, jnp.float32)
    return ((values / 255 if info.dtype == "uint8" else values) - mean) / std


def prepared(batch: Batch, info: DatasetInfo) -> Batch:
    """A batch as it comes from the host, as a network is given it: normalised, then mixed."""
    partners = batch.partners
    if partners is not None:
        partners = dataclasses.replace(partners, images=normalise(partners.images, info))
    images = normalise(batch.images, info)
    return mixed(dataclasses.replace(batch, images=images, partners=partners))


def position(step: int, plan: ResidentPlan) -> tuple[int, int]:
    """(epoch, offset within the epoch) of the first example of `step`'s batch."""
    return divmod(step * plan.batch_size, plan.num_examples)
