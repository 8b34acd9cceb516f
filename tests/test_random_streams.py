"""Bootstrap samples: a stream of their own, held or varied like the others."""

import numpy as np

from churn_jax import config as config_lib
from churn_jax import random_streams
from churn_jax.predictions import origins
from tests.fixtures.experiments import make_config

VARY = ("order", "sample")
SIZE = 500


def order(run, epoch, vary=VARY, sample="bootstrap"):
    return np.asarray(random_streams.epoch_order(0, run, epoch, vary, SIZE, sample))


def test_a_run_sees_its_own_sample_in_every_epoch_in_another_order():
    counts = np.bincount(order(1, 0), minlength=SIZE)
    assert 0.3 < (counts == 0).mean() < 0.44  # 1/e of the examples are left out
    np.testing.assert_array_equal(np.bincount(order(1, 5), minlength=SIZE), counts)
    assert (order(1, 0) != order(1, 5)).any()
    assert (np.bincount(order(2, 0), minlength=SIZE) != counts).any()


def test_a_held_sample_is_that_of_run_0_for_all():
    counts = [np.bincount(order(run, 0, ("order",)), minlength=SIZE) for run in (0, 3)]
    np.testing.assert_array_equal(*counts)


def test_without_a_sample_every_example_is_seen_once():
    np.testing.assert_array_equal(np.sort(order(1, 0, sample="all")), np.arange(SIZE))


def test_a_stream_from_which_nothing_is_drawn_makes_no_other_group():
    """So that the runs of before the stream was introduced stay one group with those after it."""
    before = make_config(randomness__vary=("init", "order", "augmentation"))
    assert config_lib.config_hash(before) == config_lib.config_hash(make_config())
    assert not config_lib.differences(before, make_config())
    drawn = make_config(data__sample="bootstrap")
    assert config_lib.config_hash(drawn) != config_lib.config_hash(make_config())
    assert origins.held({"vary": ["sample"], "config": {"data": {"sample": "all", "crop": "pad"}}})
    assert not origins.held({"vary": ["sample"], "config": {"data": {"sample": "bootstrap"}}})
