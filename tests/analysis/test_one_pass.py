"""The fused pass gives what churn_jax.metrics defines, run by run and pair by pair."""

import errno
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.analysis import building
from churn_jax.analysis.blocks import DISTANCES, Wanted
from churn_jax.analysis.one_pass import measure as measure_all
from churn_jax.analysis.pairing import Pairing
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UserError
from churn_jax.predictions.run import Run

WANTED = Wanted((1, 2.5, 64), True, tuple(DISTANCES), True)
EXAMPLES, CLASSES = 700, 60
GROUPS = [0, 0, 0, 1, 1]


def measure(runs, labels, num_classes, between=None):
    return measure_all(runs, labels, len(labels), num_classes, WANTED, between)


@pytest.fixture(scope="module")
def logits():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(EXAMPLES, CLASSES)) * 3
    return shared + rng.normal(size=(len(GROUPS), EXAMPLES, CLASSES)) * 1.5


@pytest.fixture(scope="module")
def labels(logits):
    guesses = logits.mean(0).argmax(1)
    return np.where(np.arange(EXAMPLES) % 4 == 0, 1, guesses).astype(np.int32)


@pytest.fixture(scope="module")
def probs(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


@pytest.fixture(scope="module", params=["probs", "log_probs", "logits"])
def measured(request, logits, probs, labels):
    values = {"probs": probs, "log_probs": np.log(probs).astype(np.float32), "logits": logits}
    runs = [
        Run(lambda rows, v=v: v[rows], request.param, g)
        for v, g in zip(values[request.param], GROUPS, strict=True)
    ]
    return measure(runs, labels, CLASSES)


def test_measures_of_runs(measured, probs, labels):
    for i, p in enumerate(probs):
        np.testing.assert_array_equal(measured.predictions[i], metrics.predictions(p))
        for name, expected in {
            "gap": metrics.prediction_confidence(p),
            "entropy": metrics.prediction_entropy(p),
            "nll": metrics.negative_log_likelihood(p, labels),
            "brier": metrics.brier_score(p, labels),
            "top": p.max(1),
        }.items():
            np.testing.assert_allclose(measured.values[name][i], expected, atol=2e-6, rtol=1e-6)


def test_measures_of_pairs(measured, probs):
    for i, a in enumerate(probs):
        for j, b in enumerate(probs):
            assert measured.pairs["churn"].pairs[i, j] == metrics.churn(a, b)
            assert abs(measured.pairs["schurn"].pairs[i, j] - metrics.surrogate_churn(a, b)) < 1e-6
            assert measured.lemma2_holds[i, j]


def test_means_over_the_pairs_with_a_group(measured, probs):
    distance = metrics.surrogate_distance
    for group, partners in {0: [1, 2], 1: [3, 4]}.items():
        expected = np.mean([distance(probs[0], probs[j]) for j in partners], axis=0)
        found = measured.pairs["schurn"].means(0, group)[0]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        differ = np.mean([metrics.disagreement(probs[0], probs[j]) for j in partners], axis=0)
        found = measured.pairs["churn"].means(0, group)[0]
        np.testing.assert_allclose(found, differ, atol=1e-6)


def test_impossible_classes_and_certain_predictions(labels):
    certain = np.eye(3)[[0, 1, 2, 0]]
    with np.errstate(divide="ignore"):
        log_probs = np.log(certain).astype(np.float32)
    for values, kind in [(certain, "probs"), (log_probs, "log_probs"), (log_probs, "logits")]:
        runs = [Run(lambda rows, v=values: v[rows], kind)] * 2
        found = measure(runs, np.array([0, 1, 2, 1]), 3)
        np.testing.assert_array_equal(found.values["entropy"], 0)
        np.testing.assert_array_equal(found.values["gap"], 1)
        np.testing.assert_array_equal(found.values["nll"], [[0, 0, 0, np.inf]] * 2)
        np.testing.assert_allclose(found.values["brier"], [[0, 0, 0, 2]] * 2)
        assert found.pairs["schurn"].pairs.max() == 0


def test_huge_logits_stay_finite():
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 9999.0]])
    found = measure([Run(lambda rows: logits[rows], "logits")], np.array([0, 1]), 3)
    np.testing.assert_allclose(found.values["gap"][0], [1, np.tanh(0.5)], atol=1e-6)
    assert np.isfinite(found.values["nll"]).all()


