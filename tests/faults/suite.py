"""The faults: what is done, by what, and how often."""

import dataclasses
import signal
from collections.abc import Callable

from churn_jax.system.interruption import CTRL_C, RESUME
from tests.faults import damages
from tests.faults.damaged_files import (
    all_checkpoints_damaged,
    damaged_checkpoint,
    damaged_log,
    damaged_predictions,
    in_largest,
)
from tests.faults.full_disks import full_disk, read_only
from tests.faults.interruptions import KILLED, renaming, run_of_nan, second_ctrl_c, signalled
from tests.faults.lab import Lab, Outcome, Skip
from tests.faults.neighbours import evaluated_while_training, stale_lock, two_writers


@dataclasses.dataclass(frozen=True)
class Fault:
    """A row of the table: what is done, by what, and how many tries (in the short form, too)."""

    name: str
    do: Callable[[Lab, int], Outcome]
    tries: int
    short: int = 1


def attempt(lab: Lab, index: int, tries: int) -> Outcome:
    """Does one of `FAULTS`; its random moments are the same whatever else is done."""
    fault = FAULTS[index]
    lab.random.seed(f"{lab.seed} {fault.name}")
    try:
        return fault.do(lab, tries)
    except Skip as reason:
        return Outcome(skipped=str(reason))
    except AssertionError as error:
        return Outcome(tried=1, notes=[str(error)])


KILL, TERM, INT = (signal.SIGKILL, KILLED), (signal.SIGTERM, RESUME), (signal.SIGINT, CTRL_C)
truncated, flipped, removed = map(
    in_largest, (damages.truncate, damages.flip_a_bit, damages.remove)
)

FAULTS = (
    Fault("SIGKILL at a random moment of training", signalled("training", *KILL), 30, 2),
    Fault("SIGKILL at a random moment of evaluation", signalled("evaluation", *KILL), 30),
    Fault("SIGKILL at a random moment of a study", signalled("study", *KILL), 30, 0),
    Fault("SIGKILL at a rename in training (checkpoints, …)", renaming("training"), 30),
    Fault("SIGKILL at a rename in evaluation (report, …)", renaming("evaluation"), 30),
    Fault("SIGKILL at a rename in a study", renaming("study"), 30, 0),
    Fault("SIGTERM in training", signalled("training", *TERM), 10),
    Fault("SIGTERM in a study", signalled("study", *TERM), 10, 0),
    Fault("Ctrl-C in training", signalled("training", *INT), 10, 0),
    Fault("Ctrl-C twice in training", second_ctrl_c, 5),
    Fault("newest checkpoint: a file truncated", damaged_checkpoint(truncated), 3, 0),
    Fault("newest checkpoint: a bit flipped", damaged_checkpoint(flipped), 3),
    Fault("newest checkpoint: a file missing", damaged_checkpoint(removed), 3, 0),
    Fault("newest checkpoint: half deleted", damaged_checkpoint(damages.half_delete), 3, 0),
    Fault("all checkpoints damaged", all_checkpoints_damaged, 3, 0),
    Fault("a prediction file truncated", damaged_predictions(damages.truncate), 3, 0),
    Fault("a prediction file with a bit flipped", damaged_predictions(damages.flip_a_bit), 3),
    Fault("a prediction file missing", damaged_predictions(damages.remove), 3, 0),
    Fault("metrics.jsonl: last line torn", damaged_log(damages.tear_last_line), 3, 0),
    Fault("metrics.jsonl: garbage at the end", damaged_log(damages.add_garbage), 3),
    Fault("disk full in training", full_disk("training"), 10),
    Fault("disk full in evaluation", full_disk("evaluation"), 5, 0),
    Fault("disk full in a study", full_disk("study"), 5, 0),
    Fault("read-only file system", read_only, 3),
    Fault("two writers", two_writers, 3),
    Fault("a dead writer's lock", stale_lock, 3, 0),
    Fault("evaluation beside a training", evaluated_while_training, 5, 0),
    Fault("NaN in one run of three, and SIGKILL", run_of_nan, 5),
)
