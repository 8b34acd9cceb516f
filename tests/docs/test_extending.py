"""docs/extending.md is followed to the letter in a copy of the package, and the result trained."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_layout import lint_imports

ROOT = Path(__file__).parents[2]
# ```python new=FILE, end=FILE (at its end) or below=FILE:LINE (below the line that begins so)
BLOCK = re.compile(r"^```(?:python (\w+)=([^\n:]+):?([^\n]*)|bash)\n(.*?)^```", re.M | re.S)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy with everything that the page adds; and the command at its end."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("churn_jax", "configs"):
        shutil.copytree(ROOT / name, folder / name)
    command = ""
    for how, name, line, code in BLOCK.findall((ROOT / "docs/extending.md").read_text()):
        file = folder / name
        match how:
            case "new":
                assert not file.exists()
                file.write_text(code)
            case "end":
                file.write_text(f"{file.read_text()}\n\n{code}")
            case "below":
                lines = file.read_text().splitlines(keepends=True)
                (place,) = [i for i, each in enumerate(lines, 1) if each.startswith(line)]
                file.write_text("".join([*lines[:place], code, *lines[place:]]))
            case "":
                command = code
    return folder, command


def run(folder, command):
    return subprocess.run(
        ["bash", "-c", command.replace("python ", f"{sys.executable} ", 1)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def test_a_method_a_data_set_and_a_model_of_ones_own_train(extended):
    folder, command = extended
    done = run(folder, command)
    assert done.returncode == 0, done.stderr
    config = json.loads((folder / "runs/bars/config.json").read_text())
    assert config["method"]["agreement"] == "squares"
    assert config["method"]["beta"] == 1
    assert config["model"]["name"] == "perceptron"
    report = json.loads((folder / "runs/bars/report.json").read_text())
    assert (report["dataset"], report["num_examples"]) == ("bars", 200)
    assert report["groups"][0]["name"] == "codistill_squares"
    assert report["groups"][0]["accuracy"]["mean"] > 0.8


def test_the_house_still_stands(extended):
    folder, _ = extended
    code, said = lint_imports(folder)
    assert code == 0, said
    style = ["ruff", "check", "--config", folder / "pyproject.toml", folder]
    checked = subprocess.run([sys.executable, "-m", *style], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_a_model_of_the_wrong_shape_is_refused_in_one_line(extended):
    folder, command = extended
    file = folder / "churn_jax/models/perceptron.py"
    right = file.read_text()
    file.write_text(right.replace("self.num_classes)", "self.num_classes + 1)"))
    done = run(folder, command.replace("runs/bars", "runs/wrong"))
    file.write_text(right)
    assert done.returncode == 2
    assert done.stderr == (
        "error: config.model.name: 'perceptron' gives float32[1, 3] for images [1, 8, 8, 1], "
        "not logits [1, 2], [example, class]\n"
    )
    assert not (folder / "runs/wrong").exists()


def test_the_readme_names_the_same_files():
    page, readme = ((ROOT / name).read_text() for name in ("docs/extending.md", "README.md"))
    changed = {name for how, name, _, _ in BLOCK.findall(page) if how in ("end", "below")}
    for name in sorted(changed):
        assert f"`{name}`" in readme or f"`{Path(name).parent}/`" in readme, name
