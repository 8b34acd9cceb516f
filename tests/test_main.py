"""The command, as a user runs it: killed and resumed, on ImageNet's format, and given bad input."""

import json
import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.parallel import sharding
from churn_jax.predictions.prediction_file import read
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from tests.fixtures.experiments import ROOT, SHORT, run_module
from tests.fixtures.tfds_sets import write_imagenet

DIGITS = ["--config=configs/digits_codistill.py:tiny", *SHORT, "--config.epochs=6.0"]


def main(*arguments, **options):
    return run_module("churn_jax.main", *arguments, timeout=300, **options)


def results(workdir):
    """Every byte that training decides."""
    config = config_lib.read(workdir)
    dataset = data.load(config.data)
    experiment = Experiment(config, dataset.info, len(dataset.train), sharding.make_mesh(config))
    with Checkpoints(workdir) as checkpoints:
        step = checkpoint_steps(workdir)[-1]
        state = checkpoints.restore(step, experiment.abstract_state())
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
    report = json.loads((workdir / "report.json").read_text())
    files = sorted((workdir / "predictions").rglob("*.safetensors"))
    return step, leaves, report["groups"], [path.read_bytes() for path in files]


@pytest.mark.parametrize(
    "more",
    [
        [],
        pytest.param(["--config.model.name=resnet8"], marks=pytest.mark.slow),  # batch norm
        pytest.param(
            ["--config.method.members=3", "--config.data.mixup=0.4"], marks=pytest.mark.slow
        ),
        pytest.param(["--config.data.sample=bootstrap_members"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("as_users_compile")
def test_killed_and_started_again_it_ends_bit_for_bit_the_same(tmp_path, more):
    """A pair whose averaged weights predict: they are part of the state like the weights."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    command = [*DIGITS, "--config.checkpoint_every=1.0", "--config.log_every=4"]
    command += ["--config.method.prediction=ema_mean", "--config.averages.decay=0.9", *more]
    assert main(*command, f"--workdir={whole}").returncode == 0

    process = subprocess.Popen(
        [sys.executable, "-m", "churn_jax.main", *command, f"--workdir={cut}"],
        cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not (cut / "checkpoints" / "16").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()

    resumed = main(*command, f"--workdir={cut}")
    assert resumed.returncode == 0, resumed.stderr
    assert results(cut) == results(whole)
    assert (cut / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()


@pytest.mark.usefixtures("as_users_compile")
@pytest.mark.parametrize("threads", ["1", "96"])
def test_a_small_run_has_the_same_bits_whatever_runs_are_beside_it(tmp_path, threads):
    """Whatever size of XLA's thread pool a user asks for: it never follows the runs."""

    def predictions(runs):
        workdir = tmp_path / str(runs)
        command = [*DIGITS, "--config.model.name=resnet8", "--config.epochs=3.0"]
        command += [f"--config.runs={runs}", f"--workdir={workdir}"]
        finished = main(*command, env={**os.environ, "PJRT_NPROC": threads})
        assert finished.returncode == 0, finished.stderr
        files = sorted((workdir / "predictions").rglob("*.safetensors"))
        return [np.asarray(read(path).log_probs) for path in files[:2]]

    np.testing.assert_array_equal(predictions(2), predictions(5))


def test_imagenet_format_trains_checkpoints_evaluates_and_reports(tmp_path):
    write_imagenet(tmp_path / "data", num_train=64, num_validation=10)
    finished = main(
        "--config=configs/imagenet_codistill.py:tiny",
        f"--config.data.dir={tmp_path / 'data'}",
        "--config.batch_size=16",
        "--config.epochs=0.5",
        f"--workdir={tmp_path / 'work'}",
    )
    assert finished.returncode == 0, finished.stderr
    report = json.loads((tmp_path / "work/report.json").read_text())
    assert report["num_examples"] == 10
    assert report["groups"][0]["num_runs"] == 2
    assert "codistill_skl" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config.optimizer.learning_rat=1"], "learning_rate"),
        (["--config.runs=two"], "config.runs"),
        (["--config=configs/digits.py:codistil_skl"], "did you mean 'codistill_skl'?"),
        (["--config=configs/nowhere.py"], "configs/nowhere.py"),
        (["--config.data.name=fashion_mnist", "--config.data.dir=/nowhere"], "/nowhere"),
        (["--config.batch_size=1000"], "batch_size: 1000 is larger than the training set (64"),
        (["--workdir=/proc/nowhere"], "--workdir=/proc/nowhere can't be written"),
        (["extra"], "unexpected argument 'extra'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_exit_code_2_and_nothing_written(tmp_path, arguments, expected):
    workdir = tmp_path / "work"
    refused = main("--config=configs/digits_codistill.py:tiny", f"--workdir={workdir}", *arguments)
    assert refused.returncode == 2, refused.stderr
    assert expected in refused.stderr
    assert refused.stderr.startswith("error: ")
    assert len(refused.stderr.splitlines()) == 1
    assert not workdir.exists()


def test_a_missing_flag_is_named(tmp_path):
    refused = main("--config=configs/digits.py")
    assert (refused.returncode, refused.stderr) == (2, "error: --workdir is missing\n")
