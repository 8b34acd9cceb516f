"""The house: which module may import which, and how large a room may be."""

import graphlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
HELD = "lint-imports, whose contracts are in pyproject.toml, says:\n\n"


def lint_imports(folder):
    """What import-linter says of the package in `folder`: (exit code, its report)."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_import_runs_downward_and_what_compares_needs_nothing_of_what_trains():
    code, report = lint_imports(ROOT)
    assert code == 0, HELD + report


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        (
            "data/augmentation.py",
            "from churn_jax.training import step",
            "churn_jax.data.augmentation -> churn_jax.training.step",
        ),
        (
            "storage/files.py",
            "from churn_jax import config",
            "churn_jax.storage.files -> churn_jax.config",
        ),
        (
            "predictions/workdirs.py",
            "def late():\n    import churn_jax.data",
            "churn_jax.predictions.workdirs -> churn_jax.data",
        ),
        (
            "analysis/gate.py",
            "import churn_jax.training.loop",
            "churn_jax.analysis.gate -> churn_jax.training.loop",
        ),
        ("metrics/churn.py", "import optax", "churn_jax.metrics.churn -> optax"),
        ("data/inputs.py", "from churn_jax.data import loading", ".inputs -> .loading"),
    ],
    ids=lambda value: value if value.endswith(".py") else "",
)
def test_a_wrong_import_is_refused_with_both_modules_and_what_to_do(tmp_path, file, line, said):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "churn_jax", tmp_path / "churn_jax")
    with (tmp_path / "churn_jax" / file).open("a") as wrong:
        wrong.write(f"\n\n{line}\n")
    code, report = lint_imports(tmp_path)
    assert code == 1
    assert said in report
    assert any(word in report for word in ("Pass in", "third one below", "training stack")), report


def test_a_module_that_has_no_floor_is_refused(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "churn_jax", tmp_path / "churn_jax")
    (tmp_path / "churn_jax/garage.py").touch()
    code, report = lint_imports(tmp_path)
    assert code == 1
    assert "churn_jax.garage" in report
    assert "gets its own there" in report


def circle(graph):
    """Modules of which each imports the next, and the last the first; [] if there are none."""
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_module_imports_itself_by_way_of_others():
    """import-linter looks at packages' siblings; here their `__init__` count as well."""
    graph = grimp.build_graph("churn_jax", cache_dir=None)
    assert circle(graph) == []
    graph.add_import(importer="churn_jax.data.examples", imported="churn_jax.data")
    assert {"churn_jax.data", "churn_jax.data.examples"} <= set(circle(graph))


def test_the_root_has_few_modules():
    at_root = sorted(path.name for path in (ROOT / "churn_jax").glob("*.py"))
    assert len(at_root) <= 13, at_root


def test_no_file_has_more_than_400_lines():
    folders = ("churn_jax", "tests", "benchmarks", "configs", "launch")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}
    assert len(lines) > 200
    assert {file: count for file, count in lines.items() if count > 400} == {}


def test_comparing_prediction_files_brings_in_nothing_that_trains():
    program = (
        "import sys, churn_jax.compare; "
        "print(sorted({'jax', 'jaxlib', 'flax', 'optax', 'orbax', 'grain'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stdout + done.stderr
