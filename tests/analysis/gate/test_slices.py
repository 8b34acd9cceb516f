"""Conditions on slices of the examples, each measured on its own."""

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.analysis import gate
from churn_jax.errors import UserError
from tests.analysis.gate.two_models import LABELS, PARTS, PROBS, REGION, flipping, outcome


def test_a_slice_is_measured_on_its_examples(pair):
    old, new = PROBS[:2]
    for condition, rows in (
        ("nfr[region=eu]>1%", REGION == "eu"),
        ("nfr[ region = us ]>1%", REGION == "us"),
        ("nfr[class=2]>1%", LABELS == 2),
        ('nfr["region"="x] y"]>0', REGION == "x] y"),
        ("nfr[region='x] y']>0", REGION == "x] y"),
    ):
        (found,) = gate.check(pair, condition, parts=PARTS)
        expected = metrics.negative_flip_rate(old[rows], new[rows], LABELS[rows])
        assert found.left == pytest.approx(expected)
    (found,) = gate.check(pair, "accuracy_new[region=eu]<accuracy_old[region=eu]-1%", parts=PARTS)
    rows = REGION == "eu"
    expected = metrics.accuracy(new[rows], LABELS[rows]) - metrics.accuracy(old[rows], LABELS[rows])
    assert found.margin == pytest.approx(expected + 0.01)


def test_every_slice_is_held_to_the_limit(pair):
    old, new = PROBS[:2]
    rates = {
        f"class={c}": metrics.negative_flip_rate(
            old[c == LABELS], new[c == LABELS], LABELS[c == LABELS]
        )
        for c in range(4)
    }
    worst = max(rates, key=rates.get)
    (found,) = gate.check(pair, "nfr[class=*]>1%", parts=PARTS)
    assert found.failed
    assert found.part == worst
    assert found.left == pytest.approx(rates[worst])
    assert f"over the limit in 4 of them, worst in {worst}: {100 * rates[worst]:.1f} %" in (
        found.sentence
    )
    limit = (rates[worst] + sorted(rates.values())[-2]) / 2
    (found,) = gate.check(pair, f"nfr[class=*]>{limit}", parts=PARTS)
    assert f"over the limit in 1 of them, worst in {worst}" in found.sentence
    assert outcome(gate.check(pair, f"nfr[class=*]>{rates[worst] + 0.01}", parts=PARTS)) == "passed"
    (found,) = gate.check(pair, "nfr[*]>1%", parts=PARTS)
    assert "in each of 7 slices" in found.sentence


def test_slices_too_small_to_tell_are_said_and_decide_nothing(pair):
    (found,) = gate.check(pair, "nfr[region=*]>70%", parts=PARTS)
    assert found.outcome == "passed"
    assert "too few examples to tell in 1: region=x] y (5)" in found.sentence
    # A single flip among 40 examples is 2.5 %, and would be in any of many slices by chance.
    quarters = {"quarter": (np.arange(400) // 40).astype(str)}
    flips = flipping(400, 1)
    (found,) = gate.check(flips, "nfr[*]>1%", parts=quarters)
    assert found.outcome == "undecided"
    (found,) = gate.check(flips, "nfr[*]>3%", parts=quarters)
    assert found.outcome == "passed"
    assert outcome(gate.check(flipping(400, 40), "nfr[*]>1%", parts=quarters)) == "failed"


def test_slices_are_wanted_where_there_are_none(pair):
    for condition in ("nfr[*]>1%", "nfr[region=eu]>1%"):
        with pytest.raises(UserError, match="give --slices"):
            gate.check(pair, condition)
