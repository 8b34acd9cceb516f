"""Memory that a step is predicted to need, beside what training it takes.

    python benchmarks/memory.py --out=docs/benchmarks

The prediction is the compiler's `memory_analysis()`, as `churn_jax.plan` prints it. On an
accelerator the device counts what is in use at its peak. A CPU doesn't: there the largest resident
set of the process while it trains is taken, less what was resident before, with glibc told to give
back at once what is freed. XLA's CPU backend also copies the operands of a convolution into memory
of its own, zeros between dilated pixels included, which the compiler does not count: those of the
largest are added there (`copies`).
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from churn_jax import config as config_lib
from churn_jax.data import DatasetInfo
from churn_jax.parallel import sharding
from churn_jax.planner import estimate
from churn_jax.planner.program import Program
from churn_jax.training.experiment import Experiment

INFO = DatasetInfo("cifar10", tuple("0123456789"), (32, 32, 3), (0.5,) * 3, (0.25,) * 3)
CASES = [
    ("lenet5", 2048, 2),
    ("resnet8", 256, 1),
    ("resnet8", 512, 1),
    ("resnet20", 256, 1),
    ("resnet56", 256, 1),
]
STEPS = 2
_TUNABLES = "GLIBC_TUNABLES"


def main() -> None:
    """Prints a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for memory_PLATFORM.json")
    asked = parser.parse_args()
    if _TUNABLES not in os.environ:  # glibc reads them when a program starts
        os.environ[_TUNABLES] = ":".join(
            f"glibc.malloc.{name}_threshold=65536" for name in ("mmap", "trim")
        )
        os.execv(sys.executable, sys.orig_argv)
    rows = [measure(*case) for case in CASES]
    for row in rows:
        print(
            f"{row['model']:9} batch {row['batch_size']:5}  {row['runs']} runs  "
            f"predicted {row['predicted'] / 2**20:7.1f} MiB "
            f"(copies {row['copies'] / 2**20:.1f})  "
            f"measured {row['measured'] / 2**20:7.1f} MiB  ratio {row['ratio']:.2f}"
        )
    if asked.out:
        report = {"platform": jax.default_backend(), "rows": rows}
        file = asked.out / f"memory_{jax.default_backend()}.json"
        file.write_text(json.dumps(report, indent=2) + "\n")


def measure(model: str, batch_size: int, runs: int) -> dict[str, Any]:
    """Bytes predicted and measured, of the state, a batch and what a step needs beside them."""
    values = {
        "model.name": model,
        "batch_size": batch_size,
        "runs": runs,
        **dict.fromkeys(("mesh.run", "mesh.member", "mesh.data"), 1),
    }
    config = config_lib.default()
    config.update_from_flattened_dict(values)
    checked = config_lib.check(config)
    experiment = Experiment(checked, INFO, batch_size, sharding.make_mesh(checked))
    lowered = experiment.streaming_step.lower(  # type: ignore[attr-defined]
        experiment.abstract_state(), experiment.abstract_batch()
    )
    step = lowered.compile()
    needed = estimate.memory(step, available=0)
    copies = 0
    if jax.default_backend() == "cpu":
        copies = Program(step.as_text()).largest_convolution()
    predicted = needed.state_and_data + needed.temporary + copies
    experiment.init_state()  # its compilation is no part of training
    before = _in_use()
    state = experiment.init_state()
    batch = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), experiment.abstract_batch())
    for _ in range(STEPS):
        state, _ = step(state, batch)
    jax.block_until_ready(state)
    measured = _peak() - before
    return {
        "model": model,
        "batch_size": batch_size,
        "runs": runs,
        "copies": copies,
        "predicted": predicted,
        "measured": measured,
        "ratio": predicted / measured,
    }


def _in_use() -> int:
    if stats := jax.devices()[0].memory_stats():
        return stats["bytes_in_use"]
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again at what there is
    return _status("VmRSS")


def _peak() -> int:
    if stats := jax.devices()[0].memory_stats():
        return stats["peak_bytes_in_use"]
    return _status("VmHWM")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{key}:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
