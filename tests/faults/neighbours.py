"""Other processes in the same folder: alive, dead, or only reading."""

import functools
import json
import shutil
import signal

from churn_jax.system.commands import BAD_INPUT
from tests.faults import sabotage
from tests.faults.commands import evaluate_command
from tests.faults.lab import Lab, Outcome, wait_for


def two_writers(lab: Lab, tries: int) -> Outcome:
    """The second must refuse and name the first, which goes on undisturbed."""
    outcome = Outcome()
    for _ in range(tries):
        workdir = lab.fresh()
        # It stays until the second has come and gone.
        stop = functools.partial(sabotage.signal_at_rename, 0, True, signal.SIGSTOP)
        first = lab.train(workdir, stop)
        wait_for(workdir / "config.json")
        second = lab.train(workdir)
        fine = second.wait() == BAD_INPUT
        fine &= f"is being written by process {first.pid} on " in second.said()
        first.kill(signal.SIGCONT)
        fine &= first.wait() == 0
        outcome.add(fine, lab.same_training(workdir), second)
    return outcome


def stale_lock(lab: Lab, tries: int) -> Outcome:
    outcome = Outcome()
    for _ in range(tries):
        workdir = lab.half_trained()
        gone = {"host": "another", "pid": 1, "since": "yesterday"}
        (workdir / "lock").write_text(json.dumps(gone))
        command = lab.train(workdir)
        fine = command.wait() == 0
        fine &= "process 1 on another (since yesterday) was cut off here" in command.said()
        outcome.add(fine, lab.same_training(workdir), command)
    return outcome


def evaluated_while_training(lab: Lab, tries: int) -> Outcome:
    """Predictions are made from a checkpoint of a training that goes on."""
    outcome = Outcome()
    for _ in range(tries):
        workdir = lab.fresh()
        command = lab.train(workdir)
        wait_for(workdir / "checkpoints" / "4" / "meta")
        evaluation = evaluate_command(workdir, lab.fresh(), lab.log())
        # The checkpoint that it reads may be replaced by a newer one meanwhile: then it says so.
        fine = evaluation.wait() in (0, BAD_INPUT) and "Traceback" not in evaluation.said()
        fine &= command.wait() == 0
        for path in workdir.glob("predictions/*"):
            if path.name != "00000024":
                shutil.rmtree(path)
        outcome.add(fine, lab.same_training(workdir), evaluation)
    return outcome
