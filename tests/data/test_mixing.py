"""Mixup: which example is mixed with which and how, and what a batch of mixes is, in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from churn_jax import config as config_lib
from churn_jax import random_streams
from churn_jax.data import DatasetInfo
from churn_jax.data.augmentation import augment
from churn_jax.data.mixing import epoch_mixing
from churn_jax.data.resident import ResidentPlan, position, take_batch
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.training.feeds import ResidentFeed
from churn_jax.training.validation import validate
from tests.fixtures.configs import data_config
from tests.fixtures.experiments import (
    assert_close,
    digits,
    make_config,
    make_experiment,
    train_steps,
)

INFO = DatasetInfo("noise", ("a", "b"), (2, 2, 1), (0.5,), (0.25,))
RUNS = np.array([0, 3])


def mixes(epoch=0, runs=RUNS, alpha=0.4, size=200, vary=("augmentation", "sample"), sample="all"):
    data = data_config(mixup=alpha, sample=sample)
    plan = ResidentPlan(data, INFO, seed=0, vary=vary, num_examples=size, batch_size=10)
    return epoch_mixing(plan, runs, epoch)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_of_the_beta_distribution(alpha):
    share = mixes(alpha=alpha, size=5000)["share"]
    for of_run in share:
        assert stats.kstest(of_run, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(share)[0, 1]) < 0.05


def test_every_example_is_another_s_partner_once_an_epoch_and_each_run_and_epoch_has_its_own():
    partners = np.stack([mixes(epoch)["partner"] for epoch in (0, 1)])  # [epoch, run, example]
    np.testing.assert_array_equal(
        np.sort(partners, -1), np.broadcast_to(np.arange(200), (2, 2, 200))
    )
    flat = partners.reshape(4, -1)
    assert all((flat[a] == flat[b]).mean() < 0.05 for a in range(4) for b in range(a))


def test_mixes_are_held_with_the_augmentation_and_depend_on_nothing_beside_them():
    held = mixes(vary=("init", "order"))
    np.testing.assert_array_equal(held[0], held[1])
    np.testing.assert_array_equal(mixes(runs=np.array([3]))[0], mixes()[1])
    np.testing.assert_array_equal(mixes(vary=("augmentation", "order", "init")), mixes())


def test_partners_are_of_the_run_s_own_sample():
    found = mixes(sample="bootstrap")["partner"]
    for run, partners in zip(RUNS, found, strict=True):
        own = random_streams.bootstrap_sample(0, run, ("augmentation", "sample"), 200)
        np.testing.assert_array_equal(np.sort(partners), np.sort(own))


def batches(config, steps):
    """The batches that a step is given, by the feed itself: its program only looks at them."""
    experiment, found = make_experiment(config), []

    @jax.jit
    def take(source, step):
        of_device = jax.vmap(lambda _: take_batch(source, step, experiment.plan), axis_name="data")
        return of_device(jnp.zeros(1))

    def look(step, source):
        batch = take(source, step)
        found.append(jax.tree.map(lambda leaf: np.float64(leaf[0]), batch))
        return step + 1, {}

    feed = ResidentFeed(experiment, digits(config.data.num_train), look)
    for step in range(steps):
        feed.advance(jnp.int32(step), step)
    return experiment, found


def test_a_batch_of_mixes_is_the_definition():
    """Of examples that are cropped and flipped, and whose epochs end within a batch."""
    config = make_config(data__mixup=0.7, data__num_train=40, batch_size=12, epochs=9.0)
    experiment, found = batches(config, 8)
    train, vary = digits(40).train, config.randomness.vary
    mean, std = (np.float64(x) for x in (experiment.info.mean, experiment.info.std))

    @jax.jit
    @jax.vmap
    def augmented(key, index, image):
        return augment(jax.random.fold_in(key, index), image, config.data)

    @functools.cache
    def of_epoch(run, epoch):
        """Its order, its mixes, and all examples as they are augmented in it."""
        key = random_streams.epoch_augmentation_key(0, run, epoch, vary)
        images = augmented(jnp.stack([key] * 40), jnp.arange(40), train.images)
        order = np.asarray(random_streams.epoch_order(0, run, epoch, vary, 40))
        mixing = epoch_mixing(experiment.plan, np.array([run]), epoch)[0]
        return order, mixing, (np.float64(images) / 255 - mean) / std

    for step, run, place in np.ndindex(8, 2, 12):
        epoch, offset = position(step, experiment.plan)
        later, at = divmod(offset + place, 40)
        order, mixing, pixels = of_epoch(run, epoch + later)
        i = order[at]
        j, share = mixing[i]
        mix = np.float64(share) * pixels[i] + (1 - np.float64(share)) * pixels[j]
        batch = found[step]
        np.testing.assert_allclose(batch.images[run, place], mix, atol=1e-5)
        assert batch.labels[run, place] == train.labels[i]
        assert batch.partners.labels[run, place] == train.labels[j]
        assert batch.partners.share[run, place] == share


def test_streamed_mixes_train_as_resident_ones_do_and_on_another_mesh():
    mixing = {"runs": 1, "data__mixup": 0.4, "model__name": "mlp"}
    resident, of_resident = train_steps(make_config(**mixing), 5)
    other = {"data__pipeline": "streaming", "mesh__data": 2}
    streamed, of_streamed = train_steps(make_config(**mixing, **other), 5)
    assert_close(streamed.params, resident.params, rtol=1e-5)
    assert_close(of_streamed, of_resident, rtol=1e-5)


def test_what_can_not_be_mixed_is_refused_in_a_line():
    anchored = {"method__anchor": "distillation", "previous__source": "W"}
    with pytest.raises(UserError, match=r"^config\.data\.mixup: the previous model has no predict"):
        make_config(data__mixup=0.2, **anchored)
    config = make_config(data__mixup=0.2, data__crop="none", data__flip=False)
    tokens = DatasetInfo("texts", ("a", "b"), (8,), dtype="int32", vocabulary=9)
    with pytest.raises(
        UserError, match=r"^config\.data\.mixup: 0\.2 mixes numbers, and digits holds"
    ):
        validate(config, tokens, 64, sharding.make_mesh(config), True)


def test_who_mixes_nothing_is_of_the_same_group_as_ever():
    assert config_lib.config_hash(make_config(data__mixup=0.0)) == config_lib.config_hash(
        make_config()
    )
    assert config_lib.config_hash(make_config(data__mixup=0.1)) != config_lib.config_hash(
        make_config()
    )
