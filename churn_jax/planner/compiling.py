"""The real training step, compiled ahead of time for a TPU slice that nobody has to own."""

import dataclasses
import importlib.util
import os
from typing import Any

import jax
from jax.experimental import topologies

from churn_jax.config import Config
from churn_jax.data.outline import outline
from churn_jax.data.resident import is_resident
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.planner import arithmetic, chips
from churn_jax.system import private_surfaces
from churn_jax.training.experiment import Experiment
from churn_jax.training.validation import validate

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A step as the TPU compiler made it.

    Attributes:
      experiment: config, data set's shape and mesh.
      resident: whether the data lies on the devices.
      flops: that the mathematics of one step needs on one device.
      program: the compiled program.
    """

    experiment: Experiment
    resident: bool
    flops: int
    program: jax.stages.Compiled


def slice_devices(topology: str) -> list[Any]:
    """Abstract devices of a slice, as libtpu names it.

    Raises:
      UserError: libtpu is not installed, or knows no such slice.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "the TPU compiler is missing: pip install '.[tpu]' (it runs on any x86-64 Linux "
            "machine, and needs no TPU)"
        )
    for name, value in private_surfaces.WITHOUT_A_TPU.items():
        os.environ.setdefault(name, value)
    try:
        return topologies.get_topology_desc(topology, "tpu").devices
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition(": ")[2].splitlines()[0]
        raise UserError(f"--topology={topology}: {reason}{chips.nearest(topology)}") from None


def compile_step(config: Config, devices: list[Any]) -> Compiled:
    """Compiles the step that training `config` on `devices` would run.

    Raises:
      UserError: the config can't be laid out over the devices, or needs more memory than they have.
    """
    data = outline(config.data)
    mesh = sharding.make_mesh(config, devices)
    validate(config, data.info, data.num_train, mesh, data.in_memory)
    experiment = Experiment(config, data.info, data.num_train, mesh)
    resident = is_resident(config.data, data.in_memory)
    traced = _trace(experiment, resident)
    # Packed convolutions also multiply by zeros, which the mathematics does not need.
    plain = _trace(dataclasses.replace(experiment, packed=False), resident)
    try:
        program = traced.lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if needed := read_memory_needed(str(error)):
            raise UserError(does_not_fit(experiment, *needed)) from None
        raise
    return Compiled(experiment, resident, arithmetic.flops(plain.jaxpr.jaxpr), program)


def _trace(experiment: Experiment, resident: bool) -> Any:
    step: Any = experiment.resident_step if resident else experiment.streaming_step
    source = experiment.abstract_source() if resident else experiment.abstract_batch()
    return step.trace(experiment.abstract_state(), source)


def read_memory_needed(error: str) -> tuple[float, float] | None:
    """Bytes (needed, available) of a compiler's error, if it is that memory is too small."""
    match = private_surfaces.OUT_OF_MEMORY.search(error)
    if not match:
        return None
    return float(match[1]) * _UNITS[match[2]], float(match[3]) * _UNITS[match[4]]


def does_not_fit(experiment: Experiment, used: float, available: float) -> str:
    """By how much, and what would make it fit."""
    config, shape = experiment.config, experiment.mesh.shape
    needs = (
        f"it does not fit: a core needs {used / 2**30:.1f} GiB and has {available / 2**30:.1f}, "
        f"{(used - available) / 2**30:.1f} too many"
    )
    advice = ["a larger slice"]
    if config.runs > shape["run"]:
        runs = max(int(config.runs * available / used), shape["run"])
        advice.append(f"--config.runs={runs} and the others in a second workdir")
    if config.model.dtype != "bfloat16":
        advice.append("--config.model.dtype=bfloat16")
    batch = 2 ** int(config.batch_size * available / used).bit_length() // 2
    advice.append(f"--config.batch_size={batch}")
    return f"{needs}: try {' or '.join(advice)}"
