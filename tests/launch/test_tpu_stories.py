"""`tpu_vm.sh keep` beside a cloud that takes TPUs away at every stage; hosts have a real shell."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from tests.fixtures.experiments import ROOT

FAKES = ROOT / "tests/launch/fakes"
FLAGS = ["--config=configs/digits.py:baseline", "--workdir=gs://b/w"]
# At these calls something happens: 1 list, 2 create, 3 to 5 list, 6 nodes, 7 training; 8 copy,
# 9 unpack, 10 install, 11 run; then it is watched, by three calls a look.
STAGES = [
    call if call in (3, 7, 9, 12) else pytest.param(call, marks=pytest.mark.slow)
    for call in range(1, 15)
]


class Cloud:
    """`tpu_vm.sh` beside the fakes; what they did is in the folder `place`."""

    def __init__(self, place):
        self.place = place
        tools = place / "tools"
        tools.mkdir(parents=True)
        (tools / "gcloud").write_text(
            f'#!/bin/bash\nexec {sys.executable} -S -E {FAKES}/gcloud.py "$@"\n'
        )
        for name in ("python", "python3"):
            shutil.copy(FAKES / "python", tools / name)
        # What this checkout has now, and not the last commit.
        (tools / "git").write_text(
            '#!/bin/bash\nexec tar -czf "${3#--output=}" '
            f"-C {ROOT} launch constraints.txt setup.py\n"
        )
        for tool in tools.iterdir():
            tool.chmod(0o755)
        self.will(faults={}, exits=[])

    def will(self, faults, exits):
        """What is to happen at which call, and how trainings end."""
        (self.place / "faults.json").write_text(json.dumps(faults))
        (self.place / "exits").write_text("".join(f"{code}\n" for code in exits))

    def start(self, *arguments, **variables):
        """A started `tpu_vm.sh`."""
        environment = {
            "PATH": f"{self.place / 'tools'}:/usr/bin:/bin",
            "HOME": str(self.place),
            "CLOUD": str(self.place),
            "STEPS": "6",
            "POLL_SECONDS": "0.02",
            "TPU_NAME": "churn",
            "ZONE": "europe-west4-a",
            "ACCELERATOR": "v3-32",
        }
        return subprocess.Popen(
            ["bash", "launch/tpu_vm.sh", *arguments],
            cwd=ROOT,
            env=environment | variables,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments, **variables):
        """Exit code and stderr of `tpu_vm.sh`."""
        process = self.start(*arguments, **variables)
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    @property
    def steps(self):
        return (self.place / "buckets/b/w/steps").read_text().splitlines()

    def calls(self, verb):
        return sum(verb in call for call in (self.place / "calls").read_text().splitlines())


@pytest.fixture
def cloud(tmp_path):
    cloud = Cloud(tmp_path / "cloud")
    yield cloud
    cloud.will({}, [])
    cloud.run("delete")


def test_from_nothing_to_results(cloud, tmp_path):
    code, said = cloud.run("keep", *FLAGS, SPOT="1")
    assert code == 0, said
    assert "done" in said
    assert len(cloud.steps) == 6
    assert set(cloud.steps) == {"gs://b/jax_programs"}  # where programs are kept for the next VM
    assert cloud.run("fetch", "gs://b/w", str(tmp_path / "results"))[0] == 0
    assert (tmp_path / "results/steps").exists()
    assert cloud.run("delete")[0] == 0
    assert not (cloud.place / "resource.json").exists()


@pytest.mark.parametrize("call", STAGES)
def test_preempted_at_any_call_it_is_made_anew_and_finishes(cloud, call):
    cloud.will({call: "preempt", call + 9: "preempt"}, [])
    code, said = cloud.run("keep", *FLAGS, SPOT="1")
    assert code == 0, said
    assert len(cloud.steps) == 6


@pytest.mark.parametrize("call", STAGES)
def test_a_service_that_does_not_answer_once_changes_nothing(cloud, call):
    cloud.will({call: "outage"}, [])
    code, said = cloud.run("keep", *FLAGS)
    assert code == 0, said
    assert cloud.calls("queued-resources create") <= 2
    assert cloud.calls("queued-resources delete") == 0
    assert len(cloud.steps) == 6


def test_what_lost_a_process_is_started_again(cloud):
    cloud.will({}, [75, 75, 75, 75])  # two starts of two hosts
    code, said = cloud.run("keep", *FLAGS)
    assert code == 0, said
    assert cloud.calls("queued-resources create") == 1
    assert len(cloud.steps) >= 6


def test_a_host_that_was_killed_ends_keep_with_its_code(cloud):
    cloud.will({}, ["75", "137"])  # out of memory on one host: the other one noticed
    code, said = cloud.run("keep", *FLAGS)
    assert code == 2
    assert "the training ended with exit code 137" in said


def test_a_dead_training_does_not_look_alive(cloud):
    """No search by name, which finds the shell that searches."""
    keep = cloud.start("keep", *FLAGS, STEPS="100000")
    _wait(lambda: (cloud.place / "host1/churn_jax.group").exists())
    _wait(lambda: len(cloud.steps) > 3)
    for host in ("host0", "host1"):
        _, group = (cloud.place / host / "churn_jax.group").read_text().split()
        os.killpg(int(group), 9)
    starts = cloud.calls("tpu-vm scp")
    _wait(lambda: cloud.calls("tpu-vm scp") > starts)
    os.killpg(keep.pid, 15)
    keep.communicate()


def test_keep_may_be_stopped_and_started_again(cloud):
    keep = cloud.start("keep", *FLAGS, STEPS="40")
    _wait(lambda: (cloud.place / "host1/churn_jax.group").exists())
    keep.kill()
    keep.communicate()
    code, said = cloud.run("keep", *FLAGS, STEPS="40")
    assert code == 0, said
    assert cloud.calls("tpu-vm scp") == 1  # it found the training running, or done
    assert len(cloud.steps) == 40


def test_another_training_is_neither_taken_for_this_one_nor_ended(cloud):
    assert cloud.run("keep", *FLAGS)[0] == 0
    keep = cloud.start("keep", *FLAGS, "--config.seed=1", STEPS="100000")
    _wait(lambda: len(cloud.steps) > 6)  # not done because the first was
    code, said = cloud.run("keep", *FLAGS)
    assert code == 2
    assert "another training runs on churn" in said
    os.killpg(keep.pid, 15)
    keep.communicate()


def test_run_takes_the_place_of_what_runs(cloud):
    assert cloud.run("keep", *FLAGS)[0] == 0
    assert cloud.run("run", *FLAGS, STEPS="100000")[0] == 0
    first = (cloud.place / "host0/churn_jax.group").read_text()
    assert cloud.run("run", *FLAGS, STEPS="100000")[0] == 0
    assert (cloud.place / "host0/churn_jax.group").read_text() != first
    with pytest.raises(ProcessLookupError):
        os.killpg(int(first.split()[1]), 0)


def test_a_tpu_that_can_never_be_had_ends_keep(cloud):
    cloud.will(dict.fromkeys(range(2, 100, 2), "outage"), [])  # every create
    code, said = cloud.run("keep", *FLAGS, TRIES="3")
    assert code == 2
    assert "no training runs on churn after 3 tries" in said


def _wait(condition):
    over = time.monotonic() + 30
    while time.monotonic() < over:
        try:
            if condition():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.02)
    raise AssertionError("it did not happen")
