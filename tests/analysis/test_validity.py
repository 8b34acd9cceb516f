"""Broken runs, runs that are not independent, and mixtures: said, and never called a result."""

import json
import shutil

import numpy as np
import pytest

from churn_jax import compare as compare_command
from churn_jax import evaluate
from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.predictions.prediction_file import Predictions
from tests.test_evaluate import CLASSES, EXAMPLES, make_workdir

MACHINE = {"code_version": "1+abc", "platform": "cpu", "topology": {"run": 1}, "versions": {}}


def change(workdir, run, logits=None, log_probs=None, step=10, **origin):
    """Rewrites one run's predictions with other logits or log-probabilities, or another origin."""
    path = prediction_file.step_dir(workdir, step) / prediction_file.file_name(run)
    found = prediction_file.read(path)
    log_probs = np.array(found.log_probs if log_probs is None else log_probs)
    if logits is not None:
        log_probs = (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)
    made = found.provenance | origin
    prediction_file.write(path, Predictions(log_probs, found.labels, found.ids, made))


def random_guess(seed=7):
    return np.random.default_rng(seed).normal(size=(1, EXAMPLES, CLASSES))


def texts(out):
    return [(out / f"report.{kind}").read_text() for kind in ("json", "md", "html")]


@pytest.fixture
def pair(tmp_path):
    return [
        make_workdir(tmp_path / "a", noise=1.5, **MACHINE),
        make_workdir(tmp_path / "b", "codistill_skl", runs=4, noise=0.5, **MACHINE),
    ]


def test_sound_runs_give_no_warning(pair, tmp_path):
    report = evaluate.evaluate(pair, tmp_path / "out")
    assert report["warnings"] == report["failed_runs"] == []
    assert all(contrast["withheld"] is None for contrast in report["contrasts"])


def test_a_report_says_what_made_each_group(pair, tmp_path):
    first = evaluate.evaluate(pair, tmp_path / "out")["groups"][0]["made_by"]
    assert first["config_hash"] == "hash of baseline"
    assert first["data_fingerprint"] == "f"
    assert (first["runs"], first["seed"], first["step"]) == ([0, 1, 2], [0], [10])
    assert (first["code_version"], first["platform"]) == (["1+abc"], ["cpu"])


@pytest.mark.parametrize(
    ("logits", "why"),
    [
        (random_guess(), "is not above chance"),
        (np.zeros((1, EXAMPLES, CLASSES)), "is not above chance"),
        (None, "NLL"),  # right more often than not, and far too sure of it
    ],
)
def test_a_run_that_never_learned_is_flagged_and_gives_no_verdict(
    pair, tmp_path, capsys, logits, why
):
    if logits is None:
        run = prediction_file.read(
            prediction_file.step_dir(pair[0], 10) / prediction_file.file_name(1)
        )
        wrong = np.arange(EXAMPLES) % 3 == 0
        predicted = np.where(wrong, (run.labels + 1) % CLASSES, run.labels)
        logits = 40.0 * np.eye(CLASSES)[predicted][None]
    change(pair[0], 1, logits)
    report = evaluate.evaluate(pair, tmp_path / "out")
    (fault,) = report["groups"][0]["never_learned"]
    assert fault["run"] == "baseline 1"
    assert why in fault["why"]
    assert report["groups"][1]["never_learned"] == []
    reason = "baseline has runs that never learned"
    assert {contrast["withheld"] for contrast in report["contrasts"]} == {reason}
    for text in texts(tmp_path / "out"):
        assert "baseline 1 never learned" in text
    markdown = texts(tmp_path / "out")[1]
    assert "No result: baseline has runs that never learned" in markdown
    evaluate.print_table(report)
    printed = capsys.readouterr().out
    assert printed.startswith("warning: baseline 1 never learned")
    assert "baseline (3, 1 never learned)" in printed
    for word in (": better", ": worse", ": no difference"):
        assert word not in printed + markdown


