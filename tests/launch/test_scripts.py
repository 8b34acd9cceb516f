"""The launch scripts against fake tools: the exact calls, dry runs, and errors of one line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.experiments import ROOT

CONFIG = "--config=configs/digits.py:baseline"
TPU = {"TPU_NAME": "churn", "ZONE": "z", "ACCELERATOR": "v3-32"}
XPK = {
    "CLUSTER": "tpus",
    "ZONE": "z",
    "PROJECT": "p",
    "IMAGE": "gcr.io/p/churn",
    "WORKLOAD": "codistill",
    "TPU_TYPE": "v5litepod-16",
}
FLAGS = [CONFIG, "--config.data.dir=/my data", "--workdir=gs://b/w"]
QUOTED = r"--config=configs/digits.py:baseline --config.data.dir=/my\ data --workdir=gs://b/w"

# Notes its arguments, one call a line, and answers with the next line of NAME.answers.
FAKE = """#!/bin/bash
printf '%s' "$(basename "$0")" >>"$CALLS"
printf '|%s' "$@" >>"$CALLS"
echo >>"$CALLS"
answers=$CALLS.answers
case "$*" in *describe*|*'--command=if '*)
  head -n 1 "$answers"
  sed -i 1d "$answers" ;;
esac
"""
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("launch/*.sh", "launch/*.sbatch", ".ci/run")
    for path in ROOT.glob(pattern)
)


@pytest.fixture
def shell(tmp_path):
    """Runs a script with fake tools before all others in PATH; `.calls()` tells what they were."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("gcloud", "kubectl", "xpk", "docker", "srun", "scontrol", "git", "sleep"):
        (tools / name).write_text(FAKE)
        (tools / name).chmod(0o755)
    # Nothing but what the scripts themselves need.
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "dirname").symlink_to(shutil.which("dirname"))

    class Shell:
        log = tmp_path / "calls"

        def __call__(self, script, *arguments, fakes=True, **variables):
            path = f"{tools}:/usr/bin:/bin" if fakes else str(bare)
            environment = {"PATH": path, "HOME": str(tmp_path), "CALLS": str(self.log)}
            return subprocess.run(
                ["/bin/bash", f"launch/{script}", *arguments],
                cwd=ROOT,
                env=environment | variables,
                capture_output=True,
                text=True,
                timeout=60,
            )

        def calls(self):
            if not self.log.exists():
                return []
            return [line.split("|") for line in self.log.read_text().splitlines()]

        def answer(self, *lines):
            Path(f"{self.log}.answers").write_text("".join(f"{line}\n" for line in lines))

    return Shell()


