"""Several labels an example: churn of sets and label by label, right by scikit-learn."""

import json

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import special

from churn_jax import compare as command
from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError
from churn_jax.report.report import Report

EXAMPLES, NAMES = 120, ("sea", "cat", "dog")
RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(EXAMPLES, 3)) * 2
LABELS = (SHARED + RNG.normal(size=SHARED.shape) > 0).astype(int)
OLD, NEW = (
    [special.expit(SHARED + RNG.normal(size=SHARED.shape)) for _ in range(2)] for _ in range(2)
)
IDS = np.array([f"x{i:03d}" for i in range(EXAMPLES)])
WEIGHTS = RNG.random(EXAMPLES) + 0.1


def model(probs, order=slice(None), columns=(0, 1, 2), **more):
    names = np.array(NAMES)[list(columns)]
    arrays = {"probs": probs, "labels": LABELS, **more}
    of_columns = {key: value[order][:, list(columns)] for key, value in arrays.items()}
    return {**of_columns, "ids": IDS[order], "class_names": names}


def compared(**options):
    groups = {"old": [model(p) for p in OLD], "new": [model(p) for p in NEW]}
    return compare(groups, kind="multilabel", **options).report


def found(report, key, group=0):
    return report["groups"][group][key]["mean"]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_sets_and_labels_are_scikit_learns(weights):
    report = compared(weights=weights)
    own = {"sample_weight": weights}
    there = [p >= 0.5 for p in OLD]
    expected = {
        "accuracy": [reference.accuracy_score(LABELS, p, **own) for p in there],
        "hamming_loss": [reference.hamming_loss(LABELS, p, **own) for p in there],
        "churn": [1 - reference.accuracy_score(*there, **own)],
        "hamming_churn": [reference.hamming_loss(*there, **own)],
    }
    for key, values in expected.items():
        assert found(report, key) == pytest.approx(np.mean(values), abs=1e-9), key
    pairs = [(a >= 0.5, b >= 0.5) for a in OLD for b in NEW]
    change = report["between"][0]
    across = [reference.hamming_loss(a, b, **own) for a, b in pairs]
    assert change["hamming_churn"]["mean"] == pytest.approx(np.mean(across), abs=1e-9)
    bad = [np.average((a == LABELS).all(1) & ~(b == LABELS).all(1), weights=weights)
           for a, b in pairs]  # fmt: skip
    assert change["negative_flip_rate"]["mean"] == pytest.approx(np.mean(bad), abs=1e-9)
    assert change["hamming_churn"]["ci95"][0] < np.mean(across) < change["hamming_churn"]["ci95"][1]
    assert "schurn" not in report["groups"][0]
    assert any("Churn is that of sets" in note for note in report.notes)
    assert Report.from_json(report.to_json()) == report


def test_examples_and_labels_may_be_in_any_order():
    order = RNG.permutation(EXAMPLES)
    plain = compare(model(OLD[0]), model(NEW[0]), kind="multilabel").report
    turned = compare(
        model(OLD[0]), model(NEW[0], order, (2, 0, 1)), kind="multilabel"
    ).report  # fmt: skip
    for key in ("churn", "hamming_churn", "negative_flip_rate"):
        assert turned["between"][0][key] == plain["between"][0][key]
    assert "{cat, sea}" in plain.to_json()


def test_a_threshold_logits_and_predicted_labels():
    at = compare(model(OLD[0]), model(NEW[0]), kind="multilabel", threshold=0.3).report
    loss = reference.hamming_loss(LABELS, OLD[0] >= 0.3)
    assert found(at, "hamming_loss") == pytest.approx(loss, abs=1e-9)
    logits = [{"logits": special.logit(p)} for p in (OLD[0], NEW[0])]
    for arrays in (logits, [{"predictions": (p >= 0.5).astype(int)} for p in (OLD[0], NEW[0])]):
        report = compare(*arrays, labels=LABELS, kind="multilabel").report
        plain = reference.hamming_loss(LABELS, OLD[0] >= 0.5)
        assert found(report, "hamming_loss") == pytest.approx(plain, abs=1e-9)
    unlabelled = compare(OLD[0], NEW[0], kind="multilabel").report
    churn = ((OLD[0] >= 0.5) != (NEW[0] >= 0.5)).mean()
    assert unlabelled["between"][0]["hamming_churn"]["mean"] == pytest.approx(churn, abs=1e-9)