def test_distances_of_pairs(measured, probs):
    for i, a in enumerate(probs):
        for j, b in enumerate(probs[:i]):
            expected = {
                "l1": np.abs(a - b).sum(1).mean(),
                "symmetric_kl": ((a - b) * np.log(a / b)).sum(1).mean(),
                "jensen_shannon": metrics.jensen_shannon_divergence(a, b).mean(),
                "schurn@2.5": metrics.surrogate_churn(a, b, 2.5),
                "schurn@64": metrics.surrogate_churn(a, b, 64),
                "lemma2": metrics.lemma2_bound(a, b),
            }
            for name, value in expected.items():
                assert measured.pairs[name].pairs[i, j] == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_classwise_calibration(measured, probs, labels):
    expected = [metrics.classwise_calibration_error(p, labels) for p in probs]
    np.testing.assert_allclose(measured.classwise, expected, atol=1e-6)


def test_samples_say_what_the_definitions_say(measured, probs, labels):
    """Every measure of runs and pairs, within and between groups, against churn_jax.metrics."""
    samples = Samples(measured, ["a", "b"])
    of_run = {
        "accuracy": metrics.accuracy,
        "nll": lambda p, y: metrics.negative_log_likelihood(p, y).mean(),
        "brier": lambda p, y: metrics.brier_score(p, y).mean(),
        "ece": metrics.expected_calibration_error,
        "ece_plain": metrics.expected_calibration_error,
        "ece_mass": metrics.equal_mass_calibration_error,
        "ece_ks": metrics.kolmogorov_smirnov_calibration_error,
        "entropy": lambda p, y: metrics.prediction_entropy(p).mean(),
        "confidence": lambda p, y: metrics.prediction_confidence(p).mean(),
    }
    assert set(of_run) == set(samples.run_measures)
    for key, function in of_run.items():
        expected = [function(p, labels) for p in probs[:3]]
        np.testing.assert_allclose(samples.run_values(key, 0).mean(1), expected, atol=1e-6)
    of_pair = {
        "churn": lambda a, b, y: metrics.churn(a, b),
        "schurn": lambda a, b, y: metrics.surrogate_churn(a, b),
        "schurn@2.5": lambda a, b, y: metrics.surrogate_churn(a, b, 2.5),
        "schurn@64": lambda a, b, y: metrics.surrogate_churn(a, b, 64),
        "churn_correct": metrics.churn_correct,
        "churn_incorrect": metrics.churn_incorrect,
        "kappa": lambda a, b, y: metrics.cohens_kappa(a, b),
        "normalised_disagreement": metrics.normalised_disagreement,
        "l1": lambda a, b, y: metrics.probability_distance(a, b).mean(),
        "jensen_shannon": lambda a, b, y: metrics.jensen_shannon_divergence(a, b).mean(),
        "symmetric_kl": lambda a, b, y: metrics.symmetric_kl_divergence(a, b).mean(),
        "lemma1_bound": metrics.lemma1_bound,
        "lemma2_bound": lambda a, b, y: metrics.lemma2_bound(a, b),
        "gde_gap": lambda a, b, y: metrics.churn(a, b) - metrics.lemma1_bound(a, b, y) / 2,
        "negative_flip_rate": metrics.negative_flip_rate,
        "positive_flip_rate": metrics.positive_flip_rate,
        "backward_trust": metrics.backward_trust_compatibility,
        "relative_nfr": metrics.relative_negative_flip_rate,
    }
    assert set(of_pair) == {*samples.pair_measures, *samples.change_measures}
    for key, function in of_pair.items():
        across = np.mean([function(probs[i], probs[j], labels) for i in (0, 1, 2) for j in (3, 4)])
        assert samples.between(key, 0, 1).mean == pytest.approx(across, rel=1e-6, abs=1e-6)
        ordered = [(i, j) for i in range(3) for j in range(3) if i != j]
        within = np.mean([function(probs[i], probs[j], labels) for i, j in ordered])
        assert samples.within(key, 0).mean == pytest.approx(within, rel=1e-6, abs=1e-6)
        pairs = [(0, 1), (1, 2)]
        both = [
            (function(probs[i], probs[j], labels) + function(probs[j], probs[i], labels)) / 2
            for i, j in pairs
        ]
        found = [samples.pair_values(key, 0)[pair] for pair in pairs]
        np.testing.assert_allclose(found, both, rtol=1e-6, atol=1e-6)