def test_runs_that_training_gave_up_are_left_out_and_named(pair, tmp_path, capsys):
    failed = {
        "7": {"step": 1234, "last_good_checkpoint": 1000},
        "2": {"step": 5, "last_good_checkpoint": None},
    }
    (pair[0] / "failed_runs.json").write_text(json.dumps(failed))
    (pair[0] / "config.json").write_text(json.dumps({"method": {"label": "baseline"}}))
    report = evaluate.evaluate(pair, tmp_path / "out")
    assert report["groups"][0]["num_runs"] == 2  # run 2 had failed before this step
    assert [run["run"] for run in report["failed_runs"]] == [2, 7]
    assert report["failed_runs"][1] == {"group": "baseline", "run": 7, **failed["7"]}
    evaluate.print_table(report)
    printed = capsys.readouterr().out
    for text in (printed, *texts(tmp_path / "out")):
        assert "baseline 7 is left out: its loss became NaN or infinite at step 1234" in text
        assert "last good checkpoint: 1000" in text
        assert "there is no good checkpoint" in text
    report = compare({"old": pair[0], "new": pair[1]}).report
    assert any(line.startswith("old 7 is left out") for line in report["warnings"])


def test_where_all_runs_failed_the_refusal_says_so(tmp_path):
    workdir = tmp_path / "w"
    workdir.mkdir()
    (workdir / "failed_runs.json").write_text('{"0": {"step": 3, "last_good_checkpoint": null}}')
    with pytest.raises(UserError, match=r"there is 0; .* 0 is left out: .* at step 3"):
        evaluate.evaluate([workdir], tmp_path / "out")


@pytest.mark.parametrize("content", ["{", "[1]", '{"x": {}}', '{"1": 2}', '{"1": {"step": "a"}}'])
def test_a_damaged_list_of_failed_runs_is_refused_by_name(pair, tmp_path, content):
    (pair[0] / "failed_runs.json").write_text(content)
    with pytest.raises(UserError, match=r"failed_runs\.json: damaged"):
        evaluate.evaluate(pair, tmp_path / "out")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"vary": []}, True),
        ({"vary": ["augmentation"], "config": {"data": {"crop": "none", "flip": False}}}, True),
        ({"vary": ["augmentation"], "config": {"data": {"crop": "none", "flip": True}}}, False),
        ({"vary": ["init"]}, False),
    ],
)
def test_runs_whose_streams_are_all_held_are_said_to_be_no_independent_runs(tmp_path, made, told):
    report = evaluate.evaluate([make_workdir(tmp_path / "a", **made)], tmp_path / "out")
    assert bool(report["groups"][0]["not_independent"]) == told
    assert any("no random stream differs" in line for line in report["warnings"]) == told


def test_identical_predictions_are_said_and_give_no_verdict(pair, tmp_path):
    source = prediction_file.step_dir(pair[0], 10) / prediction_file.file_name(0)
    change(pair[0], 2, log_probs=prediction_file.read(source).log_probs)
    report = evaluate.evaluate(pair, tmp_path / "out")
    (line,) = report["warnings"]
    assert "baseline 0 and baseline 2 predict exactly the same" in line
    assert "baseline (3, not independent)" in texts(tmp_path / "out")[1]
    assert all("not independent" in contrast["withheld"] for contrast in report["contrasts"])


def test_copies_of_a_file_in_one_group_are_said(pair, tmp_path):
    probs = np.exp(
        prediction_file.read(next((pair[0] / "predictions/00000010").iterdir())).counted()
    )
    np.savez(tmp_path / "one.npz", probs=probs)
    shutil.copy(tmp_path / "one.npz", tmp_path / "copy.npz")
    np.savez(tmp_path / "other.npz", probs=probs[::-1])
    groups = {"old": [tmp_path / f"{name}.npz" for name in ("one", "copy")]}
    report = compare(groups | {"new": tmp_path / "other.npz"}).report
    assert any("one.npz and copy.npz predict exactly the same" in w for w in report["warnings"])


