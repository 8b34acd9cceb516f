"""Floats and tokens train as images do: resumed, on any mesh, streamed, averaged, against peers."""

import jax
import numpy as np
import pytest

import churn_jax
from churn_jax import data
from churn_jax.data import ArrayExamples, Dataset, DatasetInfo
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.predictions import prediction_file
from churn_jax.training import loop
from churn_jax.training.experiment import Experiment
from churn_jax.training.feeds import make_feed
from churn_jax.training.validation import validate
from tests.fixtures.experiments import make_config

RANDOM = np.random.default_rng(0)
LABELS = np.arange(96, dtype=np.int32) % 3
IDS = np.array([f"{i:02d}" for i in range(96)])
FLOATS = (RANDOM.normal(size=(96, 4, 3)) + LABELS[:, None, None]).astype(np.float32)
TOKENS = np.where(RANDOM.random((96, 5)) < 0.5, LABELS[:, None] + 1, RANDOM.integers(0, 8, (96, 5)))
KINDS = {
    "floats": (DatasetInfo("floats", ("a", "b", "c"), (4, 3), dtype="float32"), FLOATS, "mlp"),
    "tokens": (
        DatasetInfo("tokens", ("a", "b", "c"), (5,), dtype="int32", vocabulary=9),
        TOKENS.astype(np.int32),
        "transformer",
    ),
}


def shaken(key, inputs):
    """Moves entries of one axis about."""
    return jax.random.permutation(key, inputs)


@pytest.fixture(autouse=True)
def registered():
    for name, (info, inputs, _) in KINDS.items():
        every = ArrayExamples(inputs, LABELS, IDS)
        made = Dataset(info, every.take(np.arange(64)), every.take(np.arange(64, 96)))
        data.register(name, lambda _, made=made: made)
    data.register_augmentation("shaken", shaken)


def config_of(kind, **more):
    """Stale pairs whose average predicts, with dropout and an augmentation."""
    settings = {
        "data__name": kind, "data__crop": "none", "data__flip": False, "data__augment": "shaken",
        "data__num_train": 0, "model__name": KINDS[kind][2], "model__width": 8, "model__depth": 1,
        "model__dropout": 0.25, "method__members": 2, "method__agreement": "cross_entropy",
        "method__beta": 0.5, "method__update": "stale", "method__refresh_steps": 3,
        "method__prediction": "ema_mean", "averages__decay": 0.5, "checkpoint_every": 1.0,
    }  # fmt: skip
    return make_config(**settings | more)


def steps(config, count):
    dataset = data.load(config.data)
    experiment = Experiment(config, dataset.info, len(dataset.train), sharding.make_mesh(config))
    feed = make_feed(experiment, dataset, 0)
    state = experiment.init_state()
    for step in range(count):
        state, _ = feed.advance(state, step)
    return jax.device_get(state)


def assert_close(a, b):
    leaves = [jax.tree.leaves((state.params, state.averages)) for state in (a, b)]
    for expected, found in zip(*leaves, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_neither_mesh_nor_pipeline_matters(kind):
    expected = steps(config_of(kind), 5)
    assert_close(expected, steps(config_of(kind, mesh__data=2, mesh__member=2), 5))
    assert_close(expected, steps(config_of(kind, data__pipeline="streaming"), 5))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_in_parts_draws_for_each_example_what_the_batch_draws(kind):
    """Dropout among it; a transformer's blocks are computed again too, and draw the same again."""
    again = {"model__remat": True} if kind == "tokens" else {}
    parted = config_of(kind, optimizer__accumulate=4, **again)
    assert_close(steps(config_of(kind), 5), steps(parted, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_is_the_same_for_all_runs(kind):
    held = steps(config_of(kind, randomness__vary=()), 3)
    noise = steps(config_of(kind, randomness__vary=("augmentation",)), 3)
    assert all(np.array_equal(leaf[0], leaf[1]) for leaf in jax.tree.leaves(held.params))
    assert not all(np.array_equal(leaf[0], leaf[1]) for leaf in jax.tree.leaves(noise.params))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_resumed_learns_and_is_loaded(kind, tmp_path, monkeypatch):
    adamw = {"optimizer__name": "adamw", "optimizer__decayed": "kernels"}
    config = config_of(kind, epochs=8.0, optimizer__learning_rate=0.03, **adamw)
    loop.train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_feed", Stopping)
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, tmp_path / "stopped")
    loop.train(config, tmp_path / "stopped")
    of = [predictions(tmp_path / name) for name in ("whole", "stopped")]
    np.testing.assert_array_equal(of[0].log_probs, of[1].log_probs)

    model = churn_jax.load(tmp_path / "whole")
    probs = model.predict(KINDS[kind][1][64:])
    np.testing.assert_allclose(probs, np.exp(np.float64(of[0].counted())), atol=1e-5)
    assert (probs.argmax(1) == LABELS[64:]).mean() > 0.6
    assert "inputs" in repr(model)
    with pytest.raises(UserError, match=f"inputs must be {KINDS[kind][0].dtype} .* not float64"):
        model.predict(KINDS[kind][1].astype(np.float64))


class Stopping:
    """A feed that breaks off at a step."""

    waited = 0.0

    def __init__(self, experiment, dataset, first_step, *more):
        self._feed = make_feed(experiment, dataset, first_step, *more)

    def advance(self, state, step):
        if step == 14:
            raise KeyboardInterrupt
        return self._feed.advance(state, step)


def predictions(workdir):
    return prediction_file.read(
        prediction_file.step_dir(workdir, 32) / prediction_file.file_name(0)
    )


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (
            "floats",
            {"data__flip": True},
            "data.flip: True is for pictures, and floats holds",
        ),
        ("tokens", {"data__crop": "pad"}, "data.crop: 'pad' is for pictures"),
        ("floats", {"data__augment": "shakn"}, r"augment: unknown .* mean 'shaken'"),
        ("floats", {"model__name": "transformer"}, "'transformer' takes tokens .* 'mlp' takes"),
        ("tokens", {"model__name": "mlp"}, "'mlp' takes pictures and floats .* 'transformer'"),
        ("floats", {"model__name": "resnet8", "model__width": 0}, "'resnet8' takes pictures"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(kind, settings, said):
    config = config_of(kind, **settings)
    dataset = data.load(config.data)
    with pytest.raises(UserError, match=said):
        validate(config, dataset.info, len(dataset.train), sharding.make_mesh(config), True)


def test_an_augmentation_of_another_shape_is_refused():
    data.register_augmentation("cut", lambda key, inputs: inputs[1:])
    with pytest.raises(UserError, match=r"'cut' gives float32\[3, 3\] for float32\[4, 3\]"):
        steps(config_of("floats", data__augment="cut"), 1)


def test_padding_is_neither_attended_to_nor_counted():
    from churn_jax import models

    def build(length):
        return models.build(
            "transformer", num_classes=3, image_shape=(length,), input_dtype="int32", vocabulary=9
        )

    variables = build(6).init(jax.random.key(0))
    tokens = np.array([[4, 2, 7, 0, 0, 0]], np.int32)
    long, _ = build(6).apply(variables, tokens, train=False)
    places = variables["params"]["places"][:3]
    short = {**variables, "params": {**variables["params"], "places": places}}
    alone, _ = build(3).apply(short, tokens[:, :3], train=False)
    np.testing.assert_allclose(long, alone, atol=1e-5)
    nothing, _ = build(6).apply(variables, np.zeros((1, 6), np.int32), train=False)
    assert np.isfinite(nothing).all()
