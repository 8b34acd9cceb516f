"""Where faults are made: a folder, and the uninterrupted commands to compare with."""

import dataclasses
import itertools
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults import results
from tests.faults.commands import Command, evaluate_command, study_command, train_command

_COUNT = itertools.count()  # of the folders of this process, whichever fault they are for

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


def parts(lab: Lab, what: str) -> tuple[Start, Same, Callable[[], Path], float]:
    if what == "training":
        return lab.train, lab.same_training, lab.fresh, lab.train_seconds
    if what == "evaluation":
        parts = lab.evaluate, lab.same_evaluation, lab.without_predictions
        return *parts, lab.evaluate_seconds
    return lab.study, lab.same_study, lab.fresh, lab.study_seconds


def wait_for(file: Path, text: str = "", timeout: float = 300) -> None:
    """Returns once `file` is there and, where a text is given, holds it."""
    deadline = time.monotonic() + timeout
    while not file.exists() or text not in (file.read_text() if text else ""):
        assert time.monotonic() < deadline, f"{file}: it did not come to {text!r}"
        time.sleep(0.005)
