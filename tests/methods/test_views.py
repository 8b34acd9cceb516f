"""Test-time augmentation against its definition in NumPy, and through the whole of the product."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import churn_jax
from churn_jax import config as config_lib
from churn_jax import export, recipes
from churn_jax.errors import UserError
from churn_jax.methods import views
from churn_jax.predictions import prediction_file
from churn_jax.training import loop, validation
from churn_jax.training.inference import predict_as
from tests.fixtures.experiments import PAIR, digits, make_config
from tests.test_export import ELSEWHERE

PAIR = {key.replace(".", "__"): value for key, value in PAIR.items()}


def moved(images, rows, columns):
    """By hand: what was at (r, c) is at (r + rows, c + columns), and nothing comes in."""
    found = np.zeros_like(images)
    height, width = images.shape[1:3]
    for r in range(height):
        for c in range(width):
            if 0 <= r - rows < height and 0 <= c - columns < width:
                found[:, r, c] = images[:, r - rows, c - columns]
    return found


def by_hand(images, kind):
    shifts = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)] if "shift" in kind else [(0, 0)]
    found = [moved(images, *each) for each in shifts]
    return found + [each[:, :, ::-1] for each in found] if "flip" in kind else found


@pytest.mark.parametrize(("kind", "count"), [("flip", 2), ("shift", 5), ("flip_shift", 10)])
def test_views_are_the_picture_moved_and_mirrored(kind, count):
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 2), np.uint8)
    found = list(views.of(images, kind))
    assert len(found) == views.count(kind) == count
    for ours, theirs in zip(found, by_hand(images, kind), strict=True):
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", views.VIEWS)
def test_the_mean_probability_of_all_views_counts(kind):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((4, 5, 6, 3)).astype(np.float32)
    weights = rng.standard_normal((2, 5 * 6 * 3, 7))  # two models
    asked = []

    def log_probs(seen):
        asked.append(seen.shape[0])
        flat = seen.reshape(seen.shape[0], -1)
        return jax.nn.log_softmax(flat @ weights.astype(np.float32))

    found = views.mean_log_probs(log_probs, images, kind)
    probs = np.zeros((2, 4, 7))
    for view in by_hand(images.astype(np.float64), kind):
        logits = view.reshape(4, -1) @ weights
        exp = np.exp(logits - logits.max(-1, keepdims=True))
        probs += exp / exp.sum(-1, keepdims=True) / views.count(kind)
    np.testing.assert_allclose(found, np.log(probs), rtol=2e-5, atol=2e-5)
    assert asked == [4 * views.count(kind)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs whose mean predicts."""
    workdir = tmp_path_factory.mktemp("pairs")
    config = make_config(model__name="mlp", method__prediction="mean", epochs=1.0, **PAIR)
    loop.train(config, workdir)
    return workdir


def stored(workdir, run=1):
    (step,) = (workdir / "predictions").iterdir()
    return prediction_file.read(step / prediction_file.file_name(run))


def test_a_finished_training_predicts_from_views(pairs, tmp_path):
    config = config_lib.read(pairs)
    method = dataclasses.replace(config.method, views="shift", prediction="mean")
    predict_as(pairs, dataclasses.replace(config, method=method), tmp_path)
    found = stored(tmp_path)
    images = digits(64).test.images
    one = churn_jax.load(pairs, run=1)
    expected = np.mean([one.predict(view) for view in by_hand(images, "shift")], axis=0)
    np.testing.assert_allclose(np.exp(found.counted()), expected, atol=2e-6)
    assert found.provenance["config_hash"] != stored(pairs).provenance["config_hash"]
    assert not np.allclose(found.counted(), stored(pairs).counted())
    model = churn_jax.load(pairs, run=1, views="shift")
    np.testing.assert_allclose(model.predict(images), expected, atol=2e-6)


def test_training_with_views_trains_the_same_and_predicts_from_them(pairs, tmp_path):
    config = dataclasses.replace(config_lib.read(pairs), eval_batch_size=7)  # less than the views
    method = dataclasses.replace(config.method, views="flip_shift")
    loop.train(dataclasses.replace(config, method=method), tmp_path)
    found, model = stored(tmp_path), churn_jax.load(tmp_path, run=1)
    assert model.views == "flip_shift"
    images = digits(64).test.images[:40]
    expected = churn_jax.load(pairs, run=1, views="flip_shift").predict(images)
    np.testing.assert_allclose(np.exp(found.counted()[:40]), expected, atol=2e-6)
    np.testing.assert_allclose(model.predict(images), expected, atol=2e-6)


def test_an_exported_model_has_its_views(pairs, tmp_path):
    export.main([str(pairs), "--run=1", f"--out={tmp_path}", "--views=shift"])
    facts = json.loads((tmp_path / "model.json").read_text())
    assert facts["views"] == "shift"
    assert "accuracy" not in facts  # that of one view is another
    assert "the mean over views (shift) of each picture" in (tmp_path / "README.md").read_text()
    inputs = digits(64).test.images[:7]
    np.save(tmp_path / "inputs.npy", inputs)
    command = [sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = np.log(churn_jax.load(pairs, run=1, views="shift").predict(inputs))
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=2e-6)


def test_views_are_of_pictures_and_mirrored_where_training_mirrors(pairs):
    with pytest.raises(UserError, match="views 'two' is none of one, flip, shift, flip_shift"):
        churn_jax.load(pairs, views="two")
    config = make_config(method__views="flip", data__flip=False)
    assert any("config.method.views: 'flip'" in line for line in validation.warnings(config))
    assert not validation.warnings(make_config(method__views="shift"))
    assert not validation.warnings(make_config(method__views="flip", data__flip=True))
    info = dataclasses.replace(digits(64).info, dtype="float32", image_shape=(7,))
    with pytest.raises(UserError, match=r"config.method.views: 'shift' is of pictures"):
        validation.refuse_views(config.data, info, "shift")


def test_costs_count_views():
    method = dataclasses.replace(make_config(**PAIR).method, prediction="mean", views="shift")
    assert method.inference_cost == 10
    assert config_lib.config_hash(make_config()) == config_lib.config_hash(
        make_config(method__views="one")
    )


def test_features_are_not_predicted_from_views(tmp_path):
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((64, 5)).astype(np.float32), np.arange(64) % 2
    both = {"x_train": features, "y_train": labels, "x_test": features, "y_test": labels}
    np.savez(tmp_path / "data.npz", **both)
    config = recipes.start("arrays", pictures=False)
    config.data.dir = str(tmp_path / "data.npz")
    config.runs, config.batch_size, config.epochs = 1, 32, 1.0
    config = config_lib.check(config)
    loop.train(config, tmp_path / "w")
    method = dataclasses.replace(config.method, views="shift")
    with pytest.raises(UserError, match=r"config.method.views: 'shift' is of pictures"):
        predict_as(tmp_path / "w", dataclasses.replace(config, method=method), tmp_path / "as")
    with pytest.raises(UserError, match=r"config.method.views: 'shift' is of pictures"):
        churn_jax.load(tmp_path / "w", views="shift")
