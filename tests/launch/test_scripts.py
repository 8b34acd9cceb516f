"""The launch scripts against fake tools: the exact calls, dry runs, and errors of one line."""

import re
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
    "IMAGE": "registry/p/churn",
    "WORKLOAD": "codistill",
    "TPU_TYPE": "v5litepod-16",
}
FLAGS = [CONFIG, "--config.data.dir=/my data", "--workdir=gs://b/w"]
QUOTED = r"--config=configs/digits.py:baseline --config.data.dir=/my\ data --workdir=gs://b/w"

# Notes its arguments, one call a line.
FAKE = """#!/bin/bash
printf '%s' "$(basename "$0")" >>"$CALLS"
printf '|%s' "$@" >>"$CALLS"
echo >>"$CALLS"
"""
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]+")
SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("launch/*.sh", "launch/*.sbatch", ".ci/run")
    for path in ROOT.glob(pattern)
)


OWN = {  # flags of ours, and of what developers use
    *("--config", "--workdir", "--run_index", "--dry_run", "--out", "--runs", "--help", "--check"),
    *("--dist", "--no-logo", "--constraint", "--editable", "--no-cache-dir", "--user"),
    "--disable-pip-version-check",
}


def test_the_page_names_a_source_for_every_flag_that_scripts_rely_on():
    page = (ROOT / "docs/imagenet.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("| ") and row.count("*") >= 2]
    named = {flag for row in rows for flag in FLAG.findall(row.split(" | ")[0])}
    for script in [*SCRIPTS, "launch/Dockerfile"]:
        code = re.sub(r"(?m)^\s*#(?!SBATCH).*", "", (ROOT / script).read_text())
        assert set(FLAG.findall(code)) <= named | OWN, script


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

    return Shell()


def _tpu(group, verb, *arguments):
    return ["gcloud", "compute", "tpus", group, verb, *arguments, "--zone=z"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_finds_nothing(script):
    beside_python = Path(sys.executable).with_name("shellcheck")
    shellcheck = shutil.which("shellcheck") or str(beside_python)
    done = subprocess.run(
        [shellcheck, "--external-sources", script], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_tpu_create(shell):
    disk = {"PROJECT": "mine", "DATA_DISK": "pictures"}
    assert shell("tpu_vm.sh", "create", SPOT="1", **disk, **TPU).returncode == 0
    create = _tpu(
        *("queued-resources", "create", "churn", "--node-id=churn"),
        *("--accelerator-type=v3-32", "--runtime-version=tpu-ubuntu2204-base"),
        *("--data-disk=source=projects/mine/zones/z/disks/pictures,mode=read-only", "--spot"),
    )
    assert shell.calls() == [[*create, "--project=mine"]]


@pytest.mark.parametrize(
    ("accelerator", "image"),
    [("v5litepod-8", "v2-alpha-tpuv5-lite"), ("v6e-4", "v2-alpha-tpuv6e")],
)
def test_tpu_images_follow_the_accelerator(shell, accelerator, image):
    shell("tpu_vm.sh", "create", **(TPU | {"ACCELERATOR": accelerator}))
    assert f"--runtime-version={image}" in shell.calls()[0]


def test_tpu_install_reaches_all_hosts(shell):
    places = {"DATA_BUCKET": "gs://b/my data", "SETUP": "sudo apt-get install -y gcsfuse"}
    assert shell("tpu_vm.sh", "install", **places, **TPU).returncode == 0
    archive, copy, *commands = shell.calls()
    path = "churn_jax.churn.tar.gz"
    assert archive == ["git", "archive", "--format=tar.gz", f"--output={path}", "HEAD"]
    assert copy == _tpu("tpu-vm", "scp", path, "churn:", "--worker=all")
    begin = _tpu("tpu-vm", "ssh", "churn", "--worker=all")[:7]
    assert all(command[:7] == begin for command in commands)
    assert [command[7] for command in commands] == [
        "--command=sudo apt-get install -y gcsfuse",
        "--command=mkdir -p churn_jax && tar -xzf churn_jax.churn.tar.gz -C churn_jax",
        "--command=bash churn_jax/launch/worker.sh install",
        r"--command=bash churn_jax/launch/worker.sh mount gs://b/my\ data",
    ]


def test_tpu_run_reaches_all_hosts(shell):
    assert shell("tpu_vm.sh", "run", *FLAGS, **TPU).returncode == 0
    command = (
        "--command=JAX_COMPILATION_CACHE_DIR=gs://b/jax_programs "
        f"bash churn_jax/launch/worker.sh run {QUOTED}"
    )
    assert shell.calls() == [_tpu("tpu-vm", "ssh", "churn", "--worker=all", command)]


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
        _tpu("tpu-vm", "ssh", "churn", "--worker=0", "--command=tail -n 100 -F ~/churn_jax.log"),
        ["gcloud", "storage", "rsync", "--recursive", "gs://b/w", str(shell.log.parent / "out")],
        _tpu("queued-resources", "delete", "churn", "--force", "--quiet"),
    ]


def test_xpk_calls(shell):
    storage = ["storage", "gs://b"]
    delete = ["--run_index=3", "delete"]
    for command in (["image"], storage, ["run", *FLAGS], ["logs"], delete):
        done = shell("xpk.sh", *command, **XPK)
        assert done.returncode == 0, done.stderr
    where = ["--cluster=tpus", "--zone=z", "--project=p"]
    selector = (
        "--selector=jobset.sigs.k8s.io/jobset-name=codistill,jobset.sigs.k8s.io/job-index=0,"
        "batch.kubernetes.io/job-completion-index=0"
    )
    assert shell.calls() == [
        [
            *("docker", "build", "--file=launch/Dockerfile", "--build-arg=EXTRA=tpu"),
            *("--tag=registry/p/churn", "."),
        ],
        ["docker", "push", "registry/p/churn"],
        [
            *("xpk", "storage", "attach", "churn-jax-data", "--type=gcsfuse", "--bucket=b"),
            *("--size=1", "--mount-point=/data", "--readonly=true", "--auto-mount=true", *where),
        ],
        [
            *("xpk", "workload", "create", "--workload=codistill"),
            *("--tpu-type=v5litepod-16", "--num-slices=1", "--docker-image=registry/p/churn"),
            *("--max-restarts=100", "--restart-on-exit-codes=75"),
            "--termination-grace-period-seconds=300",
            "--env=JAX_COMPILATION_CACHE_DIR=gs://b/jax_programs",
            f"--command=python -u -m churn_jax.main {QUOTED}",
            *where,
        ],
        ["kubectl", "logs", "--follow", "--tail=100", "--prefix", selector],
        ["xpk", "workload", "delete", "--workload=codistill-3", *where],
    ]


def test_slurm_dry_run_is_what_a_job_does(shell):
    done = shell(
        "slurm.sbatch", "--dry_run", *FLAGS, SLURM_ARRAY_TASK_ID="4", SLURM_CPUS_PER_TASK="8"
    )
    assert done.returncode == 0
    assert shell.calls() == []
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {done.stdout}"], capture_output=True, text=True
    ).stdout.splitlines()
    flags = QUOTED.replace("gs://b/w", "gs://b/w/run_004")
    assert words == [
        *("srun", "--kill-on-bad-exit=0", "--cpus-per-task=8", "bash", "-c"),
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
        ("tpu_vm.sh", ["create"], TPU | {"DATA_DISK": "d"}, "set PROJECT"),
        ("xpk.sh", ["storage", "gs://b/folder"], XPK, "storage needs one: gs://BUCKET"),
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
