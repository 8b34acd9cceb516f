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
FED = PartitionSpec("run", ("data", "member"))  # a batch before members have exchanged their parts
RUNS = PartitionSpec("run")
EXAMPLES = PartitionSpec("data")
LOGITS = PartitionSpec("run", "member", "data")
REPLICATED = PartitionSpec()


def choose_mesh_shape(
    config: Config, num_devices: int, num_slices: int = 1
) -> tuple[int, int, int]:
    """(run, member, data) sizes: what the config fixes, and the rest filled run first, then member.

    Runs never communicate, and members exchange only logits and the pixels of streamed pictures,
    so those axes are the cheapest to split; what is left goes to `data`, as far as the batch and
    its batch-norm groups allow. Of several slices each has runs of its own, whole: nothing but the
    run axis crosses the network between them.

    Raises:
      UserError: the sizes asked for divide neither the devices nor the runs, members or batch, or
        the runs do not divide over the slices.
    """
    if num_slices > 1:
        run, member, data = choose_mesh_shape(
            _of_one_slice(config, num_slices), num_devices // num_slices
        )
        return run * num_slices, member, data
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
    run, member, data = fixed
    if run == 0:
        run = math.gcd(left, config.runs)
        left //= run
    if member == 0:
        member = math.gcd(left, config.method.members)
        left //= member
    return run, member, data or _data_size(config, left)


def _data_size(config: Config, left: int) -> int:
    """The most of `left` devices that a batch can be split over."""
    batch, group = config.batch_size, config.model.norm_group
    sizes = [size for size in range(1, left + 1) if left % size == 0 and batch % size == 0]
    return max(size for size in sizes if size == 1 or groups_fit(group, batch // size))


def groups_fit(group: int, share: int) -> bool:
    """Whether a device's share of a batch holds whole batch-norm groups, or a part of one."""
    return group == 0 or share % group == 0 or group % share == 0


def _of_one_slice(config: Config, num_slices: int) -> Config:
    """The config that one of several slices trains.

    Raises:
      UserError: its runs, or the run axis that it asks for, do not divide over them.
    """
    for key, value in {"config.runs": config.runs, "config.mesh.run": config.mesh.run}.items():
        if value % num_slices:
            raise UserError(
                f"{key}: {value} does not divide over {num_slices} slices, each of which trains "
                "whole runs: give each run a slice of its own (--run_index of the launchers)"
            )
    mesh = dataclasses.replace(config.mesh, run=config.mesh.run // num_slices)
    return dataclasses.replace(config, runs=config.runs // num_slices, mesh=mesh)


def make_mesh(config: Config, devices: list[jax.Device] | None = None) -> Mesh:
    """The mesh run × member × data over `devices` (default: all that the shape can use).

    Raises:
      UserError: no such mesh, or one that leaves a process without a device.
    """
    slices = _slices(jax.devices() if devices is None else devices)
    sizes = {len(each) for each in slices}
    if len(sizes) > 1:
        raise UserError(f"the slices are not alike: they have {sorted(sizes)} devices")
    shape = choose_mesh_shape(config, sum(map(len, slices)), len(slices))
    of_slice = (shape[0] // len(slices), *shape[1:])
    arranged = [_arranged(_used(each, of_slice, config), of_slice) for each in slices]
    return Mesh(np.concatenate(arranged), AXES, axis_types=(jax.sharding.AxisType.Auto,) * 3)


def _slices(devices: list[Any]) -> list[list[Any]]:
    """The devices by TPU slice, in order; those of other kinds are one."""
    by_slice: dict[int, list[Any]] = {}
    for device in devices:
        index = getattr(device, "slice_index", 0) if device.platform == "tpu" else 0
        by_slice.setdefault(index, []).append(device)
    return [by_slice[index] for index in sorted(by_slice)]


def _used(devices: list[Any], shape: tuple[int, ...], config: Config) -> list[Any]:
    """As many of a slice's devices as the shape has, the same number of every process."""
    by_process: dict[int, list[Any]] = {}
    for device in devices:
        by_process.setdefault(device.process_index, []).append(device)
    share, rest = divmod(math.prod(shape), len(by_process))
    if rest or share == 0:
        raise UserError(
            f"config.batch_size: {config.batch_size} examples (of {config.runs} runs × "
            f"{config.method.members} members) do not divide over {len(by_process)} processes "
            f"with {len(devices)} devices: of {math.prod(shape)} that can be used each would need "
            "the same number"
        )
    chosen = {id(device) for each in by_process.values() for device in each[:share]}
    return [device for device in devices if id(device) in chosen]


def _arranged(devices: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """A slice's devices in the mesh's shape, neighbours in its network side by side if possible."""
    try:
        return mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    except (AssertionError, NotImplementedError):  # a part of a slice, or a v4's cores one by one
        return np.array(devices).reshape(shape)


def fed_spec(mesh: Mesh, batch_size: int) -> PartitionSpec:
    """How a batch of pictures comes from the hosts: `FED`, or `BATCH` where nothing is gained.

    The members of a run often lie on different hosts, and see the same pictures. Each host then
    brings a part, so that every picture is decoded once, and the members exchange the pixels.
    """
    hosts = {device.process_index for device in mesh.devices.flat}
    parts = mesh.shape["data"] * mesh.shape["member"]
    gains = len(hosts) > 1 and mesh.shape["member"] > 1 and batch_size % parts == 0
    return FED if gains else BATCH


def gather_members(shares: Any) -> Any:
    """Inside a step: a device's share of a batch [run, example, …], from its members' parts."""
    return jax.tree.map(lambda x: jax.lax.all_gather(x, "member", axis=1, tiled=True), shares)


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
