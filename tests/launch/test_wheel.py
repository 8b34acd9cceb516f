"""Built into an sdist and a wheel, installed into a fresh environment, used in an empty folder."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.fixtures.experiments import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.network]
METHODS = ("baseline", "codistill_hellinger")
OFTEN = "--config.checkpoint_every=5"
# What a program of somebody else does with a trained model, and with one that was exported.
LOADED = """
import churn_jax, numpy as np
from sklearn.datasets import load_breast_cancer
inputs = load_breast_cancer().data.astype(np.float32)
model = churn_jax.load("codistill_hellinger", run=3)
assert "site-packages" in churn_jax.__file__, churn_jax.__file__
np.savez("told.npz", inputs=inputs, logits=model.logits(inputs))
"""
EXPORTED = """
import sys
sys.modules["churn_jax"] = None  # as where it is not installed
import jax, numpy as np
from safetensors.numpy import load_file
told = np.load("told.npz")
program = jax.export.deserialize(open("out/model.jax_export", "rb").read())
found = np.asarray(program.call(load_file("out/weights.safetensors"), told["inputs"]))
logits = np.float64(told["logits"])
expected = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty folder beside an environment into which the wheel was installed."""
    top = tmp_path_factory.mktemp("wheel")
    source = top / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    for name in tracked.stdout.splitlines():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    call(top, sys.executable, "-m", "venv", "env")
    call(top, "env/bin/python", "-m", "pip", "install", "-q", "build")
    # The source distribution, and the wheel from what that holds.
    call(top, "env/bin/python", "-m", "build", "-o", "dist", str(source))
    (wheel,) = (top / "dist").glob("churn_jax-*.whl")
    assert len(list((top / "dist").glob("churn_jax-*.tar.gz"))) == 1
    constraints = str(ROOT / "constraints.txt")
    call(top, "env/bin/python", "-m", "pip", "install", "-q", "-c", constraints, str(wheel))
    (top / "empty").mkdir()
    shutil.copy(ROOT / "examples/breast_cancer.py", top / "empty/mine.py")
    return top / "empty"


def call(folder, *command):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_ones_own_file_is_trained_judged_loaded_and_exported(place):
    churn_jax, python = "../env/bin/churn-jax", "../env/bin/python"
    for method in METHODS:
        call(place, churn_jax, "train", f"--config=mine.py:{method}", f"--workdir={method}", OFTEN)
    call(place, churn_jax, "evaluate", f"--runs={','.join(METHODS)}", "--out=report")
    for group in json.loads((place / "report/report.json").read_text())["groups"]:
        assert group["num_runs"] == 10
        assert group["accuracy"]["mean"] > 0.95
        low, high = group["churn"]["ci95"]
        assert low <= group["churn"]["mean"] <= high
    groups = [f"--group={method}={method}/predictions/*/*.safetensors" for method in METHODS]
    call(place, churn_jax, "compare", *groups, "--out=compared")
    assert (place / "compared/report.html").exists()
    call(place, python, "-c", LOADED)
    call(place, churn_jax, "export", "codistill_hellinger", "--run=3", "--out=out")
    call(place, python, "-c", EXPORTED)
    # As if it had been cut off before its end: a new process goes on to the same bits.
    (ended,) = (place / "baseline/predictions").iterdir()
    told = {file.name: file.read_bytes() for file in ended.glob("run_*")}
    shutil.rmtree(ended)
    shutil.rmtree(place / "baseline/checkpoints" / str(int(ended.name)))
    again = call(
        place, churn_jax, "train", "--config=mine.py:baseline", "--workdir=baseline", OFTEN
    )
    assert "resuming at step" in again
    assert {file.name: file.read_bytes() for file in ended.glob("run_*")} == told


def test_the_shipped_configs_are_in_the_wheel(place):
    call(
        place, "../env/bin/churn-jax", "train", "--config=digits:codistill_skl,tiny",
        "--workdir=tiny",
    )  # fmt: skip
    assert list((place / "tiny/predictions").glob("*"))
