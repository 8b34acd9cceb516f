"""What the page opens with: the answer, the few numbers that matter; and the ledger's order."""

import dataclasses
import json
import re

import numpy as np
import pytest

import churn_jax
from churn_jax import report as reports
from churn_jax.analysis.comparison import compare
from churn_jax.report import ledger, tiles
from churn_jax.report.status import background, status

LABELS = np.arange(100) % 2


def wrong(*rows):
    """A model's classes that are right but on these examples."""
    found = LABELS.copy()
    found[list(rows)] ^= 1
    return found


# Churn 15 %: 5 examples become right (0 to 4), 10 become wrong (10 to 19).
OLD, NEW = wrong(*range(10)), wrong(*range(5, 20))


@pytest.fixture(scope="module")
def groups():
    """Pairs of runs that share no error: churn 8 % and accuracy 96 %, churn 4 % and 98 %."""
    old = [wrong(*range(4)), wrong(*range(4, 8))]
    new = [wrong(*range(2)), wrong(*range(2, 4))]
    return compare({"old": old, "new": new}, LABELS).report


def said(report):
    found = status(report)
    return f"{found.word}: {found.text}" if found.word else found.text


def test_one_group_says_how_often_its_runs_disagree():
    report = compare({"alone": [wrong(0, 1, 2), wrong(3, 4, 5, 6, 7)]}, LABELS).report
    low, high = (100 * end for end in report["groups"][0]["churn"]["ci95"])
    assert said(report) == (
        f"Two runs of alone disagree on 8.0 % [{low:.1f}, {high:.1f}] of the examples; "
        "accuracy 96.0 %."
    )
    assert background(report) == ""


def test_single_models_say_what_the_change_does():
    report = compare({"old": OLD, "new": NEW}, LABELS).report
    change = report["between"][0]
    churn, bad = (
        "[{:.1f}, {:.1f}]".format(*(100 * end for end in change[key]["ci95"]))
        for key in ("churn", "negative_flip_rate")
    )
    assert said(report) == (
        f"Going from old to new changes 15.0 % {churn} of the predictions; bad flips, right before "
        f"and wrong after: 10.0 % {bad}; accuracy: no difference shown, for these very runs "
        "(90.0 → 85.0 %)."
    )
    unlabelled = compare({"old": OLD, "new": NEW}).report
    assert said(unlabelled) == f"Going from old to new changes 15.0 % {churn} of the predictions."


@pytest.mark.parametrize(
    ("churn", "accuracy", "sentence"),
    [
        (
            "better",
            "no difference shown",
            "new changes its mind less than old: 8.0 → 4.0 %; accuracy: no difference shown "
            "(96.0 → 98.0 %).",
        ),
        (
            "hint",
            "better",
            "A hint that new changes its mind less than old, no more after correction: "
            "8.0 → 4.0 %; accuracy: better (96.0 → 98.0 %).",
        ),
        (
            "no difference shown",
            "withheld",
            "No difference in churn shown between old and new: 8.0 → 4.0 %.",
        ),
        (
            "withheld",
            "withheld",
            "No verdict on churn from old to new (8.0 → 4.0 %), because of this.",
        ),
    ],
)
def test_who_changes_its_mind_less_follows_the_claims(groups, churn, accuracy, sentence):
    claims = {"churn": churn, "accuracy": accuracy}
    contrasts = tuple(
        dataclasses.replace(
            found,
            claim=claims[found.metric],
            covers="runs and examples",
            withheld="of this" if claims[found.metric] == "withheld" else None,
        )
        for found in groups.contrasts
        if found.metric in claims
    )
    assert said(dataclasses.replace(groups, contrasts=contrasts)) == sentence


def test_more_churn_is_said_the_other_way_round(groups):
    turned = dataclasses.replace(groups, groups=groups.groups[::-1])
    contrasts = tuple(
        dataclasses.replace(found.turned(), claim="worse", covers="runs and examples")
        for found in groups.contrasts
    )
    assert said(dataclasses.replace(turned, contrasts=contrasts)) == (
        "old changes its mind more than new: 4.0 → 8.0 %; accuracy: worse (98.0 → 96.0 %)."
    )


