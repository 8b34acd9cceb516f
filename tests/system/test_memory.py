"""A training on a CPU whose memory comes in small pages says what that costs."""

import os
import subprocess
import sys

import pytest

from tests.fixtures.experiments import ROOT

# The kernel's setting, as a file that the test may write.
COMMAND = """
import pathlib, sys
from churn_jax.system import memory
memory._KERNEL = pathlib.Path(sys.argv[1])
memory.advise()
memory.advise()
"""


def said(tmp_path, kernel, **environment):
    setting = tmp_path / "enabled"
    if kernel is not None:
        setting.write_text(kernel)
    inherited = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(setting)],
        cwd=ROOT, env=inherited | environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stderr.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_it_is_said_once_where_large_pages_are_given_on_request(tmp_path):
    (line,) = said(tmp_path, "always [madvise] never\n")
    assert "GLIBC_TUNABLES=glibc.malloc.hugetlb=1" in line


@pytest.mark.parametrize("kernel", ["[always] madvise never\n", "always madvise [never]\n", None])
def test_nothing_is_said_where_asking_changes_nothing(tmp_path, kernel):
    assert said(tmp_path, kernel) == []


def test_the_users_own_tunables_are_left_alone(tmp_path):
    tunables = "glibc.malloc.hugetlb=0"
    assert said(tmp_path, "always [madvise] never\n", GLIBC_TUNABLES=tunables) == []
