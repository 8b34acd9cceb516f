"""Large buffers come in large pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import os, resource, sys
if os.environ.get("INSIDE"):
    sys.modules[os.environ["INSIDE"]] = sys
from churn_jax.system.memory import use_huge_pages
begun = os.environ.setdefault("BEGUN_AS", str(os.getpid()))
use_huge_pages()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(faults() for _ in range(5)), begun == str(os.getpid()), sys.argv[1:])
"""


def measure(**settings):
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"} | settings
    command = [sys.executable, "-c", MEASURE, "an argument"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    faults, rest = done.stdout.strip().split(" ", 1)
    assert rest == "True ['an argument']"
    return int(faults)


def huge_pages_are_to_be_had():
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[madvise]" in setting.read_text()


pytestmark = pytest.mark.skipif(
    not huge_pages_are_to_be_had(), reason="the kernel gives no huge pages, or gives them unasked"
)


def test_a_large_buffer_takes_few_pages():
    assert measure() < 1_000


def test_the_users_own_tunables_are_left_alone():
    assert measure(GLIBC_TUNABLES="glibc.malloc.hugetlb=0") > 10_000


def test_a_notebooks_kernel_is_not_started_anew():
    assert measure(INSIDE="IPython") > 10_000
