"""xpk and Slurm: what stops and why, and that a training which is to go on does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.fixtures.experiments import ROOT

FAKES = ROOT / "tests/launch/fakes"
FLAGS = ["--config=configs/digits.py:baseline", "--workdir=gs://b/w"]
XPK = {
    "CLUSTER": "tpus",
    "ZONE": "us-west4-a",
    "PROJECT": "p",
    "IMAGE": "registry/p/churn",
    "WORKLOAD": "codistill",
    "TPU_TYPE": "v5litepod-16",
}


class Site:
    """A checkout beside fake tools; what they did is in the folder `place`."""

    def __init__(self, place):
        self.place = place
        self.checkout = place / "checkout"
        tools = place / "tools"
        tools.mkdir(parents=True)
        self.checkout.mkdir()
        for name in ("launch", "configs", "constraints.txt", "setup.py"):
            (self.checkout / name).symlink_to(ROOT / name)
        for name, call in {
            "xpk": "xpk.py",
            "srun": "slurm.py srun",
            "scontrol": "slurm.py scontrol",
        }.items():
            (tools / name).write_text(
                f'#!/bin/bash\nexec {sys.executable} -S -E {FAKES}/{call} "$@"\n'
            )
        for name in ("python", "python3"):
            shutil.copy(FAKES / "python", tools / name)
        for tool in tools.iterdir():
            tool.chmod(0o755)
        self.will_end_with()

    def will_end_with(self, *codes):
        """How the next starts of the training end; then they go on to the end."""
        (self.place / "exits").write_text("".join(f"{code}\n" for code in codes))

    def start(self, script, *arguments, steps=5, **variables):
        environment = {
            "PATH": f"{self.place / 'tools'}:/usr/bin:/bin",
            "HOME": str(self.place),
            "CLOUD": str(self.place),
            "STEPS": str(steps),
        }
        return subprocess.Popen(
            ["bash", f"launch/{script}", *arguments],
            cwd=self.checkout,
            env=environment | variables,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script, *arguments, **variables):
        """Exit code and stderr."""
        process = self.start(script, *arguments, **variables)
        _, said = process.communicate(timeout=60)
        return process.returncode, said

    @property
    def steps(self):
        return len((self.place / "buckets/b/w/steps").read_text().splitlines())


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def _jobset(site):
    return json.loads((site.place / "jobsets/codistill").read_text())


def test_xpk_restarts_what_was_preempted_or_lost_a_process(site):
    site.will_end_with(75, 75, 143)
    assert site.run("xpk.sh", "run", *FLAGS, **XPK) == (0, "")
    assert _jobset(site) == {"state": "Completed", "restarts": 3}
    assert site.steps == 5


def test_xpk_ends_what_was_given_bad_input(site):
    site.will_end_with(2)
    assert site.run("xpk.sh", "run", *FLAGS, **XPK)[0] == 0
    assert _jobset(site) == {"state": "Failed", "restarts": 0}


def test_xpk_runs_again_under_one_name_after_delete(site):
    site.will_end_with(2)
    site.run("xpk.sh", "run", *FLAGS, **XPK)
    assert site.run("xpk.sh", "run", *FLAGS, **XPK)[0] == 1
    assert site.run("xpk.sh", "delete", **XPK)[0] == 0
    assert site.run("xpk.sh", "run", *FLAGS, **XPK)[0] == 0
    assert _jobset(site) == {"state": "Completed", "restarts": 0}


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NODELIST": "node[0-1]",
    "SLURM_NTASKS": "2",
    "SLURM_CPUS_PER_TASK": "8",
}


def test_slurm_gives_the_training_its_cores(site):
    assert site.run("slurm.sbatch", *FLAGS, **SLURM)[0] == 0
    assert (site.place / "cores").read_text() == "8"
    assert site.steps >= 5
    assert not (site.place / "requeued").exists()


def test_slurm_queues_again_what_lost_a_process(site):
    site.will_end_with(75, 75)
    assert site.run("slurm.sbatch", *FLAGS, **SLURM)[0] == 75
    assert (site.place / "requeued").exists()
    assert site.run("slurm.sbatch", *FLAGS, **SLURM)[0] == 0


def test_slurm_ends_what_was_given_bad_input(site):
    site.will_end_with(2, 2)
    assert site.run("slurm.sbatch", *FLAGS, **SLURM)[0] == 2
    assert not (site.place / "requeued").exists()


@pytest.mark.parametrize("by_slurm", [False, True])
def test_slurm_out_of_time_or_preempted_it_goes_on(site, by_slurm):
    """SIGTERM to the steps, or to the script too, which Slurm has then queued again itself."""
    job = site.start("slurm.sbatch", *FLAGS, steps=100_000, **SLURM)
    _wait(lambda: site.steps > 2)
    if by_slurm:
        (site.place / "queued_by_slurm").touch()
        job.send_signal(signal.SIGTERM)
    os.kill(int((site.place / "step").read_text()), signal.SIGTERM)
    _, said = job.communicate(timeout=60)
    assert job.returncode == 75, said
    assert (site.place / "requeued").exists() != by_slurm
    assert site.run("slurm.sbatch", *FLAGS, steps=site.steps + 3, **SLURM)[0] == 0


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
