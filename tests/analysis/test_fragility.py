"""Which examples flip and which run to ship, of a comparison, against loops over the arrays."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from churn_jax import metrics
from churn_jax import report as reports
from churn_jax.analysis.comparison import compare

RUNS, EXAMPLES = 7, 120


@pytest.fixture(scope="module")
def probs():
    """[run, example, class]; the first run has the least noise of its own."""
    rng = np.random.default_rng(3)
    shared = 1.5 * rng.normal(size=(EXAMPLES, 4))
    noise = np.array([0.1, *[1.0] * (RUNS - 1)])[:, None, None]
    logits = shared + noise * rng.normal(size=(RUNS, EXAMPLES, 4))
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def labels(probs):
    return probs.mean(0).argmax(1)


@pytest.fixture(scope="module")
def report(probs, labels):
    return compare({"a": list(probs), "alone": [probs[0]]}, labels).report


@pytest.fixture(scope="module")
def found(report):
    (of_a,) = report.breakdowns.fragility  # one run has no flips of its own
    return of_a


def test_flip_probabilities_are_binned_without_those_of_zero(found, probs):
    probability = metrics.flip_probability(probs.argmax(2))
    assert_allclose(found.stable, (probability == 0).mean())
    for low, high, share in zip(found.edges, found.edges[1:], found.share, strict=False):
        assert_allclose(share, ((low < probability) & (probability <= high)).mean())
    assert_allclose(found.stable + sum(found.share), 1)


def test_confidence_catches_flips_of_a_run_with_the_others(found, probs):
    """12 of 120 examples, those of smallest gap, in each run."""
    classes, ordered = probs.argmax(2), np.sort(probs, axis=2)
    caught = total = 0.0
    for run in range(RUNS):
        flips = (classes != classes[run]).sum(0)
        first = np.argsort(ordered[run, :, -1] - ordered[run, :, -2])[:12]
        caught, total = caught + flips[first].sum(), total + flips.sum()
    at = found.triage.reviewed.index(0.1)
    assert_allclose(found.triage.by_confidence[at], caught / total, rtol=1e-5)
    assert found.triage.by_confidence[-1] == pytest.approx(1)


def test_flips_of_half_of_the_runs_rank_those_of_the_other_half(found, probs):
    halves = [metrics.flip_probability(probs[first::2].argmax(2)) for first in (0, 1)]
    caught = [
        metrics.caught_by_review(ranks, flips, [0.3]) for ranks, flips in (halves, halves[::-1])
    ]
    weights = [halves[1].sum(), halves[0].sum()]
    at = found.triage.reviewed.index(0.3)
    assert_allclose(found.triage.by_flips[at], np.average(np.ravel(caught), weights=weights))


def test_a_vote_of_seven_abstains_unless_it_is_unanimous(found, probs, labels):
    """Six against one have p = 2·8/128."""
    counts = np.stack([np.bincount(votes, minlength=4) for votes in probs.argmax(2).T])
    unanimous = counts.max(1) == RUNS
    assert_allclose(found.abstention.abstains, 1 - unanimous.mean())
    right = counts.argmax(1) == labels
    assert_allclose(found.abstention.accuracy_of_answers, right[unanimous].mean())


def test_the_run_to_ship_is_the_one_with_the_least_noise(found, probs):
    assert found.nearest.run == "a[0]"
    flips = (probs[0].argmax(1) != probs[1:].argmax(2)).mean()
    assert_allclose(found.nearest.churn, flips, rtol=1e-5)  # both halves choose it
    assert found.nearest.churn < metrics.flip_probability(probs.argmax(2)).mean()


def test_few_runs_have_what_few_runs_can_say(probs):
    (two,) = compare({"a": list(probs[:2])}).report.breakdowns.fragility
    assert two.nearest is None
    assert two.abstention is None
    assert two.triage.by_flips is None
    assert two.triage.by_confidence is not None


def test_classes_alone_have_no_confidence(probs):
    classes = [run.argmax(1) for run in probs]
    (of_a,) = compare({"a": classes}).report.breakdowns.fragility
    assert of_a.triage.by_confidence is None
    assert of_a.triage.by_flips is not None
    assert of_a.nearest.distance == "churn"


def test_runs_that_never_differ_have_nothing_to_review(probs):
    (same,) = compare({"a": [probs[0]] * 3}).report.breakdowns.fragility
    assert (same.stable, same.triage, same.nearest.churn) == (1, None, 0)


def test_every_form_of_the_report_says_it(report):
    assert "nearest to the others by SChurn₁ is a[0]" in reports.to_terminal(report)
    page = reports.to_html(report)
    for text in (reports.to_markdown(report), page):
        assert "Which examples to watch, which run to ship" in text
    caught = report.breakdowns.fragility[0].triage
    tenth = 100 * caught.by_confidence[caught.reviewed.index(0.1)]
    assert f"The 10 % least sure examples have {tenth:.0f} % of a&#39;s flips" in page
    assert reports.Report.from_json(report.to_json()).breakdowns == report.breakdowns
