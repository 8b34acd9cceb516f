"""Named random streams, each a pure function of (seed, stream, run, …).

No key is ever carried from step to step, so a resumed run needs none; and no stream depends on the
number of processes, devices or runs beside it. Which streams differ between runs is a choice of the
experiment (`vary`): a stream that is held gives every run the keys of run 0. That is how Tables 1
and 6 of the paper separate the sources of churn.
"""

import math
from collections.abc import Collection
from typing import Any

import jax
import jax.numpy as jnp

from churn_jax.system.jax_settings import pinned

# The numbers are part of every result: never renumber, only append.
STREAMS = {"init": 0, "order": 1, "augmentation": 2, "sample": 3}
# Within the stream of the augmentation, whose other numbers are epochs.
_NOISE = 2**32 - 1
_MIXING = 2**32 - 2


@pinned
def stream_key(
    seed: int, stream: str, run: jax.typing.ArrayLike, vary: Collection[str]
) -> jax.Array:
    """The key of one stream of one run.

    Args:
      seed: the experiment's seed.
      stream: one of `STREAMS`.
      run: index of the run; may be traced.
      vary: the streams that differ between runs; any other is the same for all of them.
    """
    # The implementation is named because the default may change between versions of JAX.
    root = jax.random.key(seed, impl="threefry2x32")
    named = jax.random.fold_in(root, STREAMS[stream])
    return jax.random.fold_in(named, run if stream in vary else 0)


@pinned
def init_key(
    seed: int, run: jax.typing.ArrayLike, member: jax.typing.ArrayLike, vary: Collection[str]
) -> jax.Array:
    """The key that initialises one member of one run; members always differ."""
    return jax.random.fold_in(stream_key(seed, "init", run, vary), member)


def move_one_ulp(params: Any, run: jax.typing.ArrayLike) -> Any:
    """The parameters of one run, [member, …], with one of them moved to the next larger float32.

    Run 0 is left as it is. Run r's is the r-th number of the first kernel of member 0: all runs
    differ, by the least that weights can. (Not of a bias: the neighbour of 0 counts as 0.)
    """
    leaves, structure = jax.tree.flatten(params)
    place = next(i for i, leaf in enumerate(leaves) if leaf.ndim > 2)
    members, *shape = leaves[place].shape
    index = (jnp.asarray(run) - 1) % math.prod(shape)
    flat = leaves[place].reshape(members, -1)
    moved = jnp.nextafter(flat[0, index], jnp.inf)
    flat = flat.at[0, index].set(jnp.where(jnp.asarray(run) == 0, flat[0, index], moved))
    leaves[place] = flat.reshape(members, *shape)
    return jax.tree.unflatten(structure, leaves)


@pinned
def bootstrap_sample(
    seed: int, run: jax.typing.ArrayLike, vary: Collection[str], num_examples: int
) -> jax.Array:
    """The training sample of one run, int32 [num_examples]: examples drawn with return."""
    key = stream_key(seed, "sample", run, vary)
    return jax.random.randint(key, (num_examples,), 0, num_examples, jnp.int32)


@pinned
def member_sample(
    seed: int,
    run: jax.typing.ArrayLike,
    member: jax.typing.ArrayLike,
    vary: Collection[str],
    num_examples: int,
) -> jax.Array:
    """How often each example is in one member's own bootstrap sample, uint8 [num_examples].

    Members always differ. As many examples as there are are drawn with return; one that is drawn
    256 times does not happen.
    """
    key = jax.random.fold_in(stream_key(seed, "sample", run, vary), member)
    drawn = jax.random.randint(key, (num_examples,), 0, num_examples, jnp.int32)
    return jnp.bincount(drawn, length=num_examples).astype(jnp.uint8)


@pinned
def epoch_order(
    seed: int,
    run: jax.typing.ArrayLike,
    epoch: jax.typing.ArrayLike,
    vary: Collection[str],
    num_examples: int,
    sample: str = "all",
) -> jax.Array:
    """The order of the examples in one epoch of one run, int32 [num_examples].

    A permutation of all examples or, of `sample` 'bootstrap', of the run's `bootstrap_sample`.
    """
    key = jax.random.fold_in(stream_key(seed, "order", run, vary), epoch)
    order = jax.random.permutation(key, jnp.arange(num_examples, dtype=jnp.int32))
    if sample != "bootstrap":
        return order
    return bootstrap_sample(seed, run, vary, num_examples)[order]


@pinned
def epoch_mixing(
    seed: int,
    run: jax.typing.ArrayLike,
    epoch: jax.typing.ArrayLike,
    vary: Collection[str],
    num_examples: int,
    sample: str = "all",
) -> tuple[jax.Array, jax.Array]:
    """With what each example is mixed (mixup) in one epoch of one run, and how: both [example].

    They belong to the stream of the augmentation and follow the example, so they depend neither on
    the order nor on what else is in a batch.

    Returns:
      The partners, int32: a permutation of what the run trains on, all examples or, of `sample`
      'bootstrap', its `bootstrap_sample`. And float32 in [0, 1), which quantile of its distribution
      the share is.
    """
    key = jax.random.fold_in(stream_key(seed, "augmentation", run, vary), _MIXING)
    partner_key, share_key = jax.random.split(jax.random.fold_in(key, epoch))
    partners = jax.random.permutation(partner_key, jnp.arange(num_examples, dtype=jnp.int32))
    if sample == "bootstrap":
        partners = bootstrap_sample(seed, run, vary, num_examples)[partners]
    return partners, jax.random.uniform(share_key, (num_examples,), jnp.float32)


@pinned
def noise_key(
    seed: int,
    run: jax.typing.ArrayLike,
    member: jax.typing.ArrayLike,
    step: jax.typing.ArrayLike,
    place: jax.typing.ArrayLike,
    vary: Collection[str],
) -> jax.Array:
    """What a network draws from (dropout) for one example of one step's batch.

    It belongs to the stream of the augmentation, and follows the example's place in the batch, so
    that it depends neither on the mesh nor on the other examples.
    """
    key = stream_key(seed, "augmentation", run, vary)
    for number in (_NOISE, member, step, place):
        key = jax.random.fold_in(key, number)
    return key


@pinned
def epoch_augmentation_key(
    seed: int, run: jax.typing.ArrayLike, epoch: jax.typing.ArrayLike, vary: Collection[str]
) -> jax.Array:
    """The key of one epoch of one run; fold in an example's index to augment that example.

    It follows the example, not its place in the batch, so augmentation can be held while the order
    varies, and the other way round.
    """
    return jax.random.fold_in(stream_key(seed, "augmentation", run, vary), epoch)
