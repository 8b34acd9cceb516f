"""Examples that count differently: every figure by weight, with intervals that know it."""

import json

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import special

from churn_jax import metrics
from churn_jax.analysis import influence, intervals, weighting
from churn_jax.analysis.comparison import compare
from churn_jax.analysis.intervals import Sample
from churn_jax.errors import UserError
from churn_jax.report import to_html, to_markdown, to_terminal
from churn_jax.report.report import Report

EXAMPLES, CLASSES = 160, 4
RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(EXAMPLES, CLASSES)) * 1.5
LABELS = (SHARED + RNG.normal(size=SHARED.shape)).argmax(1)
WEIGHTS = np.exp(RNG.normal(size=EXAMPLES))
PARTS = RNG.integers(0, 3, EXAMPLES).astype(str)
ASKED = ["auc", "f1", "f1[2]", "precision", "recall[1]", "auc[0]", "top2_accuracy", "top2_churn"]


def predicted():
    """Probabilities of a run, with ties: two digits."""
    whole = special.softmax(SHARED + RNG.normal(size=SHARED.shape), axis=1)
    found = np.floor(50 * whole) / 50
    found[:, 0] += 1 - found.sum(1)
    return found


OLD, NEW = ([predicted() for _ in range(runs)] for runs in (3, 2))


def compared(rows=slice(None), weights=WEIGHTS, **options):
    groups = {"old": [p[rows] for p in OLD], "new": [p[rows] for p in NEW]}
    parts = {"part": PARTS[rows]}
    weights = None if weights is None else weights[rows]
    return compare(groups, labels=LABELS[rows], slices=parts, weights=weights, **options).report


def average(values, weights=WEIGHTS):
    return np.average(values, weights=weights)


def test_single_models_are_scikit_learns_by_sample_weight():
    report = compared(measures=ASKED)
    for run, probs in enumerate(OLD):
        classes, own = probs.argmax(1), {"sample_weight": WEIGHTS}
        macro = {**own, "average": "macro"}
        one_hot = LABELS == 0
        expected = {
            "accuracy": reference.accuracy_score(LABELS, classes, **own),
            "auc": reference.roc_auc_score(LABELS, probs, multi_class="ovr", **macro),
            "auc[0]": reference.roc_auc_score(one_hot, probs[:, 0], **own),
            "f1": reference.f1_score(LABELS, classes, **macro),
            "f1[2]": reference.f1_score(LABELS == 2, classes == 2, **own),
            "precision": reference.precision_score(LABELS, classes, **macro),
            "recall[1]": reference.recall_score(LABELS == 1, classes == 1, **own),
            "top2_accuracy": average([y in np.argsort(-p, kind="stable")[:2]
                                      for y, p in zip(LABELS, probs, strict=True)]),
        }  # fmt: skip
        found = report["groups"][0]
        for key, value in expected.items():
            assert found[key]["per_run"][run] == pytest.approx(value, abs=1e-9), key
        gaps = np.bincount(metrics.bin_indices(probs.max(1)),
                           WEIGHTS * ((classes == LABELS) - probs.max(1)))  # fmt: skip
        ece = np.abs(gaps).sum() / WEIGHTS.sum()
        assert found["ece_plain"]["per_run"][run] == pytest.approx(ece, abs=1e-9)
        squares = ((probs - np.eye(CLASSES)[LABELS]) ** 2).sum(1)
        assert found["brier"]["per_run"][run] == pytest.approx(average(squares), abs=1e-6)
        with np.errstate(divide="ignore"):
            nll = average(-np.log(probs[np.arange(EXAMPLES), LABELS]))
        assert found["nll"]["per_run"][run] in (None, pytest.approx(nll, abs=1e-9))
    assert report["groups"][0]["accuracy"]["mean"] == pytest.approx(
        np.mean(report["groups"][0]["accuracy"]["per_run"]), abs=1e-12
    )


