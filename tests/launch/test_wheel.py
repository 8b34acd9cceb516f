"""Installed like software: from a wheel into a fresh environment, used in an empty folder."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.fixtures.experiments import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.network]
METHODS = ("baseline", "codistill_hellinger")
# What a program of somebody else does with a trained model, and with one that was exported.
LOADED = """
import churn_jax, numpy as np
from sklearn.datasets import load_breast_cancer
inputs = load_breast_cancer().data.astype(np.float32)
model = churn_jax.load("codistill_hellinger", run=3)
assert "site-packages" in churn_jax.__file__, churn_jax.__file__
np.savez("told.npz", inputs=inputs, log_probs=np.log(model.predict(inputs)))
"""
EXPORTED = """
import sys
sys.modules["churn_jax"] = None  # as where it is not installed
import jax, numpy as np
from safetensors.numpy import load_file
told = np.load("told.npz")
program = jax.export.deserialize(open("out/model.jax_export", "rb").read())
found = np.asarray(program.call(load_file("out/weights.safetensors"), told["inputs"]))
seen = told["log_probs"] > -20  # further down a probability in float32 has lost its digits
np.testing.assert_allclose(found[seen], told["log_probs"][seen], rtol=1e-5, atol=1e-6)
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
    pip = [sys.executable, "-m", "pip"]
    call(top, *pip, "wheel", "-q", "--no-deps", "-w", "dist", str(source))
    (wheel,) = (top / "dist").glob("churn_jax-*.whl")
    call(top, sys.executable, "-m", "venv", "env")
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
    return done.stdout


def test_ones_own_file_is_trained_judged_loaded_and_exported(place):
    churn_jax, python = "../env/bin/churn-jax", "../env/bin/python"
    for method in METHODS:
        call(place, churn_jax, "train", f"--config=mine.py:{method}", f"--workdir={method}")
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
    # A finished training is left alone, and an own config without the package's checkout resumes.
    again = call(place, churn_jax, "train", "--config=mine.py:baseline", "--workdir=baseline")
    assert "Traceback" not in again


def test_the_shipped_configs_are_in_the_wheel(place):
    call(
        place, "../env/bin/churn-jax", "train", "--config=digits:codistill_skl,tiny",
        "--workdir=tiny",
    )  # fmt: skip
    assert list((place / "tiny/predictions").glob("*"))
