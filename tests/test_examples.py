"""The examples train, in a folder of their own, by commands alone."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import churn_jax
from tests.fixtures.experiments import ROOT


def command(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / arguments[-1].partition("=")[2] / "report.json").read_text())


@pytest.fixture(scope="module")
def tumours(tmp_path_factory):
    """Both methods of examples/breast_cancer.py, ten runs each."""
    folder = tmp_path_factory.mktemp("tumours")
    for method in ("baseline", "codistill_hellinger"):
        config = f"{ROOT}/examples/breast_cancer.py:{method}"
        command(folder, "churn_jax.main", f"--config={config}", f"--workdir={method}")
    return folder


def test_features_a_network_and_a_term_of_ones_own(tumours):
    assert len((ROOT / "examples/breast_cancer.py").read_text().splitlines()) <= 40
    both = "baseline,codistill_hellinger"
    report = command(tumours, "churn_jax.evaluate", f"--runs={both}", "--out=report")
    for group in report["groups"]:
        assert group["num_runs"] == 10
        assert group["accuracy"]["mean"] > 0.95
        low, high = group["churn"]["ci95"]
        assert low < group["churn"]["mean"] < high


def test_the_trained_model_predicts_new_measurements(tumours):
    from sklearn.datasets import load_breast_cancer

    table = load_breast_cancer()
    model = churn_jax.load(tumours / "codistill_hellinger", run=3)
    probs = model.predict(table.data.astype(np.float32))
    assert model.class_names == ("malignant", "benign")
    assert (probs.argmax(1) == table.target)[::3].mean() > 0.95


def test_texts(tmp_path):
    config = f"{ROOT}/examples/texts.py:codistill_skl"
    arguments = (f"--config={config}", "--config.runs=2", "--config.epochs=8", "--workdir=texts")
    report = command(tmp_path, "churn_jax.main", *arguments)
    assert report["groups"][0]["accuracy"]["mean"] > 0.75
    assert (tmp_path / "texts/report.html").exists()


def test_arrays_by_path_alone(tmp_path):
    """The wine of docs/extending.md."""
    text = (ROOT / "docs/extending.md").read_text()
    code = text[text.index("import numpy as np\nfrom sklearn.datasets import load_wine") :]
    subprocess.run([sys.executable, "-c", code[: code.index("```")]], cwd=tmp_path, check=True)
    for method in ("baseline", "codistill_skl"):
        config = (f"--config=arrays:{method}", "--config.data.dir=wine.npz", "--config.runs=3")
        command(tmp_path, "churn_jax.main", *config, f"--workdir={method}")
    both = command(tmp_path, "churn_jax.evaluate", "--runs=baseline,codistill_skl", "--out=report")
    assert [group["accuracy"]["mean"] for group in both["groups"]] == [1, 1]
    assert both["groups"][0]["churn"]["ci95"][1] > 0.1  # of 24 wines nothing is sure