def test_pairs_are_as_defined_by_weight():
    report = compare(OLD[0], NEW[0], labels=LABELS, weights=WEIGHTS, measures=["top2_churn"]).report
    ours, theirs = OLD[0].argmax(1), NEW[0].argmax(1)
    right, good = ours == LABELS, theirs == LABELS
    differ = ours != theirs
    expected = {
        "churn": average(differ),
        "negative_flip_rate": average(right & ~good),
        "positive_flip_rate": average(~right & good),
        "churn_correct": average(differ[right], WEIGHTS[right]),
        "churn_incorrect": average(differ[~right], WEIGHTS[~right]),
        "backward_trust": average(good[right], WEIGHTS[right]),
        "kappa": reference.cohen_kappa_score(ours, theirs, sample_weight=WEIGHTS),
        "relative_nfr": average(right & ~good) / (average(right) * average(~good)),
        "normalised_disagreement": average(differ) / (1 - average(right) / 2 - average(good) / 2),
        "top2_churn": average(
            (np.sort(np.argsort(-OLD[0], 1, "stable")[:, :2])
             != np.sort(np.argsort(-NEW[0], 1, "stable")[:, :2])).any(1)
        ),
    }  # fmt: skip
    found = report["between"][0]
    for key, value in expected.items():
        assert found[key]["mean"] == pytest.approx(value, abs=1e-9), key
    l1 = average(np.abs(OLD[0] - NEW[0]).sum(1))
    assert found["l1"]["mean"] == pytest.approx(l1, abs=1e-6)


def same_but_for(a, b, left_out, path=""):
    """Asserts that two reports' JSON have the same estimates, to 1e-9."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in (a.keys() | b.keys()) - left_out:
            same_but_for(a.get(key), b.get(key), left_out, f"{path}.{key}")
    elif isinstance(a, list) and isinstance(b, list):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same_but_for(x, y, left_out, f"{path}[{i}]")
    elif isinstance(a, float) and b is not None:
        assert a == pytest.approx(b, abs=1e-9), path
    else:
        assert a == b, path


NOT_WEIGHTED = {"ece_mass", "ece_ks", "fragility"}


def test_whole_weights_give_the_estimates_of_rows_that_are_there_so_often():
    times = RNG.integers(0, 4, EXAMPLES)
    found = json.loads(compared(weights=times, measures=ASKED).to_json())
    rows = np.repeat(np.arange(EXAMPLES), times)
    expected = json.loads(compared(rows, weights=None, measures=ASKED).to_json())
    spread = {"ci95", "covers", "unknown", "p", "p_holm", "claim", "excess_churn_test"}
    spread |= {"accuracy_to_beat"}
    counts = {"num_examples", "count", "weight", "weights", "ledger", "notes", "warnings"}
    counts |= {"flips", "class_flips"}
    # What takes noise from ECE knows that repeated rows say nothing new.
    noise = {"ece"}
    found["contrasts"] = [each for each in found["contrasts"] if each["metric"] != "ece"]
    kept = [e for e in expected["contrasts"] if e["metric"] not in {"ece", *NOT_WEIGHTED}]
    expected["contrasts"] = kept
    same_but_for(found, expected, spread | counts | noise | NOT_WEIGHTED)


def test_equal_weights_change_nothing_and_weights_of_0_leave_out():
    plain = compared(weights=None, measures=ASKED)
    assert compared(weights=np.full(EXAMPLES, 0.1), measures=ASKED).to_json() == plain.to_json()
    kept = np.arange(EXAMPLES) % 3 > 0
    masked = compared(weights=kept * 7.0)
    alone = compared(np.flatnonzero(kept), weights=None)
    assert masked.notes[1] == "Of weight 0, and left out: 54 of 160 examples."
    assert masked.weights is None
    found, expected = (json.loads(each.to_json()) for each in (masked, alone))
    for each in (found, expected):
        del each["notes"], each["ledger"], each["flips"]
    assert found == expected
    assert [flip.instability for flip in masked.breakdowns.ledger] == [
        flip.instability for flip in alone.breakdowns.ledger
    ]


def test_a_constant_factor_changes_nothing():
    plain = compared(measures=ASKED).to_json()
    assert compared(weights=64 * WEIGHTS, measures=ASKED).to_json() == plain
    assert compared(weights=WEIGHTS * 2.0**-900, measures=ASKED).to_json() == plain
    other = json.loads(compared(weights=1e300 * WEIGHTS, measures=ASKED).to_json())
    same_but_for(other, json.loads(plain), {"text"})


def test_the_interval_is_that_of_a_weighted_mean():
    """By hand: a variance without bias, and a t quantile of Kish's number of examples."""
    values = (OLD[0].argmax(1) == LABELS).astype(float)
    share = WEIGHTS / WEIGHTS.sum()
    mean = share @ values
    variance = share**2 @ (values - mean) ** 2
    variance /= 1 - 2 * (share**3).sum() / (share**2).sum() + (share**2).sum()
    relative = weighting.relative(WEIGHTS)
    sample = Sample(values, {"": None}).weighted(relative)
    found = intervals.interval(sample)
    effective = 1 / (share @ share)
    assert weighting.effective(WEIGHTS) == pytest.approx(effective)
    assert found.mean == pytest.approx(mean, abs=1e-12)
    assert found.standard_error == pytest.approx(variance**0.5)
    assert found.freedom == pytest.approx(effective - 1)
    report = compare(OLD[0], NEW[0], labels=LABELS, weights=WEIGHTS).report
    low, high = report["groups"][0]["accuracy"]["ci95"]
    arm = special.stdtrit(effective - 1, 0.975) * variance**0.5 / (mean * (1 - mean))
    assert (special.logit(low), special.logit(high)) == pytest.approx(
        (special.logit(mean) - arm, special.logit(mean) + arm)
    )
    assert report["weights"]["effective"] == pytest.approx(effective)


