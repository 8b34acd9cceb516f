"""Measures that are asked for: right by scikit-learn, with intervals, contrasts and slices."""

import json

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import special

from churn_jax import compare as command
from churn_jax.analysis import influence
from churn_jax.analysis.comparison import compare
from churn_jax.analysis.intervals import interval, run_sample
from churn_jax.errors import UserError
from churn_jax.report import to_terminal
from churn_jax.report.report import Report

CLASSES = ("ant", "bee", "cat", "dog")
EXAMPLES, RUNS = 240, 3
RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(EXAMPLES, 4)) * 1.5
LABELS = (SHARED + RNG.normal(size=SHARED.shape)).argmax(1)


def predicted(rng):
    """Probabilities of a run, with ties: two digits."""
    whole = special.softmax(SHARED + rng.normal(size=SHARED.shape), axis=1)
    found = np.floor(50 * whole) / 50
    found[:, 0] += 1 - found.sum(1)
    return found


OLD = [predicted(RNG) for _ in range(RUNS)]
NEW = [predicted(RNG) for _ in range(RUNS)]
MEASURES = ("auc", "f1", "precision", "recall")


def files(probs, labels=LABELS):
    return [{"probs": p, "labels": labels, "class_names": np.array(CLASSES)} for p in probs]


def compared(**options):
    return compare({"old": files(OLD), "new": files(NEW)}, **options)


def binary(probs):
    return {"probs": np.stack([1 - probs, probs], 1), "labels": (LABELS > 1).astype(int)}


TWO = [p[:, 2] + p[:, 3] for p in (OLD[0], NEW[0])]


def test_each_class_and_their_mean_are_scikit_learns():
    report = compared(measures=[*MEASURES, *(f"{key}[*]" for key in MEASURES)]).report
    functions = {
        "f1": reference.f1_score,
        "precision": reference.precision_score,
        "recall": reference.recall_score,
    }
    for run, probs in enumerate(OLD):
        found = {key: each["per_run"][run] for key, each in of_group(report, 0).items()}
        for key, function in functions.items():
            own = function(LABELS, probs.argmax(1), average=None)
            for name, value in zip(CLASSES, own, strict=True):
                assert found[f"{key}[{name}]"] == pytest.approx(value, abs=1e-9)
            assert found[key] == pytest.approx(own.mean(), abs=1e-9)
        areas = [reference.roc_auc_score(c == LABELS, probs[:, c]) for c in range(4)]
        for name, value in zip(CLASSES, areas, strict=True):
            assert found[f"auc[{name}]"] == pytest.approx(value, abs=1e-9)
        assert found["auc"] == pytest.approx(np.mean(areas), abs=1e-9)


def of_group(report, place):
    return {key: found for key, found in report["groups"][place].items() if "[" in key} | {
        key: report["groups"][place][key] for key in MEASURES
    }


def test_of_two_classes_the_positive_one_counts_and_is_named():
    report = compare({"old": binary(TWO[0]), "new": binary(TWO[1])}, measures=MEASURES).report
    labels, (old, _) = LABELS > 1, report["groups"]
    guesses = TWO[0] > 0.5
    expected = {
        "auc": reference.roc_auc_score(labels, TWO[0]),
        "f1": reference.f1_score(labels, guesses),
        "precision": reference.precision_score(labels, guesses),
        "recall": reference.recall_score(labels, guesses),
    }
    assert {key: old[key]["mean"] for key in expected} == pytest.approx(expected, abs=1e-9)
    note = "AUC, F1, precision and recall are of the positive class, '1'."
    assert note in report["notes"]


@pytest.mark.parametrize("kind", ["probs", "log_probs", "logits"])
def test_the_area_is_that_of_the_probabilities_whatever_the_file_holds(kind):
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(200, 3)) * 2
    probs = special.softmax(logits, axis=1)
    labels = rng.integers(3, size=200)
    values = {"probs": probs, "log_probs": np.log(probs), "logits": logits}[kind]
    report = compare({kind: values}, {kind: values[:]}, labels=labels, measures=["auc"]).report
    expected = reference.roc_auc_score(labels, probs, multi_class="ovr")
    assert report["groups"][0]["auc"]["mean"] == pytest.approx(expected, abs=1e-9)


def test_logits_so_large_that_probabilities_round_to_1_still_rank():
    logits = np.stack([np.zeros(4), [50.0, 60.0, 70.0, 80.0]], 1)
    run = {"logits": logits, "labels": np.array([0, 1, 0, 1])}
    report = compare(run, run, measures=["auc"]).report
    assert report["groups"][0]["auc"]["mean"] == 0.75


