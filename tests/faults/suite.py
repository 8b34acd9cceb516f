"""The faults: what is done, what must be said, and what must come out in the end."""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from churn_jax.system.commands import BAD_INPUT
from churn_jax.system.interruption import CTRL_C, RESUME
from tests.faults import damages, results, sabotage
from tests.faults.commands import Command, evaluate_command, study_command, train_command

KILLED = 128 + signal.SIGKILL
_COUNT = itertools.count()  # of the folders of this process, whichever fault they are for
GRACE_SECONDS = 30  # in which a signal must have ended a command
RENAMES = 12  # a process that shall die at a rename dies at one of its first so many

STUDY = """
from churn_jax.studies.design import Cell, Row, Study, Table

def get_study(options):
    cells = tuple(Cell(name, name, options.runs_or(2)) for name in ("baseline", "entropy"))
    rows = tuple(Row((cell.name,), cell.name) for cell in cells)
    return Study("two", "Two", cells, (Table("two", "Two", ("method",), ("churn",), rows),))
"""


class Skip(Exception):
    """This machine doesn't let the fault be made; says why."""


@dataclasses.dataclass
class Outcome:
    """How often a fault was tried, how often all went on as promised, how often data was lost."""

    tried: int = 0
    survived: int = 0
    lost: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)
    skipped: str = ""

    def add(self, fine: bool, same: bool, command: Command, times: int = 1) -> None:
        """Counts `times` tries: `fine` if promises were kept, `same` if no result differs."""
        self.tried += times
        self.survived += times * (fine and same)
        self.lost += times * (not same)
        if not (fine and same):
            self.notes.append(f"fine {fine}, same {same}:\n{command.said()}")

    def add_all(self, other: "Outcome") -> None:
        """Counts another fault's tries."""
        self.tried += other.tried
        self.survived += other.survived
        self.lost += other.lost


class Lab:
    """A folder to work in, and the uninterrupted training, evaluation and study to compare with."""

    def __init__(self, root: Path, seed: int, study: bool):
        """Makes the training and the evaluation, and the study if `study` is set."""
        self.root, self.seed, self.random = root, seed, random.Random(seed)
        self.study_file = root / "configs" / "studies" / "two.py"
        self.study_file.parent.mkdir(parents=True)
        self.study_file.write_text(STUDY)
        shutil.copy(Path(__file__).parents[2] / "configs" / "digits.py", root / "configs")
        self.whole, self.whole_out, self.whole_study = (
            root / name for name in ("whole", "whole_report", "whole_study")
        )
        _must_end(train_command(self.whole, self.log()))  # compiles: not what a try takes
        shutil.rmtree(self.whole)
        self.train_seconds = _must_end(train_command(self.whole, self.log()))
        self.evaluate_seconds = _must_end(
            evaluate_command(self.without_predictions(), self.whole_out, self.log())
        )
        self.trained = results.of_training(self.whole)
        self.study_seconds = _must_end(self.study(self.whole_study)) if study else 0.0

    def fresh(self) -> Path:
        """The path of a folder that isn't there."""
        return self.root / f"try_{os.getpid()}_{next(_COUNT):04d}"

    def log(self) -> Path:
        """The path of a file that isn't there."""
        return self.fresh().with_suffix(".log")

    def copy(self) -> Path:
        """A finished workdir."""
        return Path(shutil.copytree(self.whole, self.fresh()))

    def without_predictions(self) -> Path:
        """A workdir that was trained, and no more."""
        workdir = self.copy()
        shutil.rmtree(workdir / "predictions")
        return workdir

    def half_trained(self) -> Path:
        """A workdir whose training was cut off after its last checkpoint but one."""
        workdir = self.without_predictions()
        shutil.rmtree(newest_checkpoint(workdir))
        return workdir

    def train(self, workdir: Path, act: Callable[[], None] | None = None) -> Command:
        return train_command(workdir, self.log(), sabotage=act)

    def evaluate(self, workdir: Path, act: Callable[[], None] | None = None) -> Command:
        return evaluate_command(workdir, workdir / "out", self.log(), sabotage=act)

    def study(self, workdir: Path, act: Callable[[], None] | None = None) -> Command:
        return study_command(self.study_file, workdir, self.log(), sabotage=act)

    def same_training(self, workdir: Path) -> bool:
        """Parameters, predictions, log and report are those of the uninterrupted training."""
        report = (workdir / "report.json").read_bytes()
        whole = (self.whole / "report.json").read_bytes()
        return results.of_training(workdir) == self.trained and report == whole

    def same_evaluation(self, workdir: Path) -> bool:
        """Predictions and report are those of the uninterrupted evaluation."""
        ours, theirs = (out / "report.json" for out in (workdir / "out", self.whole_out))
        predicted = results.of_predictions(workdir) == results.of_predictions(self.whole)
        return predicted and ours.read_bytes() == theirs.read_bytes()

    def same_study(self, workdir: Path) -> bool:
        """Predictions and table are those of the uninterrupted study."""
        table = Path("studies/two_digits/two.csv")
        predicted = results.of_predictions(workdir) == results.of_predictions(self.whole_study)
        return (
            predicted and (workdir / table).read_bytes() == (self.whole_study / table).read_bytes()
        )


