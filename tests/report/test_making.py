"""The foot of a command's page says the command, the day and the files."""

import datetime
import hashlib
import html
import re

import numpy as np
import pytest

from churn_jax import compare as command

PROBS = np.random.default_rng(0).dirichlet(np.ones(3), (2, 20))


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("old model.npy", PROBS[0])
    np.save("new.npy", PROBS[1])
    np.save("labels.npy", np.arange(20) % 3)


def foot(out):
    page = (out / "report.html").read_text("utf-8")
    listed = re.findall("<li>(.*?)</li>", page.partition('<footer id="made">')[2])
    return [html.unescape(line) for line in listed]


@pytest.mark.parametrize("out", [["--out=here"], ["--out", "here"]])
def test_command_day_and_files_are_said(files, tmp_path, out):
    command.main(["old model.npy", "new.npy", "--labels=labels.npy", *out])
    of = {
        path: hashlib.sha256((tmp_path / path).read_bytes()).hexdigest()[:16]
        for path in ("labels.npy", "old model.npy", "new.npy")
    }
    made, read = foot(tmp_path / "here")[:2]
    assert made == (
        "Made on 2026-01-01 by python -m churn_jax.compare 'old model.npy' new.npy "
        "--labels=labels.npy"
    )
    assert read == (
        "Files and the beginnings of their SHA-256: "
        + ", ".join(f"{path} {digest}" for path, digest in of.items())
        + "."
    )


def test_the_report_itself_is_the_same_on_any_day(files, tmp_path, monkeypatch):
    command.main(["old model.npy", "new.npy", "--out=one"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    command.main(["old model.npy", "new.npy", "--out=two"])
    one, two = ((tmp_path / name / "report.json").read_bytes() for name in ("one", "two"))
    assert one == two
    assert foot(tmp_path / "two")[0].startswith("Made on 2023-11-14 by ")


@pytest.mark.parametrize("epoch", [None, "", "yesterday"])
def test_where_nothing_says_the_day_it_is_today(files, tmp_path, monkeypatch, epoch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    if epoch is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    days = [datetime.datetime.now(datetime.UTC).date().isoformat()]
    command.main(["old model.npy", "new.npy", "--out=here"])
    days.append(datetime.datetime.now(datetime.UTC).date().isoformat())
    assert foot(tmp_path / "here")[0].split()[2] in days