@pytest.mark.parametrize("kind", ["auc", "kappa", "relative_nfr", "f1", "ratio", "ece"])
def test_what_is_no_mean_has_the_spread_of_a_bootstrap(kind):
    ours, theirs = OLD[0].argmax(1), NEW[0].argmax(1)

    def values(rows):
        weights = weighting.relative(WEIGHTS[rows])
        a, b, y = ours[rows], theirs[rows], LABELS[rows]
        match kind:
            case "auc":
                found = influence.area_under_curve(OLD[0][rows, 1], y == 1, weights)
            case "kappa":
                found = influence.kappa(a, b[None], CLASSES, weights)[0]
            case "relative_nfr":
                found = influence.relative_flips(a == y, (b != y)[None], weights)[0]
            case "f1":
                found = influence.class_rate("f1", a, y, CLASSES, None, weights)
            case "ece":
                found = influence.calibration_equal_width(OLD[0][rows].max(1), a == y, weights)
            case _:
                of = ((a != b) & (a == y))[None], (a == y)[None]
                found = influence.ratio_values(*of, weights)[0]
        return weighting.linear(found[None], weights)[0]

    plain = values(np.arange(EXAMPLES))
    rng = np.random.default_rng(1)
    means = [values(rng.integers(0, EXAMPLES, EXAMPLES)).mean() for _ in range(300)]
    error = plain.std(ddof=1) / EXAMPLES**0.5
    assert error == pytest.approx(np.std(means), rel=0.25 if kind == "ece" else 0.15)


def test_a_slice_is_what_its_examples_alone_give():
    found = compared(measures=ASKED).breakdowns.slices
    by_name = {(part.by, part.name): part for part in found}
    rows = np.flatnonzero(PARTS == "1")
    alone = compared(rows, measures=ASKED)
    part = by_name["part", "1"]
    for group, whole in zip(part.groups, alone.groups, strict=True):
        for key, estimate in group.measures.items():
            if key == "ece":
                continue  # its noise is drawn for so many examples
            other = whole.measures[key]
            assert estimate.mean == pytest.approx(other.mean, abs=1e-6, nan_ok=True), key
            assert estimate.ci95 == pytest.approx(other.ci95, abs=1e-6, nan_ok=True), key
    churn = part.between[0].measures["churn"]
    assert churn.mean == pytest.approx(alone.between[0].measures["churn"].mean, abs=1e-9)
    gated = compared(fail_if="churn[*]>95%", pass_if="accuracy_new[part=1]>0.01%")
    assert gated.gate.outcome == "passed"
    accuracy = part.groups[1].measures["accuracy"].mean
    assert gated.gate.conditions[1].left == pytest.approx(accuracy, abs=1e-9)


