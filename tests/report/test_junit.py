"""The JUnit file: what CI servers read of a gate, and that it is XML whatever names are."""

import datetime
import math
from xml.etree import ElementTree

import pytest

from churn_jax.report import junit
from churn_jax.report.gate import Gate, Verdict


def verdict(condition="churn>5%", margin=0.01, **changes):
    return Verdict(
        **{
            "condition": condition,
            "failed": margin < 0,
            "left": 0.05 - margin,
            "right": 0.05,
            "margin": margin,
            "ci95": (margin - 0.01, margin + 0.01),
            "certain": False,
            "covers": "examples",
            "sentence": f"the sentence of {condition}",
        }
        | changes
    )


FAILED = verdict("nfr>1%", margin=-0.02)
UNDECIDED = verdict("kappa<0.5", margin=math.nan, undecided="it is not a number")
UNSHOWN = verdict("churn<5%", failed=True, option="pass_if")


@pytest.mark.parametrize(
    ("conditions", "outcome", "begins"),
    [
        ([verdict()], "passed", "PASSED: the sentence of churn>5%"),
        ([verdict(), verdict("nfr>2%")], "passed", "PASSED: all 2 limits are kept"),
        ([verdict(), FAILED], "failed", "FAILED: the sentence of nfr>1%"),
        ([verdict(), UNDECIDED], "undecided", "UNDECIDED: the sentence of kappa<0.5"),
        ([UNDECIDED, FAILED], "failed", "FAILED: the sentence of nfr>1%"),
        ([], "passed", "PASSED"),
    ],
)
def test_failed_goes_before_undecided_before_passed(conditions, outcome, begins):
    gate = Gate(False, tuple(conditions))
    assert gate.outcome == outcome
    assert gate.line().startswith(begins)


def test_what_is_undecided_may_pass_and_is_said():
    gate = Gate(False, (verdict(), UNDECIDED), pass_undecided=True)
    assert gate.outcome == "passed"
    assert gate.line() == ("PASSED, with 1 undecided (--undecided=pass): the sentence of kappa<0.5")
    assert Gate(False, (UNDECIDED, FAILED), pass_undecided=True).outcome == "failed"


def test_each_condition_is_a_case_with_its_kind():
    timing = junit.Timing.begin()
    text = junit.junit(Gate(False, (verdict(), FAILED, UNDECIDED, UNSHOWN)), timing)
    suite = ElementTree.fromstring(text.encode())
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
        "skipped": "0",
    }
    assert 0 <= float(suite.get("time")) < 60
    began = datetime.datetime.fromisoformat(suite.get("timestamp")).replace(tzinfo=datetime.UTC)
    assert abs((began - timing.began).total_seconds()) < 1
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [
        "fail_if: churn>5%",
        "fail_if: nfr>1%",
        "fail_if: kappa<0.5",
        "pass_if: churn<5%",
    ]
    faults = [[(fault.tag, fault.get("type"), fault.text) for fault in case] for case in cases]
    assert faults == [
        [],
        [("failure", "over the limit", "the sentence of nfr>1%")],
        [("error", "undecided", "the sentence of kappa<0.5")],
        [("failure", "not shown", "the sentence of churn<5%")],
    ]
    assert all(float(case.get("time")) >= 0 for case in cases)


def test_undecided_that_passes_is_skipped():
    suite = ElementTree.fromstring(
        junit.junit(Gate(False, (UNDECIDED,), pass_undecided=True)).encode()
    )
    assert (suite.get("errors"), suite.get("skipped")) == ("0", "1")
    assert suite.find("testcase/skipped").get("type") == "undecided"


def test_what_broke_is_an_error_of_its_own():
    text = junit.broken(["churn>5%"], ValueError("x\0\x1b[31m\u202e<&"), junit.Timing.begin())
    suite = ElementTree.fromstring(text.encode())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "1")
    error = suite.find("testcase/error")
    assert error.get("type") == "ValueError"
    assert error.text == "x\\x00\\x1b[31m\\u202e<&"


def test_it_is_utf_8_whatever_the_machine_speaks(monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "latin-1")
    text = junit.junit(Gate(False, (verdict("accuracy_été>5%"),)))
    assert "encoding='utf-8'" in text.splitlines()[0]
    assert ElementTree.fromstring(text.encode()).find("testcase").get("name").endswith("été>5%")
