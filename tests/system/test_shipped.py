"""One command for all, its help, and what it finds by name, in a checkout and installed."""

import importlib.util
import subprocess
import sys

import pytest

import churn_jax
from churn_jax import config as config_lib
from churn_jax.errors import UserError
from churn_jax.system import config_help, shipped
from tests.fixtures.experiments import ROOT


def run(*arguments, module="churn_jax", **options):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        **{"cwd": ROOT, "capture_output": True, "text": True} | options,
    )  # fmt: skip


def test_help_names_every_key_with_its_default():
    flat = config_lib.flatten(config_lib.Config())
    keys = {key.name: key for key in config_help.described()}
    assert keys.keys() == flat.keys()
    for name, key in keys.items():
        if name != "randomness.vary":
            assert eval(key.default, {"MAX_BATCH": 0}) == flat[name], name
    assert keys["method.beta"].meaning == "at least 0"
    assert keys["method.anchor"].meaning.startswith("one of none, distillation, rcp, focal")
    assert keys["batch_size"].meaning == "1 to 1 << 24"
    assert "Train on this many examples" in keys["data.num_train"].meaning


@pytest.mark.parametrize("module", ["main", "plan"])
def test_help_is_no_unknown_flag(module):
    done = run("--help", module=f"churn_jax.{module}")
    assert done.returncode == 0
    assert "--config: Config file" in done.stdout
    assert "--config.method.beta=0.0" in done.stdout
    assert not done.stderr


def test_one_command_for_all():
    assert run("--version").stdout.strip() == churn_jax.__version__
    assert "churn-jax compare" in run("--help").stdout == run().stdout
    done = run("trian")
    assert (done.returncode, done.stderr) == (
        2,
        "error: no command 'trian' (did you mean 'train'?)\n",
    )
    listed = run("study", "--study=table2", "--list", "--workdir=/nowhere/to/be")
    assert "codistill_skl" in listed.stdout


def test_configs_and_studies_are_found_by_name(tmp_path, monkeypatch):
    assert shipped.find("digits", shipped.CONFIGS) == str(ROOT / "configs/digits.py")
    assert shipped.find("table2", shipped.STUDIES) == str(ROOT / "configs/studies/table2.py")
    assert shipped.find("my/own.py", shipped.CONFIGS) == "my/own.py"
    (tmp_path / "digits").touch()
    monkeypatch.chdir(tmp_path)
    assert shipped.find("digits", shipped.CONFIGS) == "digits"  # what exists is meant
    with pytest.raises(UserError, match=r"--config=digit: no such file, .*did you mean 'digits'"):
        shipped.find("digit", shipped.CONFIGS)


def test_a_wrong_name_is_one_line():
    for arguments in (
        ["train", "--config=digit:baseline", "--workdir=W"],
        ["study", "--study=tabel2"],
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "did you mean" in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("setuptools") is None, reason="needs setuptools")
def test_an_installed_package_brings_them_along(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in (
        "churn_jax",
        "configs",
        "setup.py",
        "README.md",
    ):
        (source / name).symlink_to(ROOT / name)
    site = tmp_path / "site"
    site.mkdir()
    build = ["build_py", f"--build-lib={site}", "egg_info", f"--egg-base={site}"]
    subprocess.run(
        [sys.executable, "setup.py", "-q", *build], cwd=source, check=True, capture_output=True
    )
    scripts = (site / "churn_jax.egg-info/entry_points.txt").read_text()
    assert "churn-jax = churn_jax.__main__:main" in scripts
    (tmp_path / "empty").mkdir()
    there = {"cwd": tmp_path / "empty", "env": {"PYTHONPATH": str(site)}}
    for study in ("table2", "configs/studies/table2.py"):
        done = run("study", f"--study={study}", "--list", **there)
        assert "codistill_skl" in done.stdout, done.stderr
    done = run("plan", "--config=configs/cifar10.py:codistil_skl", "--topology=v3-8", **there)
    assert "did you mean 'codistill_skl'" in done.stderr
