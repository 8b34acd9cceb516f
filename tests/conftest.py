"""Eight virtual CPU devices for every test; JAX must not have started before.

Programs are compiled without LLVM's optimiser, but for tests that assert equal bits: how a sum is
split and fused is what could break them, so they ask for `as_users_compile` or start commands with
XLA_FLAGS="". All others compare with a tolerance, repeat one program, or compare what no compiled
sum decides.
"""

import os
import shutil
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
# The tests compile many programs and run each for a few steps: LLVM's optimiser would take most of
# their time. Commands that tests start inherit this.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"

# Each program is compiled once for all tests, their processes and the commands that they start. Who
# sets the variable keeps them from one time to the next. What compiles faster is not worth a file.
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ.get(
    "JAX_COMPILATION_CACHE_DIR", ""
) or tempfile.mkdtemp(prefix="programs_of_tests_")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

# The day in the foot of pages: two that are to be the same may be made before and after midnight.
os.environ["SOURCE_DATE_EPOCH"] = "1767225600"  # 2026-01-01

# Google's client would look for a metadata server, for seconds, where a test names gs://nobody.
os.environ["NO_GCE_CHECK"] = "true"

import hypothesis
import jax
import pytest

from tests.fixtures.experiments import optimised

jax.config.update("jax_num_cpu_devices", 8)

# How long an example takes is a matter of what else the machine does.
hypothesis.settings.register_profile("any_machine", deadline=None)
hypothesis.settings.load_profile("any_machine")


def pytest_unconfigure(config):
    """Throws away what was compiled for these tests alone, when the last of them has ended."""
    programs = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    if not hasattr(config, "workerinput") and programs.name.startswith("programs_of_tests_"):
        shutil.rmtree(programs, ignore_errors=True)


@pytest.fixture
def as_users_compile():
    """Trainings of this test, and the commands that it starts, are optimised as a user's are."""
    with optimised():
        yield
