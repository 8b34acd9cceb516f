"""The notebook runs from top to bottom, as a person would run it, on CPU and in its tiny size."""

import os
import shutil

import nbformat
import pytest
from nbclient import NotebookClient

from tests.fixtures.experiments import ROOT

WORKDIR = ROOT / "runs/colab"


@pytest.fixture
def notebook(monkeypatch):
    """The notebook with TINY chosen; its runs are cleared away."""
    if WORKDIR.exists():
        pytest.skip(f"{WORKDIR} is in use")
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{path}" if path else str(ROOT))
    notebook = nbformat.read(ROOT / "launch/colab.ipynb", as_version=4)
    settings = notebook.cells[1]
    assert "TINY = False" in settings.source
    settings.source = settings.source.replace("TINY = False", "TINY = True")
    yield notebook
    shutil.rmtree(WORKDIR, ignore_errors=True)


def _text(cell):
    """All that a cell shows, as text."""
    shown = []
    for output in cell.outputs:
        data = output.get("data", {})
        shown += [output.get("text", ""), data.get("text/html", ""), data.get("text/markdown", "")]
    return "".join(shown)


def test_it_is_stored_without_results():
    for cell in nbformat.read(ROOT / "launch/colab.ipynb", as_version=4).cells:
        assert not cell.get("outputs")


def test_it_runs_from_top_to_bottom(notebook):
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    _, _, trained, evaluated, compared, _ = notebook.cells
    assert _text(trained).count("test accuracy") == 2
    assert "| codistill_skl" in _text(evaluated)
    assert "<iframe" in _text(evaluated)
    assert "churn" in _text(compared)
    lines = [line.strip().lower() for line in _text(compared).splitlines()]
    assert not [line for line in lines if line.startswith(("error", "traceback"))]
    assert [line for line in lines if "nfr" in line], "the gate says nothing"
