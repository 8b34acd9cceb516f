"""Settings of JAX and XLA that a user has made for something else: no promise depends on them."""

import os

import numpy as np
import pytest

from churn_jax.predictions import prediction_file
from churn_jax.system import jax_settings
from tests.fixtures.experiments import SHORT, run_module

COMMAND = ["--config=configs/digits_codistill.py:tiny", *SHORT, "--config.epochs=1.0"]
OTHERS = {
    "JAX_ENABLE_X64": "1",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_RANDOM_SEED_OFFSET": "7",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_DISABLE_JIT": "1",
    "JAX_DEFAULT_MATMUL_PRECISION": "BF16_BF16_F32",
}


def main(workdir, command=COMMAND, **settings):
    environment = {**os.environ, "XLA_FLAGS": "", **settings}
    return run_module("churn_jax.main", *command, f"--workdir={workdir}", env=environment)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The workdir of a training under no settings."""
    workdir = tmp_path_factory.mktemp("plain")
    finished = main(workdir)
    assert finished.returncode == 0, finished.stderr
    return workdir


def predictions(workdir):
    files = sorted((workdir / "predictions").rglob("*.safetensors"))
    return [prediction_file.read(path) for path in files]


def test_training_has_the_same_bits_under_other_settings(plain, tmp_path):
    finished = main(tmp_path, **OTHERS)
    assert finished.returncode == 0, finished.stderr
    for name in OTHERS.keys() - {"JAX_DEFAULT_MATMUL_PRECISION"}:
        assert name in finished.stderr  # not in silence
    for ours, theirs in zip(predictions(tmp_path), predictions(plain), strict=True):
        np.testing.assert_array_equal(ours.log_probs, theirs.log_probs)
        assert ours.provenance["settings"] == theirs.provenance["settings"] == {}


def test_other_flags_are_recorded_and_refused_when_a_training_goes_on(plain, tmp_path):
    half = [COMMAND[0], *SHORT]
    assert main(tmp_path, half).returncode == 0
    (last,) = (path for path in (tmp_path / "checkpoints").iterdir() if path.name == "8")
    last.rename(tmp_path / "aside")
    refused = main(tmp_path, half, XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.splitlines()[-1].startswith("error: ")
    assert "--xla_cpu_multi_thread_eigen unset -> false" in refused.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"JAX_ENABLE_X64": "maybe"}, "JAX_ENABLE_X64"),
        ({"JAX_DEFAULT_MATMUL_PRECISION": "odd"}, "jax_default_matmul_precision"),
        ({"JAX_PLATFORMS": "cuda"}, "JAX_PLATFORMS=cuda"),
        ({"JAX_PLATFORMS": "cloud"}, "JAX_PLATFORMS=cloud"),
        ({"XLA_FLAGS": "--xla_nonsense=1"}, "--xla_nonsense=1"),
        ({"PJRT_NPROC": "many"}, "PJRT_NPROC: 'many'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value.items())),
)
def test_settings_that_stop_jax_are_one_line(tmp_path, settings, said):
    refused = main(tmp_path / "work", **settings)
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.startswith("error: ")
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "work").exists()


def test_what_may_change_a_program_is_recorded_and_nothing_else():
    environment = {
        "XLA_FLAGS": "--xla_dump_to=/tmp --xla_cpu_multi_thread_eigen=false",
        "NVIDIA_TF32_OVERRIDE": "0",
        "JAX_COMPILATION_CACHE_DIR": "/tmp",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "JAX_USE_DIRECT_LINEARIZE": "0",
        "HOME": "/root",
    }
    assert jax_settings.recorded(environment) == {
        "--xla_cpu_multi_thread_eigen": "false",
        "JAX_USE_DIRECT_LINEARIZE": "0",
        "NVIDIA_TF32_OVERRIDE": "0",
    }
