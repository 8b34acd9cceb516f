"""How far runs drift apart that share every random stream: what rounding and chaos alone do.

Two runs of the same program on the same numbers stay equal bit for bit, unless some kernel sums in
an order that changes from call to call; and training makes large differences of the last bit of one
weight. `config.log_distances` writes the distances to metrics.jsonl as lines of kind `distance`.
"""

from typing import Any

import jax
import jax.numpy as jnp

from churn_jax.system import private_surfaces

# What `config.deterministic` asks of each backend. Those that are not here have no such choice: a
# program for CPU or TPU is compiled once, into a fixed order of sums.
DETERMINISTIC_OPTIONS = {"gpu": private_surfaces.GPU_DETERMINISTIC}


def distances(params: Any) -> dict[str, jax.Array]:
    """Distances of every run's weights from those of the first run.

    Args:
      params: leaves [run, member, …].

    Returns:
      relative_l2: ‖w_r − w_0‖ / ‖w_0‖ over all weights of all members, float32 [run].
      max_abs: the largest |difference| of a weight, [run]; 0 only if all are equal.
    """
    squares, scale, largest = jnp.float32(0), jnp.float32(0), jnp.float32(0)
    for leaf in jax.tree.leaves(params):
        axes = tuple(range(1, leaf.ndim))
        difference = leaf - leaf[:1]
        squares += jnp.square(difference).sum(axes)
        scale += jnp.square(leaf[0]).sum()
        largest = jnp.maximum(largest, jnp.abs(difference).max(axes))
    return {"relative_l2": jnp.sqrt(squares / scale), "max_abs": largest}


def due(step: int, total_steps: int) -> bool:
    """Whether distances are logged after `step`: the first 100 steps, then two leading digits."""
    return step == total_steps or step % 10 ** max(len(str(step)) - 2, 0) == 0


def note(platform: str) -> str:
    """What `config.deterministic` does on a platform, in one line."""
    if options := DETERMINISTIC_OPTIONS.get(platform):
        return f"deterministic: asked of the compiler by {', '.join(options)}; it may be slower"
    return f"deterministic: nothing to ask of {platform}, whose programs fix the order of all sums"
