"""A whole training in a bucket: killed, resumed and stumbling, it leaves a local folder's bytes."""

import json
import os
import random
import subprocess
import sys
import time

import pytest
from etils import epath

from churn_jax.system.interruption import RESUME
from tests.fixtures.bucket import BUCKET, emulated_bucket, without_times
from tests.fixtures.experiments import ROOT, SHORT
from tests.fixtures.studies import two_cells

CONFIG = ["--config=configs/digits.py:baseline,tiny", *SHORT[:2]]


@pytest.fixture
def bucket():
    with emulated_bucket() as bucket:
        yield bucket


def command(module, *flags):
    return subprocess.Popen(
        [sys.executable, "-m", f"churn_jax.{module}", *flags],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder):
    """{path below the folder: bytes} of all but checkpoints and what tells the time."""
    found = {}
    for path in folder.iterdir():
        if path.is_dir() and path.name != "checkpoints":
            found |= {f"{path.name}/{name}": content for name, content in files(path).items()}
        elif not path.is_dir() and path.name not in ("lock", "times.jsonl"):
            found[path.name] = without_times(path.read_bytes())
    return found


def ended(process):
    """Waits for its end, which must be a good one."""
    _, said = process.communicate(timeout=500)
    assert process.returncode == 0, said


def stumbling(bucket, draw, faults):
    """Makes so many requests fail, at random; gives the list of those that are left."""
    left = ["503", "lost"] * (faults // 2) + ["503"] * (faults % 2)

    def stumble(method, path):
        # Reads are repeated whatever comes; of writes, only those that name what they replace.
        repeatable = method == "GET" or "ifGenerationMatch" in path
        if not left or draw.random() > 0.2:
            return None
        return left.pop() if left[-1] == "503" or repeatable else None

    bucket.fault = stumble
    return left


def kill_at_a_write(bucket, draw, *flags):
    """Starts a command, and kills it when it has sent the bucket from 10 to 60 things."""
    process = command(*flags)
    writes = sum(method != "GET" for method, _ in bucket.requests) + draw.randint(10, 60)
    while process.poll() is None and sum(m != "GET" for m, _ in bucket.requests) < writes:
        time.sleep(0.01)
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("as_users_compile")
@pytest.mark.parametrize(
    ("kills", "faults", "every"),
    [
        (1, 3, 1),
        pytest.param(3, 6, 0.5, marks=pytest.mark.slow),
        pytest.param(30, 30, 0.25, marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_it_leaves_the_bytes_of_a_local_folder(
    bucket, tmp_path, kills, faults, every
):
    local, remote = tmp_path / "w", f"gs://{BUCKET}/w"
    config = [*CONFIG, f"--config.checkpoint_every={every}"]  # epochs, of 8 steps
    here, draw = command("main", *config, f"--workdir={local}"), random.Random(1)
    left = stumbling(bucket, draw, faults)
    for _ in range(kills):
        kill_at_a_write(bucket, draw, "main", *config, f"--workdir={remote}")
    ended(command("main", *config, f"--workdir={remote}"))
    assert not left, f"{len(left)} faults never came"
    ended(here)
    assert files(epath.Path(remote)) == files(epath.Path(local))
    steps = [
        json.loads(line)["step"] for line in (local / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)
    assert max(steps) == 16

    ended(command("evaluate", f"--runs={remote}", f"--out={tmp_path / 'report'}"))
    reports = (local / "report.json", tmp_path / "report/report.json")
    churns = [json.loads(path.read_text())["groups"][0]["churn"] for path in reports]
    assert churns[0] == churns[1]


@pytest.mark.slow
@pytest.mark.usefixtures("as_users_compile")
def test_a_study_killed_in_a_bucket_leaves_the_bytes_of_a_local_folder(bucket, tmp_path):
    """Two cells; then all measures of both, over training, and a gate between them."""
    file, draw = two_cells(tmp_path), random.Random(2)
    local, remote = tmp_path / "w", epath.Path(f"gs://{BUCKET}/w")
    flags = [f"--study={file}", "--epochs=2", "--config.data.num_train=64"]
    here = command("study", *flags, f"--workdir={local}")
    left = stumbling(bucket, draw, 10)
    for _ in range(4):
        kill_at_a_write(bucket, draw, "study", *flags, f"--workdir={remote}")
    ended(command("study", *flags, f"--workdir={remote}"))
    ended(here)
    for place in (local, remote):
        cells = sorted(str(path) for path in (epath.Path(place) / "cells").iterdir())
        ended(command("evaluate", f"--runs={','.join(cells)}", "--step=all", f"--out={place}/all"))
        judged = command("compare", *cells, "--fail_if=churn>0.1%", f"--out={place}/gate")
        judged.communicate()
        assert judged.returncode == 1
    assert not left, f"{len(left)} faults never came"
    found = {name: content for name, content in files(remote).items() if name != "gate/junit.xml"}
    for name, expected in files(epath.Path(local)).items():
        if name != "gate/junit.xml":
            content = found.pop(name).replace(str(remote).encode(), str(local).encode())
            assert content == expected, name
    assert not found


@pytest.mark.slow
def test_the_second_training_in_a_bucket_is_refused(bucket):
    flags = ["main", *CONFIG, "--config.epochs=2000.0", f"--workdir=gs://{BUCKET}/w"]
    first = command(*flags)
    while not any("metrics.jsonl" in path for _, path in bucket.requests):
        assert first.poll() is None
        time.sleep(0.1)
    second = command(*flags)
    _, said = second.communicate(timeout=120)
    assert second.returncode == 2
    assert said.splitlines()[-1].startswith(f"error: gs://{BUCKET}/w is being written by process")
    assert first.poll() is None
    first.terminate()
    first.communicate(timeout=120)
    assert first.returncode == RESUME
