"""Storage that takes nothing more."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from churn_jax.system.commands import BAD_INPUT
from tests.faults.commands import Command
from tests.faults.lab import Lab, Outcome, Skip, parts


def full_disk(what: str) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        outcome = Outcome()
        start, same, _, _ = parts(lab, what)
        for _ in range(tries):
            with _disk(lab.fresh()) as disk:
                workdir = disk / "work"
                if what == "evaluation":
                    shutil.copytree(lab.without_predictions(), workdir)
                used = shutil.disk_usage(disk).used
                needed = {"training": 2_600_000, "evaluation": 450_000, "study": 1_500_000}[what]
                _remount(disk, f"size={used + 8192 + lab.random.randrange(needed)}")
                first = start(workdir)
                code = first.wait()
                fine = code == 0 or (code == BAD_INPUT and _ends_in_one_line(first))
                _remount(disk, "size=64m")
                command = start(workdir)
                fine &= command.wait() == 0
                outcome.add(fine, same(workdir), command if code == 0 else first)
        return outcome

    return fault


def read_only(lab: Lab, tries: int) -> Outcome:
    outcome = Outcome()
    for _ in range(tries):
        with _disk(lab.fresh()) as disk:
            workdir = Path(shutil.copytree(lab.half_trained(), disk / "work"))
            _remount(disk, "ro")
            fine = True
            for start in (lab.train, lab.evaluate):
                refused = start(workdir)
                fine &= refused.wait() == BAD_INPUT and _ends_in_one_line(refused)
            _remount(disk, "rw")
            command = lab.train(workdir)
            fine &= command.wait() == 0
            outcome.add(fine, lab.same_training(workdir), command)
    return outcome


def _ends_in_one_line(command: Command) -> bool:
    lines = command.said().splitlines()
    return "can't be written" in lines[-1] and "Traceback" not in command.said()


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        raise Skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)
