"""The inner loop, compiled or not, against its definition; and maps that give their memory back."""

import os
import subprocess
import sys

import numpy as np
import pytest

from churn_jax.analysis import pair_distances
from churn_jax.predictions.memory_maps import in_bounded_memory
from tests.fixtures.experiments import ROOT

VALUES = np.random.default_rng(0).random((4, 7, 333)).astype(np.float32)
EXPECTED = np.abs(VALUES[:, None].astype(np.float64) - VALUES[None]).sum(-1)


ALL = slice(0, 4)
PARTS = [(ALL, ALL), (slice(0, 2), slice(2, 4)), (slice(0, 3), slice(3, 4)), (slice(1, 3),) * 2]


@pytest.mark.parametrize(("a", "b"), PARTS)
def test_numpy_kernel(a, b):
    found = pair_distances.choose(1)(VALUES, a, b)
    np.testing.assert_allclose(found, EXPECTED[a, b], rtol=1e-6)


@pytest.mark.parametrize(("a", "b"), PARTS)
def test_the_loop_that_is_compiled(a, b, monkeypatch):
    monkeypatch.setattr(pair_distances, "compiled", lambda loop: loop)
    np.testing.assert_allclose(
        pair_distances.choose(1 << 40)(VALUES, a, b), EXPECTED[a, b], rtol=1e-5
    )


@pytest.mark.parametrize(("a", "b"), PARTS)
def test_compiled_kernel(a, b):
    pytest.importorskip("numba")
    compiled = pair_distances.choose(1 << 40)
    assert compiled is not pair_distances.l1_of_pairs
    np.testing.assert_allclose(compiled(VALUES, a, b), EXPECTED[a, b], rtol=1e-6)


def test_equal_runs_have_distance_0():
    equal = np.stack([VALUES[0], VALUES[0]])
    assert pair_distances.l1_of_pairs(equal, slice(0, 2), slice(0, 2)).max() == 0


def test_pages_given_back_are_read_again(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", VALUES[0])
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    monkeypatch.setattr("churn_jax.predictions.memory_maps.KEPT_BYTES", 0)
    rows = in_bounded_memory(lambda wanted: mapped[wanted], mapped)
    for _ in range(2):
        for start in range(0, 7, 2):
            wanted = slice(start, start + 2)
            np.testing.assert_array_equal(rows(wanted), VALUES[0][wanted])
    plain = in_bounded_memory(lambda wanted: VALUES[0][wanted], VALUES[0])
    np.testing.assert_array_equal(plain(slice(0, 3)), VALUES[0][:3])


def test_a_numba_that_cannot_be_imported_is_done_without(tmp_path):
    """As beside a coverage.py of the user's own, which numba takes for the package."""
    (tmp_path / "numba.py").write_text("raise AttributeError('module coverage has no types')\n")
    code = "from churn_jax.analysis.pair_distances import choose; print(choose(1 << 60).__name__)"
    places = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == pair_distances.l1_of_pairs.__name__
