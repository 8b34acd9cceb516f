"""Freed memory stays with the process."""

import ctypes
import subprocess
import sys

import pytest

MEASURE = """
import resource
from churn_jax.host_memory import keep_freed_memory
{keep}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(5)))
"""


def page_faults(keep):
    command = [sys.executable, "-c", MEASURE.format(keep=keep)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_a_large_buffer_is_taken_from_the_kernel_once():
    assert page_faults("") > 10_000  # 64 MiB of pages, each time
    assert page_faults("keep_freed_memory()") < 100
