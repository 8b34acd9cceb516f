"""The steps of the CI templates, run as the platforms run them: their variables and files."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.fixtures.experiments import ROOT

SCRIPTS = ROOT / "launch/github"
# In place of `gh`: keeps the comments of a pull request in a file.
FAKE_GH = """#!/usr/bin/env python3
import json, os, pathlib, sys
store = pathlib.Path(os.environ["FAKE_COMMENTS"])
comments = json.loads(store.read_text())
words = sys.argv[1:]
assert words[0] == "api" and os.environ["GH_TOKEN"] == "secret"
def value(flag):
    return words[words.index(flag) + 1]
if "--jq" in words:
    assert words[2] == "repos/o/r/issues/7/comments"
    print(*[c["id"] for c in comments if c["body"].startswith("<!-- churn report -->")], sep="\\n")
else:
    body = pathlib.Path(value("--field").removeprefix("body=@")).read_text()
    if value("--method") == "POST":
        assert "repos/o/r/issues/7/comments" in words
        comments.append({"id": 100 + len(comments), "body": body})
    else:
        (place,) = [w for w in words if w.startswith("repos/o/r/issues/comments/")]
        found = [c for c in comments if c["id"] == int(place.rpartition("/")[2])]
        found[0]["body"] = body
    store.write_text(json.dumps(comments))
"""


@pytest.fixture
def job(tmp_path):
    """A folder with predictions, and what a runner puts into the environment."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    probs = np.eye(3)[labels] * 0.4 + 0.2
    worse = probs.copy()
    worse[:20] = np.roll(worse[:20], 1, 1)  # 10 % negative flips
    np.savez(tmp_path / "old one.npz", probs=probs, labels=labels)
    np.savez(tmp_path / "new.npz", probs=worse, labels=labels)
    temporary = tmp_path / "runner"
    # Installing is pip's: the environment is there as of an earlier step of the job.
    (temporary / "churn-environment/bin").mkdir(parents=True)
    python = temporary / "churn-environment/bin/python"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = pip ] && echo "$@" >> "{tmp_path}/installed" && exit 0\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    for name in ("output", "summary"):
        (tmp_path / name).touch()
    return tmp_path, {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "RUNNER_TEMP": str(temporary),
        "GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "CHURN_FILES": "'old one.npz' new.npz",
    }  # fmt: skip


def step(script, job, **variables):
    folder, environment = job
    return subprocess.run(
        ["bash", str(SCRIPTS / script)], cwd=folder, env=environment | variables,
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "code", "outcome"),
    [
        ({"CHURN_FAIL_IF": "nfr>20%"}, 0, "passed"),
        ({"CHURN_FAIL_IF": "nfr>1%, churn>50%"}, 1, "failed"),
        ({"CHURN_PASS_IF": "nfr<20%"}, 0, "passed"),
        ({"CHURN_FAIL_IF": "nfr>1"}, 2, "broken"),
        ({"CHURN_FILES": "nothing.npz new.npz"}, 2, "broken"),
        ({"CHURN_ARGUMENTS": "--slices 'no such.csv'"}, 2, "broken"),
    ],
)
def test_the_step_says_what_compare_says(job, gate, code, outcome):
    folder, _ = job
    done = step("compare.sh", job, **gate)
    assert done.returncode == code, done.stdout + done.stderr
    assert (folder / "output").read_text() == f"outcome={outcome}\n"
    summary = (folder / "summary").read_text()
    if code < 2:
        assert (folder / "churn-report/report.html").exists()
        assert (folder / "churn-report/junit.xml").exists()
        assert summary == (folder / "churn-report/report.md").read_text()
        assert "bad churn" in summary
    else:
        assert "the log says why" in summary
        assert "error: " in done.stderr
    assert "requirements-compare.txt" in (folder / "installed").read_text()


def test_what_is_in_an_input_is_never_run(job):
    folder, _ = job
    done = step("compare.sh", job, CHURN_ARGUMENTS="$(touch run) `touch run` ; touch run")
    assert done.returncode == 2
    assert not (folder / "run").exists()


def test_a_pull_request_has_one_comment(job):
    folder, _ = job
    gh = folder / "bin/gh"
    gh.parent.mkdir()
    gh.write_text(FAKE_GH)
    gh.chmod(0o755)
    comments = folder / "comments.json"
    comments.write_text(json.dumps([{"id": 1, "body": "looks good"}]))
    of_request = {
        "PATH": f"{gh.parent}:{os.environ['PATH']}", "FAKE_COMMENTS": str(comments),
        "GH_TOKEN": "secret", "GITHUB_REPOSITORY": "o/r", "CHURN_PULL_REQUEST": "7",
    }  # fmt: skip
    done = step("comment.sh", job, **of_request)  # nothing to report yet
    assert done.returncode == 0, done.stderr
    assert "broke" in json.loads(comments.read_text())[1]["body"]
    for gate in ("nfr>1%", "nfr>20%"):
        step("compare.sh", job, CHURN_FAIL_IF=gate)
        assert step("comment.sh", job, **of_request).returncode == 0
        first, ours = json.loads(comments.read_text())
        assert first["body"] == "looks good"
        assert ours["body"].startswith("<!-- churn report -->\n")
        assert ("FAILED" in ours["body"]) == (gate == "nfr>1%")


def test_the_action_hands_every_input_to_its_scripts():
    action = (SCRIPTS / "action.yml").read_text()
    inputs = re.findall(r"^  (\w+):\n    description", action.split("outputs:")[0], re.MULTILINE)
    assert set(inputs) == set(re.findall(r"inputs\.(\w+)", action))
    handed = set(re.findall(r"(CHURN_\w+):", action))
    used = set(re.findall(r"CHURN_\w+", (SCRIPTS / "compare.sh").read_text()))
    used |= set(re.findall(r"CHURN_\w+", (SCRIPTS / "comment.sh").read_text()))
    assert used - handed <= {"CHURN_PYTHON", "CHURN_"}
    for script in re.findall(r"GITHUB_ACTION_PATH/(\S+)\"", action):
        assert (SCRIPTS / script).exists()


def test_the_light_requirements_are_what_comparing_imports():
    code = (
        "import sys; from churn_jax.analysis.comparison import compare;"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    heavy = {
        "jax",
        "flax",
        "matplotlib",
        "ml_collections",
        "tensorflow",
        "sklearn",
        "pandas",
        "cv2",
    }
    assert not heavy & set(done.stdout.split())
