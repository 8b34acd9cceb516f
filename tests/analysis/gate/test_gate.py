"""The gate's conditions: what they mean, what they refuse, and how they come out."""

import dataclasses
import math
import warnings

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.analysis import gate
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UserError
from tests.analysis.gate.two_models import LABELS, PARTS, PROBS, flipping, outcome, samples


def test_values_are_those_of_the_definitions(pair):
    old, new = PROBS[:2]
    expected = {
        "churn": metrics.churn(old, new),
        "nfr": metrics.negative_flip_rate(old, new, LABELS),
        "btc": metrics.backward_trust_compatibility(old, new, LABELS),
        "accuracy_old": metrics.accuracy(old, LABELS),
        "accuracy_v2": metrics.accuracy(new, LABELS),
        "churn + nfr": metrics.churn(old, new) + metrics.negative_flip_rate(old, new, LABELS),
        "2 * churn - 0.1": 2 * metrics.churn(old, new) - 0.1,
        "-nfr + 1": 1 - metrics.negative_flip_rate(old, new, LABELS),
        "-nfr + 50%": 0.5 - metrics.negative_flip_rate(old, new, LABELS),
        "(churn - nfr) * 50%": 0.5
        * (metrics.churn(old, new) - metrics.negative_flip_rate(old, new, LABELS)),
    }
    for text, value in expected.items():
        (found,) = gate.check(pair, f"{text} > 0.05")
        assert found.left == pytest.approx(value, abs=1e-6), text
        assert found.failed == (value > 0.05)
        (found,) = gate.check(pair, f"0.05 < {text}")
        assert found.right == pytest.approx(value, abs=1e-6)
        assert found.failed == (value > 0.05)


def test_a_groups_own_churn_and_the_changes(groups):
    names = ("churn_old", "churn_baseline", "churn_co_distilled", "churn", "excess_churn")
    found = {name: gate.check(groups, f"{name}>1%")[0].left for name in names}
    assert found["churn_old"] == found["churn_baseline"] == groups.within("churn", 0).mean
    assert found["churn_co_distilled"] == groups.within("churn", 1).mean
    assert found["churn"] == groups.between("churn", 0, 1).mean
    assert found["excess_churn"] == pytest.approx(
        found["churn"] - (found["churn_old"] + found["churn_co_distilled"]) / 2
    )


@pytest.mark.parametrize(
    ("in_percent", "as_fraction"),
    [
        ("churn>35%", "churn>0.35"),
        ("churn > 35.5 %", "churn > 0.355"),
        ("churn>3.6e1%", "churn>.36"),
        ("accuracy_new<accuracy_old-0.5%", "accuracy_new<accuracy_old-0.005"),
        ("accuracy_new<accuracy_old−0.5%", "accuracy_new<accuracy_old-0.005"),
        ("nll_new>nll_old*90%", "nll_new>nll_old*0.9"),
        ("kappa<60%", "kappa<0.6"),
        ("schurn>500%", "schurn>5"),
    ],
)
def test_percent_and_fractions_are_the_same(pair, in_percent, as_fraction):
    (one,), (other,) = gate.check(pair, in_percent), gate.check(pair, as_fraction)
    assert one.margin == pytest.approx(other.margin)
    assert one.outcome == other.outcome


def test_confident_fails_only_beyond_doubt(pair):
    churn = pair.between("churn", 0, 1).mean
    barely = f"churn > {churn - 0.001}"
    assert gate.check(pair, barely)[0].failed
    assert not gate.check(pair, barely)[0].certain
    (tolerated,) = gate.check(pair, barely, confident=True)
    assert tolerated.outcome == "passed"
    assert "over the limit, but not beyond doubt" in tolerated.sentence
    (surely,) = gate.check(pair, f"churn > {churn / 2}", confident=True)
    assert surely.failed
    assert surely.certain


