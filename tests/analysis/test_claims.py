"""What a report may call better or worse."""

import math

import numpy as np
import pytest

from churn_jax.analysis import claims
from churn_jax.compare import compare
from churn_jax.report import to_html, to_terminal
from churn_jax.report.claims import HINT, NO_DIFFERENCE, WITHHELD, claim


def test_holm():
    assert claims.holm([0.01, 0.04, 0.03, 0.005]) == [0.03, 0.06, 0.06, 0.02]
    assert claims.holm([]) == []
    assert claims.holm([0.9, 0.8]) == [1, 1]


def test_holm_does_not_count_what_was_not_tested():
    found = claims.holm([math.nan, 0.02, math.nan, 0.01])
    assert found[1::2] == [0.02, 0.02]
    assert np.isnan(found[::2]).all()


@pytest.mark.parametrize(
    ("metric", "difference", "p", "p_holm", "expected"),
    [
        ("churn", -0.1, 0.001, 0.01, "better"),
        ("churn", 0.1, 0.001, 0.01, "worse"),
        ("accuracy", 0.1, 0.001, 0.01, "better"),
        ("accuracy", -0.1, 0.001, 0.01, "worse"),
        ("churn_incorrect", 0.1, 0.001, 0.01, "higher"),
        ("churn", -0.1, 0.001, 0.06, HINT),
        ("churn", -0.1, 0.06, 0.06, NO_DIFFERENCE),
        ("nll", math.inf, math.nan, math.nan, WITHHELD),
    ],
)
def test_a_claim_needs_the_corrected_p_value(metric, difference, p, p_holm, expected):
    assert claim(metric, difference, p, p_holm, None) == expected
    assert claim(metric, difference, p, p_holm, "why") == WITHHELD


def softmax(logits):
    probs = np.exp(logits - logits.max(-1, keepdims=True))
    return probs / probs.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def reports():
    """Three equal groups, one of which is much noisier in the second report."""
    rng = np.random.default_rng(0)
    shared = 3 * rng.normal(size=(300, 4))
    labels = shared.argmax(1)

    def runs(noise):
        return [softmax(shared + noise * rng.normal(size=shared.shape)) for _ in range(4)]

    equal = {name: runs(1.0) for name in "abc"}
    return [compare(groups, labels).report for groups in (equal, equal | {"c": runs(2.0)})]


def test_every_word_of_a_report_follows_its_claims(reports):
    for report in reports:
        text, page = to_terminal(report), to_html(report)
        for found in report.contrasts:
            expected = claim(found.metric, found.difference, found.p, found.p_holm, found.withheld)
            assert found.claim == expected
        said = [c for c in report.contrasts if c.metric in ("churn", "accuracy", "schurn", "ece")]
        for word in ("better", "worse"):
            count = sum(found.claim == word for found in said)
            assert text.count(f"by Holm): {word}") == page.count(f"by Holm): {word}") == count
    assert "by Holm): worse" in text


def test_the_family_is_everything_with_a_p_value(reports):
    report = reports[1]
    tests = [change.excess_churn_test for change in report.between]
    found = [*report.contrasts, *tests]
    assert [each.p_holm for each in found] == pytest.approx(claims.holm([each.p for each in found]))
    assert report.contrasts[0].turned().turned() == report.contrasts[0]


def test_what_rounding_makes_is_no_difference():
    probs = softmax(2 * np.random.default_rng(0).normal(size=(400, 5)))
    nearly = softmax(np.log(probs) * (1 + 1e-9))
    labels = probs.argmax(1)
    for contrast in compare({"a": probs, "b": nearly}, labels).report.contrasts:
        assert abs(contrast.difference) < 1e-6
        assert contrast.p > 0.3
        assert contrast.claim == NO_DIFFERENCE
        assert contrast.ci95[0] < 0 < contrast.ci95[1]
