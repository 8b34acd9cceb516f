"""Named random streams, each a pure function of (seed, stream, run, …).

No key is ever carried from step to step, so a resumed run needs none; and no stream depends on the
number of processes, devices or runs beside it. Which streams differ between runs is a choice of the
experiment (`vary`): a stream that is held gives every run the keys of run 0. That is how Tables 1
and 6 of the paper separate the sources of churn.
"""

from collections.abc import Collection

import jax
import jax.numpy as jnp

# The numbers are part of every result: never renumber, only append.
STREAMS = {"init": 0, "order": 1, "augmentation": 2}


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


def init_key(
    seed: int, run: jax.typing.ArrayLike, member: jax.typing.ArrayLike, vary: Collection[str]
) -> jax.Array:
    """The key that initialises one member of one run; members always differ."""
    return jax.random.fold_in(stream_key(seed, "init", run, vary), member)


def epoch_order(
    seed: int,
    run: jax.typing.ArrayLike,
    epoch: jax.typing.ArrayLike,
    vary: Collection[str],
    num_examples: int,
) -> jax.Array:
    """The order of the examples in one epoch of one run: a permutation, int32 [num_examples]."""
    key = jax.random.fold_in(stream_key(seed, "order", run, vary), epoch)
    return jax.random.permutation(key, jnp.arange(num_examples, dtype=jnp.int32))


def epoch_augmentation_key(
    seed: int, run: jax.typing.ArrayLike, epoch: jax.typing.ArrayLike, vary: Collection[str]
) -> jax.Array:
    """The key of one epoch of one run; fold in an example's index to augment that example.

    It follows the example, not its place in the batch, so augmentation can be held while the order
    varies, and the other way round.
    """
    return jax.random.fold_in(stream_key(seed, "augmentation", run, vary), epoch)