def test_shared_examples_make_a_difference_surer_than_its_parts(pair):
    (difference,) = gate.check(pair, "accuracy_new < accuracy_old")
    (single,) = gate.check(pair, "accuracy_new < 0.5")
    assert np.ptp(difference.ci95) < 2 * np.ptp(single.ci95)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("churn>5%", "churn 35.5 %, limit 5 %: over the limit (95 % interval 30.9 to 40.3 %)"),
        ("churn>0.9", "churn 35.5 %, limit 90 %: within the limit (95 % interval 30.9 to 40.3 %)"),
        ("churn>35.49%", "churn 35.50 %, limit 35.49 %: over the limit"),
        ("0.05<churn", "churn 35.5 %, limit 5 %: over the limit"),
        ("accuracy_new<80%", "accuracy of v2 72.0 %, lower limit 80 %: below the limit"),
        (
            "accuracy_new<accuracy_old",
            "accuracy of v2 72.0 %, lower limit 73.0 % (accuracy of v1): below the limit",
        ),
        ("nll_new>0.5", "NLL of v2 0.649, limit 0.5: over the limit"),
        ("kappa<0.6", "Cohen's κ 0.5245, lower limit 0.6: below the limit"),
        ("nfr[region=eu]>1%", "bad churn (✓→✗) in region=eu 15.0 %, limit 1 %: over the limit"),
        ("2*churn>5%", "2*churn 71.0 %, limit 5 %: over the limit"),
    ],
)
def test_verdicts_read_as_a_person_says_them(pair, condition, sentence):
    (found,) = gate.check(pair, condition, parts=PARTS)
    assert found.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("condition", "meant"),
    [
        ("churn>5", "'churn>5%', which is 0.05"),
        ("churn > 1", "'churn > 1%', which is 0.01"),
        ("accuracy_new<70", "'accuracy_new<70%', which is 0.7"),
        ("accuracy_new<accuracy_old-2", "'accuracy_new<accuracy_old-2%', which is 0.02"),
        ("5 < nfr", "'5% < nfr', which is 0.05"),
        ("ece_v2>10", "'ece_v2>10%', which is 0.1"),
        ("churn[class=1]>5", "'churn[class=1]>5%', which is 0.05"),
        ("churn>500%", ""),
        ("churn<0", ""),
        ("churn<-1%", ""),
        ("kappa<-1.5", "'kappa<-1.5%', which is 0.015"),
        ("2*churn>2", "'2*churn>2%', which is 0.02"),
        ("churn>2*churn", ""),
    ],
)
def test_limits_outside_of_a_measures_range_are_refused(pair, condition, meant):
    with pytest.raises(UserError, match="whatever the files hold") as caught:
        gate.check(pair, condition, parts=PARTS)
    assert (f"did you mean {meant}?" in str(caught.value)) if meant else True
    assert ("did you mean" in str(caught.value)) == bool(meant)


@pytest.mark.parametrize("condition", ["churn<5", "accuracy_new>accuracy_old-5", "accuracy_new>1"])
def test_limits_that_show_nothing_are_refused(pair, condition):
    with pytest.raises(UserError, match="whatever the files hold"):
        gate.check(pair, pass_if=condition)


