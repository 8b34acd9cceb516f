"""Updates of a previous model: what is read of it, what it does to training, what is refused."""

import json
import shutil

import jax
import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

import churn_jax
from churn_jax import data
from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.training import loop, previous
from churn_jax.training.checkpoints import Checkpoints
from tests.fixtures.experiments import assert_equal, digits, make_config, make_experiment

CLASSES = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A finished training on the first version of the data."""
    workdir = tmp_path_factory.mktemp("old")
    loop.train(make_config(data__num_train=48, data__label_noise=0.1), workdir)
    return workdir


@pytest.fixture(scope="module")
def updated(old, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("updated")
    loop.train(update_of(old, checkpoint_every=1.0), workdir)
    return workdir


def update_of(source, kind="distillation", **changes):
    settings = {"method__anchor": kind, "method__gamma": 0.5, "previous__source": str(source)}
    return make_config(**settings | changes)


def load(config):
    return previous.load(make_experiment(config), digits(config.data.num_train))


def predictions(workdir, step):
    folder = prediction_file.step_dir(workdir, step)
    return [prediction_file.read(path) for path in sorted(folder.glob("run_*"))]


def probabilities():
    """What a model of another framework says of the training examples and of some more."""
    dataset = digits(80)
    pixels = dataset.train.images.reshape(80, -1) / 255
    model = LogisticRegression(max_iter=200).fit(pixels[:40], dataset.train.labels[:40])
    found = np.full((80, 10), 1e-3)
    found[:, model.classes_] = model.predict_proba(pixels)
    return dataset.train.ids, found / found.sum(1, keepdims=True)


def test_its_predictions_are_those_of_run_r_for_run_r(old):
    found = load(update_of(old))
    stored = np.stack([run.log_probs[0] for run in predictions(old, 6)])
    np.testing.assert_allclose(found.trained.predict(digits(64).test), stored, atol=1e-5)
    assert found.log_probs.shape == (2, 64, 10)
    second = load(update_of(old, runs=1, first_run=1))
    np.testing.assert_allclose(second.log_probs[0], found.log_probs[1], atol=1e-5)
    assert second.origin == found.origin


def test_a_training_is_held_to_it_and_says_so(old, updated):
    lines = [json.loads(line) for line in (updated / "metrics.jsonl").read_text().splitlines()]
    assert all(np.shape(line["anchor"]) == (2, 1) for line in lines if line["kind"] == "train")
    origin = predictions(updated, 8)[0].provenance["previous"]
    assert origin == load(update_of(old)).origin
    assert origin["config_hash"] == predictions(old, 6)[0].provenance["config_hash"]


def test_both_pipelines_feed_the_same_predictions(old, updated, tmp_path):
    loop.train(update_of(old, data__pipeline="streaming"), tmp_path)
    for streamed, resident in zip(predictions(tmp_path, 8), predictions(updated, 8), strict=True):
        np.testing.assert_allclose(streamed.log_probs, resident.log_probs, atol=1e-3)


def test_resuming_in_the_middle_gives_the_same_bits(old, updated, tmp_path):
    shutil.copytree(updated, tmp_path / "w")
    shutil.rmtree(tmp_path / "w/predictions")
    shutil.rmtree(tmp_path / "w/checkpoints/8")
    loop.train(update_of(old, checkpoint_every=1.0), tmp_path / "w")
    for again, whole in zip(predictions(tmp_path / "w", 8), predictions(updated, 8), strict=True):
        np.testing.assert_array_equal(again.log_probs, whole.log_probs)


def test_resuming_with_another_previous_model_is_refused(updated, tmp_path):
    loop.train(make_config(data__num_train=48, seed=5), tmp_path / "other")
    shutil.copytree(updated, tmp_path / "w")
    shutil.rmtree(tmp_path / "w/checkpoints/8")
    config = json.loads((tmp_path / "w/config.json").read_text())
    with pytest.raises(UserError, match="another previous model than it began with"):
        loop.train(update_of(tmp_path / "other", checkpoint_every=1.0), tmp_path / "w")
    assert json.loads((tmp_path / "w/config.json").read_text()) == config


@pytest.mark.parametrize("ending", ["parquet", "npz", "csv"])
def test_files_of_another_framework(tmp_path, ending):
    ids, probs = probabilities()
    shuffled = np.random.default_rng(0).permutation(80)
    path = tmp_path / f"old.{ending}"
    columns = {"id": ids[shuffled]}
    columns |= {name: probs[shuffled, int(name)] for name in CLASSES[::-1]}
    table = pyarrow.table(columns)
    if ending == "npz":
        np.savez(path, probs=probs[shuffled], ids=ids[shuffled])
    elif ending == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)
    found = load(update_of(path))
    kept = [list(ids).index(i) for i in digits(64).train.ids]
    np.testing.assert_allclose(np.exp(found.log_probs[1]), probs[kept], atol=1e-6)
    assert set(found.origin) == {"fingerprint"}
    workdir = tmp_path / "w"
    loop.train(update_of(path, epochs=0.5), workdir)
    assert predictions(workdir, 2)[0].provenance["previous"] == found.origin


def test_a_file_a_run(tmp_path):
    ids, probs = probabilities()
    for run in (0, 1):
        np.savez(tmp_path / f"old_{run}.npz", probs=np.roll(probs, run, 1), ids=ids)
    found = load(update_of(tmp_path / "old_*.npz"))
    np.testing.assert_allclose(np.roll(found.log_probs[0], 1, -1), found.log_probs[1], atol=1e-6)
    with pytest.raises(UserError, match="there are 2 previous models for 3 runs; give one a run"):
        load(update_of(tmp_path / "old_*.npz", runs=3))


@pytest.mark.parametrize(("keep", "fresh"), [(1.0, 0.0), (0.4, 0.1)])
def test_training_starts_from_its_weights(old, keep, fresh):
    config = make_config(
        previous__source=str(old), previous__start_keep=keep, previous__start_fresh=fresh
    )
    experiment = make_experiment(config)
    theirs = make_experiment(make_config(data__num_train=48))
    with Checkpoints(old) as checkpoints:
        trained = jax.device_get(checkpoints.restore(6, theirs.abstract_state()).params)
    new = jax.device_get(experiment.init_state().params)
    found = previous.start(experiment, experiment.init_state(), load(config))
    expected = jax.tree.map(lambda a, b: np.float32(keep) * a + np.float32(fresh) * b, trained, new)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.params, expected)
    unchanged = experiment.init_state()
    assert_equal(previous.start(experiment, unchanged, None).params, unchanged.params)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_probabilities_are_mixed_after_training(old, tmp_path, share):
    alone = make_config(previous__source=str(old))
    loop.train(alone, tmp_path / "alone")
    loop.train(
        make_config(previous__source=str(old), previous__predictions_share=share), tmp_path / "both"
    )
    both, new = predictions(tmp_path / "both", 8), predictions(tmp_path / "alone", 8)
    for mixed, p, q in zip(both, new, predictions(old, 6), strict=True):
        expected = (1 - share) * np.exp(np.float64(p.log_probs)) + share * np.exp(q.log_probs)
        np.testing.assert_allclose(np.exp(mixed.log_probs), expected, atol=1e-5)


def test_weights_are_interpolated_after_training(old, tmp_path):
    start = {"previous__start_keep": 1.0, "previous__start_fresh": 0.0}
    loop.train(
        make_config(previous__source=str(old), previous__weights_share=1.0, **start), tmp_path
    )
    for mixed, theirs in zip(predictions(tmp_path, 8), predictions(old, 6), strict=True):
        np.testing.assert_allclose(mixed.log_probs, theirs.log_probs, atol=1e-5)


def test_the_member_that_breaks_least_predicts(old, tmp_path):
    """Members are trained apart; the right choice is made here from all that they predict."""
    members = {"method__members": 3, "data__num_validation": 40, "previous__source": str(old)}
    loop.train(make_config(**members), tmp_path / "all")
    loop.train(make_config(**members, previous__choose="fewest_flips"), tmp_path / "chosen")
    held_out = predictions(tmp_path / "all/validation", 8)
    trained = load(make_config(**members)).trained
    validation = data.load(make_config(**members).data).validation
    before = trained.predict(validation).argmax(-1) == validation.labels
    both = zip(predictions(tmp_path / "all", 8), predictions(tmp_path / "chosen", 8), strict=True)
    places = []
    for run, (every, one) in enumerate(both):
        after = held_out[run].log_probs.argmax(-1) == validation.labels
        wrong = [(np.sum(before[run] & ~m), np.sum(~m), place) for place, m in enumerate(after)]
        places.append(min(wrong)[2])
        np.testing.assert_array_equal(one.log_probs[0], every.log_probs[places[-1]])
        assert one.provenance["chosen_member"] == places[-1]
    assert any(places)  # else the first would do
    assert_it_is_the_model(tmp_path / "chosen", 8)
    found = load(update_of(tmp_path / "chosen", data__num_validation=40))
    loaded = [churn_jax.load(tmp_path / "chosen", run) for run in range(2)]
    images = digits(64).train.images
    assert_allclose(np.exp(found.log_probs[1]), loaded[1].predict(images), atol=1e-5)
    for run, place in enumerate(places):  # its weights are those to start from, and no other's
        of_run = jax.tree.map(lambda leaf, run=run: leaf[run, 0], found.trained.weights().params)
        assert_equal(of_run, loaded[run].variables[0]["params"])
        assert place == predictions(tmp_path / "chosen", 8)[run].provenance["chosen_member"]
    shutil.rmtree(tmp_path / "chosen/predictions")
    with pytest.raises(UserError, match="which member of run 0 was chosen, and is missing"):
        churn_jax.load(tmp_path / "chosen")
    with pytest.raises(UserError, match="there is one member to choose from"):
        make_config(previous__source=str(old), previous__choose="fewest_flips")
    with pytest.raises(UserError, match="is made on a validation split; set config"):
        make_config(**members | {"data__num_validation": 0}, previous__choose="fewest_flips")


def assert_it_is_the_model(workdir, step):
    """That `load` gives the networks that the prediction files are of."""
    for run, told in enumerate(predictions(workdir, step)):
        found = churn_jax.load(workdir, run).predict(digits(64).test.images)
        assert_allclose(found, np.exp(np.float64(told.log_probs[0])), atol=1e-5)


def test_what_is_mixed_is_loaded_so_or_refused(old, tmp_path):
    """Weights are one network again; probabilities are none, for `load` and for a next version."""
    source = {"previous__source": str(old)}
    warm = {"previous__start_keep": 1.0, "previous__start_fresh": 0.0}
    loop.train(make_config(**source, **warm, previous__weights_share=0.5), tmp_path / "weights")
    assert_it_is_the_model(tmp_path / "weights", 8)
    third = load(update_of(tmp_path / "weights"))
    images = digits(64).train.images
    of_run = churn_jax.load(tmp_path / "weights", 1).predict(images)
    assert_allclose(np.exp(third.log_probs[1]), of_run, atol=1e-5)
    loop.train(make_config(**source, previous__predictions_share=0.5), tmp_path / "both")
    for ask in (churn_jax.load, lambda folder: load(update_of(folder))):
        with pytest.raises(UserError, match="mixed with those of the model that it updates"):
            ask(tmp_path / "both")


def test_what_the_workdir_lacks_is_refused(old, tmp_path):
    def refused(config, match):
        with pytest.raises(UserError, match=match) as caught:
            load(config)
        assert "\n" not in str(caught.value)

    shutil.copytree(old, tmp_path / "unfinished")
    shutil.rmtree(tmp_path / "unfinished/checkpoints/6")
    refused(update_of(tmp_path / "unfinished"), "is not finished; the command that began it goes")
    refused(update_of(old, runs=3), "has the runs 0 to 1, so run 2 has no previous model")
    refused(update_of(old, first_run=1), "so run 2 has no previous model")
    (tmp_path / "empty").mkdir()
    refused(update_of(tmp_path / "empty"), "there are no runs in")
    refused(update_of(tmp_path / "nothing"), "nothing")
    changed = json.loads((old / "config.json").read_text())
    shutil.copytree(old, tmp_path / "sized")
    config = changed | {"data": changed["data"] | {"image_size": 16}}
    del config["crc32"]
    (tmp_path / "sized/config.json").write_text(json.dumps(config))
    refused(update_of(tmp_path / "sized"), r"trained on other data: its image_shape \(16, 16, 1\)")
    shutil.copytree(old, tmp_path / "damaged")
    state = max((tmp_path / "damaged/checkpoints/6").rglob("*"), key=lambda p: p.stat().st_size)
    state.write_bytes(state.read_bytes()[:-7] + b"damaged")
    refused(update_of(tmp_path / "damaged"), "damaged|checksum")
    other = update_of(old, model__name="resnet8", previous__start_keep=1.0)
    with pytest.raises(
        UserError, match="weights of a lenet5 of 1 members do not fit into a resnet8"
    ):
        previous.start(make_experiment(other), make_experiment(other).init_state(), load(other))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (lambda ids, p: {"probs": p}, "has no example ids"),
        (lambda ids, p: {"probs": p[9:], "ids": ids[9:]}, "lacks . of the 64 training examples"),
        (lambda ids, p: {"probs": p[:, :9] / p[:, :9].sum(1, keepdims=True), "ids": ids}, "class"),
        (lambda ids, p: {"probs": p / 2, "ids": ids}, "sum"),
        (lambda ids, p: {"predictions": p.argmax(1), "ids": ids}, "predicted classes alone"),
        (
            lambda ids, p: {"probs": p, "ids": ids, "class_names": np.array(list("abcdefghij"))},
            "other classes than the training set",
        ),
    ],
)
def test_what_the_file_lacks_is_refused(tmp_path, columns, message):
    np.savez(tmp_path / "old.npz", **columns(*probabilities()))
    with pytest.raises(UserError, match=message) as caught:
        load(update_of(tmp_path / "old.npz"))
    assert "\n" not in str(caught.value)
    assert "old.npz" in str(caught.value)


def test_what_needs_a_previous_model_says_so(tmp_path):
    for key, value in (("method__anchor", "rcp"), ("previous__start_keep", 0.5)):
        with pytest.raises(
            UserError, match=r"needs the model that is updated: set config.previous"
        ):
            make_config(**{key: value})
    ids, probs = probabilities()
    np.savez(tmp_path / "old.npz", probs=probs, ids=ids)
    with pytest.raises(UserError, match="predictions have no weights, which config"):
        load(update_of(tmp_path / "old.npz", previous__start_keep=1.0))
    with pytest.raises(UserError, match=r"nowhere\.npz"):  # before it is asked for weights
        load(update_of(tmp_path / "nowhere.npz", previous__start_keep=1.0))
