"""Hundreds of hostile inputs to every command: one line that names the key or file, exit code 2.

None may be accepted silently, leave a traceback or leave anything behind. Files of predictions have
theirs in tests/readers/test_hostile.py.
"""

import gzip
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from churn_jax import compare, config, data, evaluate, study
from churn_jax.system.commands import run_command
from churn_jax.training import devices, loop
from tests.fixtures.experiments import ROOT, TINY, run_module
from tests.fixtures.idx import idx_bytes, write_fashion_mnist
from tests.test_evaluate import make_workdir

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")


def refusal(command, capsys):
    """Runs a command in this process as its own would; returns its one line."""
    with pytest.raises(SystemExit) as caught:
        run_command(command)
    error = capsys.readouterr().err
    assert caught.value.code == 2, error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert error[:-1].isprintable()
    return error


# Configs: {dotted key: value}, and what the line must say.
DIGITS = {"data.name": "digits"}
HUGE = 10**6
CONFIGS = [
    *[({"runs": value}, "config.runs") for value in (0, -1, HUGE, 10**9, 2**31, 2**63, 10**30)],
    *[({"runs": value}, "config.runs") for value in (True, None, "2", 2.0, [2], {"a": 1}, b"2")],
    ({"first_run": -1}, "config.first_run"),
    ({"first_run": 2**31}, "config.first_run"),
    ({"first_run": 2**31 - 1}, "config.runs"),
    *[({"batch_size": value}, "config.batch_size") for value in (0, -5, 65, HUGE, 2**25, 10**30)],
    *[({"eval_batch_size": value}, "config.eval_batch_size") for value in (0, -1, 2**40)],
    *[({"seed": value}, "config.seed") for value in (-1, 2**32, 10**40, 0.5, "0")],
    *[({"epochs": value}, "config.epochs")
      for value in (0, -1.0, float("nan"), float("inf"), 1e30, 1e300, 10**400, "9", ())],
    *[({"log_every": value}, "config.log_every") for value in (0, -1, 1.5)],
    *[({"keep_checkpoints": value}, "config.keep_checkpoints") for value in (0, -3)],
    *[({"eval_every": value}, "config.eval_every") for value in (-1.0, float("nan"))],
    *[({"checkpoint_every": value}, "config.checkpoint_every") for value in (-1.0, 1e39)],
    *[({"deterministic": value}, "config.deterministic") for value in (1, "yes", None)],
    ({"log_distances": "no"}, "config.log_distances"),
    ({"what": 1}, "config.what"),
    ({"": 1}, "config."),
    ({"run\ns": 1}, "config.run s"),
    *[({"data.name": value}, "config.data.name")
      for value in ("", "digit", "../digits", "DIGITS", "a\nb", "é")],
    ({"data.name": 3}, "config.data.name"),
    ({"data.name": "dig\0its"}, "config.data.name"),
    *[({"data.image_size": value}, "config.data.image_size") for value in (-1, 1, 3, 4097, 10**9)],
    *[({"data.num_train": value}, "num_train") for value in (-1, 598, 10**12)],
    *[({"data.num_validation": value}, "num_validation") for value in (-1, 597, 10**12)],
    *[({"data.crop_padding": value}, "config.data.crop_padding") for value in (-1, 9, 1024, 1025)],
    *[({"data.crop": value}, "crop") for value in ("Pad", "", "resized")],
    *[({"data.pipeline": value}, "config.data.pipeline") for value in ("fast", "")],
    *[({"data.workers": value}, "config.data.workers") for value in (-1, 257, 10**6)],
    ({"data.undecodable": "ignore"}, "config.data.undecodable"),
    ({"data": 3}, "config.data"),
    ({"data.flip": "yes"}, "config.data.flip"),
    *[({"model.name": value}, "config.model.name") for value in ("resnet9", "", "lenet5\n", "*")],
    *[({"model.dtype": value}, "config.model.dtype") for value in ("float64", "int8", "")],
    *[({"model.norm_group": value}, "config.model.norm_group") for value in (-1, 3, 10**9)],
    *[({"optimizer.learning_rate": value}, "config.optimizer.learning_rate")
      for value in (-0.1, float("nan"), float("inf"), -float("inf"), 1e39, 1e308, "fast")],
    *[({"optimizer.momentum": value}, "config.optimizer.momentum") for value in (-0.1, 1.1)],
    *[({"optimizer.weight_decay": value}, "config.optimizer.weight_decay") for value in (-1, 1e39)],
    *[({"optimizer.clip_norm": value}, "config.optimizer.clip_norm") for value in (-1, 1e300)],
    *[({"optimizer.warmup_epochs": value}, "config.optimizer.warmup_epochs")
      for value in (-1.0, 1e30, 1e300)],
    *[({"optimizer.decay_epochs": value}, "config.optimizer.decay_epochs")
      for value in (1.0, (-1.0,), (2.0, 1.0), (1.0, 1.0), ("a",), (float("nan"),), (1e30,))],
    ({"optimizer.decay_factor": -0.1}, "config.optimizer.decay_factor"),
    *[({"randomness.vary": value}, "config.randomness.vary")
      for value in ("init", ("int",), ("init", 3), None, ("init\n",))],
    *[({"randomness.perturb": value}, "config.randomness.perturb") for value in ("two_ulp", "")],
    *[({f"mesh.{axis}": value}, f"config.mesh.{axis}")
      for axis in ("run", "member", "data") for value in (-1, 3, 7, 10**9)],
    *[({"method.label": value}, "config.method.label")
      for value in ("", "a/b", "../../x", "a\nb", "x" * 101, "\x1b[31m", "\udcff")],
    *[({"method.members": value}, "config.method.members") for value in (0, -2, 129, 10**9)],
    *[({"method.alpha": value}, "config.method.alpha") for value in (-0.1, 1.0, 2.0)],
    *[({"method.beta": value}, "config.method.beta") for value in (-1.0, 1e39)],
    *[({"method.temperature": value}, "config.method.temperature") for value in (0.0, -1.0)],
    *[({"method.top_k": value}, "config.method.top_k") for value in (-1, 11, 10**9)],
    *[({"method.teacher_weight": value}, "config.method.teacher_weight") for value in (-0.1, 1.1)],
    *[({"method.num_teachers": value}, "config.method.num_teachers") for value in (0, 129)],
    *[({"method.refresh_steps": value}, "config.method.refresh_steps") for value in (0, -1)],
    *[({"method.alpha_ramp_epochs": value}, "config.method.alpha_ramp_epochs")
      for value in (-1.0, 1e30)],
    ({"method.beta_ramp_epochs": 1e30}, "config.method.beta_ramp_epochs"),
    *[({f"method.{key}": "nonsense"}, f"config.method.{key}")
      for key in ("prediction", "regularizer", "agreement", "update", "alpha_ramp", "beta_ramp")],
    *[({"method.teacher_weight": 0.9, "seed": 1, "method.teachers": value}, "method.teachers")
      for value in ("", "/nowhere", ",,,", "/dev/null", "a\nb", "x" * 5000)],
    ({"method.agreement": "l1"}, "config.method.members"),
]  # fmt: skip