def test_top_k_is_scikit_learns_and_churn_of_sets_is_as_defined():
    rng = np.random.default_rng(2)
    probs = rng.dirichlet(np.ones(6), size=(2, 300))
    labels = rng.integers(6, size=300)
    report = compare(*probs, labels=labels, measures=["top3_accuracy", "top3_churn"]).report
    for group, p in zip(report["groups"], probs, strict=True):
        expected = reference.top_k_accuracy_score(labels, p, k=3)
        assert group["top3_accuracy"]["mean"] == pytest.approx(expected, abs=1e-9)
    one, other = (np.argsort(-p, axis=1)[:, :3] for p in probs)
    differ = [set(a) != set(b) for a, b in zip(one.tolist(), other.tolist(), strict=True)]
    assert report["between"][0]["top3_churn"]["mean"] == pytest.approx(np.mean(differ), abs=1e-9)


def test_of_equal_values_the_classes_that_come_first_are_the_top():
    even = np.full((20, 4), 0.25)
    first = np.tile([0.4, 0.4, 0.1, 0.1], (20, 1))
    report = compare(
        even, first, labels=np.arange(20) % 4, measures=["top2_accuracy", "top2_churn"]
    ).report
    assert report["groups"][0]["top2_accuracy"]["mean"] == 0.5
    assert report["between"][0]["top2_churn"]["mean"] == 0


def test_the_values_variance_is_delongs():
    """DeLong's S₁/m + S₀/n, from the placements of all pairs."""
    rng = np.random.default_rng(3)
    positive = rng.random(60) < 0.4
    scores = (rng.normal(size=60) + positive).round(1)
    wins = np.sign(scores[positive][:, None] - scores[~positive][None]) / 2 + 0.5
    m, n = wins.shape
    variance = wins.mean(1).var() / m + wins.mean(0).var() / n
    values = influence.area_under_curve(scores, positive)
    assert values.mean() == pytest.approx(wins.mean(), abs=1e-12)
    assert values.var() / 60 == pytest.approx(variance, abs=1e-12)


def test_a_gate_asks_for_what_it_names_and_takes_classes_and_slices():
    sides = np.where(np.arange(EXAMPLES) % 2, "left", "right")
    result = compared(
        slices={"side": sides},
        fail_if="recall_new[Cat]<1%, f1_new[side=left]<f1_old[side=left]-90%",
        pass_if="precision_new[cat][side=left]>precision_old[cat][side=left]-99%, top2_churn<99%",
    )
    assert result.passed, result.verdict()
    left = sides == "left"
    labels, guesses = LABELS[left], [p[left].argmax(1) for p in NEW]
    scores = [reference.precision_score(labels == 2, g == 2) for g in guesses]
    assert result.verdicts[2].left == pytest.approx(np.mean(scores), abs=1e-9)
    assert {"recall[cat]", "f1", "precision[cat]"} <= result.report["groups"][0].keys()
    assert "precision[cat] of cat" not in result.to_markdown()
    assert "precision of cat" in result.to_markdown()
    assert "auc" not in result.report["groups"][0]


def test_what_was_asked_for_is_in_slices_contrasts_and_every_form_of_the_report(tmp_path, capsys):
    for name, probs in {"old": OLD, "new": NEW}.items():
        for run, each in enumerate(files(probs)):
            np.savez(tmp_path / f"{name}{run}.npz", **each)
    groups = [f"--group={name}={tmp_path}/{name}*.npz" for name in ("old", "new")]
    asked = "--measures=main,auc[cat],top2_churn"
    assert command.main([*groups, asked, f"--out={tmp_path / 'out'}"]) == 0
    said = capsys.readouterr().out
    assert "AUC of cat" in said
    assert "top-2 churn" in said
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["groups"][1]["top2_churn"]["per_pair"]
    assert {"auc[cat]", "top2_churn"} <= {c["metric"] for c in report["contrasts"]}
    assert report["slices"][0]["between"][0]["top2_churn"]["mean"] >= 0
    assert report["definitions"]["auc[cat]"]["title"] == "AUC of cat"
    for kind in ("html", "md", "csv", "tex"):
        assert "cat" in (tmp_path / f"out/report.{kind}").read_text()
    again = Report.from_json((tmp_path / "out/report.json").read_text())
    assert again.groups[0].measures["auc[cat]"].mean == report["groups"][0]["auc[cat]"]["mean"]
    plain = compare({"old": files(OLD), "new": files(NEW)}, everything=False).report
    for key in plain["groups"][0]:
        assert plain["groups"][0][key] == report["groups"][0][key]


