"""The shape of the mesh: what the config fixes, and how the rest is filled."""

import os
import subprocess
import sys

import pytest

from churn_jax import sharding
from churn_jax.errors import UserError
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


@pytest.mark.parametrize(
    ("cores", "data", "batch", "runs", "members", "mesh", "expected"),
    [
        (2, "cifar10", 256, 10, 1, {}, 2),
        (2, "cifar10", 256, 7, 1, {}, 1),
        (16, "cifar10", 256, 10, 1, {}, 10),
        (4, "cifar10", 256, 10, 2, {}, 4),
        # Small runs have a device each, up to 32.
        (2, "cifar10", 16, 7, 1, {}, 7),
        (2, "digits", 64, 6, 2, {}, 6),
        (2, "digits", 64, 34, 1, {}, 17),
        # What is asked for divides them.
        (16, "cifar10", 256, 10, 1, {"data": 4}, 8),
        (2, "digits", 64, 10, 1, {"data": 4}, 20),
        (2, "digits", 64, 34, 1, {"run": 2}, 2),
    ],
)
def test_devices_of_a_cpu(cores, data, batch, runs, members, mesh, expected):
    code = f"""
from churn_jax import config, sharding
sharding.available_cores = lambda: {cores}
values = config.default()
values.update(runs={runs}, batch_size={batch})
values.data.name = "{data}"
values.method.members = {members}
values.mesh.update({mesh})
checked = config.check(values)
sharding.start_devices(checked)
sharding.make_mesh(checked)
import jax
print(len(jax.devices()))
"""
    environment = {**os.environ, "XLA_FLAGS": ""}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert int(told.stdout) == expected


@pytest.mark.parametrize(
    ("runs", "members", "mesh", "devices"),
    [(1, 2, {"member": 2}, 2), (1, 3, {"member": 3}, 3), (4, 1, {"run": 2, "data": 2}, 4)],
    ids=str,
)
def test_devices_that_wait_for_each_other_leave_threads_for_the_rest(runs, members, mesh, devices):
    """With a thread a device, XLA's CPU collectives have been seen to hang."""
    code = f"""
import pathlib
from churn_jax import config, sharding
values = config.default()
values.update(runs={runs})
values.method.members = {members}
values.mesh.update({mesh})
sharding.start_devices(config.check(values))
import jax
assert len(jax.devices()) == {devices}
tasks = pathlib.Path("/proc/self/task").iterdir()
print([(task / "comm").read_text() for task in tasks].count("tf_XLAEigen\\n"))
"""
    environment = {**os.environ, "XLA_FLAGS": ""}
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert int(told.stdout) >= 2 * devices