def test_tables_labels_of_their_own_slices_and_a_gate(tmp_path, capsys):
    paths = []
    for name, values in (("old", OLD[0]), ("new", NEW[0]), ("labels", LABELS)):
        lines = [",".join(["id", *NAMES])]
        lines += [",".join(map(str, [i, *row])) for i, row in zip(IDS, values, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        paths.append(str(tmp_path / f"{name}.csv"))
    gate = '--fail_if=hamming_churn>90%,nfr["label cat"=there]>90%,hamming_loss_new>90%'
    out = tmp_path / "out"
    arguments = [*paths[:2], f"--labels={paths[2]}", "--kind=multilabel", gate, f"--out={out}"]
    assert command.main(arguments) == 0
    report = json.loads((out / "report.json").read_text())
    part = next(part for part in report["slices"] if part["by"] == "label cat")
    rows = LABELS[:, 1] == 1
    assert part["num_examples"] == rows.sum()
    differ = ((OLD[0] >= 0.5) != (NEW[0] >= 0.5))[rows]
    assert part["between"][0]["churn"]["mean"] == pytest.approx(differ.any(1).mean(), abs=1e-9)
    assert part["between"][0]["hamming_churn"]["mean"] == pytest.approx(differ.mean(), abs=1e-9)
    assert "Hamming churn" in capsys.readouterr().out
    assert "Hamming churn" in (out / "report.html").read_text()
    assert not any(group["never_learned"] for group in report["groups"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"probs": OLD[0] * 2}, "example 0 has .* for label 0, not a probability"),
        ({"labels": LABELS * 2}, r"has 2 for label .*, not 0 or 1"),
        ({"labels": LABELS[:, 0]}, "its labels have shape .120., its values .120, 3."),
        ({"class_names": ["sea", "Sea ", "dog"]}, "the label 'sea' is there twice"),
        ({"class_names": ["sea", "cow", "dog"]}, "has the labels 'cow', 'dog', 'sea', and"),
        ({"class_names": ["sea", "cat"]}, "2 class names for 3 labels"),
        ({"predictions": LABELS[:, 0]}, "has predictions beside values"),
        ({"probs": OLD[0][:, 0]}, r"takes values \[example, label\], not \[120\]"),
    ],
)
def test_what_is_no_set_of_labels_is_refused(change, why):
    with pytest.raises(UserError, match=why) as caught:
        compare(model(OLD[0]), model(NEW[0]) | change, kind="multilabel")
    assert "\n" not in str(caught.value)


def test_what_does_not_go_with_sets_is_refused():
    with pytest.raises(UserError, match=r"labels: example 0 has .* for label 0, not 0 or 1"):
        compare(OLD[0], NEW[0], labels=OLD[1], kind="multilabel")
    probs = OLD[0] / OLD[0].sum(1, keepdims=True)
    with pytest.raises(UserError, match=r"'hamming_churn' .* needs several labels an example"):
        compare(probs, probs, fail_if="hamming_churn>1%")
    with pytest.raises(UserError, match=r"--threshold=2: must be a probability"):
        compare(OLD[0], NEW[0], kind="multilabel", threshold=2)
    with pytest.raises(UserError, match=r"--measures: 'recall' is of one class an example"):
        compared(measures=["recall"])
    gap = OLD[0].copy()
    gap[7, 1] = np.nan
    with pytest.raises(UserError, match=r"new\[0\]: example 7 has no prediction"):
        compare(OLD[0], gap, kind="multilabel")
    report = compare(OLD[0], gap, kind="multilabel", missing="drop").report
    assert report.num_examples == EXAMPLES - 1