def test_what_rests_on_few_examples_says_so_in_its_interval_and_gate():
    """A class of four examples, all found: the rate may be as low as 0.025^(1/4)."""
    labels = np.zeros(300, int)
    labels[:4] = 1
    probs = np.eye(2)[labels]
    found = compare(probs, probs, labels=labels, measures=["recall"], fail_if="recall_new<90%")
    assert found.report["groups"][0]["recall"]["ci95"] == pytest.approx([0.025**0.25, 1])
    assert found.outcome == "undecided"
    assert "it has 4 examples and needs 10" in found.verdict()


def test_a_class_that_is_never_predicted_or_never_there_has_no_value():
    never = np.eye(3)[np.arange(30) % 2] * 0.8 + 0.2 / 3
    labels = np.arange(30) % 3
    report = compare(never, never, labels=labels, measures=["precision[2]", "precision", "f1"])
    old = report.report["groups"][0]
    assert old["precision[2]"]["mean"] is None
    assert "divides by a count that is 0" in old["precision[2]"]["unknown"]
    expected = reference.precision_score(labels, never.argmax(1), average="macro", zero_division=0)
    assert old["precision"]["mean"] == pytest.approx(expected, abs=1e-9)
    two = compare(never, never, labels=labels % 2, measures=["recall[2]", "recall"]).report
    assert two["groups"][0]["recall[2]"]["mean"] is None
    expected = reference.balanced_accuracy_score(labels % 2, never.argmax(1))
    assert two["groups"][0]["recall"]["mean"] == pytest.approx(expected, abs=1e-9)


def test_runs_with_one_value_each_give_the_interval_of_the_crossed_factors():
    values = np.stack([influence.class_rate("f1", p.argmax(1), LABELS, 4, None) for p in OLD])
    found = interval(run_sample(values), 0, 1)
    assert found.ci95[0] < found.mean < found.ci95[1]
    (own, _) = compared(measures=["f1"]).report["groups"]
    assert own["f1"]["mean"] == pytest.approx(found.mean, abs=1e-12)