def flat(values):
    """{dotted key: value} as nested dicts, upon the tiny config of tests."""
    nested = config.default().to_dict()
    for key, value in (
        {k: v for k, v in TINY.items() if not k.startswith("mesh")} | values
    ).items():
        *groups, name = key.split(".")
        at = nested
        for group in groups:
            at = at[group]
        at[name] = value
    return nested


def name_of(case):
    return "-".join(f"{key}={value!r:.40}" for key, value in case[0].items())


@pytest.mark.parametrize("case", CONFIGS, ids=map(name_of, CONFIGS))
def test_absurd_configs(case, tmp_path, capsys):
    values, key = case
    workdir = tmp_path / "work"
    line = refusal(lambda: loop.train(config.check(flat(values)), workdir), capsys)
    assert key in line
    assert not workdir.exists()


def test_a_million_runs_are_refused_with_the_memory_they_would_take(tmp_path, capsys):
    values = flat({"runs": HUGE})
    line = refusal(lambda: loop.train(config.check(values), tmp_path / "w"), capsys)
    assert "config.runs: 1000000 would take at least " in line
    assert "GiB of memory" in line


def test_an_absurd_mesh_is_refused_before_its_devices_are_made(capsys):
    values = flat({"mesh.run": 1000, "mesh.data": 1000, "runs": 1000})
    assert "config.mesh" in refusal(lambda: devices.start_devices(config.check(values)), capsys)


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


