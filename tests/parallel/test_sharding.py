"""The shape of the mesh: what the config fixes, and how the rest is filled."""

import collections
import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from jax.experimental import mesh_utils

from churn_jax import config as config_lib
from churn_jax.errors import UserError
from churn_jax.methods import catalogue
from churn_jax.parallel import sharding
from churn_jax.training import devices
from tests.fixtures.experiments import make_config


def shape(devices, *, run=0, member=0, data=0, **overrides):
    mesh = {"mesh__run": run, "mesh__member": member, "mesh__data": data}
    return sharding.choose_mesh_shape(make_config(**mesh, **overrides), devices)


@pytest.mark.parametrize(
    ("devices", "runs", "members", "expected"),
    [
        (1, 10, 2, (1, 1, 1)),
        (2, 10, 1, (2, 1, 1)),
        (8, 10, 2, (2, 2, 2)),
        (32, 1, 2, (1, 2, 16)),
        (8, 8, 2, (8, 1, 1)),
    ],
)
def test_runs_are_split_first_then_members_then_examples(devices, runs, members, expected):
    assert shape(devices, runs=runs, method__members=members) == expected


def test_fixed_sizes_are_kept():
    assert shape(8, data=4, runs=2) == (2, 1, 4)


@pytest.mark.parametrize(
    ("sizes", "fault"),
    [
        ({"data": 3}, "config.mesh.data: 3 does not divide the devices"),
        ({"run": 8}, "config.mesh.run: 8 does not divide 2 runs"),
        ({"member": 2}, "config.mesh.member: 2 does not divide 1 members"),
    ],
)
def test_sizes_that_divide_nothing_are_refused(sizes, fault):
    with pytest.raises(UserError) as refused:
        shape(8, **sizes)
    assert fault in str(refused.value)


def test_examples_are_split_over_whole_batch_norm_groups_or_parts_of_one():
    settings = {"runs": 1, "batch_size": 96, "model__norm_group": 24}
    assert shape(2, **settings) == (1, 1, 2)  # 48: two groups
    assert shape(4, **settings) == (1, 1, 4)
    assert shape(8, **settings) == (1, 1, 8)  # 12: half a group
    assert shape(3, **settings) == (1, 1, 1)  # 32 would be a group and a third


@dataclasses.dataclass(frozen=True)
class Core:
    """What the mesh asks of a TPU core."""

    id: int
    process_index: int
    slice_index: int
    coords: tuple[int, int, int]
    platform: str = "tpu"
    device_kind: str = "TPU v5 lite"
    core_on_chip: int = 0


def cores(count, of_host, slices=1):
    """Slices of `count` cores, in a grid, with so many on each host."""
    width = 2 ** math.ceil(math.log2(count) / 2)
    return [
        Core(
            id=index + number * count,
            process_index=(index + number * count) // of_host,
            slice_index=number,
            coords=(index // width, index % width, 0),
        )
        for number in range(slices)
        for index in range(count)
    ]


# Cores, and those of a host: v2 and v3 have 8; v4, v5e, v5p and v6e have 4, or a host alone 8.
SLICES = [(8, 8), (32, 8), (64, 8), (128, 8), (256, 8)]
SLICES += [(8, 4), (16, 4), (32, 4), (64, 4), (128, 4), (256, 4)]
CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = [
    (path.stem, method)
    for path in sorted(CONFIGS.glob("*.py"))
    if path.stem != "image_folder"  # its classes are in the folder
    for method in (("",) if "codistill" in path.stem else catalogue.METHODS)
]


@pytest.mark.parametrize(("name", "method"), SHIPPED)
def test_every_config_has_a_mesh_on_every_usual_slice(name, method):
    config = config_lib.check(run_path(str(CONFIGS / f"{name}.py"))["get_config"](method))
    for count, of_host in SLICES:
        mesh = sharding.make_mesh(config, cores(count, of_host))
        run, member, data = (mesh.shape[axis] for axis in sharding.AXES)
        assert run == math.gcd(count, config.runs)
        assert member == math.gcd(count // run, config.method.members)
        share, rest = divmod(config.batch_size, data)
        assert rest == 0
        assert sharding.groups_fit(config.model.norm_group, share)
        # Idle cores only where there are no more examples, and as many on every host.
        assert run * member * data == count or data == config.batch_size
        used = collections.Counter(core.process_index for core in mesh.devices.flat)
        assert len(used) == count // of_host
        assert len(set(used.values())) == 1


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("cifar10:baseline", 8, (2, 1, 4)),
        ("cifar10:baseline", 32, (2, 1, 16)),
        ("cifar10:codistill_skl", 64, (2, 2, 16)),
        ("imagenet:baseline", 64, (1, 1, 64)),
        ("imagenet:codistill_skl", 32, (1, 2, 16)),
        ("imagenet:codistill_skl", 128, (1, 2, 64)),
    ],
)
def test_meshes_of_the_papers_jobs(name, count, expected):
    name, _, method = name.partition(":")
    config = config_lib.check(run_path(str(CONFIGS / f"{name}.py"))["get_config"](method))
    assert sharding.choose_mesh_shape(config, count) == expected