@pytest.mark.parametrize(
    ("options", "sentence", "outcome"),
    [
        ({"fail_if": "churn>50%, nfr>40%"}, "Ships: both conditions are met", "passed"),
        (
            {"fail_if": "churn>1%, nfr>1%", "pass_if": "churn<90%"},
            "Does not ship: 2 of 3 conditions are not met",
            "failed",
        ),
        (
            {"fail_if": "churn>5%"},
            "Does not ship: churn 15.0 %, limit 5 %: over the limit (95 % interval {} to {} %)",
            "failed",
        ),
    ],
)
def test_with_a_gate_the_page_says_whether_it_ships(options, sentence, outcome):
    report = compare({"old": OLD, "new": NEW}, LABELS, **options).report
    low, high = (100 * end for end in report["between"][0]["churn"]["ci95"])
    sentence = sentence.format(f"{low:.1f}", f"{high:.1f}")
    assert said(report) == sentence
    assert status(report).outcome == outcome
    page = reports.to_html(report)
    opening = page[page.index('class="verdict') :]
    assert opening.startswith(f'class="verdict {outcome}"')
    word, rest = sentence.split(": ", 1)
    assert f"<strong>{word}:</strong> {rest}" in opening.replace("\u00a0", " ")
    assert opening.index("tiles") < opening.index('id="where"') < opening.index('id="measures"')


def test_what_can_not_be_decided_does_not_ship():
    gate = "churn>50%, nfr>90%"
    models = {"old": OLD, "new": NEW}
    assert said(compare(models, 1 - LABELS, fail_if=gate).report) == (
        "Undecided: 2 of 2 conditions can't be decided"
    )
    passing = compare(models, 1 - LABELS, fail_if=gate, pass_undecided=True).report
    assert said(passing) == (
        "Ships: 2 of 2 conditions can't be decided, which passes (--undecided=pass)"
    )


def test_the_tiles_have_the_numbers_of_the_report():
    gate = {
        "fail_if": "churn>20%, bad_churn > 1%, accuracy_new < accuracy_old - 10%",
        "pass_if": "80% < accuracy_new",
    }
    report = compare({"old": OLD, "new": NEW}, LABELS, **gate).report
    written = json.loads(report.to_json())
    (change,) = written["between"]
    old, new = (group["accuracy"] for group in written["groups"])
    found = {
        (tile.title, row.name): (row.value, row.range) for tile in tiles.tiles(report)
        for row in tile.rows
    }  # fmt: skip
    assert found == {
        key: (
            f"{100 * measure['mean']:.2f} %",
            "[{:.2f}, {:.2f}]".format(*(100 * end for end in measure["ci95"])),
        )
        for key, measure in {
            ("Churn", "old → new"): change["churn"],
            ("Bad flips", "right → wrong"): change["negative_flip_rate"],
            ("Bad flips", "wrong → right"): change["positive_flip_rate"],
            ("Accuracy", "old"): old,
            ("Accuracy", "new"): new,
        }.items()
    }
    limits = {
        (tile.title, row.name): [words for _, words in row.limits]
        for tile in tiles.tiles(report)
        for row in tile.rows
        if row.limits
    }
    shown = "✓" if new["ci95"][0] > 0.8 else "✗"
    assert limits == {
        ("Churn", "old → new"): ["✓ limit: at most 20 %"],
        ("Bad flips", "right → wrong"): ["✗ limit: at most 1 %"],
        ("Accuracy", "new"): ["✓ limit: at least 80 %", f"{shown} limit: at least 80 %"],
    }


def test_a_mark_is_where_the_axis_has_its_value():
    """Churn 15 % and its limit of 30 % on an axis whose ticks say where 0 and 20 % are."""
    report = compare({"old": OLD, "new": NEW}, LABELS, fail_if="churn>30%").report
    churn = next(tile for tile in tiles.tiles(report) if tile.title == "Churn")
    ticks = {
        float(text): float(x) for x, text in re.findall(r'x="([\d.]+)" y="14">(\d+)<', churn.axis)
    }
    unit = (ticks[20] - ticks[0]) / 20
    (row,) = churn.rows
    dot = float(re.search(r'cx="([\d.]+)"', row.strip)[1])
    limit = float(re.search(r'class="limit" x1="([\d.]+)"', row.strip)[1])
    assert dot == pytest.approx(ticks[0] + 15 * unit, abs=0.2)
    assert limit == pytest.approx(ticks[0] + 30 * unit, abs=0.2)


