"""Arguments of evaluations, studies and comparisons that make no sense."""

import shutil

import pytest

from churn_jax import compare, evaluate, study
from tests.fixtures.experiments import ROOT, run_module
from tests.hostile.refusals import refusal

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--runs"),
        (["--runs=,"], "--runs"),
        (["--runs=GOOD,"], "--runs"),
        (["--runs=GOOD,GOOD"], "there twice"),
        (["--runs=GOOD", "--step=7"], "step 7"),
        (["--runs=GOOD", "--step=-1"], "step -1"),
        (["--runs=GOOD", f"--step={10**30}"], "step 1000"),
        (["--runs=GOOD", "--step=1.5"], "--step=1.5"),
        (["--runs=GOOD", "--step="], "--step="),
        (["--runs=GOOD", "--step=la\ntest"], "--step=la test"),
        (["--runs=GOOD", "--steps"], "--steps"),
        (["--runs=GOOD", "extra"], "extra"),
    ],
)
def test_evaluations_of_nothing(arguments, said, runs, tmp_path, capsys):
    given = [argument.replace("GOOD", str(runs)) for argument in arguments]
    line = refusal(lambda: evaluate.main([*given, f"--out={tmp_path / 'out'}"]), capsys)
    assert said in line
    assert not (tmp_path / "out").exists()


STUDY_FILES = {
    "syntax": "def (",
    "raises": "raise RuntimeError('no\\nstudy')",
    "exits": "raise SystemExit(3)",
    "get raises": "def get_study(options):\n    return 1 / 0",
    "no function": "get_study = 3",
    "no study": "def get_study(options):\n    return 3",
    "nothing": "",
    "latin1": "# \xff",
    "imports": "import no_such_module",
    "cells twice": "from churn_jax.studies.design import Cell, Study\n"
    "def get_study(o):\n    return Study('s', 't', (Cell('a', 'baseline', 2),) * 2)",
    "unknown teacher": "from churn_jax.studies.design import Cell, Study\n"
    "def get_study(o):\n    return Study('s', 't', (Cell('a', 'baseline', 2, taught_by=('b',)),))",
    "unknown method": "from churn_jax.studies.design import Cell, Study\n"
    "def get_study(o):\n    return Study('s', 't', (Cell('a', 'magic', 2),))",
}


