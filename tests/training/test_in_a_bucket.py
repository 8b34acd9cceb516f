"""A whole training in a bucket: killed, resumed and stumbling, it leaves a local folder's bytes."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from etils import epath

from tests.fixtures.bucket import BUCKET, emulated_bucket, reachable
from tests.fixtures.experiments import ROOT, SHORT

CONFIG = ["--config=configs/digits.py:baseline,tiny", *SHORT[:2]]


@pytest.fixture
def bucket():
    with emulated_bucket() as bucket:
        undo = reachable(bucket)
        yield bucket
        undo()


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
    """{path below the folder: bytes} of all but checkpoints and what holds times."""
    found = {}
    for path in folder.iterdir():
        if path.is_dir() and path.name != "checkpoints":
            found |= {f"{path.name}/{name}": content for name, content in files(path).items()}
        elif not path.is_dir() and path.name not in ("lock", "times.jsonl"):
            found[path.name] = path.read_bytes()
    return found


@pytest.mark.usefixtures("as_users_compile")
@pytest.mark.parametrize(
    ("kills", "faults", "every"), [(1, 3, 1), pytest.param(30, 30, 0.25, marks=pytest.mark.slow)]
)
def test_killed_and_resumed_it_leaves_the_bytes_of_a_local_folder(
    bucket, tmp_path, kills, faults, every
):
    local, remote = tmp_path / "w", f"gs://{BUCKET}/w"
    config = [*CONFIG, f"--config.checkpoint_every={every}"]  # epochs, of 8 steps
    here = command("main", *config, f"--workdir={local}")
    draw, left = random.Random(1), ["503", "lost"] * (faults // 2) + ["503"] * (faults % 2)

    def stumble(method, path):
        # Reads are repeated whatever comes; of writes, only those that name what they replace.
        repeatable = method == "GET" or "ifGenerationMatch" in path
        if not left or draw.random() > 0.2:
            return None
        return left.pop() if left[-1] == "503" or repeatable else None

    bucket.fault = stumble
    for _ in range(kills):
        there = command("main", *config, f"--workdir={remote}")
        writes = sum(method != "GET" for method, _ in bucket.requests) + draw.randint(10, 60)
        while there.poll() is None and sum(m != "GET" for m, _ in bucket.requests) < writes:
            time.sleep(0.01)
        there.kill()
        there.communicate()
    there = command("main", *config, f"--workdir={remote}")
    _, said = there.communicate(timeout=500)
    assert there.returncode == 0, said
    assert not left, f"{len(left)} faults never came"
    _, said = here.communicate(timeout=500)
    assert here.returncode == 0, said
    assert files(epath.Path(remote)) == files(epath.Path(local))
    steps = [
        json.loads(line)["step"] for line in (local / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)
    assert max(steps) == 16

    again = command("evaluate", f"--runs={remote}", f"--out={tmp_path / 'report'}")
    _, said = again.communicate(timeout=500)
    assert again.returncode == 0, said
    reports = (local / "report.json", Path(tmp_path / "report/report.json"))
    churns = [json.loads(path.read_text())["groups"][0]["churn"] for path in reports]
    assert churns[0] == churns[1]
