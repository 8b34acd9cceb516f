"""The mesh, the shardings of state and batch, and start-up of devices.

One mesh with the axes `run`, `member` and `data` holds everything:

    params, batch_stats, opt_state  [run, member, …]   split over run, member; copied over data
    batch                           [run, example, …]  split over run, data; copied over member
    logits                          [run, member, example, class]
"""

import contextlib
import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from churn_jax.compilation import keep_programs
from churn_jax.config import Config
from churn_jax.data.outline import published
from churn_jax.errors import UserError
from churn_jax.threads import available_cores

_MOST_DEVICES = 512  # of one process; more than any machine has

# Runs on a CPU whose batch and whose training images have no more pixels than this are given a
# device each, up to so many devices: see `_cpu_devices`.
_SMALL_BATCH, _SMALL_DATA = 1 << 14, 1 << 22
_MOST_SMALL_RUNS = 32

AXES = ("run", "member", "data")
STATE = PartitionSpec("run", "member")
BATCH = PartitionSpec("run", "data")
RUNS = PartitionSpec("run")
EXAMPLES = PartitionSpec("data")
LOGITS = PartitionSpec("run", "member", "data")
REPLICATED = PartitionSpec()


def start_devices(config: Config, num_processes: int = 1, also: Sequence[Config] = ()) -> None:
    """Prepares JAX for `config`; call before anything else touches its devices.

    A CPU is shown as several devices (`_cpu_devices`), accelerators are left as they are. `also`
    are other configs that will be trained on the same devices.
    """
    keep_programs()
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return  # the user chose
    asked = math.prod(
        max(axis, 1) for axis in (config.mesh.run, config.mesh.member, config.mesh.data)
    )
    if asked > _MOST_DEVICES * num_processes:
        raise UserError(
            f"config.mesh: run × member × data are {asked} devices, more than {_MOST_DEVICES} of "
            f"each of {num_processes} processes"
        )
    cores = available_cores()
    devices = _cpu_devices(config, -(-asked // num_processes), cores, num_processes)
    if num_processes > 1 or any(_communicates(each, devices) for each in (config, *also)):
        # Devices will wait for each other, each holding a thread. XLA starts as many as there are
        # cores or devices, and where all waited, a step has been seen to hang.
        os.environ.setdefault("PJRT_NPROC", str(2 * max(cores, devices)))
    # Where a notebook or a test has already initialised JAX, what is there is used.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices)


def _cpu_devices(config: Config, asked: int, cores: int, num_processes: int) -> int:
    """How many devices a CPU shows: those `asked` for, times what runs and members leave open.

    XLA runs one program per device, so independent models run side by side only on several: as many
    as the cores can serve and the runs can fill, or runs and members where that at least doubles
    them. Small runs have one each, whatever the cores: XLA then compiles the program of one run and
    not that of several in a row, which is most of a short training's time, and a step takes as
    long. Larger runs would all need their memory at once: ten of ResNet-20 at batch 256 take 5.7
    GiB instead of 1.9, and half as long again.
    """
    runs = 1 if config.mesh.run else config.runs
    models = runs * (1 if config.mesh.member else config.method.members)
    served = max(cores // asked, 1)
    if num_processes > 1:
        most = math.gcd(models, served)
        fitting = (n for n in range(most, 1, -1) if _fills(config, num_processes * asked * n))
        return asked * next(fitting, 1)
    if _is_small(config):
        return asked * _largest_divisor(runs, max(_MOST_SMALL_RUNS // asked, 1))
    by_run, by_model = _largest_divisor(runs, served), _largest_divisor(models, served)
    return asked * (by_model if by_model >= 2 * by_run else by_run)


def _largest_divisor(number: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if number % n == 0)


def _fills(config: Config, devices: int) -> bool:
    """Whether no device would be idle."""
    return math.prod(choose_mesh_shape(config, devices)) == devices


def _communicates(config: Config, devices: int) -> bool:
    """Whether devices will wait for each other: not if each has runs of its own."""
    return config.log_distances or choose_mesh_shape(config, devices)[0] < devices


def _is_small(config: Config) -> bool:
    """Whether a batch, and the training images, of which each device has a copy, are small."""
    found = published(config.data.name)  # looks at no files
    if found is None:
        return False
    height, width, _ = found.info.image_shape
    pixels = config.data.image_size**2 or height * width
    examples = config.data.num_train or found.num_train
    return pixels * config.batch_size <= _SMALL_BATCH and pixels * examples <= _SMALL_DATA


def choose_mesh_shape(config: Config, num_devices: int) -> tuple[int, int, int]:
    """(run, member, data) sizes: what the config fixes, and the rest filled run first, then member.

    Runs never communicate and members exchange only logits, so those axes are the cheapest to
    split; what is left goes to `data`.

    Raises:
      UserError: the sizes asked for divide neither the devices nor the runs, members or batch.
    """
    fixed = (config.mesh.run, config.mesh.member, config.mesh.data)
    totals = (config.runs, config.method.members, config.batch_size)
    left = num_devices
    for name, size, total in zip(AXES, fixed, totals, strict=True):
        if size == 0:
            continue
        if left % size:
            raise UserError(
                f"config.mesh.{name}: {size} does not divide the devices "
                f"({num_devices}, of which {left} are left for this axis)"
            )
        if total % size:
            counted = {"run": "runs", "member": "members", "data": "examples in a batch"}[name]
            raise UserError(f"config.mesh.{name}: {size} does not divide {total} {counted}")
        left //= size
    shape = []
    for size, total in zip(fixed, totals, strict=True):
        if size == 0:
            size = math.gcd(left, total)
            left //= size
        shape.append(size)
    return shape[0], shape[1], shape[2]


def make_mesh(config: Config, devices: list[jax.Device] | None = None) -> Mesh:
    """The mesh run × member × data over `devices` (default: all that the shape can use)."""
    devices = jax.devices() if devices is None else devices
    shape = choose_mesh_shape(config, len(devices))
    used = devices[: math.prod(shape)]
    if idle := {device.process_index for device in devices} - {d.process_index for d in used}:
        raise UserError(
            f"config.batch_size: {config.batch_size} examples (of {config.runs} runs × "
            f"{config.method.members} members) do not divide over {jax.process_count()} processes "
            f"with {len(devices)} devices: {len(idle)} would have nothing to do"
        )
    return Mesh(_arranged(used, shape), AXES, axis_types=(jax.sharding.AxisType.Auto,) * 3)


def _arranged(devices: list[jax.Device], shape: tuple[int, int, int]) -> np.ndarray:
    """The devices in the mesh's shape, neighbours in the network side by side if possible."""
    try:
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    except (AssertionError, NotImplementedError):  # a part of a slice, or a v4's cores one by one
        return np.array(devices).reshape(shape)


def shard(mesh: Mesh, spec: PartitionSpec) -> NamedSharding:
    """The sharding of an array, or of every leaf of a tree, over `mesh`."""
    return NamedSharding(mesh, spec)


def put(array: np.ndarray, mesh: Mesh, spec: PartitionSpec) -> jax.Array:
    """An array over `mesh` from a copy that every process has."""
    return jax.make_array_from_callback(array.shape, shard(mesh, spec), lambda index: array[index])


@dataclasses.dataclass(frozen=True)
class LocalPart:
    """What this process's devices hold of an array that is split over the mesh.

    Attributes:
      sharding: of the whole array.
      shape: of its leading axes, those that may be split.
      held: for each of them, the indices that this process has, ascending.
    """

    sharding: NamedSharding
    shape: tuple[int, ...]
    held: tuple[np.ndarray, ...]

    def assemble(self, local: np.ndarray) -> jax.Array:
        """The whole array, of which every process brings its own `held` entries."""

        def block(index: Any) -> np.ndarray:
            inner = []
            for wanted, held, size in zip(index, self.held, self.shape, strict=False):
                start, stop, _ = wanted.indices(size)
                inner.append(slice(*np.searchsorted(held, (start, stop))))
            return local[tuple(inner)]

        shape = self.shape + local.shape[len(self.shape) :]
        return jax.make_array_from_callback(shape, self.sharding, block)


def local_part(mesh: Mesh, spec: PartitionSpec, shape: tuple[int, ...]) -> LocalPart:
    """This process's part of an array whose leading axes have `shape` and are split by `spec`."""
    sharding = shard(mesh, spec)
    blocks: Any = sharding.addressable_devices_indices_map(shape).values()
    held = tuple(
        np.unique(np.concatenate([np.arange(size)[block[axis]] for block in blocks]))
        for axis, size in enumerate(shape)
    )
    return LocalPart(sharding, shape, held)


def to_host(tree: Any) -> Any:
    """A tree of (possibly distributed) arrays as NumPy arrays, whole on every process."""

    def fetch(leaf: jax.Array) -> np.ndarray:
        if leaf.is_fully_addressable or leaf.is_fully_replicated:
            return np.asarray(leaf)
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))

    return jax.tree.map(fetch, tree)
