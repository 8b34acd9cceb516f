"""The loop: what a training leaves behind, resuming, and what varies between runs."""

import json
import shutil

import jax
import numpy as np
import pytest

from churn_jax import config as config_lib
from churn_jax import metrics, random_streams
from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file, workdirs
from churn_jax.training import averaging, inference, loop, prediction
from churn_jax.training.checkpoints import Checkpoints
from tests.fixtures.experiments import assert_equal, digits, make_config, make_experiment


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workdir of a finished training, with a checkpoint in the middle."""
    workdir = tmp_path_factory.mktemp("finished")
    loop.train(make_config(checkpoint_every=1.0, eval_every=1.0, log_every=2), workdir)
    return workdir


def files_of(workdir, step=8):
    return [
        prediction_file.step_dir(workdir, step) / prediction_file.file_name(run) for run in (0, 1)
    ]


def test_a_training_leaves_config_metrics_checkpoints_and_predictions(finished):
    assert config_lib.read(finished) == make_config(
        checkpoint_every=1.0, eval_every=1.0, log_every=2
    )
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["step"]) for line in lines] == [
        ("train", 2), ("train", 4), ("eval", 4), ("train", 6), ("train", 8), ("eval", 8),
    ]  # fmt: skip
    assert np.shape(lines[0]["cross_entropy"]) == (2, 1)
    read = prediction_file.read(files_of(finished)[1])
    assert read.log_probs.shape == (1, 1200, 10)
    assert read.provenance["run"] == 1
    np.testing.assert_allclose(np.exp(read.log_probs).sum(-1), 1, rtol=1e-5)


def test_the_whole_test_split_is_evaluated_remainder_included(finished, tmp_path):
    """1,200 examples in batches of 500 and of 7 give the same predictions."""
    config = make_config(eval_batch_size=7)
    experiment = make_experiment(config)
    with Checkpoints(finished) as checkpoints:
        state = checkpoints.restore(8, experiment.abstract_state())
    again = prediction.predict(
        experiment, averaging.predicting(experiment, state, digits(64)), digits(64).test
    )
    whole = np.stack([prediction_file.read(path).log_probs for path in files_of(finished)])
    np.testing.assert_allclose(again, whole, atol=1e-5)


def test_training_again_trains_nothing_and_changes_nothing(finished):
    before = [path.read_bytes() for path in files_of(finished)]
    loop.train(make_config(checkpoint_every=1.0, eval_every=1.0, log_every=2), finished)
    assert [path.read_bytes() for path in files_of(finished)] == before


def test_predictions_of_an_earlier_step_come_from_its_checkpoint(finished):
    assert not files_of(finished, step=4)[0].exists()
    inference.predict_workdir(finished, 4)
    early, late = (prediction_file.read(files_of(finished, step)[0]) for step in (4, 8))
    assert early.provenance["step"] == 4
    assert (early.ids == late.ids).all()
    assert (early.log_probs != late.log_probs).any()


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_predictions_that_are_damaged_or_missing_are_made_again(finished, tmp_path, damage, capsys):
    workdir = shutil.copytree(finished, tmp_path / "work")
    path = files_of(workdir)[1]
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes(whole[:middle] if damage == "truncated" else flipped)
    assert [
        run.provenance["run"] for run in workdirs.load_step(workdir, 8, inference.predict_workdir)
    ] == [0, 1]
    assert "; predicting again from the checkpoint" in capsys.readouterr().err
    assert path.read_bytes() == whole


def test_damaged_predictions_without_a_checkpoint_are_refused(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "work")
    shutil.rmtree(workdir / "checkpoints")
    files_of(workdir)[0].unlink()
    with pytest.raises(UserError, match=r"no predictions of the runs \[0\]"):
        workdirs.load_step(workdir, 8, inference.predict_workdir)


def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(finished):
    with pytest.raises(UserError, match=r"no checkpoint of step 5 \(there are: \[4, 8\]\)"):
        inference.predict_workdir(finished, 5)


def test_a_workdir_of_another_config_is_refused_with_what_differs(finished):
    with pytest.raises(UserError, match=r"optimizer.learning_rate: 0.05 -> 0.5"):
        loop.train(make_config(optimizer__learning_rate=0.5), finished)


@pytest.mark.parametrize("vary", [(), ("init",), ("order",), ("augmentation",)], ids=str)
def test_churn_comes_from_the_streams_that_vary_and_from_nothing_else(tmp_path, vary):
    loop.train(make_config(randomness__vary=vary), tmp_path)
    first, second = (np.exp(prediction_file.read(path).counted()) for path in files_of(tmp_path))
    churn = metrics.churn(first, second)
    assert churn == 0 if not vary else churn > 0


@pytest.mark.parametrize("stream", random_streams.STREAMS)
def test_held_streams_are_held(stream):
    def of_run(run):
        return jax.random.key_data(random_streams.stream_key(3, stream, run, vary))

    vary = tuple(name for name in random_streams.STREAMS if name != stream)
    np.testing.assert_array_equal(of_run(0), of_run(5))
    vary = (stream,)
    assert (np.asarray(of_run(0)) != np.asarray(of_run(5))).any()


def test_held_initialisation_gives_all_runs_the_same_weights():
    held = make_experiment(make_config(randomness__vary=("order",))).init_state()
    assert_equal(
        jax.tree.map(lambda x: np.asarray(x[0]), held.params),
        jax.tree.map(lambda x: np.asarray(x[1]), held.params),
    )


def test_an_epoch_sees_every_example_once_and_runs_see_their_own_order():
    experiment = make_experiment(make_config())
    window = np.asarray(experiment.order_window(experiment.runs, np.int32(0)))
    assert (np.sort(window[:, :64]) == np.arange(64)).all()
    assert (window[0] != window[1]).any()
    following = np.asarray(experiment.order_window(experiment.runs, np.int32(1)))
    np.testing.assert_array_equal(window[:, 64:], following[:, :16])


def test_config_survives_json():
    config = make_config()
    again = config_lib.check(json.loads(json.dumps(config_lib.to_dict(config))))
    assert again == config