def test_what_the_new_one_is_held_against_has_no_limit_itself():
    gate = "accuracy_new<accuracy_old, accuracy_old<10%"
    report = compare({"old": OLD, "new": NEW}, LABELS, fail_if=gate).report
    accuracy = next(tile for tile in tiles.tiles(report) if tile.title == "Accuracy")
    assert {row.name: [words for _, words in row.limits] for row in accuracy.rows} == {
        "old": ["✓ limit: at least 10 %"],
        "new": ["✗ limit: at least 90 %"],
    }


def test_a_limit_on_a_slice_or_on_a_sum_is_no_mark():
    gate = "churn[part=*]>90%, churn+nfr>90%, churn[part=a]>90%"
    slices = {"part": np.where(np.arange(100) < 50, "a", "b")}
    report = compare({"old": OLD, "new": NEW}, LABELS, slices=slices, fail_if=gate).report
    assert not any(row.limits for tile in tiles.tiles(report) for row in tile.rows)


def test_of_many_groups_the_first_and_the_last_have_their_numbers():
    models = {f"g{i}": wrong(*range(i)) for i in range(9)}
    report = compare(models, LABELS).report
    accuracy = next(tile for tile in tiles.tiles(report) if tile.title == "Accuracy")
    assert [row.name for row in accuracy.rows] == ["g0", "g1", "g2", "g3", "g4", "g8"]
    assert accuracy.left_out == 3
    assert "3 more groups: see" in reports.to_html(report)


def test_bad_flips_come_first_of_them_what_most_runs_lose_then_the_most_confident():
    """Two old and two new runs on seven examples of class 0: γ is 2p − 1 in all of them."""
    votes = {  # the classes of old's and new's runs, and p of the predicted class
        "good": ((1, 1), (0, 0), 0.99),
        "lost, unsure": ((0, 0), (1, 1), 0.55),
        "lost, sure": ((0, 0), (1, 1), 0.75),
        "wrong": ((1, 1), (1, 2), 0.75),
        "half lost": ((0, 1), (1, 1), 0.95),
        "as often": ((0, 1), (1, 0), 0.85),
        "same": ((0, 0), (0, 0), 0.6),
    }
    groups = {}
    for group, name in enumerate(("old", "new")):
        probs = np.zeros((2, len(votes), 4))
        for row, found in enumerate(votes.values()):
            probs[:, row, 3] = 1 - found[2]
            probs[[0, 1], row, found[group]] = found[2]
        groups[name] = [{"probs": each, "ids": np.array(list(votes))} for each in probs]
    report = compare(groups, np.zeros(len(votes), int), on="all").report
    found = ledger.flips(report)
    rows = ledger.rows(found)
    assert [(row.id, row.kind) for row in rows] == [
        ("lost, sure", "bad"),
        ("lost, unsure", "bad"),
        ("half lost", "bad"),
        ("wrong", "wrong"),
        ("as often", "both"),
        ("good", "good"),
    ]
    assert [row.gap for row in rows] == pytest.approx([0.5, 0.1, 0.9, 0.5, 0.7, 0.98])
    assert [row.disagreement for row in rows] == [1, 1, 0.5, 0.5, 0.5, 1]
    assert rows[2].votes == [([("0", 1), ("1", 1)], 1), ([("1", 2)], 0)]
    assert found.kinds == {"bad": 3, "wrong": 1, "both": 1, "good": 1}
    assert ledger.classes(found) == {"0": 6}


def test_the_ledger_counts_the_flips_of_single_models():
    """Of the 15 examples that flip 10 are bad; the report's order is of how often they flip."""
    report = compare({"old": OLD, "new": NEW}, LABELS).report
    found = ledger.flips(report)
    assert found.kinds == {"bad": 10, "good": 5}
    assert [int(row.id) for row in ledger.rows(found)] == [*range(10, 20), *range(5)]
    unlabelled = ledger.flips(compare({"old": OLD, "new": NEW}).report)
    assert {row.kind for row in ledger.rows(unlabelled)} == {None}


