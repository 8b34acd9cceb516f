"""On an NVIDIA GPU: the numbers of the CPU, and where the same bits come of the same training.

Every training is a process of its own, because the suite holds JAX to CPU devices.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from churn_jax.predictions import workdirs
from churn_jax.system.interruption import RESUME
from churn_jax.training import inference
from tests.fixtures.experiments import ROOT

pytestmark = pytest.mark.gpu
# Both tests of bits failed on an H100 with jax 0.11.2, before float32 was asked for. Of the second
# the bits were seen to differ (docs/determinism.md); why the first failed was not. Strict: where
# they pass, that page has to change.
other_bits = pytest.mark.xfail(reason="failed on an H100, see docs/determinism.md", strict=True)
SMALL = (
    *("--config.runs=3", "--config.epochs=4", "--config.log_every=1"),
    *("--config.optimizer.warmup_epochs=1", "--config.optimizer.decay_epochs=()"),
)


def start(
    workdir: Path, platform: str, *flags: str, method: str = "codistill_skl"
) -> subprocess.Popen:
    environment = {**os.environ, "JAX_PLATFORMS": platform, "XLA_FLAGS": ""}
    environment |= {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # other tests have some of the memory
    command = ["-m", "churn_jax.main", f"--config=configs/digits.py:{method}"]
    return subprocess.Popen(
        [sys.executable, *command, f"--workdir={workdir}", *SMALL, *flags],
        cwd=ROOT, env=environment,
    )  # fmt: skip


def train(workdir: Path, platform: str, *flags: str, method: str = "codistill_skl") -> None:
    with start(workdir, platform, *flags, method=method) as process:
        assert process.wait(300) == 0


def predicted(workdir: Path) -> np.ndarray:
    """Log-probabilities of the test split, [run, member, example, class]."""
    step = workdirs.all_steps(workdir)[-1]
    runs = workdirs.load_step(workdir, step, inference.predict_workdir)
    return np.stack([run.log_probs for run in runs])


def losses(workdir: Path) -> np.ndarray:
    """The cross-entropy of every step, [step, run, member]."""
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return np.array([row["cross_entropy"] for row in rows if row["kind"] == "train"])


@pytest.mark.parametrize("method", ["baseline", "codistill_skl"])
def test_the_first_steps_are_those_of_a_cpu(tmp_path, method):
    train(tmp_path / "gpu", "cuda", method=method)
    train(tmp_path / "cpu", "cpu", method=method)
    gpu, cpu = (losses(tmp_path / name)[:5] for name in ("gpu", "cpu"))
    np.testing.assert_allclose(gpu[0], cpu[0], rtol=1e-5)
    np.testing.assert_allclose(gpu, cpu, rtol=2e-3)  # rounding grows from step to step


@other_bits
def test_deterministic_training_gives_the_same_bits_twice_and_when_resumed(tmp_path):
    asked = ("--config.deterministic=True", "--config.epochs=40")
    for name in ("once", "again"):
        train(tmp_path / name, "cuda", *asked)
    np.testing.assert_array_equal(predicted(tmp_path / "once"), predicted(tmp_path / "again"))
    stopped = tmp_path / "stopped"
    with start(stopped, "cuda", *asked) as process:
        while not (stopped / "metrics.jsonl").exists() or len(losses(stopped)) < 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == RESUME
    train(stopped, "cuda", *asked)
    np.testing.assert_array_equal(predicted(stopped), predicted(tmp_path / "once"))


@other_bits
def test_runs_that_differ_in_nothing_are_the_same_network(tmp_path):
    train(tmp_path, "cuda", "--config.deterministic=True", "--config.randomness.vary=()")
    found = predicted(tmp_path)
    np.testing.assert_array_equal(found[1:], np.broadcast_to(found[:1], found[1:].shape))
