"""Eight virtual CPU devices for every test; JAX must not have started before.

Programs are compiled without LLVM's optimiser, but for tests that assert equal bits: how a sum is
split and fused is what could break them, so they ask for `as_users_compile` or start commands with
XLA_FLAGS="". All others compare with a tolerance, repeat one program, or compare what no compiled
sum decides.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
# The tests compile many programs and run each for a few steps: LLVM's optimiser would take most of
# their time. Commands that tests start inherit this.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"

# Google's client would look for a metadata server, for seconds, where a test names gs://nobody.
os.environ["NO_GCE_CHECK"] = "true"

import jax
import pytest

from tests.fixtures.experiments import optimised

jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture
def as_users_compile():
    """Trainings of this test, and the commands that it starts, are optimised as a user's are."""
    with optimised():
        yield
