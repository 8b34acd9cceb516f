"""The mesh, and the shardings of state and batch.

One mesh with the axes `run`, `member` and `data` holds everything:

    params, batch_stats, opt_state  [run, member, …]   split over run, member; copied over data
    batch                           [run, example, …]  split over run, data; copied over member
    logits                          [run, member, example, class]
"""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from churn_jax.config import Config
from churn_jax.errors import UserError

AXES = ("run", "member", "data")
STATE = PartitionSpec("run", "member")
BATCH = PartitionSpec("run", "data")
RUNS = PartitionSpec("run")
EXAMPLES = PartitionSpec("data")
LOGITS = PartitionSpec("run", "member", "data")
REPLICATED = PartitionSpec()


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
