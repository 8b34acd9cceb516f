"""Figures are titled by what they show: the numbers of NumPy, in words."""

import dataclasses

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare
from churn_jax.report import figures, findings
from churn_jax.report.breakdowns import Fragility, Reliability, Triage
from churn_jax.report.curves import Curve
from churn_jax.report.estimates import Estimate
from churn_jax.report.learning import learning
from churn_jax.report.report import Point

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 200)
LOGITS = 2 * np.eye(3)[LABELS] + RNG.normal(size=(2, 200, 3))
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def titles():
    report = compare({"old": PROBS[0], "new": PROBS[1]}, LABELS).report
    return {figure.name: (figure.title, figure.caption) for figure in figures.every(report)}


def test_how_much_churn_is_on_nearly_tied_predictions(titles):
    ordered = np.sort(PROBS, axis=2)
    gap = (ordered[..., -1] - ordered[..., -2]).min(0)
    flips = PROBS[0].argmax(1) != PROBS[1].argmax(1)
    churn, few = 100 * flips[gap < 0.3].sum() / flips.sum(), 100 * (gap < 0.3).mean()
    title, caption = titles["near_ties"]
    assert title == (
        f"{churn:.0f} % of the churn is on the {few:.0f} % of examples that were nearly ties"
    )
    assert caption.startswith("Churn from old to new, n = 200 examples.")


def test_whether_a_group_is_surer_than_it_is_right(titles):
    for place, name in enumerate(("old", "new")):
        sure = 100 * PROBS[place].max(1).mean()
        right = 100 * (PROBS[place].argmax(1) == LABELS).mean()
        title, caption = titles[f"calibration_{place + 1}"]
        assert title.startswith(f"{name} is ")
        assert title.endswith(f" right: confidence {sure:.1f} %, accuracy {right:.1f} %")
        assert "n = 200 predictions" in caption
    one = Reliability("g", (10, 30), (0.5, 0.9), (0.4, 0.8))  # confidence 0.7, accuracy 0.8
    assert findings.calibration(one) == (
        "g is less sure than it is right: confidence 70.0 %, accuracy 80.0 %"
    )
    turned = dataclasses.replace(one, accuracy=one.confidence, confidence=one.accuracy)
    assert findings.calibration(turned).startswith("g is surer than it is right")
    even = dataclasses.replace(one, accuracy=one.confidence)
    assert findings.calibration(even).startswith("g is about as sure as it is right")


def estimate(mean):
    return Estimate(mean, (mean, mean))


def test_orders_and_ends():
    groups = [("a", estimate(0.9), estimate(0.05)), ("b", estimate(0.95), estimate(0.06))]
    assert findings.trade_off(groups) == "Least churn: a (5.0 %); highest accuracy: b (95.0 %)"
    groups[0] = ("a", estimate(0.96), estimate(0.05))
    assert findings.trade_off(groups) == (
        "a has the least churn (5.0 %) and the highest accuracy (96.0 %)"
    )
    assert findings.surrogate({"a": (9.0, 5.0), "b": (8.0, 6.0)}) == (
        "SChurn₁ orders the groups otherwise than churn does"
    )
    assert findings.surrogate({"a": (9.0, 5.0)}) == "a: SChurn₁ is 9.0 %, churn 5.0 %"
    points = [Point(step, estimate(0.9), estimate(churn)) for step, churn in ((1, 0.2), (2, 0.1))]
    assert findings.history("churn", dict.fromkeys("abcd", points)) == (
        "Churn over training: a 20.0 → 10.0 %, b 20.0 → 10.0 %, c 20.0 → 10.0 % and 1 more"
    )


def fragility(name, caught):
    """A group of which a tenth of the examples catches so many of the flips."""
    triage = Triage(reviewed=(0.1, 1.0), by_confidence=(caught, 1.0), by_flips=None)
    return Fragility(name, (), 0.5, (), triage, None, None)


def test_what_reviewing_a_tenth_catches_says_whose_flips():
    one, other = fragility("a", 0.4), fragility("b", 0.25)
    assert findings.triage([one]) == "The 10 % least sure examples have 40 % of a's flips"
    assert findings.triage([one, other]) == (
        "The 10 % least sure examples have 25 to 40 % of the flips"
    )


@pytest.mark.parametrize(
    ("measures", "title"),
    [
        (["train/accuracy"], "Accuracy on training batches: at the end 90.0 % (a)"),
        (["train/accuracy", "eval/accuracy"], "Accuracy over training: at the end 90.0 % (a)"),
    ],
)
def test_a_learning_curve_says_of_what_it_is(measures, title):
    curves = tuple(Curve("a", name, 0, (1.0, 2.0), (0.5, 0.9), (0.0, 0.0)) for name in measures)
    report = dataclasses.replace(compare(PROBS[0], PROBS[1]).report, learning=curves)
    (figure,) = learning(report)
    assert figure.title == title
