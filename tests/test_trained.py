"""A trained model predicts what the training's own prediction files say."""

import subprocess
import sys

import numpy as np
import pytest

import churn_jax
from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.training import loop
from tests.fixtures.experiments import PAIR, ROOT, digits, make_config

PAIR = {key.replace(".", "__"): value for key, value in PAIR.items()}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Co-distilled pairs whose average predicts, of a network without batch norm."""
    workdir = tmp_path_factory.mktemp("pairs")
    loop.train(
        make_config(
            method__prediction="ema_mean", averages__decay=0.5, checkpoint_every=1.0, **PAIR
        ),
        workdir,
    )
    return workdir


def stored(workdir, run, step=8):
    path = prediction_file.step_dir(workdir, step) / prediction_file.file_name(run)
    return np.exp(np.float64(prediction_file.read(path).counted()))


@pytest.mark.parametrize("run", [0, 1])
def test_it_predicts_what_the_prediction_files_say(pairs, run):
    model = churn_jax.load(pairs, run=run)
    images = digits(64).test.images
    np.testing.assert_allclose(model.predict(images), stored(pairs, run), atol=1e-5)
    np.testing.assert_allclose(model.predict(images[:3]), stored(pairs, run)[:3], atol=1e-5)
    assert model.predict(images[:0]).shape == (0, 10)
    assert (model.step, model.class_names[3], model.image_shape) == (8, "3", (8, 8, 1))
    assert model.config.method.members == 2
    assert len(model.variables) == 2
    assert repr(model) == "<lenet5 of baseline, step 8: uint8 images 8×8×1 to 10 classes>"


def test_another_model_of_the_training_and_another_step(pairs):
    images = digits(64).test.images[:50]
    first, mean = (churn_jax.load(pairs, prediction=way) for way in ("first", "mean"))
    other = {"variables": mean.variables[1]}
    assert len(first.variables) == 1
    logits = first.logits(images)
    probs = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(
        first.predict(images), probs / probs.sum(1, keepdims=True), rtol=1e-6
    )
    assert not np.allclose(mean.predict(images), first.predict(images), atol=1e-3)
    assert other["variables"]["params"].keys() == first.variables[0]["params"].keys()
    early = churn_jax.load(pairs, step=4)
    assert early.step == 4
    assert not np.allclose(early.predict(images), stored(pairs, 0)[:50], atol=1e-3)


def test_averages_of_a_network_with_batch_norm(tmp_path):
    config = make_config(
        model__name="resnet8", method__prediction="ema", averages__decay=0.5, epochs=0.5, runs=1
    )
    loop.train(config, tmp_path)
    model = churn_jax.load(tmp_path)
    images = digits(64).test.images
    np.testing.assert_allclose(model.predict(images), stored(tmp_path, 0, 2), atol=1e-4)


def test_what_is_not_there_is_refused(pairs, tmp_path):
    for arguments, message in (
        ({"run": 2}, "no run 2; it has the runs 0 to 1"),
        ({"step": 5}, r"no checkpoint of step 5 \(there are: \[4, 8\]\)"),
        ({"prediction": "best"}, "'best' is none of first, mean"),
        ({"prediction": "swa"}, "the training kept no such averages"),
    ):
        with pytest.raises(UserError, match=message):
            churn_jax.load(pairs, **arguments)
    with pytest.raises(UserError, match=r"no config.json; is it the --workdir of a training\?"):
        churn_jax.load(tmp_path)


def test_other_inputs_are_refused(pairs):
    model = churn_jax.load(pairs)
    images = digits(64).test.images
    for wrong, message in (
        (images / 255, "must be uint8 .* not float64 .*; give pixels from 0 to 255"),
        (images[0], r"one alone is images\[None\]"),
        (images[:, :4], r"not uint8 \[1200, 4, 8, 1\]"),
    ):
        with pytest.raises(UserError, match=message):
            model.predict(wrong)


def test_importing_the_package_brings_no_jax():
    code = "import sys, churn_jax; assert not {'jax', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
