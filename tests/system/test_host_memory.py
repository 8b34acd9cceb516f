"""Memory in words, and how much of it there is."""

import subprocess
import sys
from pathlib import Path

import pytest

from churn_jax.system.host_memory import gibibytes, host_memory


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (5000 << 30, "5,000.0 GiB"),
    ],
)
def test_bytes_in_words(count, words):
    assert gibibytes(count) == words


def test_no_more_than_the_machine_has():
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 1 << 28 < host_memory() <= total * 1.1


def test_counting_memory_needs_no_jax():
    program = "import sys, churn_jax.system.host_memory; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