def test_a_copied_workdir_is_not_counted_twice(pair, tmp_path):
    copy = shutil.copytree(pair[0], tmp_path / "another name")
    with pytest.raises(UserError, match=r"baseline run 0 .* is there twice"):
        evaluate.evaluate([pair[0], copy], tmp_path / "out")
    files = [str(next((w / "predictions/00000010").iterdir())) for w in (pair[0], copy)]
    with pytest.raises(UserError, match="are one training"):
        compare({"old": files, "new": [str(pair[1])]})
    report = compare({"old": str(pair[0]), "new": str(copy)}).report
    assert any("hold the same training (run 0, 1, 2:" in line for line in report["warnings"])


def test_overlapping_first_runs_are_not_counted_twice(tmp_path):
    dirs = [make_workdir(tmp_path / "a"), make_workdir(tmp_path / "b", first_run=2)]
    with pytest.raises(UserError, match=r"baseline run 2 .* is there twice"):
        evaluate.evaluate(dirs, tmp_path / "out")
    dirs[1] = make_workdir(tmp_path / "c", first_run=3)
    assert evaluate.evaluate(dirs, tmp_path / "out")["groups"][0]["num_runs"] == 6


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("code_version", "1+def", "code_version: 1+abc (run 0, 2), 1+def (run 1)"),
        ("code_version", "1+abc-dirty", "had changes that were not committed"),
        ("platform", "gpu", "platform: cpu (run 0, 2), gpu (run 1)"),
        ("versions", {"jax": "9"}, "versions: jax unset (run 0, 2), jax 9 (run 1)"),
        ("topology", {"run": 2}, "topology: run 1 (run 0, 2), run 2 (run 1)"),
    ],
)
def test_what_differs_within_a_group_is_one_line(pair, tmp_path, key, value, said):
    change(pair[0], 1, **{key: value})
    report = evaluate.evaluate(pair, tmp_path / "out")
    lines = [line for line in report["warnings"] if said in line]
    assert len(lines) == 1
    assert all(lines[0] in text.replace("&#39;", "'") for text in texts(tmp_path / "out")[1:])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"platform": "gpu"}, "the groups differ in platform: cpu (baseline), gpu (other)"),
        ({"step": 20}, "the groups differ in step: 10 (baseline), 20 (other)"),
        ({"train_fingerprint": "x"}, None),
    ],
)
def test_what_differs_between_groups_is_one_line(tmp_path, changes, said):
    dirs = [
        make_workdir(tmp_path / "a", **MACHINE),
        make_workdir(tmp_path / "b", "other", **(MACHINE | changes)),
    ]
    report = evaluate.evaluate(dirs, tmp_path / "out")
    assert report["warnings"] == ([said] if said else [])
    assert compare({"baseline": dirs[0], "other": dirs[1]}).report["warnings"] == report["warnings"]


def test_runs_trained_on_other_data_are_no_group(pair, tmp_path):
    for run, name in ((0, "x"), (1, "y")):
        change(pair[0], run, train_fingerprint=name)
    with pytest.raises(UserError, match=r"trained on different data .*'x' and 'y'"):
        evaluate.evaluate(pair, tmp_path / "out")


def test_comparing_refuses_other_data_too(pair, tmp_path):
    other = make_workdir(tmp_path / "c", "other", data_fingerprint="g")
    with pytest.raises(UserError, match="differ in data_fingerprint: 'f' and 'g'"):
        compare_command.main([str(pair[0]), str(other), f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_later_still_counts_before(tmp_path):
    workdir = make_workdir(tmp_path / "a", step=10)
    make_workdir(workdir, step=20, runs=2)
    (workdir / "failed_runs.json").write_text('{"2": {"step": 15, "last_good_checkpoint": 10}}')
    report = evaluate.evaluate([workdir], tmp_path / "out", "all")
    assert report["groups"][0]["num_runs"] == 2
    # The same two runs at every step: a curve over other runs would mix two things.
    assert [point["step"] for point in report["over_training"]["baseline"]] == [10, 20]
    assert evaluate.evaluate([workdir], tmp_path / "out", 10)["groups"][0]["num_runs"] == 3