@pytest.mark.parametrize(
    ("measures", "why"),
    [
        ("acu", r"--measures: 'acu' is no measure \(did you mean 'auc'\?\)"),
        ("top5_acuracy", r"did you mean 'top5_accuracy'"),
        ("accuracy", "'accuracy' needs not be asked for; what can be: auc"),
        ("recall[cow]", r"'recall\[cow\]': 'cow' is none of the classes \(one of: ant"),
        ("recall[", "is no measure"),
        ("top2_churn[cat]", "is no measure"),
        ("top0_accuracy", "is no measure"),
        ("top4_accuracy", "of 4 classes says nothing: k must be below 4"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(measures, why):
    with pytest.raises(UserError, match=why):
        compared(measures=[measures])


def test_what_the_files_do_not_hold_is_refused():
    with pytest.raises(UserError, match="'auc' needs labels, which not all files hold"):
        compare(OLD[0], NEW[0], measures=["auc"])
    classes = [p.argmax(1) for p in (OLD[0], NEW[0])]
    with pytest.raises(UserError, match="'top2_churn' needs probabilities"):
        compare(*classes, labels=LABELS, measures=["top2_churn"])
    expected = reference.f1_score(LABELS, classes[0], average="macro")
    report = compare(*classes, labels=LABELS, measures=["f1"]).report
    assert report["groups"][0]["f1"]["mean"] == pytest.approx(expected, abs=1e-9)
    names = np.array(["ham", "spam"])
    mails = [{**binary(p), "class_names": names} for p in TWO]
    with pytest.raises(UserError, match=r"which of the two .* --positive=ham or --positive=spam"):
        compare(*mails, measures=["recall"])
    with pytest.raises(UserError, match=r"say whose recall\[spam\]: recall_old\[spam\] or"):
        compare(*mails, fail_if="recall[spam]<1%")
    many = np.eye(101)[np.arange(101)]
    with pytest.raises(UserError, match=r"'auc' of 101 classes is more than there is room"):
        compare(many, many, labels=np.arange(101), measures=["auc"])
    with pytest.raises(UserError, match="all or main, not both"):
        command.main(["a.npz", "b.npz", "--measures=all,main"])


@pytest.mark.parametrize("kind", ["probs", "log_probs", "logits"])
def test_a_threshold_decides_the_predicted_class_of_two(kind):
    labels = LABELS > 1
    both = [np.clip(np.stack([1 - p, p], 1), 1e-6, None) for p in TWO]
    values = [{"probs": b, "log_probs": np.log(b), "logits": np.log(b) + 7}[kind] for b in both]
    models = [{kind: v, "labels": labels.astype(int)} for v in values]
    found = compare(*models, threshold=0.29, measures=["f1", "recall"], fail_if="f1_new<1%")
    old, new = (p >= 0.29 for p in TWO)
    report = found.report
    assert report["between"][0]["churn"]["mean"] == pytest.approx((old != new).mean(), abs=1e-9)
    for group, guesses in zip(report["groups"], (old, new), strict=True):
        expected = reference.f1_score(labels, guesses)
        assert group["f1"]["mean"] == pytest.approx(expected, abs=1e-9)
        assert group["accuracy"]["mean"] == pytest.approx((labels == guesses).mean(), abs=1e-9)
    assert any("'1' is predicted where its probability is at least 0.29" in n for n in report.notes)


def test_a_threshold_is_met_in_the_precision_of_the_values():
    probs = np.array([[0.3, 0.7], [0.31, 0.69]] * 10, np.float32)
    report = compare(probs, probs, labels=np.array([1, 0] * 10), threshold=0.7).report
    assert report["groups"][0]["accuracy"]["mean"] == 1


def test_the_positive_class_may_be_named():
    names = np.array(["spam", "ham"])
    mails = [{**binary(p), "class_names": names} for p in TWO]
    found = compare(*mails, positive="spam", threshold=0.4, measures=["precision"]).report
    expected = reference.precision_score(LABELS <= 1, 1 - TWO[0] >= 0.4)
    assert found["groups"][0]["precision"]["mean"] == pytest.approx(expected, abs=1e-9)
    for wrong, why in {
        "spm": r"--positive=spm: is none of the classes \(did you mean 'spam'\?\)",
        None: "--positive=spam or --positive=ham",
    }.items():
        with pytest.raises(UserError, match=why):
            compare(*mails, positive=wrong, threshold=0.4)
    with pytest.raises(UserError, match="--positive=spm: is none of the classes"):
        compare(*mails, positive="spm")


def test_thresholds_that_decide_nothing_are_refused():
    with pytest.raises(UserError, match=r"--threshold=0\.5: is for two classes, and there are 4"):
        compared(threshold=0.5)
    for wrong in (0.0, 1.0, 30.0, float("nan")):
        with pytest.raises(UserError, match="must be a probability between 0 and 1"):
            compare(*map(binary, TWO), threshold=wrong)
    classes = [(p > 0.5).astype(int) for p in TWO]
    with pytest.raises(UserError, match="has predicted classes, so a threshold can't decide them"):
        compare(*classes, threshold=0.5)


def test_a_threshold_may_cost_accuracy_without_being_a_model_that_never_learned():
    """Of 100 mails 10 are spam, 40 are called so: right in 70, where the largest class is 90."""
    labels = np.array([1] * 10 + [0] * 90)
    spam = np.where(labels == 1, 0.6, 0.02)
    spam[10:40] = 0.15
    model = np.stack([1 - spam, spam], 1)
    report = compare([model, model], labels=labels, threshold=0.1).report
    (group,) = report.groups
    assert group.measures["accuracy"].mean == pytest.approx(0.7)
    assert not group.never_learned
    assert report.chance.accuracy == pytest.approx(0.9)
    assert report.chance.accuracy_to_beat > 0.9  # is told as it is, though nobody is held to it
    worthless = np.full((100, 2), 0.5)
    (group,) = compare([worthless, worthless], labels=labels, threshold=0.1).report.groups
    assert "NLL" in group.never_learned[0].why


def test_of_one_example_no_interval_is_known_and_nothing_breaks():
    """Class 2 has a single example: whether it is right says nothing of the next."""
    labels = np.array([0, 1] * 10 + [2])
    models = [np.eye(3)[(labels + (np.arange(21) == k)) % 3] * 0.7 + 0.1 for k in (0, 3)]
    asked = ["recall[2]", "auc[2]", "precision[2]", "f1[2]"]
    for group in compare(models, labels=labels, measures=asked).report.groups:
        recall = group.measures["recall[2]"]
        assert recall.mean == 1
        assert np.isnan(recall.low)
        assert np.isnan(group.measures["auc[2]"].low)


def test_measures_that_tables_have_no_room_for_are_counted():
    labels = np.arange(40) % 4
    models = [np.eye(4)[(labels + (np.arange(40) == k)) % 4] * 0.7 + 0.075 for k in (0, 5)]
    asked = ["recall[*]", "precision[*]", "f1[*]"]
    report = compare(models, labels=labels, measures=asked).report
    assert "Tables show 10 of the measures that were asked for; all 12 are" in to_terminal(report)
    report = compare(models, labels=labels, measures=asked[:2]).report
    assert "Tables show" not in to_terminal(report)
