"""docs/extending.md is followed to the letter in an empty folder, and the result trained."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?:python new=([^\n]+)|bash)\n(.*?)^```", re.M | re.S)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the page's file, its command, and what came of it."""
    folder = tmp_path_factory.mktemp("own")
    command = ""
    for name, code in BLOCK.findall((ROOT / "docs/extending.md").read_text()):
        if name:
            (folder / name).write_text(code)
        else:
            command = command or code  # the first; further ones are of other examples
    done = run(folder, command)
    assert done.returncode == 0, done.stderr
    return folder, command


def run(folder, command):
    return subprocess.run(
        ["bash", "-c", command.replace("python ", f"{sys.executable} ", 1)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_a_method_a_data_set_and_a_model_of_ones_own_train(trained):
    folder, _ = trained
    config = json.loads((folder / "runs/bars/config.json").read_text())
    assert config["method"]["agreement"] == "squares"
    assert config["method"]["beta"] == 1
    assert config["model"]["name"] == "perceptron"
    (source,) = config["registered"]
    assert source["file"] == str((folder / "bars.py").resolve())
    assert source["names"] == [
        ["agreement term", "squares"],
        ["data set", "bars"],
        ["model", "perceptron"],
    ]
    report = json.loads((folder / "runs/bars/report.json").read_text())
    assert (report["dataset"], report["num_examples"]) == ("bars", 200)
    assert report["groups"][0]["name"] == "codistill_squares"
    assert report["groups"][0]["accuracy"]["mean"] > 0.9


def test_a_new_process_finds_the_code_again(trained, tmp_path):
    folder, _ = trained
    shutil.copytree(folder / "runs/bars", tmp_path / "bars")
    shutil.rmtree(tmp_path / "bars/predictions")
    before = json.loads((folder / "runs/bars/report.json").read_text())
    done = run(tmp_path, "python -m churn_jax.evaluate --runs=bars --out=report")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    again = json.loads((tmp_path / "report/report.json").read_text())
    assert again["groups"][0]["churn"] == before["groups"][0]["churn"]


def test_a_file_that_has_changed_is_said_and_does_not_go_on(trained, tmp_path):
    folder, command = trained
    shutil.copytree(folder, tmp_path / "copy")
    folder = tmp_path / "copy"
    file = folder / "bars.py"
    file.write_text(file.read_text() + "\n# changed\n")
    done = run(folder, command)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --workdir=runs/bars was begun with other code:")
    assert "have changed since" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_of_the_wrong_shape_is_refused_in_one_line(trained, tmp_path):
    folder, command = trained
    wrong = (folder / "bars.py").read_text().replace("(self.num_classes)", "(self.num_classes + 1)")
    (tmp_path / "bars.py").write_text(wrong)
    done = run(tmp_path, command)
    assert done.returncode == 2
    assert done.stderr == (
        "error: config.model.name: 'perceptron' gives float32[1, 3] for images [1, 8, 8, 1], "
        "not logits [1, 2], [example, class]\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_name_that_is_taken_is_refused(trained, tmp_path):
    folder, command = trained
    taken = (folder / "bars.py").read_text().replace('"perceptron", Perc', '"lenet5", Perc')
    (tmp_path / "bars.py").write_text(taken)
    done = run(tmp_path, command)
    assert done.returncode == 2
    assert "there is a model 'lenet5' already, of the package itself" in done.stderr
    assert done.stderr.count("\n") == 1