def newest_checkpoint(workdir: Path) -> Path:
    return max((workdir / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))


def _must_end(command: Command) -> float:
    code = command.wait()
    assert code == 0, command.said()
    return time.monotonic() - command.began


Start = Callable[..., Command]
Same = Callable[[Path], bool]


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


def _signalled(what: str, number: int, code: int) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        start, same, begin, seconds = _parts(lab, what)
        return interrupted(lab, tries, start, same, begin, seconds, number, code)

    return fault


def _renaming(what: str) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        start, same, begin, _ = _parts(lab, what)
        return killed_at_renames(lab, tries, start, same, begin)

    return fault


def _parts(lab: Lab, what: str) -> tuple[Start, Same, Callable[[], Path], float]:
    if what == "training":
        return lab.train, lab.same_training, lab.fresh, lab.train_seconds
    if what == "evaluation":
        parts = lab.evaluate, lab.same_evaluation, lab.without_predictions
        return *parts, lab.evaluate_seconds
    return lab.study, lab.same_study, lab.fresh, lab.study_seconds


def second_ctrl_c(lab: Lab, tries: int) -> Outcome:
    outcome = Outcome()
    for _ in range(tries):
        workdir = lab.fresh()
        first = lab.train(workdir)
        _await(first.log, "step 4/")
        first.kill(signal.SIGINT)
        first.kill(signal.SIGINT)
        fine = first.wait() == CTRL_C
        command = lab.train(workdir)
        fine &= command.wait() == 0
        outcome.add(fine, lab.same_training(workdir), command)
    return outcome


def _damaged_checkpoint(damage: Callable[[Path], None]) -> Callable[[Lab, int], Outcome]:
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


def _in_largest(damage: Callable[[Path], None]) -> Callable[[Path], None]:
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


def _damaged_predictions(damage: Callable[[Path], None]) -> Callable[[Lab, int], Outcome]:
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


def _damaged_log(damage: Callable[[Path], None]) -> Callable[[Lab, int], Outcome]:
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


def _full_disk(what: str) -> Callable[[Lab, int], Outcome]:
    def fault(lab: Lab, tries: int) -> Outcome:
        outcome = Outcome()
        start, same, _, _ = _parts(lab, what)
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


