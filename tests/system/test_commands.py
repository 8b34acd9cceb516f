"""What all commands share: exit codes, and output that can't change them."""

import os
import subprocess
import sys

import pytest

from tests.fixtures.experiments import ROOT

# A verdict with its files: prints more than a pipe holds, and characters beyond ASCII.
COMMAND = """
from churn_jax.system import commands, startup
startup.start()
import sys
{more}

def main():
    print("→ ± − ₁ 漢")
    print("x" * 300_000)
    open("file", "w").write("whole")
    return 3

commands.run_command(main)
"""


def run(tmp_path, shell="", more="", **environment):
    """(exit code of the command, what the shell printed, standard error)."""
    (tmp_path / "command.py").write_text(COMMAND.format(more=more))
    done = subprocess.run(
        ["bash", "-c", f'"$PYTHON" command.py {shell}; exit ${{PIPESTATUS[0]}}'],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout, done.stderr


FULL = "standard output is not whole: No space left on device"


@pytest.mark.parametrize(
    ("shell", "warning", "unbuffered"),
    [
        ("| head -1", "", ""),
        ("| head -1", "", "1"),
        ("| true", "", "1"),
        (">/dev/full", FULL, ""),
        (">/dev/full", FULL, "1"),
        (">&-", "", ""),
        ("2>/dev/full", "", ""),
        ("2>&-", "", ""),
    ],
)
def test_no_standard_output_changes_files_or_exit_code(tmp_path, shell, warning, unbuffered):
    code, _, error = run(tmp_path, shell, PYTHONUNBUFFERED=unbuffered)
    assert code == 3
    assert (tmp_path / "file").read_text() == "whole"
    assert "Traceback" not in error
    assert (warning in error) if warning else not error


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "-> +/- - 1 \\u6f22\n"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "-> +/- - 1 \\u6f22\n"),
        ({"PYTHONIOENCODING": "latin-1"}, "-> \ufffd - 1 \\u6f22\n"),  # it has ±, no UTF-8
        ({"PYTHONIOENCODING": "utf-8"}, "→ ± − ₁ 漢\n"),
    ],
)
def test_a_console_shows_the_nearest_characters_it_has(tmp_path, environment, shown):
    assert run(tmp_path, "| head -1", **environment) == (3, shown, "")


@pytest.mark.parametrize("fault", ["import no_such_module", "main = 1 / 0", "raise MemoryError"])
def test_what_breaks_before_the_command_begins_is_no_verdict(tmp_path, fault):
    code, _, error = run(tmp_path, more=fault)
    assert code == 70
    assert "Traceback" in error


def test_a_bug_keeps_its_traceback_and_is_no_verdict(tmp_path):
    code, _, error = run(tmp_path, more="open = None")
    assert code == 70
    assert "'NoneType' object is not callable" in error


HELP = """
import contextlib, runpy, sys
sys.argv = ["it", "--help"]
with contextlib.suppress(SystemExit):
    runpy.run_module("churn_jax.{}", run_name="__main__")
late = {{"jax", "scipy", "matplotlib", "jinja2", "orbax", "flax"}} & set(sys.modules)
assert not late, late
"""


@pytest.mark.parametrize("command", ["main", "evaluate", "compare", "study", "export", "plan"])
def test_help_does_not_wait_for_what_works(command):
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(command)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout
