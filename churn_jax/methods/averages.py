"""Averages of the weights along training, as data: how much a step's weights count in each.

A training keeps none or several averages w̄ of its weights w. All of them are one update,

    w̄ ← (1 − a)·w̄ + a·w,

and differ in the share a of each step alone:

- `ema`, an exponential moving average: a = 1 − min(d, (t + 1)/(t + 10)) at its t-th update, so that
  the first updates, before 1/(1 − d) of them have been, are not drowned by where training began.
- `swa` (Izmailov et al. 2018), the plain mean of the weights from some step on: a = 1/(n + 1) at
  its n-th update.
- `snapshots` (Huang et al. 2017), the weights at the end of each of several cycles of the learning
  rate: a = 1 there. There is one of them a cycle, and the mean of their predictions counts.

Between updates a is 0.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from churn_jax.methods.schedules import cycle_end

KINDS = ("none", "ema", "swa", "snapshots")

Shares = Callable[[jax.Array], jax.Array]


def count(kind: str, cycles: int) -> int:
    """How many averages there are."""
    return {"none": 0, "snapshots": cycles}.get(kind, 1)


def shares(
    kind: str, *, total_steps: int, decay: float, every: int, start: float, cycles: int
) -> Shares:
    """The share of each average in the weights that a step makes: step -> float32 [average].

    Args:
      kind: one of `KINDS`, but not 'none'.
      total_steps: of the training; steps count from 0.
      decay: d of `ema`.
      every: steps between updates of `ema` and `swa`.
      start: the fraction of training after which `swa` begins.
      cycles: how many `snapshots`.
    """
    first = int(start * total_steps)
    ends = np.array([cycle_end(i, cycles, total_steps) for i in range(cycles)])

    def of_ema(done: jax.Array) -> jax.Array:
        updates = done // every
        kept = jnp.minimum(decay, updates / (updates + 9.0))
        return jnp.where(done % every == 0, 1.0 - kept, 0.0)[None]

    def of_swa(done: jax.Array) -> jax.Array:
        updates = jnp.maximum(done - first, 0) // every
        due = (done > first) & ((done - first) % every == 0)
        return jnp.where(due, 1.0 / jnp.maximum(updates, 1), 0.0)[None]

    def of_snapshots(done: jax.Array) -> jax.Array:
        return jnp.where(ends == done, 1.0, 0.0)

    chosen = {"ema": of_ema, "swa": of_swa, "snapshots": of_snapshots}[kind]
    return lambda step: chosen(step + 1).astype(jnp.float32)


def updated(average: jax.Array, weights: jax.Array, share: jax.Array) -> jax.Array:
    """One update of all averages of one leaf.

    Args:
      average: [run, member, average, …].
      weights: [run, member, …], after a step.
      share: [average], of that step. 0 leaves an average as it is, bit for bit, and 1 makes it the
        weights.
    """
    a = share.reshape(1, 1, -1, *[1] * (weights.ndim - 2))
    moved = (1 - a) * average + a * weights[:, :, None]
    return jnp.where(a == 0, average, moved.astype(average.dtype))