def two_writers(lab: Lab, tries: int) -> Outcome:
    """The second must refuse and name the first, which goes on undisturbed."""
    outcome = Outcome()
    for _ in range(tries):
        workdir = lab.fresh()
        # It stays until the second has come and gone.
        stop = functools.partial(sabotage.signal_at_rename, 0, True, signal.SIGSTOP)
        first = lab.train(workdir, stop)
        _await(workdir / "config.json")
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
        _await(workdir / "checkpoints" / "4" / "meta")
        evaluation = evaluate_command(workdir, lab.fresh(), lab.log())
        # The checkpoint that it reads may be replaced by a newer one meanwhile: then it says so.
        fine = evaluation.wait() in (0, BAD_INPUT) and "Traceback" not in evaluation.said()
        fine &= command.wait() == 0
        for path in workdir.glob("predictions/*"):
            if path.name != "00000024":
                shutil.rmtree(path)
        outcome.add(fine, lab.same_training(workdir), evaluation)
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
        marked = json.loads((workdir / "failed_runs.json").read_text())
        fine &= marked == {"1": {"step": 11, "last_good_checkpoint": 8}}
        healthy = results.of_predictions(lab.whole)
        del healthy["predictions/00000024/run_001.safetensors"]
        outcome.add(fine, results.of_predictions(workdir) == healthy, command)
    return outcome


def _await(file: Path, text: str = "", timeout: float = 300) -> None:
    """Returns once `file` is there and, where a text is given, holds it."""
    deadline = time.monotonic() + timeout
    while not file.exists() or text not in (file.read_text() if text else ""):
        assert time.monotonic() < deadline, f"{file}: it did not come to {text!r}"
        time.sleep(0.005)


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
    _in_largest, (damages.truncate, damages.flip_a_bit, damages.remove)
)

FAULTS = (
    Fault("SIGKILL at a random moment of training", _signalled("training", *KILL), 30, 2),
    Fault("SIGKILL at a random moment of evaluation", _signalled("evaluation", *KILL), 30),
    Fault("SIGKILL at a random moment of a study", _signalled("study", *KILL), 30, 0),
    Fault("SIGKILL at a rename in training (checkpoints, …)", _renaming("training"), 30),
    Fault("SIGKILL at a rename in evaluation (report, …)", _renaming("evaluation"), 30),
    Fault("SIGKILL at a rename in a study", _renaming("study"), 30, 0),
    Fault("SIGTERM in training", _signalled("training", *TERM), 10),
    Fault("SIGTERM in a study", _signalled("study", *TERM), 10, 0),
    Fault("Ctrl-C in training", _signalled("training", *INT), 10, 0),
    Fault("Ctrl-C twice in training", second_ctrl_c, 5),
    Fault("newest checkpoint: a file truncated", _damaged_checkpoint(truncated), 3, 0),
    Fault("newest checkpoint: a bit flipped", _damaged_checkpoint(flipped), 3),
    Fault("newest checkpoint: a file missing", _damaged_checkpoint(removed), 3, 0),
    Fault("newest checkpoint: half deleted", _damaged_checkpoint(damages.half_delete), 3, 0),
    Fault("all checkpoints damaged", all_checkpoints_damaged, 3, 0),
    Fault("a prediction file truncated", _damaged_predictions(damages.truncate), 3, 0),
    Fault("a prediction file with a bit flipped", _damaged_predictions(damages.flip_a_bit), 3),
    Fault("a prediction file missing", _damaged_predictions(damages.remove), 3, 0),
    Fault("metrics.jsonl: last line torn", _damaged_log(damages.tear_last_line), 3, 0),
    Fault("metrics.jsonl: garbage at the end", _damaged_log(damages.add_garbage), 3),
    Fault("disk full in training", _full_disk("training"), 10),
    Fault("disk full in evaluation", _full_disk("evaluation"), 5, 0),
    Fault("disk full in a study", _full_disk("study"), 5, 0),
    Fault("read-only file system", read_only, 3),
    Fault("two writers", two_writers, 3),
    Fault("a dead writer's lock", stale_lock, 3, 0),
    Fault("evaluation beside a training", evaluated_while_training, 5, 0),
    Fault("NaN in one run of three, and SIGKILL", run_of_nan, 5),
)
