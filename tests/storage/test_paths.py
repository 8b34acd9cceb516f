"""Paths as people write them: existing ones are what their names say, whatever these hold."""

import os

import pytest

from churn_jax.errors import UserError
from churn_jax.storage.files import numbered, out_folder, reach
from churn_jax.storage.paths import matches, split_paths


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_commas_separate_paths_but_belong_to_existing_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a", "b", "lr=0.1,wd=0/run", "x,y,z", "x")
    assert split_paths("a,b") == ["a", "b"]
    assert split_paths("a,,b,") == ["a", "", "b", ""]
    assert split_paths("lr=0.1,wd=0") == ["lr=0.1,wd=0"]
    assert split_paths("a,lr=0.1,wd=0,b,x,y,z") == ["a", "lr=0.1,wd=0", "b", "x,y,z"]
    assert split_paths("x,nowhere,y") == ["x", "nowhere", "y"]
    assert split_paths("lr=0.1,wd=0/*,a", matches) == ["lr=0.1,wd=0/*", "a"]


def test_what_exists_is_no_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "runs[1]/a.npz", "runs[1]/b.npz", "runs1/c.npz", "s*.npz", "sx.npz", "[a]/?.csv")
    assert matches("runs[1]/*.npz") == ["runs[1]/a.npz", "runs[1]/b.npz"]
    assert matches("runs[0-9]/*.npz") == ["runs1/c.npz"]
    assert matches("s*.npz") == ["s*.npz"]
    assert matches("s?.npz") == ["s*.npz", "sx.npz"]
    assert matches("[a]/?.csv") == ["[a]/?.csv"]
    assert matches(f"{tmp_path}/runs?/*") == [f"{tmp_path}/runs1/c.npz"]
    assert matches("nowhere.npz") == matches("no*where") == []


def test_home_is_known_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    make(tmp_path, "a.npz", "x,y")
    assert matches("~/*.npz") == [f"{tmp_path}/a.npz"]
    assert split_paths("~/x,y") == ["~/x,y"]
    assert os.fspath(reach("~/a.npz", "file")) == f"{tmp_path}/a.npz"
    assert os.fspath(out_folder("~/new", "--out")) == f"{tmp_path}/new"
    with pytest.raises(UserError, match="is a file"):
        out_folder("~/a.npz", "--out")


def test_only_numbers_as_they_are_written_are_numbers(tmp_path):
    make(tmp_path, "5", "30", "30 (1)", "._30", ".DS_Store", "٣", "0030", "-1", "+7", "1e3")
    assert numbered(tmp_path) == [5, 30]
    assert numbered(tmp_path, 4) == [30]
    assert numbered(tmp_path / "nowhere") == []
