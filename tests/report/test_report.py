"""The report as a value: its JSON, reading that again, and what is no report."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from churn_jax import report as reports
from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError
from churn_jax.report.report import Report
from churn_jax.studies.study_report import StudyReport

COMMITTED = sorted((Path(__file__).parents[2] / "docs/results").glob("**/report.json"))


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    groups = {}
    for name, noise in (("old", 1.0), ("new", 0.5)):
        logits = 2 * np.eye(3)[labels] + noise * rng.normal(size=(3, 200, 3))
        groups[name] = list(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    slices = {"part": np.where(np.arange(200) < 50, "first", "rest")}
    return compare(groups, labels, slices=slices, fail_if="churn>0.9").report


def test_a_report_is_read_as_its_json_and_by_attributes(report):
    written = json.loads(report.to_json())
    assert report == written
    assert report["between"][0]["churn"]["mean"] == report.between[0].measures["churn"].mean
    assert report["groups"][1]["name"] == report.groups[1].name == "new"
    assert list(report["groups"][0]["churn"]["ci95"]) == [
        report.groups[0].measures["churn"].low,
        report.groups[0].measures["churn"].high,
    ]
    assert "gate" in report
    assert "over_training" not in report
    assert report.get("nothing of it") is None


def test_what_was_written_is_read_again(report):
    again = Report.from_json(report.to_json())
    assert again == report
    assert again.to_json() == report.to_json()
    assert again.groups[0].measures.keys() == report.groups[0].measures.keys()
    assert again.breakdowns.ledger == report.breakdowns.ledger
    for show in (reports.to_terminal, reports.to_markdown, reports.to_html, reports.to_junit):
        assert show(again) == show(report)


def test_a_report_is_not_changed(report):
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.dataset = "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.groups[0].num_runs = 7
    with pytest.raises(TypeError):
        report["dataset"] = "other"


def test_what_is_no_number_is_null_and_nan_again(report):
    (change,) = report.between
    unknown = dataclasses.replace(
        change.measures["churn"], mean=math.nan, ci95=(math.inf, math.nan)
    )
    odd = dataclasses.replace(change, measures={**change.measures, "churn": unknown})
    text = dataclasses.replace(report, between=(odd,)).to_json()
    assert json.loads(text)["between"][0]["churn"]["mean"] is None
    found = Report.from_json(text).between[0].measures["churn"]
    assert math.isnan(found.mean)
    assert math.isnan(found.low)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: "-".join(path.parts[-3:-1]))
def test_reports_of_earlier_versions_are_read_and_shown(path):
    text = path.read_text()
    there = json.loads(text)
    found = (StudyReport if "study" in there else Report).from_json(text, str(path))
    again = json.loads(found.to_json())
    renewed = ("groups", "contrasts", "slices", "definitions")
    assert {key: again[key] for key in there} == {
        key: again[key] if key in renewed else there[key] for key in there
    }
    if '"ece_plain"' not in text:
        there = json.loads(text.replace('"ece"', '"ece_plain"'))  # what it was called then
    for ours, theirs in zip(
        (*again["groups"], *again["contrasts"], *again.get("slices", ())),
        (*there["groups"], *there["contrasts"], *there.get("slices", ())),
        strict=True,
    ):
        assert {key: ours[key] for key in theirs} == theirs
    assert there["groups"][0]["name"] in reports.to_terminal(found)
    assert "</html>" in reports.to_html(found)


def test_a_gate_of_an_earlier_version_is_read(report):
    """Whose conditions had no sentences."""
    earlier = json.loads(report.to_json())
    keys = ("condition", "failed", "left", "right", "margin", "ci95", "certain", "covers")
    conditions = [{key: found[key] for key in keys} for found in earlier["gate"]["conditions"]]
    earlier["gate"] = {"confident": False, "conditions": conditions}
    found = Report.from_json(json.dumps(earlier))
    assert found.gate.conditions[0].margin == report.gate.conditions[0].margin
    assert "passed: churn>0.9" in reports.to_terminal(found)
    assert "<strong>Ships:</strong> churn>0.9" in reports.to_html(found).replace("&gt;", ">")


def test_what_a_later_version_adds_does_not_matter(report):
    later = json.loads(report.to_json()) | {"colour": "blue"}
    later["groups"][0] |= {"mood": None, "weather": {"mean": 1, "ci95": [0, 2]}}
    assert Report.from_json(json.dumps(later)) == report


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schema": 2}, "schema 2, this version reads 1"),
        ({"groups": None}, "groups is NoneType instead of a list"),
        ({"groups": [{"name": "a"}]}, r"groups\[0\]\.num_runs is missing"),
        ({"num_examples": "many"}, "num_examples is str instead of a number"),
        ({"num_examples": True}, "num_examples is bool instead of a number"),
        ({"gate": {"confident": False, "conditions": [1]}}, r"gate\.conditions\[0\] is int"),
        ({"contrasts": [{"a": 1}]}, r"contrasts\[0\]\.a is int instead of a text"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(report, change, fault):
    text = json.dumps(json.loads(report.to_json()) | change)
    with pytest.raises(UserError, match=rf"^mine\.json: cannot be read as a report: {fault}") as no:
        Report.from_json(text, "mine.json")
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "[" * 100_000, '{"schema": 1}'])
def test_what_is_no_json_of_a_report_is_refused(text):
    with pytest.raises(UserError, match="cannot be read as a report"):
        Report.from_json(text)
