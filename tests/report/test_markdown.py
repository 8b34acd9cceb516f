"""report.md: it opens with the verdict, folds the rest, and is short whatever is in the report."""

import dataclasses
import re

import numpy as np
import pytest

from churn_jax import report as reports
from churn_jax.analysis.comparison import compare
from churn_jax.report.gate import Gate, Verdict
from churn_jax.report.markdown import MOST
from churn_jax.report.numbers import cell

FOLDED = re.compile(r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.DOTALL)


def runs(noise, seed):
    rng = np.random.default_rng(seed)
    logits = 2 * np.eye(3)[np.arange(300) % 3] + noise * rng.normal(size=(5, 300, 3))
    return list(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture(scope="module")
def result():
    groups = {"old": runs(2.0, 0), "new": runs(0.7, 1), "like old": runs(2.0, 2)}
    return compare(groups, np.arange(300) % 3, everything=False, fail_if="churn>1%, nfr>90%")


def without_gate(report, **changes):
    return dataclasses.replace(report, gate=None, **changes)


def test_it_opens_with_the_verdict_and_one_table_and_folds_the_rest(result):
    report, text = result.report, result.to_markdown()
    open_part = FOLDED.sub("", text)
    lines = [line for line in open_part.splitlines() if line]
    assert lines[0].startswith("# Churn")
    assert lines[1].startswith("**FAILED: churn")
    assert lines[2].startswith("Retraining alone changes")
    (first, rule, *rows) = [line for line in lines if line.startswith("|")]
    assert first.startswith("| group (runs) | accuracy | churn |")
    assert rule == "|" + " --- |" * (first.count("|") - 1)
    for group, row in zip(report.groups, rows, strict=True):
        shown = cell("churn", group.measures["churn"])
        assert (f"| **{shown}** |" if group.name == "new" else f"| {shown} |") in row
    folded = dict(FOLDED.findall(text))
    assert list(folded) == [
        "From group to group", "The gate's conditions", "Comparisons",
        "Which examples to watch, which run to ship", "Notes", "Definitions",
    ]  # fmt: skip
    assert folded["From group to group"].count("\n| ") == 1 + 3
    assert folded["The gate's conditions"].startswith("- FAILED: churn")
    assert "\n| new |" in folded["Which examples to watch, which run to ship"]
    assert "**churn**: P(" in folded["Definitions"]


def test_without_a_gate_it_says_which_group_churns_less(result):
    old, new, like = (group.measures["churn"].mean for group in result.report.groups)
    assert new < min(old, like)  # what the test is about
    text = reports.to_markdown(without_gate(result.report)).splitlines()[2]
    said = re.fullmatch(
        r"\*\*new \((.*?)\) churns least: less than old \((.*?)\) and like old \((.*?)\), "
        r"p ≤ (\S+) by Holm\.\*\*",
        text,
    )
    assert [said[1], said[2], said[3]] == [f"{100 * mean:.2f} %" for mean in (new, old, like)]
    largest = max(
        c.p_holm for c in result.report.contrasts if c.metric == "churn" and "new" in (c.a, c.b)
    )
    assert float(said[4]) == pytest.approx(largest, rel=0.5)
    assert largest < 0.05


def test_what_is_not_shown_is_said_to_be_not_shown(result):
    report = result.report
    groups = tuple(group for group in report.groups if group.name != "new")
    (churn,) = (c for c in report.contrasts if c.metric == "churn" and "new" not in (c.a, c.b))
    two = without_gate(report, groups=groups, between=None, contrasts=(churn,), breakdowns=None)
    text = reports.to_markdown(two)
    assert re.search(r"\*\*(like )?old \(\S+ %\) churns least, but it is not shown", text)
    withheld = dataclasses.replace(churn, withheld="old has runs that never learned", claim="")
    assert "churns least" not in reports.to_markdown(
        dataclasses.replace(two, contrasts=(withheld,))
    )
    single = compare({"a": runs(1.0, 0)[:1], "b": runs(1.0, 1)[:1]}, everything=False)
    assert single.to_markdown().splitlines()[2].startswith("**Going from a to b changes")


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("", 1000),
        ("very_long_name_" * 20, 300),
        ("<{&`*|" * 40, 300),
        ("模型" * 9000, 3),
    ],
)
def test_it_is_short_enough_for_a_comment_in_every_case(result, name, many):
    report = result.report
    groups = [dataclasses.replace(report.groups[i % 3], name=f"{i}{name}") for i in range(many)]
    between = [
        dataclasses.replace(report.between[0], a=groups[0].name, b=other.name)
        for other in groups[1:]
    ]
    contrasts = [
        dataclasses.replace(found, a=groups[0].name, b=other.name)
        for other in groups[1:]
        for found in report.contrasts
        if (found.a, found.b) == ("old", "new")
    ]
    verdicts = [
        Verdict(
            f"nfr[{other.name}]>1%", True, 0, 0, -1, (0, 0), True, "examples", sentence=other.name
        )
        for other in groups
    ]
    fragility = [
        dataclasses.replace(report.breakdowns.fragility[0], group=other.name) for other in groups
    ]
    large = dataclasses.replace(
        report, groups=tuple(groups), between=tuple(between), contrasts=tuple(contrasts),
        dataset=f"d{name}", gate=Gate(False, tuple(verdicts)), notes=(f"n{name}",) * many,
        warnings=(f"n{name}",) * many,
        breakdowns=dataclasses.replace(report.breakdowns, fragility=tuple(fragility)),
    )  # fmt: skip
    for shown in (large, dataclasses.replace(large, gate=None)):
        text = reports.to_markdown(shown)
        assert len(text.encode()) <= MOST
        rows = len(re.findall(r"^\| .* \|$", FOLDED.sub("", text), re.MULTILINE)) - 2
        (left_out,) = re.findall(
            r"^\*([\d,]+) more groups: see report.html.\*$", text, re.MULTILINE
        )
        assert rows + int(left_out.replace(",", "")) == many
        assert all(before == "" for before in re.findall(r"^(.*)\n\| (?:group|from)", text, re.M))
        assert text.count("<details>") == text.count("</details>") == text.count("<summary>")