def test_a_subset_is_measured_like_its_examples_alone(measured, probs, labels):
    rows = np.arange(EXAMPLES) % 3 == 0
    samples = Samples(measured.take(rows), ["a", "b"])
    alone = measure(
        [Run(lambda r, p=p: p[rows][r], "probs", g) for p, g in zip(probs, GROUPS, strict=True)],
        labels[rows],
        CLASSES,
    )
    expected = Samples(alone, ["a", "b"])
    for key in samples.pair_measures:
        assert samples.within(key, 0).mean == pytest.approx(expected.within(key, 0).mean, abs=1e-5)
    for key in samples.run_measures:
        assert samples.run(key, 1).mean == pytest.approx(expected.run(key, 1).mean, abs=1e-5)


def test_only_the_pairs_that_are_asked_for_are_measured(measured, probs, labels):
    runs = [
        Run(lambda r, p=p: p[r], "probs", g) for p, g in zip(probs, [0, 0, 1, 1, 2], strict=True)
    ]
    every, within, some = (measure(runs, labels, CLASSES, b) for b in (None, (), [(0, 2)]))
    asked = np.zeros((5, 5), bool)
    asked[:2, :2] = asked[2:4, 2:4] = True
    asked |= np.eye(5, dtype=bool)
    for name, whole in every.pairs.items():
        np.testing.assert_array_equal(
            within.pairs[name].pairs, np.where(asked, whole.pairs, np.nan)
        )
        for found, places in ((within, [(0, 0), (1, 1)]), (some, [(0, 0), (1, 1), (0, 2), (2, 0)])):
            for of, over in places:
                ours, theirs = found.pairs[name].means(of, over), whole.means(of, over)
                np.testing.assert_array_equal(ours, theirs)
            with pytest.raises(KeyError):
                found.pairs[name].means(1, 2)
        assert np.isnan(some.pairs[name].pairs[2, 4])
        assert some.pairs[name].pairs[4, 0] == some.pairs[name].pairs[0, 4] == whole.pairs[0, 4]


def test_a_study_of_370_runs_asks_for_1665_of_68265_pairs():
    groups = np.repeat(np.arange(37), 10).tolist()
    assert Pairing.of(groups, ()).num_pairs == 1665
    assert Pairing.of(groups, None).num_pairs == 68_265
    linear = Pairing.of(groups, building.changes(37))
    assert linear.num_pairs == 1665 + 100 * (36 + 35)
    assert linear.num_means == 370 + 20 * (36 + 35)


@pytest.mark.parametrize("chunk", [1, 100, 10_000])
def test_means_on_disk_are_those_in_memory(probs, labels, monkeypatch, chunk):
    runs = [Run(lambda r, p=p: p[r], "probs", g) for p, g in zip(probs, GROUPS, strict=True)]
    monkeypatch.setattr("churn_jax.analysis.one_pass.BLOCK_ELEMENTS", CLASSES * 5 * 37)
    in_memory = measure(runs, labels, CLASSES)
    monkeypatch.setattr("churn_jax.analysis.pair_means.CHUNK_EXAMPLES", chunk)
    monkeypatch.setattr("churn_jax.analysis.one_pass.MEANS_IN_MEMORY", 0)
    on_disk = measure(runs, labels, CLASSES)
    for name, expected in in_memory.pairs.items():
        for of, over in [(0, 0), (0, 1), (1, 0), (1, 1)]:
            np.testing.assert_array_equal(
                on_disk.pairs[name].means(of, over), expected.means(of, over)
            )


def test_no_room_for_what_goes_to_disk_is_one_line(probs, labels, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    runs = [Run(lambda r, p=p: p[r], "probs") for p in probs]
    monkeypatch.setattr("churn_jax.analysis.one_pass.MEANS_IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: SimpleNamespace(write=full))
    with pytest.raises(UserError, match=r"No space left on device.*set TMPDIR"):
        measure(runs, labels, CLASSES)


def test_runs_of_a_group_must_stand_together(probs, labels):
    runs = [Run(lambda r, p=p: p[r], "probs", g) for p, g in zip(probs[:3], (0, 1, 0), strict=True)]
    with pytest.raises(ValueError, match="group by group"):
        measure(runs, labels, CLASSES)


def test_predicted_classes_alone_have_churn_and_nothing_of_probabilities(probs, labels):
    hard = [Run(lambda rows, p=p: p.argmax(1)[rows], "classes", 0) for p in probs[:2]]
    soft = Run(lambda rows: probs[2][rows], "probs", 0)
    found = measure([*hard, soft], labels, CLASSES)
    assert found.pairs["churn"].pairs[0, 2] == metrics.churn(probs[0], probs[2])
    assert list(found.pairs) == ["churn"]
    assert not found.has_probs
    assert Samples(found, ["a"]).run_measures == ["accuracy"]
