"""How several models are laid out within one device: the private decision of this module.

`over_models(fn, …)` maps a function of one model over the leading axis of its arguments:

- `vmap` batches the models; a batched convolution is a grouped one.
- `unroll` repeats the program once a model, which XLA's CPU backend needs: its grouped
  convolutions, and convolutions inside loop bodies, are several times slower.
- `scan` repeats the computation in a loop, which keeps compile time and memory flat.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# Measured per backend; see benchmarks/README.md.
BY_PLATFORM = {"cpu": "unroll", "gpu": "vmap", "tpu": "scan"}


def choose(platform: str) -> str:
    """The layout for a platform: cpu, gpu or tpu."""
    return BY_PLATFORM.get(platform, "vmap")


def over_models(fn: Callable[..., Any], layout: str) -> Callable[..., Any]:
    """`fn` mapped over the leading axis of every leaf of its arguments and results."""
    if layout == "vmap":
        return jax.vmap(fn)
    if layout == "scan":
        return lambda *args: jax.lax.map(lambda each: fn(*each), args)

    def unrolled(*args: Any) -> Any:
        count = jax.tree.leaves(args)[0].shape[0]
        results = [fn(*jax.tree.map(lambda x, i=i: x[i], args)) for i in range(count)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

    return unrolled
