"""More runs of a finished training are those that one training of all would have given."""

import shutil

import numpy as np
import pytest

import churn_jax
from churn_jax import evaluate
from churn_jax.compare import compare
from churn_jax.errors import UserError
from churn_jax.predictions import workdirs
from churn_jax.training import loop, more_runs, previous, teachers
from tests.fixtures.experiments import assert_equal, digits, make_config, make_experiment


def small(**overrides):
    """What compiles fast."""
    return make_config(
        model__name="mlp", model__width=8, data__crop="none", data__flip=False, **overrides
    )


def contents(workdir):
    """{path: bytes} of all that says something of the training, and not when it was written."""
    names = ("config.json", "metrics.jsonl", "run_*")
    return {
        str(path.relative_to(workdir)): path.read_bytes()
        for name in names
        for path in workdir.rglob(name)
    }


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A workdir of two runs that was then asked for four."""
    workdir = tmp_path_factory.mktemp("grown") / "w"
    loop.train(small(runs=2), workdir)
    before = contents(workdir)
    loop.train(small(runs=4), workdir)
    assert before.items() <= contents(workdir).items()  # nothing of the first is touched
    return workdir


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("at_once") / "w"
    loop.train(small(runs=4), workdir)
    return workdir


def test_they_are_the_same_bits_as_of_one_training(grown, at_once):
    step = workdirs.prediction_steps(at_once)[-1]
    ours, whole = (workdirs.load_step(w, step, pytest.fail) for w in (grown, at_once))
    assert [run.provenance["run"] for run in ours] == [0, 1, 2, 3]
    for a, b in zip(ours, whole, strict=True):
        np.testing.assert_array_equal(a.log_probs, b.log_probs)


def test_report_compare_and_load_know_all_of_them(grown, at_once, tmp_path):
    churns = []
    for workdir in (grown, at_once):
        report = evaluate.evaluate([workdir], tmp_path / "report")
        assert report["groups"][0]["num_runs"] == 4
        churns.append(report["groups"][0]["churn"])
    assert churns[0] == churns[1]
    judged = compare({"a": str(grown)}).report
    assert judged["groups"][0]["num_runs"] == 4
    images = np.zeros((3, 8, 8, 1), np.uint8)
    logits = [churn_jax.load(workdir, run=3).logits(images) for workdir in (grown, at_once)]
    np.testing.assert_array_equal(*logits)
    with pytest.raises(UserError, match="no run 4; it has the runs 0 to 3"):
        churn_jax.load(grown, run=4)


def test_asked_again_or_for_fewer_nothing_is_trained(grown, tmp_path):
    before = contents(grown)
    for runs in (4, 3, 2):
        loop.train(small(runs=runs), grown)
        report = evaluate.evaluate([grown], tmp_path / str(runs), runs=runs)
        assert report["groups"][0]["num_runs"] == runs
    assert contents(grown) == before


def test_every_later_part_follows_the_one_before(grown, tmp_path):
    copy = tmp_path / "w"
    shutil.copytree(grown, copy)
    part = more_runs.part(small(runs=9), copy)
    assert (part.config.first_run, part.config.runs) == (4, 5)
    assert part.folder.name == "4"
    assert [folder.name for folder in part.finished_before] == ["w", "2"]


def test_another_config_is_refused_before_anything_is_trained(grown):
    before = contents(grown)
    with pytest.raises(UserError, match=r"made by another config: batch_size: 16 -> 8"):
        loop.train(small(runs=5, batch_size=8), grown)
    with pytest.raises(UserError, match=r"made by another config: .*first_run: 0 -> 1"):
        loop.train(small(runs=5, first_run=1), grown)
    assert contents(grown) == before


@pytest.mark.parametrize(("asked", "left_off"), [(5, 2), (1, 2), (5, 4), (3, 4)])
def test_what_is_not_finished_is_finished_first(grown, tmp_path, asked, left_off):
    copy = tmp_path / "w"
    shutil.copytree(grown, copy)
    part = copy if left_off == 2 else copy / "more_runs/2"
    if left_off == 2:
        shutil.rmtree(copy / "more_runs")
    shutil.rmtree(part / "checkpoints")
    with pytest.raises(UserError, match=f"{left_off} runs .* --config.runs={left_off} goes on"):
        loop.train(small(runs=asked), copy)


def test_runs_that_are_still_trained_are_left_out_and_said(grown, tmp_path, capsys):
    copy = tmp_path / "w"
    shutil.copytree(grown, copy)
    for name in ("checkpoints", "predictions"):
        shutil.rmtree(copy / "more_runs/2" / name)
    report = evaluate.evaluate([copy], tmp_path / "report")
    assert report["groups"][0]["num_runs"] == 2
    assert "more_runs/2: not at step 8 yet; left out" in capsys.readouterr().err


def test_students_and_updates_find_the_run_that_is_theirs(grown, at_once):
    """Without training them: what would teach and what would be updated."""
    taught = {"method__num_teachers": 2, "seed": 1, "runs": 2}
    of_both = [
        teachers.load(make_experiment(small(method__teachers=str(workdir), **taught)))
        for workdir in (grown, at_once)
    ]
    assert_equal(*of_both)

    def updated(workdir, **runs):
        anchored = {"method__anchor": "distillation", "method__gamma": 1.0}
        config = small(seed=1, previous__source=str(workdir), **anchored, **runs)
        return previous.load(make_experiment(config), digits(64)).log_probs

    later = updated(grown, runs=2, first_run=2)
    np.testing.assert_array_equal(later, updated(at_once, runs=2, first_run=2))
    with pytest.raises(UserError, match=r"trained in parts, the first of 2; train config.runs=2"):
        updated(grown, runs=4)
