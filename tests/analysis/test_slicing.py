"""Slices: what each measures, numbers in bins, names that are none, and work that stays bounded."""

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax import report as reports
from churn_jax.analysis import building, slicing
from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError

NUM = 600
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, NUM)


def predictions(noise, seed):
    """Probabilities of a model that is right more often than not."""
    logits = 2 * np.eye(4)[LABELS] + noise * np.random.default_rng(seed).normal(size=(NUM, 4))
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


GROUPS = {
    "old": [predictions(1.5, seed) for seed in range(3)],
    "new": [predictions(1.0, seed) for seed in range(3, 6)],
}


def measures(part):
    """Every number of a slice or report, under its path."""
    return {
        (place, key): found
        for place, entry in enumerate((*part.groups, *part.between))
        for key, found in entry.measures.items()
    }


def test_a_slice_says_what_its_examples_say_alone():
    names = np.array(["a", "b", "", "c"])[RNG.integers(0, 4, NUM)]
    found = compare(GROUPS, LABELS, slices={"part": names}).report.breakdowns.slices
    found = {part.name: part for part in found if part.by == "part"}
    assert list(found) == ["a", "b", "c"]
    for name, part in found.items():
        rows = names == name
        assert part.num_examples == np.count_nonzero(rows)
        alone = compare(
            {group: [run[rows] for run in runs] for group, runs in GROUPS.items()}, LABELS[rows]
        ).report
        expected = measures(alone)
        for path, ours in measures(part).items():
            theirs = expected[path]
            assert ours.mean == pytest.approx(theirs.mean, rel=1e-6, abs=1e-9, nan_ok=True), path
            assert ours.ci95 == pytest.approx(theirs.ci95, rel=1e-5, abs=1e-7, nan_ok=True), path


def test_many_different_numbers_are_binned_and_said():
    age = RNG.permutation(NUM) / 7
    texts = age.astype(np.str_)
    texts[:100] = ""
    columns, notes = slicing.given({"age": texts}, most=50)
    (by,) = columns
    assert notes == [
        "The 500 different numbers of 'age' are in 10 slices of about as many examples each."
    ]
    of_examples = by.of_examples(NUM)
    assert set(of_examples[:100]) == {""}
    sizes = [np.count_nonzero(of_examples == name) for name in by.names]
    assert min(sizes) >= 49
    assert sum(sizes) == 500
    for name in by.names:
        low, high = map(float, name.split(" to "))
        inside = age[of_examples == name]
        assert low - 1e-3 <= inside.min() <= inside.max() <= high + 1e-3
    edges = [float(name.split(" to ")[0]) for name in by.names]
    assert edges == sorted(edges)


def test_skewed_numbers_make_fewer_bins():
    values = np.where(np.arange(NUM) < 500, 0, np.arange(NUM)).astype(np.str_)
    (by,), _ = slicing.given({"n": values}, most=20)
    assert len(by.names) == len(set(by.names)) < 10
    assert sum(np.diff([0, *by.ends])) == NUM


def test_few_numbers_stay_what_they_are():
    values = (np.arange(NUM) % 20).astype(np.str_)
    (by,), notes = slicing.given({"hour": values}, most=20)
    assert set(by.names) == set(values.tolist())
    assert notes == []


def test_too_many_names_are_refused_by_the_column():
    values = np.array([f"user {i}" for i in range(NUM)])
    with pytest.raises(UserError, match=r"the slices 'user' have 600 different values such as"):
        slicing.given({"user": values}, most=50)
    runs = {"old": np.arange(2000) % 2, "new": np.arange(2000) % 3 // 2}
    with pytest.raises(UserError, match="'user' have 2,000"):
        compare(runs, slices={"user": [f"user {i}" for i in range(2000)]})


def test_more_classes_than_there_is_room_for_are_left_out_and_said(monkeypatch):
    monkeypatch.setattr(slicing, "MOST_SLICES", 3)
    report = compare(GROUPS, LABELS).report
    assert report.breakdowns.slices == ()
    assert any("The 4 classes are more than the 3 slices" in note for note in report.notes)


def test_of_many_groups_each_is_compared_with_the_first_and_the_one_before():
    assert building.changes(3) == [(0, 1), (0, 2), (1, 2)]
    assert len(building.changes(10)) == 45
    assert len(building.changes(100)) == 2 * 99 - 1
    runs = {f"g{i:02}": predictions(1.0, i) for i in range(12)}
    report = compare(runs, LABELS).report
    compared = [(change.a, change.b) for change in report.between]
    assert set(compared) == {("g00", f"g{i:02}") for i in range(1, 12)} | {
        (f"g{i:02}", f"g{i + 1:02}") for i in range(11)
    }
    assert len(compared) == 21
    assert any("more than 10 groups" in note for note in report.notes)
    assert report.first_to_last.b == "g11"
    expected = metrics.churn(runs["g00"], runs["g11"])
    assert report.first_to_last.measures["churn"].mean == pytest.approx(expected)
    assert report["matrix"]["churn"][1][3] is None
    assert report["matrix"]["churn"][0][11] == pytest.approx(expected)
    assert "Going from g00 to g11" in reports.to_markdown(report)
    page = reports.to_html(report)
    assert "nan" not in page.split("Churn of every pair of runs (%)")[1].split("</table>")[0]
