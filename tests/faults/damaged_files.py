"""Files that are not what was written any more."""

import shutil
from collections.abc import Callable
from pathlib import Path

from churn_jax.system.commands import BAD_INPUT
from tests.faults import damages
from tests.faults.lab import Lab, Outcome, newest_checkpoint


def damaged_checkpoint(damage: Callable[[Path], None]) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        outcome = Outcome()
        for _ in range(tries):
            workdir = lab.without_predictions()
            checkpoint = newest_checkpoint(workdir)
            damage(checkpoint)
            command = lab.train(workdir)
            fine = command.wait() == 0 and f"{checkpoint} is damaged: " in command.said()
            fine &= (workdir / "checkpoints" / "damaged" / checkpoint.name).is_dir()
            outcome.add(fine, lab.same_training(workdir), command)
        return outcome

    return fault


def in_largest(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda checkpoint: damage(damages.largest_file(checkpoint))


def all_checkpoints_damaged(lab: Lab, tries: int) -> Outcome:
    """It must refuse, delete nothing, and go on once a copy is put back."""
    outcome = Outcome()
    for _ in range(tries):
        workdir = lab.without_predictions()
        for checkpoint in (workdir / "checkpoints").glob("[0-9]*"):
            damages.truncate(damages.largest_file(checkpoint))
        refused = lab.train(workdir)
        fine = refused.wait() == BAD_INPUT and "no checkpoint is whole" in refused.said()
        checkpoint = newest_checkpoint(lab.whole)
        shutil.copytree(checkpoint, workdir / "checkpoints" / checkpoint.name)
        command = lab.train(workdir)
        fine &= command.wait() == 0
        outcome.add(fine, lab.same_training(workdir), command)
    return outcome


def damaged_predictions(damage: Callable[[Path], None]) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        outcome = Outcome()
        for _ in range(tries):
            workdir = lab.copy()
            damage(lab.random.choice(sorted(workdir.glob("predictions/*/*"))))
            command = lab.evaluate(workdir)
            fine = command.wait() == 0 and "predicting again from the checkpoint" in command.said()
            outcome.add(fine, lab.same_evaluation(workdir), command)
        return outcome

    return fault


def damaged_log(damage: Callable[[Path], None]) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        outcome = Outcome()
        for _ in range(tries):
            workdir = lab.half_trained()
            damage(workdir / "metrics.jsonl")
            command = lab.train(workdir)
            fine = command.wait() == 0
            outcome.add(fine, lab.same_training(workdir), command)
        return outcome

    return fault
