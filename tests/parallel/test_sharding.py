"""The shape of the mesh: what the config fixes, and how the rest is filled."""

import math
import os
import subprocess
import sys

import pytest

from churn_jax.errors import UserError
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
from churn_jax import config, devices, sharding
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
    [(1, 2, {"member": 2}, 2), (1, 3, {"member": 3}, 3), (4, 1, {"run": 2, "data": 2}, 4)],
    ids=str,
)
def test_devices_that_wait_for_each_other_leave_threads_for_the_rest(runs, members, mesh, devices):
    """With a thread a device, XLA's CPU collectives have been seen to hang."""
    code = f"""
import pathlib
from churn_jax import config, devices
values = config.default()
values.update(runs={runs})
values.method.members = {members}
values.mesh.update({mesh})
devices.start_devices(config.check(values))
import jax
assert len(jax.devices()) == {devices}
tasks = pathlib.Path("/proc/self/task").iterdir()
print([(task / "comm").read_text() for task in tasks].count("tf_XLAEigen\\n"))
"""
    environment = {**os.environ, "XLA_FLAGS": ""}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert int(told.stdout) >= 2 * devices
