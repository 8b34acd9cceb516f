"""Every example that changes, its kind and its classes, against counting them one by one."""

import itertools
from collections import Counter

import numpy as np
import pytest

from churn_jax.analysis import flips as flips_of
from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError
from churn_jax.report.flips import KINDS, Flips, pack, unpack

EXAMPLES, CLASSES = 400, 5
NAMES = ["ant", "bee", "cat", "dog", "eel"]


@pytest.fixture(scope="module")
def runs():
    """Two groups of three and two runs: probabilities, and the true classes."""
    rng = np.random.default_rng(1)
    shared = 2 * rng.normal(size=(EXAMPLES, CLASSES))
    groups = {}
    for name, size, noise in (("old", 3, 1.0), ("new", 2, 0.6)):
        logits = shared + noise * rng.normal(size=(size, EXAMPLES, CLASSES))
        groups[name] = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return groups, (shared + rng.normal(size=shared.shape)).argmax(1)


def given(groups):
    return {
        name: [{"probs": each, "class_names": np.array(NAMES)} for each in found]
        for name, found in groups.items()
    }


def breakdowns(groups, labels=None, **options):
    return compare(given(groups), labels, everything=False, **options).report.breakdowns


def expected_kind(old, new, label):
    before, after = np.mean(old == label), np.mean(new == label)
    if before != after:
        return "bad" if before > after else "good"
    return "both" if before else "wrong"


def test_every_flip_is_there_with_its_kind_votes_and_slice(runs):
    groups, labels = runs
    slices = {"half": np.where(np.arange(EXAMPLES) < 100, "left", "right")}
    found = breakdowns(groups, labels, slices=slices).flips
    old, new = (groups[name].argmax(2) for name in ("old", "new"))
    changes = (old[:, None] != new[None]).sum((0, 1))
    rows = found.rows
    assert sorted(map(int, rows.ids)) == np.flatnonzero(changes).tolist()
    assert (found.total, found.kept, rows.pairs) == (len(rows.ids), len(rows.ids), 6)
    kinds = Counter()
    for row, example in enumerate(map(int, rows.ids)):
        kind = expected_kind(old[:, example], new[:, example], labels[example])
        kinds[kind] += 1
        assert list(KINDS)[rows.kinds[row]] == kind
        assert rows.changes[row] == changes[example]
        assert rows.names[rows.labels[row]] == NAMES[labels[example]]
        for votes, group in zip(rows.votes, (old, new), strict=True):
            flat = votes[row]
            said = {rows.names[code]: n for code, n in zip(flat[::2], flat[1::2], strict=True)}
            assert said == Counter(NAMES[code] for code in group[:, example].tolist())
            assert list(flat[1::2]) == sorted(flat[1::2], reverse=True)
        by, names, places = rows.slices[0]
        assert (by, names[places[row]]) == ("half", "left" if example < 100 else "right")
    assert found.kinds == kinds
    assert found.classes == Counter(NAMES[labels[int(example)]] for example in rows.ids)
    right = (old == labels).mean(0) - (new == labels).mean(0)
    lost = [-abs(right[int(id)]) for id in rows.ids]
    order = list(zip(rows.kinds, np.round(lost, 6), [-gap for gap in rows.gaps], strict=True))
    assert order == sorted(order)
    top = np.sort(np.concatenate([groups["old"], groups["new"]]), 2)[:, :, -2:]
    gaps = (top[:, :, 1] - top[:, :, 0]).mean(0)
    np.testing.assert_allclose(rows.gaps, 1000 * gaps[[int(id) for id in rows.ids]], atol=0.51)


@pytest.mark.parametrize("labelled", [True, False])
def test_within_a_group_those_that_flip_most_often_come_first(runs, labelled):
    groups, labels = runs
    found = breakdowns({"old": groups["old"]}, labels if labelled else None).flips
    predicted = groups["old"].argmax(2)
    changes = sum(predicted[i] != predicted[j] for i, j in ((0, 1), (0, 2), (1, 2)))
    rows = found.rows
    assert rows.kinds is None
    assert found.kinds == {}
    assert (rows.labels is None, found.classes == {}) == (not labelled, not labelled)
    assert list(rows.changes) == sorted(changes[changes > 0].tolist(), reverse=True)