@pytest.fixture
def runs(tmp_path):
    return make_workdir(tmp_path / "good")


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


def spoil_config(workdir, text):
    (workdir / "config.json").write_text(text)


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


@pytest.mark.parametrize("fault", SPOILT)
def test_spoilt_workdirs_are_refused_or_read_rightly(fault, runs, tmp_path, capsys):
    SPOILT[fault](runs)
    arguments = [f"--runs={runs}", f"--out={tmp_path / 'out'}"]
    if fault == "a step that is no number":
        evaluate.main(arguments)
        assert json.loads((tmp_path / "out/report.json").read_text())["num_examples"] == 300
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
    given = ["--study=configs/studies/figure1.py", *arguments, f"--workdir={workdir}"]
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


def idx_faults(folder):
    """{fault: (file, content)} of Fashion-MNIST's test images and labels."""
    images = np.zeros((10, 28, 28), np.uint8)
    labels = np.arange(10, dtype=np.uint8)
    whole = idx_bytes(images)
    of_images = {
        "wrong size": idx_bytes(np.zeros((10, 32, 32), np.uint8)),
        "not square": idx_bytes(np.zeros((10, 28, 27), np.uint8)),
        "flat": idx_bytes(np.zeros((10, 784), np.uint8)),
        "colour": idx_bytes(np.zeros((10, 28, 28, 3), np.uint8)),
        "fewer": idx_bytes(images[:9]),
        "more": idx_bytes(np.zeros((11, 28, 28), np.uint8)),
        "none": idx_bytes(images[:0]),
        "truncated": whole[:-1],
        "too long": whole + b"x",
        "header only": whole[:16],
        "half a header": whole[:7],
        "empty": b"",
        "text": b"hello",
        "floats": b"\0\0\x0d" + whole[3:],
        "huge header": b"\0\0\x08\x03" + b"\xff" * 12 + whole[16:],
        "html": b"<!doctype html><title>404</title>",
        "a pickle": b"\x80\x04\x95\x0b\x00",
        "half a gzip": gzip.compress(whole)[:-9],
        "gzip of garbage": b"\x1f\x8b" + b"x" * 50,
        "gzip bomb": gzip.compress(bytes(1 << 29), 9),
    }
    of_labels = {
        "labels longer": idx_bytes(np.arange(11, dtype=np.uint8) % 10),
        "labels shorter": idx_bytes(labels[:9]),
        "label 10": idx_bytes(np.where(labels == 3, 10, labels)),
        "label 255": idx_bytes(np.full(10, 255, np.uint8)),
        "one-hot": idx_bytes(np.eye(10, dtype=np.uint8)),
        "no labels": idx_bytes(labels[:0]),
        "images as labels": whole,
    }
    for name, content in of_images.items():
        yield name, "t10k-images-idx3-ubyte", content
    for name, content in of_labels.items():
        yield name, "t10k-labels-idx1-ubyte", content


IDX_FAULTS = [name for name, _, _ in idx_faults(None)]


@pytest.mark.parametrize("fault", IDX_FAULTS)
def test_faulty_idx_files(fault, tmp_path, capsys):
    write_fashion_mnist(tmp_path, compressed=False)
    name, content = next((n, c) for f, n, c in idx_faults(tmp_path) if f == fault)
    (tmp_path / name).write_bytes(content)
    values = {"data.name": "fashion_mnist", "data.dir": str(tmp_path)}
    assert "t10k" in refusal(lambda: data.load(config.check(flat(values)).data), capsys)


