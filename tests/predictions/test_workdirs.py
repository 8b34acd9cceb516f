"""Workdirs that people have copied and opened in file managers: strays neither count nor block."""

import shutil

import numpy as np
import pytest

from churn_jax import evaluate
from churn_jax.analysis.comparison import compare
from churn_jax.predictions import prediction_file, workdirs
from tests.test_evaluate import make_workdir


def litter(workdir):
    """What copying and looking at a folder leaves."""
    step = prediction_file.step_dir(workdir, 10)
    first = min(step.iterdir())
    shutil.copy(first, step / "run_000 (1).safetensors")
    shutil.copy(first, step / "run_000 copy.safetensors")
    shutil.copy(first, step / "run_000.safetensors.bak")
    shutil.copy(first, step / "run_0000.safetensors")
    shutil.copy(first, step / "run_best.safetensors")
    for name in ("._run_000.safetensors", ".DS_Store", "Thumbs.db", "run_.safetensors"):
        for folder in (workdir, workdir / "predictions", step):
            (folder / name).write_bytes(b"\0\5\x16\7")
    (step / "run_003").mkdir()
    (workdir / "predictions" / "00000010 (1)").mkdir()
    (workdir / "predictions" / "00000020").mkdir()  # an empty copy, and of a later step
    (workdir / "predictions" / "99").mkdir()
    shutil.copytree(workdir / "predictions", workdir / "predictions" / "predictions")
    (workdir / "checkpoints").mkdir()
    (workdir / "checkpoints" / ".DS_Store").touch()
    (workdir / "checkpoints" / "30 copy").mkdir()
    (workdir / "checkpoints" / "30").mkdir()
    return workdir


@pytest.mark.parametrize("step", ["latest", "all", 10])
def test_strays_change_no_evaluation(tmp_path, step):
    clean = evaluate.evaluate([make_workdir(tmp_path / "clean")], tmp_path / "a", step)
    dirty = evaluate.evaluate([litter(make_workdir(tmp_path / "dirty"))], tmp_path / "b", step)
    assert dirty["groups"][0]["num_runs"] == 3
    assert dirty["groups"][0]["churn"] == clean["groups"][0]["churn"]


def test_strays_change_no_comparison(tmp_path):
    make_workdir(tmp_path / "a")
    litter(make_workdir(tmp_path / "b", "other", noise=0.5))
    report = compare({"a": tmp_path / "a", "b": tmp_path / "b"}).report
    assert [group["num_runs"] for group in report["groups"]] == [3, 3]


def test_steps_and_runs_are_those_of_the_files(tmp_path):
    workdir = litter(make_workdir(tmp_path / "a", runs=2, first_run=998))
    make_workdir(workdir, runs=2, first_run=1000)
    assert workdirs.all_steps(workdir) == workdirs.prediction_steps(workdir) == [10]
    names = [path.name for path in prediction_file.run_files(workdir, 10)]
    assert names == [f"run_{n}.safetensors" for n in (998, 999, 1000, 1001)]
    runs = workdirs.load_step(workdir, 10, lambda *_: pytest.fail("nothing is missing"))
    assert np.array_equal([run.provenance["run"] for run in runs], [998, 999, 1000, 1001])
