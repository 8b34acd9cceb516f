"""Averages of weights, against their definitions worked out step by step in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from churn_jax.methods import averages

STEPS = 40
RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(STEPS, 2, 3, 4))  # [step, run, member, weight]


def averaged(kind, *, decay=0.9, every=1, start=0.75, cycles=4):
    """What the updates make of WEIGHTS, from zeros: [run, member, average, weight]."""
    shares = averages.shares(
        kind, total_steps=STEPS, decay=decay, every=every, start=start, cycles=cycles
    )
    found = jnp.zeros((2, 3, averages.count(kind, cycles), 4))
    for step in range(STEPS):
        found = averages.updated(found, jnp.float32(WEIGHTS[step]), shares(jnp.int32(step)))
    return np.asarray(found)


@pytest.mark.parametrize("every", [1, 3])
def test_ema_with_its_warm_up(every):
    expected = np.zeros((2, 3, 4))
    updates = 0
    for step in range(STEPS):
        if (step + 1) % every == 0:
            decay = min(0.9, (updates + 1) / (updates + 10))
            expected = decay * expected + (1 - decay) * WEIGHTS[step]
            updates += 1
    assert_allclose(averaged("ema", every=every)[:, :, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("every", "seen"), [(1, slice(30, None)), (2, slice(31, None, 2))])
def test_swa_is_the_plain_mean_of_the_last_quarter(every, seen):
    found = averaged("swa", every=every)[:, :, 0]
    assert_allclose(found, WEIGHTS[seen].mean(0), rtol=1e-5, atol=1e-6)


def test_snapshots_are_the_weights_at_the_end_of_each_cycle():
    found = averaged("snapshots", cycles=4)
    for place, step in enumerate((10, 20, 30, 40)):
        assert_array_equal(found[:, :, place], np.float32(WEIGHTS[step - 1]))


def test_nothing_is_kept_where_nothing_is_asked_for():
    assert averages.count("none", cycles=5) == 0
