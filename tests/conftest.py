"""Eight virtual CPU devices for every test; JAX must not have started before."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
# The tests compile many programs and run each for a few steps: LLVM's optimiser would take most of
# their time. Commands that tests start inherit this.
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"

# Google's client would look for a metadata server, for seconds, where a test names gs://nobody.
os.environ["NO_GCE_CHECK"] = "true"

import jax

jax.config.update("jax_num_cpu_devices", 8)