def test_what_has_no_weighted_form_is_left_out_and_said():
    report = compare(OLD[0], NEW[0], labels=LABELS, weights=WEIGHTS).report
    assert not NOT_WEIGHTED & report["groups"][0].keys()
    assert report.breakdowns.fragility == ()
    assert report.between[0].mcnemar is None
    (note,) = [note for note in report.notes if note.startswith("Every rate and mean is by weight")]
    assert "160 examples, which are as good as" in note
    assert "ECE, equal mass, calibration error, no bins, McNemar's test, what review" in note
    why = r"--fail_if: 'ece_mass_new' is not measured where examples have weights: bins of equally"
    with pytest.raises(UserError, match=why):
        compare(OLD[0], NEW[0], labels=LABELS, weights=WEIGHTS, fail_if="ece_mass_new>5%")
    plain = compare(OLD[0], NEW[0], weights=WEIGHTS).report
    assert not any("McNemar" in note for note in plain.notes)


def test_every_form_of_the_report_says_that_it_is_by_weight():
    report = compare(OLD[0], NEW[0], labels=LABELS, weights=WEIGHTS).report
    title = (
        f"(160 weighted examples, as good as {weighting.effective(WEIGHTS):.1f} of equal weight)"
    )
    assert title in to_markdown(report).splitlines()[0]
    page = to_html(report)
    assert title in page
    assert "n = 160 weighted examples" in page
    assert "n = 160 weighted predictions" in page
    assert "Every rate and mean is by weight" in " ".join(to_terminal(report).split())
    assert Report.from_json(report.to_json()) == report
    shares = report["reliability"][0]["weight"]
    assert sum(shares) == pytest.approx(1)
    tops = metrics.bin_indices(OLD[0].max(1))
    assert shares == pytest.approx(np.bincount(tops, WEIGHTS, 15) / WEIGHTS.sum())
    ties = report["near_ties"]
    assert sum(ties["share"]) == pytest.approx(1)
    churn = np.dot(ties["share"], ties["churn"])
    assert churn == pytest.approx(report["between"][0]["churn"]["mean"], abs=1e-6)


def test_a_guesser_is_one_by_weight():
    """Of the first 100 examples nine in ten are of class 0, by weight one in ten."""
    labels = np.where(np.arange(100) < 90, 0, 1 + np.arange(100) % 3)
    guess = np.full((100, 4), 0.1)
    guess[np.arange(100), np.where(labels == 0, 1, labels)] = 0.7
    other = np.roll(guess, 1, axis=1)
    plain = compare(guess, other, labels=labels).report
    assert plain.groups[0].never_learned
    weights = np.where(labels == 0, 1.0, 81.0)
    report = compare(guess, other, labels=labels, weights=weights).report
    assert not report.groups[0].never_learned
    most = max(average(labels == c, weights) for c in range(4))
    assert report["chance"]["accuracy"] == pytest.approx(most)


def test_paired_runs_and_predicted_classes_are_weighted_too():
    groups = {"old": OLD[:2], "new": NEW}
    paired = compare(groups, labels=LABELS, weights=WEIGHTS, paired=True).report
    churn = [average(a.argmax(1) != b.argmax(1)) for a, b in zip(OLD[:2], NEW, strict=True)]
    assert paired["between"][0]["churn"]["mean"] == pytest.approx(np.mean(churn), abs=1e-9)
    classes = compare(OLD[0].argmax(1), NEW[0].argmax(1), weights=WEIGHTS).report
    assert classes["between"][0]["churn"]["mean"] == pytest.approx(churn[0], abs=1e-9)


def test_the_variance_is_that_of_many_samples_where_weights_tell_nothing_of_values():
    rng = np.random.default_rng(0)
    weights = weighting.relative(np.exp(1.2 * rng.normal(size=40)))
    values = rng.random((4000, 40))
    found = weighting.linear(values, weights).var(1, ddof=1) / 40
    assert found.mean() == pytest.approx((values @ weights / 40).var(), rel=0.05)


def test_infinite_losses_stay_infinite():
    sure = np.eye(CLASSES)[OLD[0].argmax(1)]
    found = compare(sure, NEW[0], labels=LABELS, weights=WEIGHTS).report
    assert found.groups[0].measures["nll"].mean == np.inf
    assert found.groups[0].measures["nll"].unknown == "infinite"


def test_one_example_with_nearly_all_weight_gives_no_interval():
    weights = np.where(np.arange(EXAMPLES) == 3, 1e9, 1.0)
    report = compare(OLD[0], NEW[0], labels=LABELS, weights=weights).report
    found = report.between[0].measures["churn"]
    assert np.isnan(found.low)
    assert found.unknown == "can't be known from one example"
    assert any("One example has 100 % of the weight" in note for note in report.notes)
