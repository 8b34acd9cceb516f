"""The gate's conditions: what they mean, what they refuse, and that nothing in them is executed."""

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.analysis import gate
from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.one_pass import measure
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UserError
from churn_jax.predictions.run import Run

RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(400, 4)) * 2
LABELS = SHARED.argmax(1)
PROBS = [np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in SHARED + RNG.normal(size=(5, 400, 4))]


def samples(groups, names):
    runs = [Run(lambda rows, p=p: p[rows], "probs", g) for p, g in zip(PROBS, groups, strict=False)]
    return Samples(measure(runs, LABELS, 400, 4, Wanted()), names)


@pytest.fixture(scope="module")
def pair():
    return samples([0, 1], ["v1", "v2"])


@pytest.fixture(scope="module")
def groups():
    return samples([0, 0, 0, 1, 1], ["baseline", "co-distilled"])


def test_values_are_those_of_the_definitions(pair):
    old, new = PROBS[:2]
    expected = {
        "churn": metrics.churn(old, new),
        "nfr": metrics.negative_flip_rate(old, new, LABELS),
        "btc": metrics.backward_trust_compatibility(old, new, LABELS),
        "accuracy_old": metrics.accuracy(old, LABELS),
        "accuracy_v2": metrics.accuracy(new, LABELS),
        "ece_new - ece_old": metrics.expected_calibration_error(new, LABELS)
        - metrics.expected_calibration_error(old, LABELS),
        "2 * churn - 0.1": 2 * metrics.churn(old, new) - 0.1,
        "-nfr + 1": 1 - metrics.negative_flip_rate(old, new, LABELS),
    }
    for text, value in expected.items():
        (found,) = gate.check(f"{text} > 0.05", pair)
        assert found.left == pytest.approx(value, abs=1e-6), text
        assert found.failed == (value > 0.05)
        (found,) = gate.check(f"0.05 < {text}", pair)
        assert found.right == pytest.approx(value, abs=1e-6)
        assert found.failed == (value > 0.05)


def test_a_groups_own_churn_and_the_steps(groups):
    names = ("churn_old", "churn_baseline", "churn_co_distilled", "churn", "excess_churn")
    left = {name: gate.check(f"{name}>0", groups)[0].left for name in names}
    assert left["churn_old"] == left["churn_baseline"] == groups.within("churn", 0).mean
    assert left["churn_co_distilled"] == groups.within("churn", 1).mean
    assert left["churn"] == groups.between("churn", 0, 1).mean
    assert left["excess_churn"] == pytest.approx(
        left["churn"] - (left["churn_old"] + left["churn_co_distilled"]) / 2
    )


def test_confident_fails_only_beyond_doubt(pair):
    churn = pair.between("churn", 0, 1).mean
    barely = f"churn > {churn - 0.001}"
    assert gate.check(barely, pair)[0].failed
    assert not gate.check(barely, pair)[0].certain
    assert not gate.check(barely, pair, confident=True)[0].failed
    (surely,) = gate.check(f"churn > {churn / 2}", pair, confident=True)
    assert surely.failed
    assert surely.certain


def test_shared_examples_make_a_difference_surer_than_its_parts(pair):
    (difference,) = gate.check("accuracy_new < accuracy_old", pair)
    (single,) = gate.check("accuracy_new < 0.5", pair)
    width = difference.ci95[1] - difference.ci95[0]
    assert width < 2 * (single.ci95[1] - single.ci95[0])


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ("", "empty"),
        ("churn", "no comparison"),
        ("churn >= 0.1", "by > or <"),
        ("0 < churn < 1", "no comparison"),
        ("chrun > 0.1", "did you mean 'churn'"),
        ("accuracy > 0.1", "accuracy_old or accuracy_new"),
        ("churn_old > 0.1", "has one run"),
        ("nfr_new > 0.1", "step between two groups"),
        ("excess_churn > 0.1", "two runs of each"),
        ("churn * nfr > 0.1", "multiplies two measures"),
        ("churn / 2 > 0.1", r"only measures, numbers, \+, - and \*"),
        ("__import__('os').system('true') > 0", "only measures"),
        ("churn.real > 0", "only measures"),
        ("churn > 'a'", "only measures"),
        ("churn > True", "only measures"),
        ("churn > (", "cannot read"),
        ("churn > 1e999", "cannot be decided"),
        ("(" * 5000, "cannot read"),
    ],
)
def test_what_is_no_condition_is_refused(pair, condition, fault):
    with pytest.raises(UserError, match=fault) as caught:
        gate.check(condition, pair)
    assert "\n" not in str(caught.value)
