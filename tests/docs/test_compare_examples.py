"""The worked examples of docs/compare.md run, in their order, with the exit codes they promise.

What the document says that they print, they print; its figures are those of one version of
scikit-learn, and only their places are held to.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(python|bash|)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"[−+-]?[0-9][0-9.,]*(?:e-[0-9]+)?")


def run_blocks(folder, only_torch):
    """Runs the document's blocks of code in a folder; returns how many there were."""
    count, printed = 0, ""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
    for language, options, code in BLOCK.findall((ROOT / "docs/compare.md").read_text()):
        if ("torch" in options) != only_torch:
            continue
        if not language:
            for line in filter(None, code.splitlines()):
                assert FIGURE.sub("#", line) in FIGURE.sub("#", printed), f"{line}\n{printed}"
            continue
        if language == "python":
            command = [sys.executable, "-c", code]
        else:
            command = ["bash", "-c", re.sub(r"^python\b", '"$PYTHON"', code, flags=re.MULTILINE)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        expected = int(re.search(r"exit=(\d)|$", options)[1] or 0)
        assert done.returncode == expected, f"{code}\n{done.stdout}{done.stderr}"
        printed = done.stdout + done.stderr
        count += 1
    return count


def test_the_scikit_learn_example(tmp_path):
    assert run_blocks(tmp_path, only_torch=False) == 17
    assert (tmp_path / "report/junit.xml").exists()


@pytest.mark.peers
def test_the_pytorch_example(tmp_path):
    assert run_blocks(tmp_path, only_torch=True) == 2
    assert (tmp_path / "torch_report/report.html").exists()
