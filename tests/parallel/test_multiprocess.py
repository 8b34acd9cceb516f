"""Several processes on loopback train like one, end together, and share checkpoints with one."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.parallel import sharding
from churn_jax.parallel.liveness import LOST_PROCESS
from churn_jax.predictions import prediction_file
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.system.interruption import RESUME
from churn_jax.training import loop
from churn_jax.training.checkpoints import Checkpoints, folder
from churn_jax.training.experiment import Experiment
from tests.fixtures import tfds_sets
from tests.fixtures.experiments import ROOT, SHORT

LAUNCHER = str(ROOT / "launch/local_processes.py")
DIGITS = ["--config=configs/digits.py:codistill_skl,tiny", *SHORT]


def mesh_flags(run=1, member=1, data=1):
    return [f"--config.mesh.{axis}={size}" for axis, size in locals().items()]


def start(processes: int, workdir: Path, *flags: str) -> subprocess.Popen:
    """Starts several processes of one device each, as a user would."""
    options = [f"--processes={processes}", "--", f"--workdir={workdir}", *flags]
    return subprocess.Popen(
        [sys.executable, LAUNCHER, *options],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run(processes: int, workdir: Path, *flags: str) -> str:
    """Runs them to their end and returns what they said."""
    process = start(processes, workdir, *flags)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


def train_alone(workdir: Path, like: Path) -> None:
    """Trains the config of `like`, with its mesh, in this one process."""
    loop.train(config_lib.read(like), workdir)


def parameters(workdir: Path) -> dict:
    """The newest checkpoint's state, restored in this one process."""
    config = config_lib.read(workdir)
    dataset = data.load(config.data)
    mesh = sharding.make_mesh(config)
    experiment = Experiment(config, dataset.info, len(dataset.train), mesh)
    with Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore(checkpoint_steps(workdir)[-1], experiment.abstract_state())
    return jax.device_get({"params": state.params, "batch_stats": state.batch_stats})


def assert_same_training(ours: Path, theirs: Path) -> None:
    """Parameters agree to 1e-5 of each array's largest entry, and the predictions' examples."""
    jax.tree.map(_assert_close, parameters(ours), parameters(theirs))
    for file in theirs.glob("predictions/*/*"):
        found, expected = (
            prediction_file.read(workdir / file.relative_to(theirs)) for workdir in (ours, theirs)
        )
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_allclose(found.log_probs, expected.log_probs, rtol=1e-3, atol=1e-3)


def _assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def forget_end(workdir: Path) -> None:
    """As if training had been cut off half way: the last checkpoint and what followed are gone."""
    first, last = checkpoint_steps(workdir)
    assert first < last
    shutil.rmtree(folder(workdir) / str(last))
    shutil.rmtree(workdir / "predictions")


def test_two_processes_train_as_one(tmp_path):
    flags = [*DIGITS, *mesh_flags(data=2), "--config.runs=1"]
    output = run(2, tmp_path / "two", *flags)
    # One process speaks.
    assert re.findall(r"\[(\d)\] codistill_skl: 1 runs", output) == ["0"]
    train_alone(tmp_path / "one", like=tmp_path / "two")
    assert_same_training(tmp_path / "two", tmp_path / "one")

    # Cut off, and taken up by a single process.
    forget_end(tmp_path / "two")
    train_alone(tmp_path / "two", like=tmp_path / "two")
    assert_same_training(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("mesh", [{"run": 2, "data": 2}, {"member": 2, "data": 2}])
def test_four_processes_and_one_take_over_from_each_other(tmp_path, mesh):
    run(4, tmp_path / "four", *DIGITS, *mesh_flags(**mesh))
    train_alone(tmp_path / "one", like=tmp_path / "four")
    assert_same_training(tmp_path / "four", tmp_path / "one")

    shutil.copytree(tmp_path / "one", tmp_path / "reference")
    for workdir in (tmp_path / "four", tmp_path / "one"):
        forget_end(workdir)
    train_alone(tmp_path / "four", like=tmp_path / "four")
    output = run(4, tmp_path / "one", *DIGITS, *mesh_flags(**mesh))
    assert "resuming at step 8" in output
    assert_same_training(tmp_path / "four", tmp_path / "reference")
    assert_same_training(tmp_path / "one", tmp_path / "reference")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "mesh"),
    [(2, {"data": 2}), (2, {"member": 2}), (4, {"member": 2, "data": 2})],
)
def test_processes_stream_imagenet_as_one(tmp_path, processes, mesh):
    tfds_sets.write_imagenet(tmp_path / "data", num_train=70, num_validation=21)
    output = run(
        processes,
        tmp_path / "many",
        "--config=configs/imagenet.py:codistill_skl,tiny",
        f"--config.data.dir={tmp_path}/data",
        *mesh_flags(**mesh),
        "--config.runs=1",
        "--config.epochs=1.0",
    )
    assert "imagenet (64 examples)" in output
    train_alone(tmp_path / "one", like=tmp_path / "many")
    assert_same_training(tmp_path / "many", tmp_path / "one")


@pytest.mark.parametrize(
    ("processes", "mesh"),
    [(2, {"data": 2}), pytest.param(4, {"member": 2, "data": 2}, marks=pytest.mark.slow)],
)
def test_when_one_is_killed_all_end_and_a_restart_resumes(tmp_path, processes, mesh):
    flags = [*DIGITS, *mesh_flags(**mesh), "--config.runs=1", "--config.epochs=200.0"]
    process = start(processes, tmp_path, *flags, "--config.checkpoint_every=1.0")
    for line in process.stdout:
        if "step 20/" in line:
            break
    os.kill(_children(process.pid)[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert f"[0] error: process 1 of {processes} is gone" in output
    assert process.returncode in (LOST_PROCESS, 128 + signal.SIGKILL)

    config = config_lib.read(tmp_path)
    assert checkpoint_steps(tmp_path)[-1] >= 8
    assert config_lib.differences(config, config_lib.read(tmp_path)) == ""
    resumed = start(processes, tmp_path, *flags, "--config.checkpoint_every=1.0")
    said = next(line for line in resumed.stdout if "resuming at step" in line)
    began = int(re.search(r"resuming at step (\d+)", said).group(1))
    next(line for line in resumed.stdout if "  step " in line)

    # A preemption notice to all: they stop at one step and save it.
    resumed.terminate()
    output, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == RESUME, output
    (stopped,) = re.findall(r"stopped after step (\d+)/", output)
    assert checkpoint_steps(tmp_path)[-1] == int(stopped) > began


def _children(pid: int) -> list[int]:
    """The processes that `pid` started, in that order."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sorted(map(int, children))


@pytest.mark.slow
def test_bad_input_ends_all_with_its_one_line(tmp_path):
    flags = ["--config=configs/cifar10.py:baseline,tiny", "--config.data.dir=/nowhere"]
    process = start(2, tmp_path, *flags)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "error: no data folder /nowhere" in output
    assert "Traceback" not in output
