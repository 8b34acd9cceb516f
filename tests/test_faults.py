"""The short form of the fault suite; `python -m tests.faults` is the long one."""

import re
import subprocess
import sys

import pytest

from tests.fixtures.experiments import ROOT


def run_suite(*flags):
    command = [sys.executable, "-m", "tests.faults", *flags]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    tried, survived, lost = re.search(
        r"\*\*all\*\* \| (\d+) \| (\d+) \| (\d+) ", finished.stdout
    ).groups()
    assert int(tried) > 0
    assert (survived, lost) == (tried, "0")


def test_every_kind_of_fault_is_survived_once():
    run_suite("--short")


@pytest.mark.slow
def test_all_faults_are_survived():
    run_suite()