def _tpu(verb, *arguments):
    return ["gcloud", "compute", "tpus", "tpu-vm", verb, *arguments, "--zone=z"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script):
    beside_python = Path(sys.executable).with_name("shellcheck")
    shellcheck = shutil.which("shellcheck") or str(beside_python)
    done = subprocess.run(
        [shellcheck, "--external-sources", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_tpu_create(shell):
    assert shell("tpu_vm.sh", "create", SPOT="1", PROJECT="mine", **TPU).returncode == 0
    create = _tpu(
        "create", "churn", "--accelerator-type=v3-32", "--version=tpu-ubuntu2204-base", "--spot"
    )
    assert shell.calls() == [[*create, "--project=mine"]]


@pytest.mark.parametrize(
    ("accelerator", "image"),
    [("v5litepod-8", "v2-alpha-tpuv5-lite"), ("v6e-4", "v2-alpha-tpuv6e")],
)
def test_tpu_images_follow_the_accelerator(shell, accelerator, image):
    shell("tpu_vm.sh", "create", **(TPU | {"ACCELERATOR": accelerator}))
    assert f"--version={image}" in shell.calls()[0]


def test_tpu_install_reaches_all_hosts(shell):
    assert shell("tpu_vm.sh", "install", **TPU).returncode == 0
    archive, copy, install = shell.calls()
    assert archive == ["git", "archive", "--format=tar.gz", "--output=churn_jax.tar.gz", "HEAD"]
    assert copy == _tpu("scp", "churn_jax.tar.gz", "churn:", "--worker=all")
    assert install[:7] == _tpu("ssh", "churn", "--worker=all")[:7]
    assert install[7].endswith("prepare_environment tpu")


def test_tpu_run_is_detached_on_all_hosts(shell):
    assert shell("tpu_vm.sh", "run", *FLAGS, **TPU).returncode == 0
    (call,) = shell.calls()
    assert call[:7] == _tpu("ssh", "churn", "--worker=all")[:7]
    # The command, read back by two shells as the TPU's hosts do.
    inner = call[7].split("setsid bash -c ")[1].split(" >>~/churn_jax.log")[0]
    (command,) = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {inner}"], capture_output=True, text=True
    ).stdout.splitlines()
    expected = f".venv/bin/python -u -m churn_jax.main {QUOTED}; echo $? >~/churn_jax.exit"
    assert command == expected


def test_tpu_run_of_one_run_of_many(shell):
    done = shell("tpu_vm.sh", "--dry_run", "--run_index=7", "run", *FLAGS, **TPU)
    assert "gs://b/w/run_007" in done.stdout
    assert "--config.runs=1" in done.stdout
    assert "--config.first_run=7" in done.stdout


def test_tpu_logs_fetch_and_delete(shell):
    shell("tpu_vm.sh", "logs", **TPU)
    shell("tpu_vm.sh", "fetch", "gs://b/w", str(shell.log.parent / "out"))
    shell("tpu_vm.sh", "delete", **TPU)
    assert shell.calls() == [
        _tpu("ssh", "churn", "--worker=0", "--command=tail -n 100 -F ~/churn_jax.log"),
        ["gcloud", "storage", "rsync", "--recursive", "gs://b/w", str(shell.log.parent / "out")],
        _tpu("delete", "churn", "--quiet"),
    ]


def test_tpu_keep_starts_again_after_a_preemption(shell):
    # No TPU; running; preempted, so made anew; a process lost, so started again; ended well.
    shell.answer("MISSING", "READY", "running", "PREEMPTED", "READY", "75", "READY", "0")
    done = shell("tpu_vm.sh", "keep", *FLAGS, SPOT="1", **TPU)
    assert done.returncode == 0, done.stderr
    verbs = [call[4] if call[0] == "gcloud" else call[0] for call in shell.calls()]
    begin = ["git", "scp", "ssh", "ssh"]
    assert verbs == [
        *("describe", "create", *begin, "sleep"),
        *("describe", "ssh", "sleep"),
        *("describe", "delete", "create", *begin, "sleep"),
        *("describe", "ssh", *begin, "sleep"),
        *("describe", "ssh"),
    ]


def test_tpu_keep_ends_where_the_training_failed(shell):
    shell.answer("READY", "2")
    done = shell("tpu_vm.sh", "keep", *FLAGS, **TPU)
    assert done.returncode == 2
    assert "the training ended with exit code 2" in done.stderr


def test_xpk_calls(shell):
    for command in (["image"], ["run", *FLAGS], ["logs"], ["--run_index=3", "delete"]):
        done = shell("xpk.sh", *command, **XPK)
        assert done.returncode == 0, done.stderr
    where = ["--cluster=tpus", "--zone=z", "--project=p"]
    selector = (
        "--selector=jobset.sigs.k8s.io/jobset-name=codistill,"
        "batch.kubernetes.io/job-completion-index=0"
    )
    assert shell.calls() == [
        [
            *("docker", "build", "--file=launch/Dockerfile", "--build-arg=EXTRA=tpu"),
            *("--tag=gcr.io/p/churn", "."),
        ],
        ["docker", "push", "gcr.io/p/churn"],
        [
            *("xpk", "workload", "create", *where, "--workload=codistill"),
            *("--tpu-type=v5litepod-16", "--num-slices=1", "--docker-image=gcr.io/p/churn"),
            *("--max-restarts=100", f"--command=python -u -m churn_jax.main {QUOTED}"),
        ],
        ["kubectl", "logs", "--follow", "--tail=100", "--prefix", selector],
        ["xpk", "workload", "delete", *where, "--workload=codistill-3"],
    ]


def test_slurm_dry_run_is_what_a_job_does(shell):
    done = shell("slurm.sbatch", "--dry_run", *FLAGS, SLURM_ARRAY_TASK_ID="4")
    assert done.returncode == 0
    assert shell.calls() == []
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {done.stdout}"], capture_output=True, text=True
    ).stdout.splitlines()
    flags = QUOTED.replace("gs://b/w", "gs://b/w/run_004")
    assert words == [
        *("srun", "--kill-on-bad-exit=0", "bash", "-c"),
        "export JAX_PROCESS_ID=$SLURM_PROCID && exec .venv/bin/python -u -m churn_jax.main "
        f"{flags} --config.runs=1 --config.first_run=4",
    ]


