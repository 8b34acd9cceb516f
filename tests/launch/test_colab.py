"""The notebook runs from top to bottom, as a person would run it, on CPU and in its tiny size."""

import glob
import os
import re
import shutil
import types
from pathlib import Path

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
    _, _, trained, evaluated, compared, flips, _ = notebook.cells
    assert _text(trained).count("test accuracy") == 2
    assert "| codistill_skl" in _text(evaluated)
    assert "<iframe" in _text(evaluated)
    assert "churn" in _text(compared)
    lines = [line.strip().lower() for line in _text(compared).splitlines()]
    assert not [line for line in lines if line.startswith(("error", "traceback"))]
    assert [line for line in lines if "limit 5 %" in line], "the gate says nothing"
    assert "examples flip between" in _text(flips)
    assert any("image/png" in output.get("data", {}) for output in flips.outputs)


@pytest.mark.parametrize(
    ("vendors", "devices", "smi", "installed"),
    [
        (["0x8086"], ["/dev/vfio/0"], "", []),  # a GPU that is passed through is no TPU
        (["0x8086", "0x1ae0"], ["/dev/vfio/0"], "", ["jax[tpu]"]),
        (["0x1ae0"], ["/dev/accel0"], "", ["jax[tpu]"]),
        (["0x1ae0"], [], "", []),
        (["0x10de"], ["/dev/nvidia0"], "| CUDA Version: 12.4     |", ["jax[cuda12]"]),
        (["0x10de"], ["/dev/nvidia0"], "| CUDA Version: 13.0     |", ["jax[cuda13]"]),
        (["0x10de"], ["/dev/nvidia0"], "it has failed", []),
    ],
)
def test_accelerators_are_found_by_the_hardware(tmp_path, vendors, devices, smi, installed):
    """The function of the first cell, on the files of another machine."""
    source = nbformat.read(ROOT / "launch/colab.ipynb", as_version=4).cells[1].source
    function = source[source.index("def accelerator") : source.index("python = ")]
    for index, vendor in enumerate(vendors):
        path = tmp_path / f"sys/bus/pci/devices/{index}/vendor"
        path.parent.mkdir(parents=True)
        path.write_text(f"{vendor}\n")
    for device in devices:
        path = tmp_path / device.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    shown = types.SimpleNamespace(run=lambda *_, **__: types.SimpleNamespace(stdout=smi))
    scope = {"glob": glob, "os": os, "re": re, "Path": Path, "subprocess": shown}
    for root in ("/dev/", "/sys/"):
        function = function.replace(f'"{root}', f'"{tmp_path}{root}')
    exec(function, scope)
    assert scope["accelerator"]() == installed
