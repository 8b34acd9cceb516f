"""The command's verdict: its exit code, its last line, its JUnit file, and what it leaves."""

import os
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from churn_jax import compare as command
from churn_jax import metrics
from churn_jax import report as reports
from churn_jax.errors import UserError
from tests.fixtures.experiments import ROOT
from tests.test_compare import LABELS, NEW, OLD, WRITTEN, run


def test_the_command_exits_0_1_or_2(tmp_path, capsys):
    for name, probs in (("old", OLD), ("new", NEW)):
        np.savez(tmp_path / f"{name}.npz", probs=probs, labels=LABELS)
    files = [tmp_path / "old.npz", tmp_path / "new.npz"]
    assert run([*files, "--fail_if=churn>0.99, nfr>0.9", f"--out={tmp_path / 'a'}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "PASSED: all 2 limits are kept"
    assert run([*files, "--fail_if=churn>0.001, nfr>0.9", f"--out={tmp_path / 'b'}"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(
        f"FAILED: churn {100 * metrics.churn(OLD, NEW):.1f} %, limit 0.1 %: over"
    )
    suite = ElementTree.parse(tmp_path / "b/junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert len(suite.findall("testcase/failure")) == 1
    assert run([*files, "--fail_if=chrn>0.001", f"--out={tmp_path / 'c'}"]) == 2
    assert "did you mean 'churn'" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    assert run(files) == 0
    assert "Going from old to new changes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--confident"], "--confident: is of the conditions of --fail_if; there are none"),
        (["--confident", "--pass_if=churn<50%"], "those of --pass_if are held to it anyway"),
        (["--undecided=pass"], "--undecided=pass: is of a gate; there is none"),
    ],
)
def test_what_is_said_of_a_gate_that_is_not_there_is_refused(tmp_path, capsys, options, said):
    for name, probs in (("old", OLD), ("new", NEW)):
        np.savez(tmp_path / f"{name}.npz", probs=probs, labels=LABELS)
    files = [tmp_path / "old.npz", tmp_path / "new.npz", f"--out={tmp_path / 'out'}"]
    assert run([*files, *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run([*files, *options[-1:], "--fail_if=churn>99%", *options[:-1]]) in (0, 1)


def test_alphas_of_predicted_classes_are_refused(tmp_path, capsys):
    for name, probs in (("old", OLD), ("new", NEW)):
        np.save(tmp_path / f"{name}.npy", probs.argmax(1))
    files = [tmp_path / "old.npy", tmp_path / "new.npy"]
    assert run([*files, "--alphas=1,2"]) == 2
    assert "--alphas: SChurn is of probabilities, and " in capsys.readouterr().err
    assert run(files) == 0


@pytest.fixture
def pair(tmp_path):
    """Files whose labels neither model learned lie beside those that they did."""
    for name, probs in (("old", OLD), ("new", NEW)):
        np.savez(tmp_path / f"{name}.npz", probs=probs, labels=LABELS)
        np.savez(tmp_path / f"{name}_broken.npz", probs=probs, labels=(LABELS + 1) % 3)
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "new.npz").read_bytes()[:500])
    return tmp_path


def junit(folder):
    suite = ElementTree.parse(folder / "junit.xml").getroot()
    return {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}


def test_no_result_is_no_pass(pair, capsys):
    broken = [pair / "old_broken.npz", pair / "new_broken.npz", f"--out={pair}/out"]
    assert run([*broken, "--fail_if=churn>99%"]) == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("UNDECIDED: churn ")
    assert last.endswith("because old_broken has runs that never learned")
    assert junit(pair / "out") == {"tests": 1, "failures": 0, "errors": 1, "skipped": 0}
    assert run([*broken, "--fail_if=churn>99%", "--undecided=pass"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("PASSED, with 1 undecided")
    assert junit(pair / "out") == {"tests": 1, "failures": 0, "errors": 0, "skipped": 1}
    assert run([*broken, "--fail_if=churn>99%, accuracy_new<99%"]) == 1
    assert run([*broken, "--pass_if=churn<99%"]) == 3
    assert run(broken) == 0


def test_runs_that_are_one_decide_nothing(pair):
    groups = [f"--group=a={pair}/old.npz,{pair}/copy.npz", f"--group=b={pair}/new.npz"]
    (pair / "copy.npz").write_bytes((pair / "old.npz").read_bytes())
    assert run([*groups, "--fail_if=churn>99%"]) == 3


def test_pass_if_beside_fail_if(pair, capsys):
    files = [pair / "old.npz", pair / "new.npz"]
    assert run([*files, "--fail_if=churn>90%", "--pass_if=churn<90%"]) == 0
    assert run([*files, "--fail_if=churn>1%", "--pass_if=churn<90%"]) == 1
    churn = 100 * metrics.churn(OLD, NEW)
    capsys.readouterr()
    assert run([*files, "--fail_if=churn>90%", f"--pass_if=churn<{churn + 1}%"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert "not shown to be within the limit" in last
    assert "examples would show it" in last
    assert run([*files, "--pass_if=churn<500%"]) == 2
    assert "--pass_if: 'churn<500%' is always true" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("second", "options", "kind", "fault"),
    [
        ("damaged.npz", [], "UserError", "damaged"),
        ("nowhere.npz", [], "UserError", "no such file"),
        ("new.npz", ["--no_such_option=1"], "UsageError", "no_such_option"),
        ("new.npz", ["--fail_if=nfr>1%"], "UsageError", "--fail_if is there twice"),
        ("new.npz", ["--labels=nowhere.npy"], "UserError", "no such file"),
        ("new.npz", ["--slices=nowhere.csv"], "UserError", "nowhere.csv"),
        ("new.npz", ["--pass_if=chrun<5%"], "UsageError", "did you mean 'churn'"),
    ],
)
def test_no_verdict_outlives_its_run(pair, second, options, kind, fault):
    gate = ["--fail_if=churn>90%", f"--out={pair}/out"]
    assert run([pair / "old.npz", pair / "new.npz", *gate]) == 0
    assert {path.name for path in (pair / "out").iterdir()} == WRITTEN
    assert run([pair / "old.npz", pair / second, *gate, *options]) == 2
    assert [path.name for path in (pair / "out").iterdir()] == ["junit.xml"]
    assert junit(pair / "out") == {"tests": 1, "failures": 0, "errors": 1, "skipped": 0}
    error = ElementTree.parse(pair / "out/junit.xml").find("testcase/error")
    assert error.get("type") == kind
    assert fault in error.text


def test_broken_input_is_told_to_a_ci_that_has_no_folder_yet(pair):
    assert run([pair / "old.npz", pair / "damaged.npz", "--fail_if=churn>9%", f"--out={pair}/new"])
    assert junit(pair / "new") == {"tests": 1, "failures": 0, "errors": 1, "skipped": 0}


def test_a_bug_is_no_verdict_either(pair, monkeypatch):
    gate = ["--fail_if=churn>90%", f"--out={pair}/out"]
    monkeypatch.setattr(command, "compare", lambda *_, **__: 1 / 0)
    assert run([pair / "old.npz", pair / "new.npz", *gate]) == 70
    assert junit(pair / "out")["errors"] == 1
    assert "ZeroDivisionError" in (pair / "out/junit.xml").read_text()


def test_a_run_without_a_gate_leaves_none(pair):
    files = [pair / "old.npz", pair / "new.npz", f"--out={pair}/out"]
    assert run([*files, "--fail_if=churn>1%"]) == 1
    assert run(files) == 0
    assert not (pair / "out/junit.xml").exists()
    assert run([*files, "--fail_if=churn>1%"]) == 1
    assert run([*files, "--kind=nonsense"]) == 2
    assert not list((pair / "out").iterdir())


def test_files_of_other_tools_stay(pair):
    (pair / "out").mkdir()
    others = {"junit.xml": "<testsuite name='pytest'/>", "report.html": "<p>theirs", "a.txt": ""}
    for name, text in others.items():
        (pair / "out" / name).write_text(text)
    assert run([pair / "old.npz", pair / "damaged.npz", f"--out={pair}/out"]) == 2
    assert {path.name: path.read_text() for path in (pair / "out").iterdir()} == others


def test_a_report_that_cannot_be_written_whole_is_not_left(pair, monkeypatch, capsys):
    def full(report):
        raise UserError("report.tex can't be written: No space left on device")

    monkeypatch.setattr(reports, "to_latex", full)
    files = [pair / "old.npz", pair / "new.npz", f"--out={pair}/out"]
    assert run([*files, "--fail_if=churn>90%"]) == 2
    assert [path.name for path in (pair / "out").iterdir()] == ["junit.xml"]
    assert "No space left" in (pair / "out/junit.xml").read_text()
    assert run(files) == 2
    assert not list((pair / "out").iterdir())
    assert "Traceback" not in capsys.readouterr().err


def test_no_input_is_written_over(pair, capsys):
    (pair / "out").mkdir()
    (pair / "out/report.csv").write_text("prediction\n" + "1\n" * 60)
    files = [pair / "old.npz", pair / "out/report.csv"]
    assert run([*files, f"--out={pair}/out"]) == 2
    assert "would write over it" in capsys.readouterr().err
    assert (pair / "out/report.csv").read_text().startswith("prediction")
    assert run([*files, f"--out={pair}/elsewhere"]) == 0


@pytest.mark.parametrize("shell", ["| head -1", ">/dev/full", ">&-", "2>&1 | true"])
@pytest.mark.parametrize(("condition", "code"), [("churn>90%", 0), ("churn>1%", 1)])
def test_what_reads_the_output_changes_nothing(pair, shell, condition, code):
    line = (
        f'"{sys.executable}" -m churn_jax.compare old.npz new.npz --fail_if="{condition}" '
        f"--out=out {shell}; exit ${{PIPESTATUS[0]}}"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["bash", "-c", line], cwd=pair, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert {path.name for path in (pair / "out").iterdir()} == WRITTEN
    assert junit(pair / "out")["failures"] == code
