"""The commands as processes of their own that start at once: forks of one that has imported JAX.

A fork is a process like any other: it is killed, signalled and waited for alike. JAX must not have
touched a device before.
"""

import contextlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from churn_jax import evaluate, main, study
from churn_jax.system import commands, startup

TIMEOUT = 600


class Command:
    """A running command; what it says goes to a file."""

    def __init__(
        self,
        entry: Callable[[], int | None],
        arguments: Sequence[str],
        log: Path,
        sabotage: Callable[[], None] | None = None,
    ):
        """Starts `entry` with `arguments`; `sabotage` is done to the new process before."""
        self.log = log
        self.began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # JAX has no threads yet
            self.pid = os.fork()
        if not self.pid:
            _become(entry, arguments, log, sabotage)

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout: float = TIMEOUT) -> int | None:
        """The exit code, 128 + N for signal N; None if it is still running after `timeout`."""
        deadline = time.monotonic() + timeout
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if time.monotonic() > deadline:
                return None
            time.sleep(0.01)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def train_command(
    workdir: Path, log: Path, *flags: str, sabotage: Callable[[], None] | None = None
) -> Command:
    """`python -m churn_jax.main`, of three small runs with a checkpoint every few steps."""
    config = [
        "--config=configs/digits.py:baseline,tiny",
        "--config.data.num_train=64",
        "--config.runs=3",
        "--config.epochs=3.0",
        "--config.checkpoint_every=0.5",
        "--config.keep_checkpoints=2",
        "--config.log_every=2",
        "--config.eval_batch_size=600",
    ]
    return Command(main.main, [*config, *flags, f"--workdir={workdir}"], log, sabotage)


def evaluate_command(
    workdir: Path, out: Path, log: Path, sabotage: Callable[[], None] | None = None
) -> Command:
    """`python -m churn_jax.evaluate`."""
    return Command(evaluate.main, [f"--runs={workdir}", f"--out={out}"], log, sabotage)


def study_command(
    file: Path, workdir: Path, log: Path, sabotage: Callable[[], None] | None = None
) -> Command:
    """`python -m churn_jax.study`, of the small study in `file`."""
    flags = ["--epochs=2", "--config.data.num_train=64", "--config.model.name=lenet5"]
    arguments = [f"--study={file}", *flags, "--config.batch_size=8", f"--workdir={workdir}"]
    return Command(study.main, arguments, log, sabotage)


def _become(
    entry: Callable[[], int | None],
    arguments: Sequence[str],
    log: Path,
    sabotage: Callable[[], None] | None,
) -> None:
    """Turns this fork into the command; never returns."""
    code = commands.BUG
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["command", *arguments]
        startup.start(trains=entry is not evaluate.main, checkpoints=True)
        if sabotage:
            sabotage()
        commands.run_command(entry)
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