@pytest.mark.parametrize("name", STUDY_FILES)
def test_study_files_that_are_none(name, tmp_path, capsys):
    folder = tmp_path / "configs" / "studies"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "configs/digits.py", folder.parent)
    content = STUDY_FILES[name].encode("latin1" if name == "latin1" else "utf-8")
    (folder / "mine.py").write_bytes(content)
    arguments = [f"--study={folder / 'mine.py'}", f"--workdir={tmp_path / 'work'}", "--list"]
    line = refusal(lambda: study.main(arguments), capsys)
    assert "mine.py" in line or "cell a: " in line
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--study="], "--study="),
        (["--study=/"], "--study=/"),
        (["--study=configs/studies"], "--study=configs/studies"),
        (["--study=a\0b"], "--study="),
        (["--study=" + "x" * 5000], "--study="),
        (["--dataset="], "--dataset"),
        (["--dataset=../digits"], "--dataset"),
        (["--dataset=a\0b"], "--dataset"),
        (["--dataset=a\nb"], "--dataset"),
        (["--dataset=/etc/passwd"], "--dataset"),
        (["--runs=0"], "--runs"),
        (["--runs=-5"], "--runs"),
        (["--runs=1"], "--runs"),
        (["--runs=1e3"], "--runs"),
        (["--runs=" + "9" * 5000], "--runs"),
        ([f"--runs={10**9}"], "runs"),
        (["--epochs=0"], "--epochs"),
        (["--epochs=-1"], "--epochs"),
        (["--epochs=nan"], "--epochs"),
        (["--epochs=inf"], "--epochs"),
        (["--epochs=1e300"], "too large"),
        (["--epochs=ten"], "--epochs"),
        (["--cell="], "--cell"),
        (["--cell=base\nline"], "--cell"),
        (["--config."], "--config."),
        (["--config.=1"], "config."),
        (["--config.runs=5"], "--runs"),
        (["--config.first_run=5"], "first_run"),
        (["--config.method.teachers=x"], "teachers"),
        (["--config.method=3"], "config.method"),
        (["--config.method.alpha"], "--config.method.alpha"),
        (["--config.seed=-1"], "config.seed"),
        (["--config.seed=[1"], "config.seed"),
        (["--config.seed=" + "(" * 5000], "config.seed"),
        (["--config.seed.deeper=1"], "config.seed"),
        (["--config.data.name=\x1b[2J"], "data"),
        (["--grid==1"], "--grid"),
        (["--grid=alpha"], "--grid"),
        (["--grid=alpha="], "--grid"),
        (["--grid=alpha=nan"], "--grid"),
        (["--grid=alpha=inf"], "--grid"),
        (["--grid=alpha=1e999"], "--grid"),
        (["--grid=alpha=0.1,0.1"], "--grid"),
        (["--grid=alpha=0.1;alpha=0.2"], "--grid"),
        (["--grid=alpha=2"], "alpha"),
        (["--grid=beta=-1"], "beta"),
        (["--grid=" + ",".join(["alpha=1"] * 2000)], "--grid"),
        (["--report=1"], "--report"),
        (["-x"], "-x"),
    ],
)
def test_studies_that_cannot_be(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    workdir = tmp_path / "work"
    named = any(argument.startswith("--study") for argument in arguments)
    study_file = [] if named else ["--study=configs/studies/figure1.py"]
    given = [*study_file, *arguments, f"--workdir={workdir}"]
    assert said in refusal(lambda: study.main(given), capsys)
    assert not workdir.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["GOOD"],
        ["--group=a"],
        ["--group==GOOD"],
        ["--group=a="],
        ["--group=a=*.nothing"],
        ["--group=a=GOOD", "--group=a=GOOD"],
        ["--alphas=0"],
        ["--alphas=nan"],
        ["--alphas=-1"],
        ["--alphas=a"],
        ["--alphas="],
        ["--alphas=inf"],
        ["--alphas=1e999"],
        ["--kind=magic"],
        ["--measures=none"],
        ["--fail_if="],
        ["--fail_if=churn"],
        ["--fail_if=churn>"],
        ["--fail_if=churn>nan"],
        ["--fail_if=churn>__import__('os')"],
        ["--fail_if=chrun>1"],
        ["--fail_if=" + "(" * 3000 + "churn>1"],
        ["--fail_if=churn>1\0"],
        ["--fail_if=churn>1>0"],
        ["--fail_if=churn_older>1"],
        ["--confident=1"],
        ["--what"],
    ],
)
def test_comparisons_that_cannot_be(arguments, runs, tmp_path, capsys):
    given = [argument.replace("GOOD", str(runs)) for argument in arguments]
    if given and not any("group" in a or a == str(runs) for a in given):
        given += [str(runs)]
    if given == [str(runs)]:
        given = [str(next((runs / "predictions/00000010").iterdir()))]
    refusal(lambda: compare.main([*given, f"--out={tmp_path / 'out'}"]), capsys)
    assert not (tmp_path / "out").exists()


COMMANDS = [
    ("main", ["--config=configs/digits.py", "--config.runs=1000000", "--workdir=W"], "config.runs"),
    ("main", ["--config=configs/digits.py", "--config.mesh.run=1000000000", "--workdir=W"], "mesh"),
    ("main", ["--config=configs/digits.py", "--workdir=gs://nobody/x"], "--workdir=gs://nobody/x"),
    ("main", ["--config=configs", "--workdir=W"], "configs"),
    ("main", ["--config=configs/digits.py:baseline,huge", "--workdir=W"], "huge"),
    ("evaluate", ["--runs=gs://nobody/x", "--out=W"], "gs://nobody/x"),
    ("study", ["--study=configs/studies/table1.py", "--runs=1000000", "--workdir=W"], "runs"),
    ("compare", ["a\nb.npz", "ünïcödé.npz"], "a b.npz"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "arguments", "said"), COMMANDS)
def test_commands_in_processes_of_their_own(command, arguments, said, tmp_path):
    given = [argument.replace("=W", f"={tmp_path / 'work'}") for argument in arguments]
    done = run_module(f"churn_jax.{command}", *given, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (tmp_path / "work").exists()
