"""Training samples: of each run, or of each member (twin bootstrap); held or varied."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from churn_jax import random_streams
from churn_jax.errors import UserError
from tests.fixtures.experiments import (
    PAIR,
    assert_close,
    digits,
    make_config,
    make_experiment,
    train_steps,
)

PAIRS = {key.replace(".", "__"): value for key, value in PAIR.items()} | {"model__name": "mlp"}
PLAIN = {"data__crop": "none", "data__flip": False}
TWINS = PAIRS | PLAIN | {"data__sample": "bootstrap_members"}
VARY = ("init", "order", "sample")


def sample(run, member, vary=VARY, size=400):
    return np.asarray(random_streams.member_sample(0, run, member, vary, size))


def test_each_member_of_each_run_draws_as_many_examples_with_return():
    found = np.stack([sample(run, member) for run in (0, 3) for member in (0, 1)])
    assert_array_equal(found.sum(1), 400)
    assert_allclose((found == 0).mean(1), np.exp(-1), atol=0.08)
    assert (np.abs(np.corrcoef(found) - np.eye(4)) < 0.2).all()
    run = np.bincount(random_streams.bootstrap_sample(0, 3, VARY, 400), minlength=400)
    assert abs(np.corrcoef(run, sample(3, 0))[0, 1]) < 0.2


def test_a_held_sample_is_that_of_run_0_for_every_member():
    held = ("init", "order")
    for member in (0, 1):
        assert_array_equal(sample(3, member, held), sample(0, member))


@pytest.mark.parametrize("own", [{"data__sample": "bootstrap"}, TWINS], ids=["runs", "members"])
def test_with_all_streams_held_runs_are_identical_and_their_samples_too(own):
    held, _ = train_steps(make_config(**{"model__name": "mlp"} | own, randomness__vary=()), 3)
    for leaf in jax.tree.leaves(held.params):
        assert_array_equal(leaf[0], leaf[1])


def test_runs_that_differ_in_their_samples_alone_part():
    varied, _ = train_steps(make_config(**TWINS, randomness__vary=("sample",)), 3)
    assert any((leaf[0] != leaf[1]).any() for leaf in jax.tree.leaves(varied.params))


def test_the_losses_of_a_step_are_over_each_member_s_sample():
    """Of the first step, whose networks are the initial ones: the rows of its batch by hand."""
    config = make_config(**TWINS, method__beta_ramp="constant")
    experiment = make_experiment(config)
    state = experiment.init_state()
    images, labels = digits(64).train.images, digits(64).train.labels
    log_probs = np.float64(experiment.predict_step(state.params, state.batch_stats, images))
    _, (metrics, *_) = train_steps(config, 1)
    for run in range(2):
        order = np.asarray(random_streams.epoch_order(0, run, 0, config.randomness.vary, 64))[:16]
        counts = np.stack([sample(run, m, config.randomness.vary, 64)[order] for m in (0, 1)])
        own = log_probs[run][:, order]
        losses = counts * -own[:, np.arange(16), labels[order]]
        assert_allclose(metrics["cross_entropy"][run], losses.mean(1), rtol=1e-5)
        p, q = np.exp(own)
        divergence = ((p - q) * (own[0] - own[1])).sum(-1)  # KL(p ‖ q) + KL(q ‖ p)
        both = (counts.mean(0) * divergence).mean()
        assert_allclose(metrics["agreement"][run].sum(), both, rtol=1e-4)


def test_twins_train_alike_streamed_and_on_another_mesh():
    resident, of_resident = train_steps(make_config(**TWINS), 5)
    other = {"data__pipeline": "streaming", "mesh__member": 2}
    streamed, of_streamed = train_steps(make_config(**TWINS, **other), 5)
    assert_close(streamed.params, resident.params, rtol=1e-5)
    assert_close(of_streamed, of_resident, rtol=1e-5)


def test_one_member_and_mixes_have_no_samples_of_members():
    with pytest.raises(
        UserError, match=r"data\.sample: 'bootstrap_members' is for config\.method\.me"
    ):
        make_config(data__sample="bootstrap_members")
    with pytest.raises(
        UserError, match=r"data\.mixup: would show a member of config\.data\.sample"
    ):
        make_config(**TWINS, data__mixup=0.2)
