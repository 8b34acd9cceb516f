"""Commands that are killed, signalled or given nonsense while they work."""

import functools
import signal
from collections.abc import Callable
from pathlib import Path

from churn_jax.storage.workdir import FailedRun, read_failed_runs
from churn_jax.system.interruption import CTRL_C
from tests.faults import results, sabotage
from tests.faults.lab import Lab, Outcome, Same, Start, parts, wait_for

KILLED = 128 + signal.SIGKILL
GRACE_SECONDS = 30  # in which a signal must have ended a command
RENAMES = 12  # a process that shall die at a rename dies at one of its first so many


def interrupted(
    lab: Lab,
    tries: int,
    start: Start,
    same: Same,
    begin: Callable[[], Path],
    seconds: float,
    number: int,
    code: int,
) -> Outcome:
    """Signals a command at random moments, and starts it again, until it has finished."""
    outcome = Outcome()
    while outcome.tried < tries:
        workdir, hits, fine, ended = begin(), 0, True, None
        while ended is None and fine:
            command = start(workdir)
            more = outcome.tried + hits < tries
            ended = command.wait(lab.random.uniform(0, seconds) if more else 600)
            if ended is None:
                command.kill(number)
                found = command.wait(GRACE_SECONDS)
                if found is None:
                    command.kill()
                    command.wait()
                ended = 0 if found == 0 else None
                hits += found != 0
                fine = found in (0, code)
        outcome.add(fine, fine and ended == 0 and same(workdir), command, hits)
    return outcome


def killed_at_renames(
    lab: Lab, tries: int, start: Start, same: Same, begin: Callable[[], Path]
) -> Outcome:
    """Kills a command right before or after it renames a file or folder into place."""
    outcome = Outcome()
    while outcome.tried < tries:
        workdir, hits, ended = begin(), 0, KILLED
        while ended == KILLED:
            if outcome.tried + hits < tries:
                count, after = lab.random.randrange(RENAMES), lab.random.random() < 0.5
                command = start(workdir, functools.partial(sabotage.signal_at_rename, count, after))
            else:
                command = start(workdir)
            ended = command.wait()
            hits += ended == KILLED
        outcome.add(ended == 0, ended == 0 and same(workdir), command, hits)
    return outcome


def signalled(what: str, number: int, code: int) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        start, same, begin, seconds = parts(lab, what)
        return interrupted(lab, tries, start, same, begin, seconds, number, code)

    return fault


def renaming(what: str) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        start, same, begin, _ = parts(lab, what)
        return killed_at_renames(lab, tries, start, same, begin)

    return fault


def second_ctrl_c(lab: Lab, tries: int) -> Outcome:
    outcome = Outcome()
    for _ in range(tries):
        workdir = lab.fresh()
        first = lab.train(workdir)
        wait_for(first.log, "step 4/")
        first.kill(signal.SIGINT)
        first.kill(signal.SIGINT)
        fine = first.wait() == CTRL_C
        command = lab.train(workdir)
        fine &= command.wait() == 0
        outcome.add(fine, lab.same_training(workdir), command)
    return outcome


def run_of_nan(lab: Lab, tries: int) -> Outcome:
    """One run of three goes wrong at step 11; the training is killed on the way, and resumed."""
    outcome = Outcome()
    for _ in range(tries):
        workdir, act = lab.fresh(), functools.partial(sabotage.poison, 1, 10)
        command = lab.train(workdir, act)
        if command.wait(lab.random.uniform(0, lab.train_seconds)) is None:
            command.kill()
            command.wait()
            command = lab.train(workdir, act)
            fine = command.wait() == 0
        else:
            fine = True
        fine &= read_failed_runs(workdir) == {1: FailedRun(11, 8)}
        healthy = results.of_predictions(lab.whole)
        del healthy["predictions/00000024/run_001.safetensors"]
        outcome.add(fine, results.of_predictions(workdir) == healthy, command)
    return outcome