@pytest.mark.parametrize("slices", [2, 3, 4])
@pytest.mark.parametrize(("count", "of_host"), [(8, 8), (16, 4), (32, 8)])
def test_several_slices_have_runs_of_their_own(slices, count, of_host):
    settings = {"runs": 12, "method__members": 2, "batch_size": 64}
    automatic = {"mesh__run": 0, "mesh__member": 0, "mesh__data": 0}
    config = make_config(**settings, **automatic)
    mesh = sharding.make_mesh(config, cores(count, of_host, slices))
    assert mesh.devices.size == slices * count
    assert mesh.shape["run"] == slices * math.gcd(count, 12 // slices)
    slice_of = np.vectorize(lambda core: core.slice_index)(mesh.devices)
    for run in slice_of:  # the members and data groups of a run lie in one slice
        assert len(np.unique(run)) == 1
    assert list(np.unique(slice_of)) == list(range(slices))
    # JAX's own mesh of this shape.
    of_slice = (mesh.shape["run"] // slices, mesh.shape["member"], mesh.shape["data"])
    hybrid = mesh_utils.create_hybrid_device_mesh(
        of_slice,
        (slices, 1, 1),
        cores(count, of_host, slices),
        allow_split_physical_axes=True,
    )
    ids = np.vectorize(lambda core: core.id)
    np.testing.assert_array_equal(ids(mesh.devices), ids(hybrid))


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"runs": 1}, "config.runs: 1 does not divide over 3 slices"),
        ({"runs": 10}, "config.runs: 10 does not divide over 3 slices"),
        ({"runs": 6, "mesh__run": 2}, "config.mesh.run: 2 does not divide over 3 slices"),
    ],
)
def test_runs_that_would_straddle_slices_are_refused(settings, fault):
    automatic = {"mesh__run": 0, "mesh__member": 0, "mesh__data": 0}
    with pytest.raises(UserError, match=fault):
        sharding.make_mesh(make_config(**(automatic | settings)), cores(8, 8, slices=3))


def test_slices_of_other_sizes_are_refused():
    config = make_config(runs=2, mesh__run=0)
    with pytest.raises(UserError, match=r"the slices are not alike: they have \[4, 8\] devices"):
        sharding.make_mesh(config, cores(8, 8, slices=2)[:12])


def test_hosts_that_would_have_nothing_to_do_are_refused():
    config = make_config(runs=1, batch_size=8, mesh__run=0, mesh__member=0, mesh__data=0)
    with pytest.raises(UserError, match="do not divide over 16 processes with 64 devices"):
        sharding.make_mesh(config, cores(64, 4))


LARGE = {"data__name": "cifar10", "batch_size": 256, "data__num_train": 0}
SMALL = {"data__name": "digits", "batch_size": 64, "data__num_train": 150}


