"""Paths that cannot be, odd ones that can, and workdirs that were spoilt."""

import json
import shutil

import pytest

from churn_jax import compare, config, data, evaluate, study
from churn_jax.training import loop
from tests.fixtures.experiments import ROOT
from tests.hostile.refusals import flat, refusal

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")


# Paths, as functions of an empty folder.
def a_file(folder):
    (folder / "file").write_text("x")
    return folder / "file"


def a_loop(folder):
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop"


def two_loops(folder):
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a" / "deeper"


BAD_PATHS = {
    "empty": lambda folder: "",
    "zero byte": lambda folder: f"{folder}/a\0b",
    "a file": a_file,
    "below a file": lambda folder: a_file(folder) / "below",
    "a symlink loop": a_loop,
    "below a symlink loop": two_loops,
    "too long a name": lambda folder: folder / ("x" * 300),
    "too deep": lambda folder: folder / "/".join(["deep" * 10] * 200),
    "proc": lambda folder: "/proc/nowhere",
    "dev": lambda folder: "/dev/null",
    "gs": lambda folder: "gs://bucket-of-nobody/x",
    "s3": lambda folder: "s3://bucket-of-nobody/x",
    "a new line in a file's name": lambda folder: a_file(folder).rename(folder / "a\nb") / "x",
    "bytes that are no text": lambda folder: a_file(folder).rename(f"{folder}/\udcff") / "x",
}
paths = pytest.mark.parametrize("name", BAD_PATHS)


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@paths
def test_workdirs_that_cannot_be(name, tmp_path, capsys):
    path = BAD_PATHS[name](tmp_path)
    before = contents(tmp_path)
    values = config.check(flat({}))
    assert "--workdir" in refusal(lambda: loop.train(values, path), capsys)
    assert contents(tmp_path) == before


@paths
def test_runs_that_are_none(name, tmp_path, capsys):
    path = BAD_PATHS[name](tmp_path)
    before = contents(tmp_path)
    arguments = [f"--runs={path}", f"--out={tmp_path / 'out'}"]
    refusal(lambda: evaluate.main(arguments), capsys)
    assert contents(tmp_path) == before


@paths
def test_reports_that_have_no_place(name, runs, tmp_path, capsys):
    path = BAD_PATHS[name](tmp_path)
    before = contents(tmp_path)
    assert "--out" in refusal(lambda: evaluate.main([f"--runs={runs}", f"--out={path}"]), capsys)
    if path != "":  # compare takes that for no report
        refusal(lambda: compare.main(["--group", f"a={runs}", f"--out={path}"]), capsys)
    assert contents(tmp_path) == before


@paths
def test_files_to_compare_that_are_none(name, runs, tmp_path, capsys):
    path = BAD_PATHS[name](tmp_path)
    before = contents(tmp_path)
    refusal(lambda: compare.main([str(runs), str(path)]), capsys)
    refusal(lambda: compare.main([str(runs), f"--labels={path}"]), capsys)
    refusal(lambda: compare.main([str(runs), f"--slices={path}"]), capsys)
    assert contents(tmp_path) == before


@paths
def test_studies_that_have_no_place(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = BAD_PATHS[name](tmp_path)
    before = contents(tmp_path)
    arguments = ["--study=configs/studies/figure4.py", f"--workdir={path}"]
    assert "--workdir" in refusal(lambda: study.main(arguments), capsys)
    assert contents(tmp_path) == before


@paths
@pytest.mark.parametrize("source", ["fashion_mnist", "cifar10", "imagenet", "image_folder"])
def test_data_that_is_not_there(name, source, tmp_path, capsys):
    path = str(BAD_PATHS[name](tmp_path))
    if source == "fashion_mnist" and path == "":
        return  # looks into the usual folders
    values = {"data.name": source, "data.dir": path}
    refusal(lambda: data.load(config.check(flat(values)).data), capsys)


FRIENDLY = [
    "with space",
    "ünïcödé 漢字 🦆",
    "new\nline",
    "tab\tand 'quotes\"",
    "-dash",
    "a,b=c",
    "%s{}",
]


@pytest.mark.parametrize("name", FRIENDLY)
def test_odd_names_are_as_good_as_any(name, tmp_path, capsys):
    folder = tmp_path / name
    loop.train(config.check(flat({"epochs": 0.25, "runs": 2})), folder / "work")
    if "," not in name:  # separates workdirs
        evaluate.main([f"--runs={folder / 'work'}", f"--out={folder / 'out'}"])
        assert json.loads((folder / "out/report.json").read_text())["num_examples"] == 1200
    compare.main([str(folder / "work"), f"--out={folder / 'compared'}"])
    assert (folder / "compared/report.html").exists()
    capsys.readouterr()


SPOILT = {
    "a step that is no number": lambda w: (w / "predictions/²").mkdir(),
    "a step that is empty": lambda w: (w / "predictions/00000099").mkdir(),
    "a step that is a file": lambda w: (w / "predictions/00000099").write_text(""),
    "a run that is a folder": lambda w: (w / "predictions/00000010/run_007.safetensors").mkdir(),
    "an empty run": lambda w: (w / "predictions/00000010/run_007.safetensors").touch(),
    "predictions is a file": lambda w: (
        shutil.rmtree(w / "predictions"), (w / "predictions").write_text("")
    ),
    "predictions is a loop": lambda w: (
        shutil.rmtree(w / "predictions"), (w / "predictions").symlink_to("predictions")
    ),
    "failed_runs is no list": lambda w: (w / "failed_runs.json").write_text("7"),
    "failed_runs is binary": lambda w: (w / "failed_runs.json").write_bytes(b"\xff\xfe"),
    "failed_runs is a folder": lambda w: (w / "failed_runs.json").mkdir(),
}  # fmt: skip


# What has no predictions is no step: those that have count.
NO_STEPS = ("a step that is no number", "a step that is empty", "a step that is a file")


@pytest.mark.parametrize("fault", SPOILT)
def test_spoilt_workdirs_are_refused_or_read_rightly(fault, runs, tmp_path, capsys):
    SPOILT[fault](runs)
    arguments = [f"--runs={runs}", f"--out={tmp_path / 'out'}"]
    if fault in NO_STEPS:
        evaluate.main(arguments)
        report = json.loads((tmp_path / "out/report.json").read_text())
        assert report["num_examples"] == 300
        assert report["groups"][0]["step"] == 10
        return
    refusal(lambda: evaluate.main(arguments), capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "null", '{"runs": 0}', '{"a": 1}', '"\\ud800"', "\0", "{" * 9999]
)
def test_damaged_configs_of_workdirs(text, tmp_path, capsys):
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "checkpoints" / "5").mkdir(parents=True)
    arguments = [f"--runs={tmp_path}", f"--out={tmp_path / 'out'}"]
    refusal(lambda: evaluate.main(arguments), capsys)
    refusal(lambda: loop.train(config.check(flat({})), tmp_path), capsys)