@pytest.mark.parametrize("fault", ["missing", "folder", "loop"])
def test_idx_files_that_are_none(fault, tmp_path, capsys):
    write_fashion_mnist(tmp_path, compressed=False)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.unlink()
    if fault == "folder":
        path.mkdir()
    elif fault == "loop":
        path.symlink_to(path)
    values = {"data.name": "fashion_mnist", "data.dir": str(tmp_path)}
    assert path.name in refusal(lambda: data.load(config.check(flat(values)).data), capsys)


CSV = {
    "empty": "",
    "header only": "path,label\n",
    "no label": "path\na.png\n",
    "no header": "a.png,cat\nb.png,dog\n",
    "semicolons": "path;label\na.png;cat\n",
    "one class": "path,label\na.png,cat\nb.png,cat\n",
    "twice": "path,label\na.png,cat\na.png,dog\n",
    "short row": "path,label\na.png\nb.png,dog\n",
    "long row": "path,label\na.png,cat,dog,owl\nb.png,dog\n",
    "empty label": "path,label\na.png,\nb.png,dog\n",
    "empty path": "path,label\n,cat\nb.png,dog\n",
    "bad split": "path,label,split\na.png,cat,trian\nb.png,dog,test\n",
    "no test": "path,label,split\na.png,cat,train\nb.png,dog,train\n",
    "no train": "path,label,split\na.png,cat,test\nb.png,dog,test\n",
    "outside": "path,label,split\n../../etc/passwd,cat,train\nb.png,dog,test\n",
    "absolute": "path,label,split\n/etc/passwd,cat,train\nb.png,dog,test\n",
    "not there": "path,label,split\nzz.png,cat,train\nb.png,dog,test\n",
    "zero byte": "path,label,split\na\0.png,cat,train\nb.png,dog,test\n",
    "open quote": 'path,label\n"a.png,cat\nb.png,dog\n',
    "binary": "\x00\x01\x02\x03" * 50,
    "latin1": b"path,label\n\xff.png,cat\nb.png,dog\n",
    "huge field": "path,label\n" + "x" * 200_000 + ",cat\nb.png,dog\n",
}


@pytest.mark.parametrize("fault", CSV)
def test_nonsense_in_lists_of_pictures(fault, tmp_path, capsys):
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 40)).save(tmp_path / name)
    path = tmp_path / "list.csv"
    content = CSV[fault]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    values = {"data.name": "image_folder", "data.dir": str(path), "data.image_size": 32}

    def load():
        dataset = data.load(config.check(flat(values | {"data.num_train": 0})).data)
        for examples in (dataset.train, dataset.test):
            _ = [examples[i] for i in range(len(examples))]

    line = refusal(load, capsys)
    assert "list.csv" in line or ".png" in line or "passwd" in line


def test_a_loop_among_folders_of_pictures_ends(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(30):
            Image.new("L", (9, 9)).save(tmp_path / name / f"{i}.png")
        (tmp_path / name / "again").symlink_to(tmp_path / name)
    values = {"data.name": "image_folder", "data.dir": str(tmp_path), "data.num_train": 0}
    dataset = data.load(config.check(flat(values)).data)
    assert len(dataset.train) + len(dataset.test) == 60


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "YCbCr"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (33, 2)])
def test_pictures_of_any_mode_and_size_are_read(mode, size, tmp_path):
    suffix = {"CMYK": "jpg", "F": "tiff", "YCbCr": "jpg", "I;16": "png"}.get(mode, "png")
    for i, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        Image.new(mode, size).save(tmp_path / name / f"{i}.{suffix}")
    from churn_jax.data.decoding import decode

    content = (tmp_path / "cat" / f"0.{suffix}").read_bytes()
    assert decode(content, "x").shape == (size[1], size[0], 3)


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


def test_there_are_at_least_two_hundred():
    of_paths = len(BAD_PATHS) * 12
    assert len(CONFIGS) + of_paths + len(CSV) + len(IDX_FAULTS) + len(STUDY_FILES) >= 400
