"""Value and gradient of the symmetric KL loss of co-distilled pairs: ours, naive autodiff, PyTorch.

    python benchmarks/losses.py --out=docs/benchmarks

At [2, 1024, K] float32 logits. `naive` is the definition, KL(p ‖ q) + KL(q ‖ p) from `softmax` and
its logarithm, under `jax.grad`; `log_softmax` the stable form without a rule of its own. Bytes are
XLA's count of what the compiled program reads and writes, in sizes of the logits: 2 would be to
read them once and write the gradient once. Times are medians of repeats that alternate.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from churn_jax import losses

BATCH = 1024
CLASSES = (10, 1000, 8142)


def naive(a: jax.Array, b: jax.Array) -> jax.Array:
    """As the formula is written."""
    p, q = jax.nn.softmax(a), jax.nn.softmax(b)
    return (p * jnp.log(p / q)).sum(-1) + (q * jnp.log(q / p)).sum(-1)


def log_softmax(a: jax.Array, b: jax.Array) -> jax.Array:
    """Stable, and differentiated by JAX."""
    log_p, log_q = jax.nn.log_softmax(a), jax.nn.log_softmax(b)
    return ((jnp.exp(log_p) - jnp.exp(log_q)) * (log_p - log_q)).sum(-1)


FORMS = {"churn_jax": losses.symmetric_kl, "naive": naive, "log_softmax": log_softmax}


def main() -> None:
    """Times every form at every size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, help="folder for losses_PLATFORM.json")
    options = parser.parse_args()
    rows = [row for classes in CLASSES for row in measure(classes, options.repeats)]
    print(table(rows))
    if options.out:
        names = ("jax", "jaxlib", "torch")
        device = jax.devices()[0]
        report = {
            "device": device.device_kind,
            "versions": {name: version(name) for name in names},
            "rows": rows,
        }
        path = options.out / f"losses_{device.platform}.json"
        path.write_text(json.dumps(report, indent=1) + "\n")


def measure(classes: int, repeats: int) -> list[dict[str, Any]]:
    """One row a contender: milliseconds, and HLO bytes in sizes of the logits."""
    logits = (3 * np.random.default_rng(0).standard_normal((2, BATCH, classes))).astype(np.float32)
    steps: dict[str, Callable[[], None]] = {}
    passes: dict[str, float] = {}
    for name, form in FORMS.items():
        steps[name], passes[name] = jax_step(form, logits)
    steps |= torch_steps(logits)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()  # compiles
    for _ in range(repeats):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    return [
        {
            "classes": classes,
            "contender": name,
            "ms": 1e3 * statistics.median(seconds[name]),
            "passes": passes.get(name),
        }
        for name in steps
    ]


def jax_step(
    form: Callable[..., jax.Array], logits: np.ndarray
) -> tuple[Callable[[], None], float]:
    """(a call that waits, HLO bytes over the logits' size)."""
    function = jax.value_and_grad(lambda logits: form(logits[0], logits[1]).mean())
    placed = jnp.asarray(logits)
    compiled = jax.jit(function).lower(placed).compile()
    cost = compiled.cost_analysis()
    return (
        lambda: jax.block_until_ready(compiled(placed)),
        cost["bytes accessed"] / logits.nbytes,
    )


def torch_steps(logits: np.ndarray) -> dict[str, Callable[[], None]]:
    """Eager and compiled PyTorch on the same device kind."""
    import torch
    from torch.nn import functional

    device = "cuda" if torch.cuda.is_available() else "cpu"
    placed = torch.from_numpy(logits).to(device)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        log_p, log_q = functional.log_softmax(logits, -1)
        return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1).mean()

    def step_of(loss: Callable[..., torch.Tensor]) -> Callable[[], None]:
        def step() -> None:
            leaf = placed.detach().requires_grad_()
            loss(leaf).backward()
            if device == "cuda":
                torch.cuda.synchronize()

        return step

    return {"torch": step_of(loss), "torch-compile": step_of(torch.compile(loss))}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| shape | contender | ms | bytes, in logits |", "|---|---|---|---|"]
    for row in rows:
        passes = f"{row['passes']:.1f}" if row["passes"] else "–"
        shape = f"[2, {BATCH}, {row['classes']}]"
        lines.append(f"| {shape} | {row['contender']} | {row['ms']:.2f} | {passes} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