def test_the_page_says_what_to_look_at_next():
    def following(report):
        text = reports.to_html(report).partition("<p>Next: ")[2].partition("</p>")[0]
        return re.sub("<.*?>", "", text)

    runs = [wrong(0, 1, 2), wrong(3, 4, 5, 6, 7)]
    assert following(compare({"old": OLD, "new": NEW}, LABELS).report) == (
        "look at the bad flips, the worst first."
    )
    chance = {"old": OLD, "new": 1 - LABELS}
    for gate in (None, "churn>99%"):
        assert following(compare(chance, LABELS, fail_if=gate).report).startswith("train the runs")
    alone = compare({"alone": [*runs, wrong(9)]}, LABELS).report
    assert following(alone) == "look at the examples that flip, the most frequent first."
    assert following(compare({"alone": runs}, LABELS).report) == "look at the examples that flip."
    assert following(compare({"alone": [OLD, OLD]}, LABELS).report) == ""


def test_the_foot_of_the_page_says_what_made_it(groups):
    made = {
        "config_hash": "b61e7caf56dce9e6", "data_fingerprint": "62fc40fc4b2843f3", "step": [64],
        "code_version": ["0.1.0+a", "0.1.0+b"], "platform": [None], "runs": [0, 1],
        "versions": [{"jax": "0.10.2", "numpy": "2.4.6"}],
    }  # fmt: skip
    known = dataclasses.replace(groups.groups[0], made_by=made)
    report = dataclasses.replace(groups, groups=(known, *groups.groups[1:]))
    foot = reports.to_html(report).partition('<footer id="made">')[2]
    assert re.findall("<li>(.*?)</li>", foot) == [
        "old: config b61e7caf, data 62fc40fc, step 64, code 0.1.0+a and 0.1.0+b, with jax 0.10.2, "
        "numpy 2.4.6.",
        f"This page: churn_jax {churn_jax.__version__}.",
        "To cite: CITATION.cff of churn_jax, and “On the Reproducibility of Neural Network "
        "Predictions”.",
    ]


def test_ways_that_have_one_slice_each_stand_together():
    """As of several labels, each of which is there or not."""
    kinds = {name: np.where(np.arange(100) % 7 == i, "there", "") for i, name in enumerate("abc")}
    page = compare({"old": OLD, "new": NEW}, LABELS, slices=kinds).to_html()
    assert page.count('aria-label="Churn by slice"') == 1
    for name in kinds:
        assert f'data-slice="there" data-by="{name}"' in page
        assert f"{name}: there</a>" in page


def test_one_run_has_no_churn(groups):
    (first, _), accuracy = groups.groups, groups.groups[0].measures["accuracy"]
    alone = dataclasses.replace(
        first, num_runs=1, measures={"accuracy": accuracy, "churn": None, "ece": None}
    )
    report = dataclasses.replace(groups, groups=(alone,), between=None, contrasts=())
    assert said(report) == "One run of old, and churn takes two; accuracy 96.0 %."
    assert [tile.title for tile in tiles.tiles(report)] == ["Accuracy"]


def test_of_three_groups_the_one_that_churns_least_is_named(groups):
    third = dataclasses.replace(groups.groups[1], name="third")
    contrasts = []
    for found in groups.contrasts:
        for a, b, p in (("old", "new", 0.01), ("old", "third", 0.01), ("new", "third", 0.5)):
            made = dataclasses.replace(found, a=a, b=b, claim="", p=p, p_holm=p)
            contrasts.append(dataclasses.replace(made, covers="runs and examples"))
    report = dataclasses.replace(groups, groups=(*groups.groups, third), contrasts=tuple(contrasts))
    assert said(report) == (
        "new (4.00 %) churns least: less than old (8.00 %), p = 0.01 by Holm; it is not shown to "
        "churn less than third (4.00 %), p = 0.5 by Holm. It is more accurate than old."
    )
