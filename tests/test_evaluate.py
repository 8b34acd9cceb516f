"""Evaluation across workdirs of saved predictions: the report, and what is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics as reference

from churn_jax import evaluate, metrics
from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.system.commands import run_command

EXAMPLES, CLASSES = 300, 5


def make_workdir(path, group="baseline", runs=3, step=10, noise=1.0, members=1, seed=0, **changes):
    """Writes what a training leaves; runs of one group differ by noise on shared logits.

    `changes` are `labels`, `ids`, and keys of the provenance.
    """
    shared = np.random.default_rng(0).normal(size=(EXAMPLES, CLASSES)) * 2
    labels = shared.argmax(1).astype(np.int32)
    first = changes.get("first_run", 0)
    for run in range(first, first + runs):
        rng = np.random.default_rng([step, run, seed, len(group)])
        logits = shared + noise * rng.normal(size=(members, EXAMPLES, CLASSES))
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        provenance = {
            "group": group,
            "config_hash": f"hash of {group}",
            "run": run,
            "seed": seed,
            "step": step,
            "dataset": "toy",
            "split": "test",
            "data_fingerprint": "f",
            "prediction": "first",
        } | {key: value for key, value in changes.items() if key not in ("labels", "ids")}
        made = Predictions(
            log_probs.astype(np.float32),
            changes.get("labels", labels),
            changes.get("ids", np.array([f"{i:04d}" for i in range(EXAMPLES)])),
            provenance,
        )
        prediction_file.write(
            prediction_file.step_dir(path, step) / prediction_file.file_name(run), made
        )
    return path


@pytest.fixture
def two_groups(tmp_path):
    return [
        make_workdir(tmp_path / "a", noise=1.5),
        make_workdir(tmp_path / "b", "codistill_skl", runs=4, noise=0.5, members=2),
    ]


def test_report_holds_the_measures_of_the_definitions(two_groups, tmp_path):
    report = evaluate.evaluate(two_groups, tmp_path / "out")
    assert report == json.loads((tmp_path / "out/report.json").read_text())
    first, second = report["groups"]
    assert (first["name"], first["num_runs"]) == ("baseline", 3)
    assert (second["name"], second["num_runs"]) == ("codistill_skl", 4)

    files = sorted((two_groups[0] / "predictions/00000010").iterdir())
    runs = [prediction_file.read(path) for path in files]
    labels = runs[0].labels
    probs = [metrics.from_log_probs(run.counted()) for run in runs]
    pairs = [(0, 1), (0, 2), (1, 2)]
    for measure, function in [("churn", metrics.churn), ("schurn", metrics.surrogate_churn)]:
        expected = [function(probs[i], probs[j]) for i, j in pairs]
        entry = first[measure]
        np.testing.assert_allclose([v for _, _, v in entry["per_pair"]], expected, atol=1e-6)
        assert [(i, j) for i, j, _ in entry["per_pair"]] == pairs
        assert entry["mean"] == pytest.approx(np.mean(expected), abs=1e-6)
        assert entry["std"] == pytest.approx(np.std(expected, ddof=1), abs=1e-6)
        assert entry["ci95"][0] < entry["mean"] < entry["ci95"][1]
    for measure, function in [
        ("churn_correct", metrics.churn_correct),
        ("churn_incorrect", metrics.churn_incorrect),
    ]:
        ordered = [
            function(probs[i], probs[j], labels) for i in range(3) for j in range(3) if i != j
        ]
        assert first[measure]["mean"] == pytest.approx(np.mean(ordered), abs=1e-9)
    ece = [metrics.expected_calibration_error(p, labels) for p in probs]
    np.testing.assert_allclose(first["ece"]["per_run"], ece, atol=1e-6)
    assert first["accuracy"]["per_run"] == [metrics.accuracy(p, labels) for p in probs]
    assert first["bounds"] == {"lemma1": True, "lemma2": True}


def test_intra_pair_churn_stands_beside_churn(two_groups, tmp_path):
    first, second = evaluate.evaluate(two_groups, tmp_path / "out")["groups"]
    assert first["intra_pair_churn"] is None
    files = sorted((two_groups[1] / "predictions/00000010").iterdir())
    expected = [
        (log_probs[0].argmax(1) != log_probs[1].argmax(1)).mean()
        for log_probs in (prediction_file.read(path).log_probs for path in files)
    ]
    np.testing.assert_allclose(second["intra_pair_churn"]["per_run"], expected)


def test_less_noise_is_found_better_in_words(two_groups, tmp_path, capsys):
    report = evaluate.evaluate(two_groups, tmp_path / "out")
    contrast = {c["metric"]: c for c in report["contrasts"]}["churn"]
    assert contrast["ci95"][1] < 0
    assert contrast["p"] < 0.05
    assert contrast["p"] <= contrast["p_holm"] <= 1
    evaluate.print_table(report)
    text = capsys.readouterr().out
    assert "baseline (3)" in text
    assert "codistill_skl (4)" in text
    churn_line = next(line for line in text.splitlines() if line.startswith("churn: "))
    assert churn_line.endswith("better")


def test_a_group_with_itself_shows_no_difference(tmp_path):
    same = [make_workdir(tmp_path / "a", "one"), make_workdir(tmp_path / "b", "two", seed=1)]
    report = evaluate.evaluate(same, tmp_path / "out")
    contrast = {c["metric"]: c for c in report["contrasts"]}["churn"]
    assert contrast["ci95"][0] < 0 < contrast["ci95"][1]
    assert "no difference shown" in (tmp_path / "out/report.md").read_text()
    (between,) = report["between"]
    assert between["excess_churn"]["ci95"][0] < 0 < between["excess_churn"]["ci95"][1]


def test_runs_of_one_config_form_one_group_wherever_they_are(tmp_path):
    dirs = [make_workdir(tmp_path / "a"), make_workdir(tmp_path / "b", seed=1)]
    (group,) = evaluate.evaluate(dirs, tmp_path / "out")["groups"]
    assert group["num_runs"] == 6


def test_identical_runs_have_no_churn(tmp_path):
    workdir = make_workdir(tmp_path / "a", noise=0)
    (group,) = evaluate.evaluate([workdir], tmp_path / "out")["groups"]
    for measure in ("churn", "schurn"):
        assert group[measure]["mean"] == 0
        assert group[measure]["std"] == 0


def test_two_runs_are_marked_as_covering_examples_only(tmp_path, capsys):
    workdir = make_workdir(tmp_path / "a", runs=2)
    report = evaluate.evaluate([workdir], tmp_path / "out")
    (group,) = report["groups"]
    assert group["churn"]["covers"] == "examples"
    assert group["accuracy"]["covers"] == "runs and examples"
    evaluate.print_table(report)
    assert "cannot show" in capsys.readouterr().out


def test_a_single_run_beside_a_group_has_accuracy_but_no_churn(tmp_path):
    dirs = [make_workdir(tmp_path / "a"), make_workdir(tmp_path / "b", "other", runs=1)]
    report = evaluate.evaluate(dirs, tmp_path / "out")
    single = report["groups"][1]
    assert single["churn"] is None
    assert single["accuracy"]["std"] is None
    assert report["between"][0]["churn"]["mean"] > 0


def test_over_training(tmp_path):
    workdir = make_workdir(tmp_path / "a", step=10, noise=2)
    make_workdir(workdir, step=20, noise=1)
    report = evaluate.evaluate([workdir], tmp_path / "out", "all")
    points = report["over_training"]["baseline"]
    assert [point["step"] for point in points] == [10, 20]
    assert points[0]["churn"]["mean"] > points[1]["churn"]["mean"]
    assert points[1]["churn"] == report["groups"][0]["churn"]
    earlier = evaluate.evaluate([workdir], tmp_path / "out", 10)
    assert earlier["groups"][0]["churn"] == points[0]["churn"]


def test_the_page_needs_nothing_from_elsewhere(two_groups, tmp_path):
    evaluate.evaluate(two_groups, tmp_path / "out")
    page = (tmp_path / "out/report.html").read_text()
    assert "<svg" in page
    for outside in ("src=", 'href="http', "@import", "url(http"):
        assert outside not in page


def test_the_same_predictions_give_the_same_files(two_groups, tmp_path):
    for name in ("x", "y"):
        evaluate.evaluate(two_groups, tmp_path / name)
    for file in ("report.json", "report.md", "report.html"):
        assert (tmp_path / "x" / file).read_bytes() == (tmp_path / "y" / file).read_bytes()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"split": "train"}, "differ in split: 'test' and 'train'"),
        ({"data_fingerprint": "g"}, "differ in data_fingerprint"),
        ({"labels": np.zeros(EXAMPLES, np.int32)}, r"the label of '.*' is another .* examples"),
        ({"ids": np.array([f"x{i}" for i in range(EXAMPLES)])}, "different example ids"),
    ],
)
def test_runs_of_different_examples_are_refused(tmp_path, change, fault):
    dirs = [make_workdir(tmp_path / "a"), make_workdir(tmp_path / "b", "other", **change)]
    with pytest.raises(UserError, match=fault):
        evaluate.evaluate(dirs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_runs_are_refused_with_exit_code_2(tmp_path, capsys):
    one = make_workdir(tmp_path / "one", runs=1)
    for runs, step, fault in [
        (str(one), "latest", "at least 2 are needed"),
        (f"{one},{one}", "latest", "there twice"),
        (str(tmp_path), "latest", "not a workdir"),
        (str(one), "7", "no predictions or checkpoint at step 7"),
        (str(one), "last", "must be latest, all or a number"),
    ]:
        arguments = [f"--runs={runs}", f"--out={tmp_path / 'out'}", f"--step={step}"]
        with pytest.raises(SystemExit) as caught:
            run_command(lambda arguments=arguments: evaluate.main(arguments))
        assert caught.value.code == 2
        line = capsys.readouterr().err
        assert fault in line
        assert line.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_measures_are_asked_for_and_left_out_as_in_compare(two_groups, tmp_path, capsys):
    out = tmp_path / "out"
    asked = "--measures=main,auc,recall[2],top2_churn"
    evaluate.main([f"--runs={two_groups[0]},{two_groups[1]}", f"--out={out}", asked])
    found = json.loads((out / "report.json").read_text())
    files = prediction_file.run_files(two_groups[0], 10)
    runs = [prediction_file.read(path) for path in files]
    scores = [np.exp(run.log_probs[0].astype(np.float64)) for run in runs]
    for score, run, area, recall in zip(
        scores,
        runs,
        found["groups"][0]["auc"]["per_run"],
        found["groups"][0]["recall[2]"]["per_run"],
        strict=True,
    ):
        right = score[run.labels == 2].argmax(1) == 2
        assert recall == pytest.approx(right.mean(), abs=1e-9)
        score = score / score.sum(1, keepdims=True)
        expected = reference.roc_auc_score(run.labels, score, multi_class="ovr")
        assert area == pytest.approx(expected, abs=1e-6)
    tops = [np.sort(np.argsort(-score, 1)[:, :2], 1) for score in scores]
    differ = [(tops[i] != tops[j]).any(1).mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found["groups"][0]["top2_churn"]["mean"] == pytest.approx(np.mean(differ), abs=1e-9)
    assert not {"brier", "ece_classwise", "jensen_shannon"} & found["groups"][0].keys()
    assert {"auc", "recall[2]", "top2_churn"} <= {each["metric"] for each in found["contrasts"]}
    for file in ("report.md", "report.html", "report.csv"):
        assert "recall of 2" in (out / file).read_text() or "recall[2]" in (out / file).read_text()
    assert "recall of 2" in capsys.readouterr().out


def test_measures_that_cannot_be_asked_for_are_refused(tmp_path):
    five = make_workdir(tmp_path / "five", class_names=["ham", "spam", "b", "c", "d"])
    for options, why in [
        ({"positive": "spam"}, "--positive=spam: is for two classes, and there are 5"),
        ({"measures": ["recall[spm]"]}, r"'spm' is none of the classes"),
        ({"measures": ["rceall"]}, r"--measures: 'rceall' is no measure \(did you mean 'recall'"),
    ]:
        with pytest.raises(UserError, match=why):
            evaluate.evaluate([five], tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()


def test_a_diverged_run_is_named(tmp_path):
    workdir = make_workdir(tmp_path / "a")
    path = prediction_file.step_dir(workdir, 10) / prediction_file.file_name(1)
    run = prediction_file.read(path)
    log_probs = np.array(run.log_probs)
    log_probs[0, 17] = np.nan
    prediction_file.write(path, Predictions(log_probs, run.labels, run.ids, run.provenance))
    with pytest.raises(UserError, match=r"baseline run 1: example 17 .* diverge"):
        evaluate.evaluate([workdir], tmp_path / "out")


def test_saved_predictions_are_evaluated_without_jax(two_groups, tmp_path):
    code = (
        "import sys; from churn_jax import evaluate;"
        f"evaluate.main(['--runs={two_groups[0]}', '--out={tmp_path / 'out'}']);"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def update_of(path, old="baseline", **changes):
    origin = {"fingerprint": "p", "config_hash": f"hash of {old}"}
    return make_workdir(path, "updated", noise=0.7, previous=origin, **changes)


def test_an_update_is_held_against_what_it_updates_run_by_run(tmp_path):
    dirs = [make_workdir(tmp_path / "old"), update_of(tmp_path / "new")]
    found = evaluate.evaluate(dirs, tmp_path / "out", paired=True)["between"][0]
    runs = [
        [
            np.exp(prediction_file.read(path).log_probs[0])
            for path in prediction_file.run_files(folder, 10)
        ]
        for folder in dirs
    ]
    churn = np.mean([metrics.churn(a, b) for a, b in zip(*runs, strict=True)])
    assert found["churn"]["mean"] == pytest.approx(churn)
    both = evaluate.evaluate(dirs, tmp_path / "out")["between"][0]
    assert both["churn"]["mean"] != pytest.approx(churn)


def test_runs_that_do_not_belong_together_are_not_paired(tmp_path):
    old = make_workdir(tmp_path / "old")
    for new, message in (
        (update_of(tmp_path / "of_another", "entropy"), "updated is no update of baseline"),
        (update_of(tmp_path / "few", runs=2), "baseline has 3 runs and updated 2"),
        (
            update_of(tmp_path / "later", first_run=1),
            "run 0 of baseline would be held against run 1",
        ),
    ):
        with pytest.raises(UserError, match=message):
            evaluate.evaluate([old, new], tmp_path / "out", paired=True)
        assert not (tmp_path / "out/report.json").exists()


def test_updates_of_different_models_are_no_group(tmp_path):
    origin = {"fingerprint": "q", "config_hash": "hash of baseline"}
    first = update_of(tmp_path / "a")
    second = make_workdir(tmp_path / "b", "updated", first_run=3, previous=origin)
    with pytest.raises(UserError, match="update different models"):
        evaluate.evaluate([first, second], tmp_path / "out")