@pytest.mark.parametrize(
    ("script", "arguments", "variables", "fault"),
    [
        ("tpu_vm.sh", [], TPU, "which command?"),
        ("tpu_vm.sh", ["stop"], TPU, "unknown command 'stop'"),
        ("tpu_vm.sh", ["--dryrun", "run"], TPU, "unknown option --dryrun"),
        ("tpu_vm.sh", ["create"], {"ZONE": "z"}, "set TPU_NAME"),
        ("tpu_vm.sh", ["create"], TPU | {"ACCELERATOR": "v9"}, "ACCELERATOR: 'v9' is not known"),
        ("tpu_vm.sh", ["run", "--workdir=w"], TPU, "--config=FILE is missing"),
        ("tpu_vm.sh", ["run", CONFIG], TPU, "--workdir=DIR is missing"),
        ("tpu_vm.sh", ["run", "--config=no.py:x", "--workdir=w"], TPU, "there is no file no.py"),
        ("tpu_vm.sh", ["--run_index=x", "run", *FLAGS], TPU, "'x' is not a number"),
        ("tpu_vm.sh", ["fetch", "gs://b"], {}, "fetch needs two"),
        ("xpk.sh", ["run", *FLAGS], {"ZONE": "z"}, "set CLUSTER"),
        ("xpk.sh", ["stop"], XPK, "unknown command 'stop'"),
        ("slurm.sbatch", ["--workdir=w"], {}, "--config=FILE is missing"),
        ("slurm.sbatch", FLAGS, {}, "set SLURM_JOB_ID"),
    ],
)
def test_bad_input_is_one_line(shell, script, arguments, variables, fault):
    done = shell(script, *arguments, **variables)
    assert done.returncode == 2
    assert fault in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert shell.calls() == []


@pytest.mark.parametrize(
    ("script", "arguments", "variables", "tool"),
    [
        ("tpu_vm.sh", ["create"], TPU, "gcloud"),
        ("xpk.sh", ["run", *FLAGS], XPK, "xpk"),
        ("slurm.sbatch", FLAGS, {}, "srun"),
    ],
)
def test_a_missing_tool_is_named(shell, script, arguments, variables, tool):
    done = shell(script, *arguments, fakes=False, **variables)
    assert done.returncode == 2
    assert done.stderr == f"error: {tool} is not installed, or not in PATH\n"


@pytest.mark.parametrize(
    ("script", "command", "variables"),
    [
        ("tpu_vm.sh", ["create"], TPU),
        ("tpu_vm.sh", ["install"], TPU),
        ("tpu_vm.sh", ["keep", *FLAGS], TPU),
        ("tpu_vm.sh", ["delete"], TPU),
        ("xpk.sh", ["run", *FLAGS], XPK),
        ("xpk.sh", ["image"], XPK),
    ],
)
def test_a_dry_run_calls_nothing_and_says_what_it_would(shell, script, command, variables):
    done = shell(script, "--dry_run", *command, fakes=False, **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert shell.calls() == []
    assert not os.path.exists(ROOT / "churn_jax.tar.gz")
