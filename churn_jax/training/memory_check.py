"""Whether what a config asks for can fit into memory at all, before any of it is allocated.

What is counted is a lower bound: what is refused could never have run.
"""

import dataclasses
import math
from typing import Any

import jax

from churn_jax.errors import UserError
from churn_jax.system.host_memory import gibibytes, host_memory
from churn_jax.training.experiment import Experiment


def refuse_unaffordable(experiment: Experiment) -> None:
    """Raises a `UserError` if the state, its gradients and one batch exceed all memory there is."""
    config, devices = experiment.config, experiment.mesh.devices.flat
    # The state of one run stands for all, so that nothing here grows with their number.
    alone = dataclasses.replace(config, runs=1)
    state = dataclasses.replace(experiment, config=alone).state_shapes()
    of_run = _bytes(state) + _bytes(state.params)
    of_batch = 4 * config.batch_size * math.prod(experiment.info.image_shape)
    needed = config.runs * (of_run + of_batch)
    # Other processes' devices do not tell, but are like this one's.
    mine = next(device for device in devices if device.process_index == jax.process_index())
    available = device_memory(mine) * len(devices)
    if mine.platform == "cpu":
        available = host_memory() * jax.process_count()
    if needed <= available:
        return
    key, value = ("runs", config.runs)
    if of_batch > of_run and of_run + of_batch > available:
        key, value = ("batch_size", config.batch_size)
    raise UserError(
        f"config.{key}: {value} would take at least {gibibytes(needed)} of memory "
        f"({config.runs} runs × {gibibytes(of_run)} of state and gradients and "
        f"{gibibytes(of_batch)} of batch), and there are {gibibytes(available)}"
    )


def device_memory(device: jax.Device) -> float:
    """Bytes of a device's memory; infinite where it does not say."""
    stats: dict[str, Any] = device.memory_stats() or {}
    return stats.get("bytes_limit", math.inf)


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