def test_of_too_many_the_bad_flips_are_kept_and_as_many_of_each_class(runs, monkeypatch):
    groups, labels = runs
    whole = breakdowns(groups, labels).flips
    bad = whole.kinds["bad"]
    monkeypatch.setattr(flips_of, "MOST_ROWS", bad + 10)
    found = breakdowns(groups, labels).flips
    assert (found.total, found.kinds, found.classes) == (whole.total, whole.kinds, whole.classes)
    kinds = Counter(list(KINDS)[kind] for kind in found.rows.kinds)
    others = [
        label for label, kind in zip(found.rows.labels, found.rows.kinds, strict=True) if kind
    ]
    assert (found.kept, kinds["bad"]) == (bad + 10, bad)
    assert sorted(Counter(others).values()) == [2] * CLASSES
    assert [id for id in whole.rows.ids if id in set(found.rows.ids)] == list(found.rows.ids)
    monkeypatch.setattr(flips_of, "MOST_BYTES", 800)
    small = breakdowns(groups, labels).flips
    assert len(small.columns) <= 800
    assert len(small.rows.ids) == small.kept < bad
    assert small.total == whole.total
    assert len(set(small.rows.labels)) == CLASSES


@pytest.mark.parametrize("most_classes", [20, 2])
def test_from_class_to_class_counts_pairs(runs, monkeypatch, most_classes):
    monkeypatch.setattr(flips_of, "MOST_CLASSES", most_classes)
    groups, labels = runs
    found = breakdowns(groups, labels).class_flips
    wanted = np.zeros((CLASSES, CLASSES))
    for a, b in itertools.product(groups["old"].argmax(2), groups["new"].argmax(2)):
        np.add.at(wanted, (a, b), 1 / 6)
    np.fill_diagonal(wanted, 0)
    assert found.total == pytest.approx(wanted.sum())
    top = np.unravel_index(wanted.argmax(), wanted.shape)
    assert (found.most[0].a, found.most[0].b) == tuple(NAMES[i] for i in top)
    assert [move.examples for move in found.most] == pytest.approx(sorted(wanted[wanted > 0])[::-1])
    shown = range(CLASSES) if most_classes == 20 else sorted(map(int, top))
    assert found.classes == tuple(NAMES[i] for i in shown)
    np.testing.assert_allclose(found.examples, wanted[np.ix_(shown, shown)])


def test_among_one_groups_runs_a_change_has_no_direction(runs):
    groups, _ = runs
    found = breakdowns({"old": groups["old"]}).class_flips
    matrix, predicted = np.array(found.examples), groups["old"].argmax(2)
    np.testing.assert_allclose(matrix, matrix.T)
    changed = [predicted[i] != predicted[j] for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.total == pytest.approx(np.sum(changed) / 3)
    assert np.triu(matrix).sum() == pytest.approx(found.total)
    assert sum(move.examples for move in found.most) == pytest.approx(found.total)


def test_where_nothing_changes_there_is_nothing(runs):
    groups, labels = runs
    same = {"old": groups["old"][:1], "new": groups["old"][:1]}
    found = breakdowns(same, labels)
    assert found.class_flips is None
    assert (found.flips.total, found.flips.kept, list(found.flips.rows.ids)) == (0, 0, [])


@pytest.mark.parametrize(
    "text", ["", "no base64", pack({"ids": []})[:-8], pack({"ids": []}), "AAAA"]
)
def test_damaged_columns_are_refused(text):
    with pytest.raises(UserError, match="flips of a report cannot be read"):
        _ = Flips(1, 1, {}, {}, text).rows


def test_packing_keeps_what_it_packs():
    value = {"names": ["ä", "\ud800", "\u202e"], "n": [1, 2.5, None]}
    assert unpack(pack(value)) == value
