"""How several models are laid out within one device: the private decision of this module.

`over_models(fn, …)` maps a function of one model over the leading axis of its arguments:

- `vmap` batches the models; a batched convolution is a grouped one.
- `unroll` repeats the program once a model; compile time grows with the models.
- `scan` repeats the computation in a loop, which keeps compile time and memory flat.

On CPU, ResNet-8 on 8×8 images, batch 64, 10 runs × 2 members on 2 cores took 6.6 ms a model-step
unrolled, 71 ms scanned and 170 ms vmapped: XLA runs grouped convolutions, and convolutions inside
loop bodies, in slow loops there. For a TPU v3 core the compiler estimates the same time a model for
all three, and scanning compiles fastest. On a GPU a network of matrix products is batched (LeNet5,
10 runs, batch 256 on an H100, in TF32: 0.21 ms a model-step, 0.34 scanned, 0.31 unrolled), and one
of convolutions is scanned, because a grouped convolution's backward pass takes as long there as a
dense one's, which is `groups` times the arithmetic (github.com/jax-ml/jax/issues/13800).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_LANES = 128
BY_PLATFORM = {"cpu": "unroll", "gpu": "scan", "tpu": "scan"}
OF_PRODUCTS = {"gpu": "vmap"}  # where networks of matrix products are laid out otherwise


def choose(platform: str, products: bool = False) -> str:
    """The layout for a platform (cpu, gpu or tpu) and a network, of matrix products or not."""
    usual = BY_PLATFORM.get(platform, "scan")
    return OF_PRODUCTS.get(platform, usual) if products else usual


def columns(platform: str, examples: int) -> int:
    """How many neighbouring pixels lie side by side in 64 channels, for `examples` a device.

    TPUs have 128 lanes. XLA lays the examples in them if there are as many, else the channels, and
    then two pixels fill them (`churn_jax.models.packed`). An ImageNet step of a v3 core with 64
    examples takes 71.3 ms so instead of 74.2 (docs/benchmarks/plan.md); a v5e core's with 128 gains
    nothing.
    """
    return 2 if platform == "tpu" and examples < _LANES else 1


def wide_passes(device_kind: str, examples: int) -> bool:
    """Whether convolutions of 16 and 32 filters give several neighbouring pixels at once.

    Where a TPU v3 core has the examples in its lanes they do (`churn_jax.models.packed_block`): a
    CIFAR-10 step takes 190 ms so instead of 208 (docs/benchmarks/plan.md). Two blocks of stage 0
    take 8.0 ms instead of 11.3 on a v2 core; on later ones, whose matrix units are faster beside
    their memory, they take longer: 2.7 instead of 2.5 on v4, 1.5 instead of 1.4 on v5e.
    """
    return device_kind in ("TPU v2", "TPU v3") and examples >= _LANES


def over_models(fn: Callable[..., Any], layout: str) -> Callable[..., Any]:
    """`fn` mapped over the leading axis of every leaf of its arguments and results."""
    if layout == "vmap":
        return jax.vmap(fn)
    if layout == "scan":
        return lambda *args: jax.lax.map(lambda each: fn(*each), args)

    # Under jit it is traced once; XLA puts the calls in line.
    once = jax.jit(fn)

    def unrolled(*args: Any) -> Any:
        count = jax.tree.leaves(args)[0].shape[0]
        results = [once(*jax.tree.map(lambda x, i=i: x[i], args)) for i in range(count)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

    return unrolled