@pytest.mark.parametrize(
    ("cores", "changes", "expected"),
    [
        (2, LARGE | {"runs": 10}, (2, 1, 1)),
        (2, LARGE | {"runs": 7}, (1, 1, 1)),
        (16, LARGE | {"runs": 10}, (10, 1, 1)),
        (4, LARGE | {"runs": 10, "method__members": 2}, (2, 2, 1)),
        # Runs come first, unless members double the devices.
        (4, LARGE | {"runs": 2, "method__members": 3}, (2, 1, 1)),
        # What is asked for divides them.
        (16, LARGE | {"runs": 10, "mesh__data": 4}, (2, 1, 4)),
        (2, SMALL | {"runs": 10, "mesh__data": 4}, (5, 1, 4)),
        (2, SMALL | {"runs": 34, "mesh__run": 2}, (2, 1, 1)),
        # Small runs have a device each, up to 32, whatever the cores and members.
        (2, SMALL | {"runs": 6, "method__members": 2}, (6, 1, 1)),
        (16, SMALL | {"runs": 5, "method__members": 2}, (5, 1, 1)),
        (2, SMALL | {"runs": 1, "method__members": 2}, (1, 1, 1)),
        (2, SMALL | {"runs": 34}, (17, 1, 1)),
        (2, LARGE | {"runs": 7, "batch_size": 16}, (1, 1, 1)),  # each would hold all images
        (2, LARGE | {"runs": 7, "batch_size": 16, "data__num_train": 4000}, (7, 1, 1)),
    ],
    ids=str,
)
def test_the_mesh_of_a_cpu(cores, changes, expected):
    code = f"""
from churn_jax import config
from churn_jax.parallel import sharding
from churn_jax.training import devices
devices.available_cores = lambda: {cores}
values = config.default()
values.update_from_flattened_dict({ {k.replace("__", "."): v for k, v in changes.items()} })
checked = config.check(values)
devices.start_devices(checked)
print(*sharding.make_mesh(checked).devices.shape)
import jax
print(len(jax.devices()))
"""
    environment = {**os.environ, "XLA_FLAGS": ""}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    mesh, devices = told.stdout.splitlines()
    assert tuple(map(int, mesh.split())) == expected
    assert int(devices) == math.prod(expected)  # none is idle


@pytest.mark.parametrize(
    ("processes", "cores", "runs", "expected"),
    [(3, 4, 3, 1), (5, 8, 5, 1), (2, 2, 10, 2), (2, 8, 2, 2), (10, 16, 10, 2)],
)
def test_devices_of_several_processes_are_all_used(monkeypatch, processes, cores, runs, expected):
    monkeypatch.setattr(devices, "available_cores", lambda: cores)
    monkeypatch.setenv("PJRT_NPROC", "4")
    asked = {}
    monkeypatch.setattr(devices.jax.config, "update", asked.__setitem__)
    config = make_config(**LARGE, runs=runs, mesh__run=0, mesh__member=0, mesh__data=0)
    devices.start_devices(config, processes)
    assert asked["jax_num_cpu_devices"] == expected
    total = processes * expected
    assert math.prod(sharding.choose_mesh_shape(config, total)) == total


@pytest.mark.parametrize(
    ("runs", "members", "mesh", "devices"),
    [
        (1, 1, {}, 1),
        (1, 2, {"member": 2}, 2),
        (1, 3, {"member": 3}, 3),
        (4, 1, {"run": 2, "data": 2}, 4),
        (32, 1, {}, 32),
    ],
    ids=str,
)
def test_the_thread_pool_does_not_follow_the_runs_and_is_recorded(runs, members, mesh, devices):
    """XLA's own choice is a thread a device: sums then depend on the runs trained side by side.

    And with a thread a device, its CPU collectives have been seen to hang.
    """
    code = f"""
import pathlib
from churn_jax import config
from churn_jax.training import devices
devices.available_cores = lambda: 2
values = config.default()
values.data.num_train = 64
values.update(runs={runs}, batch_size=16)
values.method.members = {members}
values.mesh.update({mesh})
devices.start_devices(config.check(values))
import jax
assert len(jax.devices()) == {devices}
tasks = pathlib.Path("/proc/self/task").iterdir()
print([(task / "comm").read_text() for task in tasks].count("tf_XLAEigen\\n"))
print(devices.cpu_threads())
"""
    environment = {**os.environ, "XLA_FLAGS": ""}
    environment.pop("PJRT_NPROC", None)
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert told.stdout.split() == ["64", "64"]
