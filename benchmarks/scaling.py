"""How a step's cost grows with runs and with members, by the TPU compiler's estimate.

    python benchmarks/scaling.py --out=docs/benchmarks

LeNet5 on CIFAR-10 in batches of 1024 on a v3-8, whose 8 cores take a run each: time and memory for
1 to 8 runs a core, and for 1 to 8 members a run. Needs pip install '.[tpu]'.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"

import matplotlib.pyplot as plt

from churn_jax import config as config_lib
from churn_jax.planner import chips, compiling, estimate
from churn_jax.storage.files import write_atomically

TOPOLOGY = "v3-8"
MODELS_A_CORE = (1, 2, 4, 8)


def main() -> None:
    """Compiles every size, prints a table, and writes the figures and a plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, help="folder for scaling.json and scaling.svg")
    asked = parser.parse_args()
    chip, topology = chips.find(TOPOLOGY)
    devices = compiling.slice_devices(topology)
    series: dict[str, list[dict[str, Any]]] = {"runs": [], "members": []}
    for axis, rows in series.items():
        for count in MODELS_A_CORE:
            runs, members = (8 * count, 1) if axis == "runs" else (8, count)
            figures = estimate.estimate(
                compiling.compile_step(_config(runs, members), devices), chip
            )
            rows.append(
                {
                    "runs": runs,
                    "members": members,
                    "models_a_core": count,
                    "milliseconds": figures.step_seconds * 1e3,
                    "mebibytes": figures.memory.total / 2**20,
                }
            )
            print(
                f"{runs:3} runs × {members} members  {rows[-1]['milliseconds']:7.3f} ms  "
                f"{rows[-1]['mebibytes']:7.1f} MiB a core"
            )
    if asked.out:
        write_atomically(asked.out / "scaling.json", json.dumps(series, indent=2) + "\n")
        _plot(series, asked.out / "scaling.svg")


def _config(runs: int, members: int) -> config_lib.Config:
    config = config_lib.default()
    config.data.name = "cifar10"
    config.model.dtype = "bfloat16"
    config.batch_size = 1024
    config.runs = runs
    config.method.members = members
    return config_lib.check(config)


def _plot(series: dict[str, list[dict[str, Any]]], path: Path) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, rows in series.items():
        models = [row["models_a_core"] for row in rows]
        for panel, key in zip(axes, ("milliseconds", "mebibytes"), strict=True):
            panel.plot(models, [row[key] for row in rows], marker="o", label=f"more {axis}")
    for panel, title in zip(axes, ("estimated ms a step", "MiB a core"), strict=True):
        panel.set(xlabel="models a core", ylabel=title, xlim=(0, None), ylim=(0, None))
        panel.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    main()