@pytest.mark.parametrize(
    "condition", ["nfr>0", "accuracy_new<1", "schurn>5", "nll_new>200", "kappa<0", "churn>99.9%"]
)
def test_limits_that_could_matter_are_not(pair, condition):
    assert gate.check(pair, condition)


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ("", "empty"),
        (" , ", "empty"),
        ("churn", "no comparison such as churn>5%"),
        ("churn >= 0.1", "by > or < .did you mean 'churn > 0.1'"),
        ("churn≤5%", "by > or < .did you mean 'churn<5%'"),
        ("0 < churn < 1", "no comparison"),
        ("1 > 0", "names no measure"),
        ("chrun > 0.1", "did you mean 'churn'"),
        ("acuracy_new > 0.1", "did you mean 'accuracy_new'"),
        ("accuracy > 0.1", "accuracy_old or accuracy_new"),
        ("churn_old > 0.1", "has one run"),
        ("nfr_new > 0.1", "change between two groups"),
        ("excess_churn > 0.1", "two runs of each"),
        ("churn * nfr > 0.1", "multiplies two measures"),
        ("churn / 2 > 0.1", r"only measures, numbers, \+, - and \*"),
        ("__import__('os').system('true') > 0", "only measures"),
        ("churn.real > 0", "only measures"),
        ("churn > 'a'", "only measures"),
        ("churn > True", "'True' is not measured"),
        ("churn > (", "ends too early"),
        ("churn > (0.1", "cannot read"),
        ("churn > 1e999", "cannot be decided"),
        ("churn>0,05", "decimals are written with a point"),
        ("churn>5%%", "has '%'"),
        ("churn>5%; nfr>1%", "a comma goes between two conditions"),
        ("(" * 5000, "cannot read"),
        ("nll_new>5%", "in nats, not in percent"),
        ("nll_old+5%<nll_new", "in nats, not in percent"),
        ("nfr[eu]>1%", r"none of \[COLUMN=NAME\]"),
        ("nfr[region=eu>1%", "only measures"),
        ("nfr[region=asia]>1%", r"no example is in the slice region=asia \(one of: eu, us, x\] y"),
        ("nfr[regoin=eu]>1%", "did you mean 'region'"),
        ("accuracy_new[region=eu]<accuracy_old", "same slice behind each"),
        ("accuracy_new[region=eu]<accuracy_old[region=us]", "same slice behind each"),
    ],
)
def test_what_is_no_condition_is_refused(pair, condition, fault):
    with pytest.raises(UserError, match=fault) as caught:
        gate.check(pair, condition, parts=PARTS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_what_the_files_do_not_hold_is_said(pair):
    unlabelled = Samples(dataclasses.replace(pair.measured, labels=None), pair.names)
    with pytest.raises(UserError, match="'nfr' is not measured: it needs labels"):
        gate.check(unlabelled, "nfr>1%")
    with pytest.raises(UserError, match="'nll_new' is not measured: it needs labels"):
        gate.check(unlabelled, "nll_new>1")
    with pytest.raises(UserError, match=r"'l1' is not measured: .* --measures=main left it out"):
        gate.check(pair, "l1>1")


@pytest.mark.parametrize(
    ("names", "condition", "fault"),
    [
        (("v1.0", "v1-0"), "accuracy_v1_0<5%", "'v1.0' and accuracy of the last group 'v1-0'"),
        (
            ("correct", "new"),
            "churn_correct>5%",
            "the measure churn correct and churn of the first",
        ),
        (("mass", "new"), "ece_mass>5%", "the measure ECE, equal mass and ECE of the first group"),
        (("new", "old"), "accuracy_new<50%", "give old first and new last"),
        (("New", "Old"), "accuracy_old<50%", "give old first and new last"),
        (("new", "old"), "nfr>5%", "from the first group, 'new', to the last, 'old'"),
        (("new", "old"), "churn_correct>5%", "give old first and new last"),
        (("base", "old"), "btc<5%", "give old first and new last"),
    ],
)
def test_names_that_mean_two_things_are_refused(pair, names, condition, fault):
    with pytest.raises(UserError, match=fault):
        gate.check(Samples(pair.measured, names), condition)


@pytest.mark.parametrize(
    ("names", "condition"),
    [
        (("old", "new"), "accuracy_new<50%"),
        (("old", "new"), "nfr>5%"),
        (("v1.0", "v1-0"), "accuracy_new<50%"),
        (("new", "old"), "churn>5%"),
        (("correct", "x"), "accuracy_correct<5%"),
        (("2024-01", "2025"), "accuracy_2024_01<accuracy_2025-1%"),
        (("été", "hiver"), "accuracy_été<5%"),
    ],
)
def test_names_that_mean_one_thing_are_not(pair, names, condition):
    assert gate.check(Samples(pair.measured, names), condition)


def test_what_has_no_result_cannot_pass(pair):
    why = "v2 has runs that never learned"
    (found,) = gate.check(pair, "churn>99%", no_result=why)
    assert found.outcome == "undecided"
    assert found.sentence == f"churn 35.5 %, limit 99 %: undecided, because {why}"
    assert outcome(gate.check(pair, pass_if="churn<99%", no_result=why)) == "undecided"
    # What is broken stays broken: a model that learned nothing may not replace another.
    assert outcome(gate.check(pair, "accuracy_new<99%", no_result=why)) == "failed"
    assert outcome(gate.check(pair, "churn[*]>99%", parts=PARTS, no_result=why)) == "undecided"


@pytest.mark.parametrize(
    ("n", "condition", "expected"),
    [
        (60, "nfr>1%", "undecided"),  # one of 60 is 1.7 %
        (99, "nfr>1%", "undecided"),
        (100, "nfr>1%", "passed"),
        (60, "nfr>2%", "passed"),
        (60, "nfr>0", "passed"),  # about these very examples
        (9, "churn>90%", "undecided"),
        (10, "churn>90%", "passed"),
        (1, "churn>90%", "undecided"),
        (60, "accuracy_new<99%", "undecided"),
    ],
)
def test_too_few_examples_decide_nothing(n, condition, expected):
    assert outcome(gate.check(flipping(n, 0), condition)) == expected


def test_what_has_no_interval_shows_nothing(pair):
    """ECE as other tools give it is biased, and has none."""
    (plain,) = gate.check(pair, "ece_plain_new>0.1%")
    assert plain.failed
    (found,) = gate.check(pair, "ece_plain_new>0.1%", confident=True)
    assert found.outcome == "undecided"
    assert "its interval is not known: it holds what noise adds" in found.sentence
    assert outcome(gate.check(pair, pass_if="ece_plain_new<99%")) == "undecided"
    assert outcome(gate.check(pair, pass_if="ece_plain_new<0.1%")) == "failed"
    assert outcome(gate.check(pair, "ece_plain_new>99%", confident=True)) == "passed"


def test_too_few_examples_still_fail():
    assert outcome(gate.check(flipping(60, 2), "nfr>1%")) == "failed"


def test_what_is_not_a_number_is_undecided():
    same = samples([0, 1], ["old", "new"], [np.tile([0.9, 0.1], (50, 1))] * 2, np.arange(50) % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gate.check(same, "kappa<0.1, backward_trust<2%, churn_incorrect>5%")
    assert [v.outcome for v in found] == [
        "undecided" if math.isnan(v.left) else "passed" for v in found
    ]
    assert "undecided" in {v.outcome for v in found} or all(v.left >= 0 for v in found)


def test_an_infinite_loss_compares():
    labels = np.arange(300) % 3
    good = np.eye(3)[labels] * 0.7 + 0.1
    impossible = good.copy()
    impossible[7] = np.roll([1.0, 0, 0], labels[7] + 1)
    both = samples([0, 1], ["old", "new"], [good, impossible], labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gate.check(
            both,
            "nll_new>2, nll_old>2, nll_new>nll_old+0.1, nll_old>nll_new, nll_new>nll_new*0.5+1",
            "nll_new<2, nll_old<nll_new",
        )
    expected = ["failed", "passed", "failed", "passed", "failed", "failed", "passed"]
    assert [verdict.outcome for verdict in found] == expected
    assert found[0].sentence == "NLL of new infinity, limit 2: over the limit"
    assert math.isinf(found[0].left)
    assert outcome(gate.check(both, "nll_new>2", confident=True)) == "failed"
    neither = samples([0, 1], ["old", "new"], [impossible, impossible], labels)
    (undecided,) = gate.check(neither, "nll_new>nll_old")
    assert undecided.outcome == "undecided"
    assert "not a number" in undecided.sentence
