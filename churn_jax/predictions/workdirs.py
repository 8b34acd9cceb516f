"""Finding the predictions of independent runs, and sorting them into groups."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file, unequal
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.storage.files import names_in, numbered
from churn_jax.storage.workdir import (
    checkpoint_steps,
    has_config,
    parts,
    read_config,
    read_failed_runs,
)
from churn_jax.system.console import say


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs of one configuration, from any number of workdirs.

    Attributes:
      name: the method; with the start of the config's hash where two groups would share a name.
      config_hash: what makes runs belong together.
      step: of training, which is the same for all of them.
      runs: in the order they were found.
    """

    name: str
    config_hash: str
    step: int
    runs: list[Predictions]


def prediction_steps(workdir: epath.PathLike) -> list[int]:
    """Steps of which predictions are saved, ascending."""
    steps = numbered(prediction_file.folder(workdir), prediction_file.STEP_DIGITS)
    return [step for step in steps if prediction_file.run_files(workdir, step)]


def all_steps(workdir: epath.PathLike) -> list[int]:
    """Steps whose predictions are saved or can be made from a checkpoint, ascending."""
    return sorted({*prediction_steps(workdir), *_checkpoints(workdir)})


def _checkpoints(workdir: epath.PathLike) -> list[int]:
    """Steps that have a checkpoint; an empty folder is none."""
    folder = epath.Path(workdir) / "checkpoints"
    return [step for step in checkpoint_steps(workdir) if names_in(folder / str(step))]


def load_step(
    workdir: epath.PathLike, step: int, predict_again: Callable[[epath.PathLike, int], None]
) -> list[Predictions]:
    """All runs' predictions at a step, made from the checkpoint if they are missing or damaged.

    Of runs that were trained later (`WORKDIR/more_runs`) those that are not at that step yet are
    left out, which is said.

    Args:
      workdir: of a training.
      step: of training.
      predict_again: writes the prediction files of a checkpointed step of a workdir, as
        `training.inference.predict_workdir` does; called only where they are wanted.

    Raises:
      UserError: the workdir has neither whole predictions nor a checkpoint of that step.
    """
    first, *later = parts(workdir)
    found = _load_part(first, step, predict_again)
    for part in later:
        if step in all_steps(part):
            found += _load_part(part, step, predict_again)
        else:
            say(f"{part}: not at step {step} yet; left out")
    return found


def _load_part(
    workdir: epath.Path, step: int, predict_again: Callable[[epath.PathLike, int], None]
) -> list[Predictions]:
    saved = bool(prediction_file.run_files(workdir, step))
    if not saved and step not in (steps := all_steps(workdir)):
        raise UserError(f"{workdir}: no predictions or checkpoint at step {step} (has {steps})")
    try:
        return _read_all(workdir, step)
    except UserError as error:
        if step not in _checkpoints(workdir):
            raise
        if saved:
            say(f"{error}; predicting again from the checkpoint")
        predict_again(workdir, step)
    return _read_all(workdir, step)


def _read_all(workdir: epath.Path, step: int) -> list[Predictions]:
    """What is saved; raises UserError unless there is a whole file of every run."""
    folder = prediction_file.step_dir(workdir, step)
    files = prediction_file.run_files(workdir, step)
    if not files:
        raise UserError(f"{folder}: no prediction files")
    found = [prediction_file.read(path) for path in files]
    if missing := _expected_runs(workdir, step) - {run.provenance["run"] for run in found}:
        raise UserError(f"{folder}: no predictions of the runs {sorted(missing)}")
    return found


def _expected_runs(workdir: epath.Path, step: int) -> set[int]:
    """The runs that should have predictions at a step, where the workdir says what it trains."""
    config = read_config(workdir) if has_config(workdir) else {}
    try:
        runs = set(range(config["first_run"], config["first_run"] + config["runs"]))
    except (TypeError, KeyError):
        return set()
    return runs - {run for run, failed in read_failed_runs(workdir).items() if failed.step <= step}


def run_range(workdir: epath.PathLike, first_runs: int | None = None) -> range:
    """The indices that runs of a workdir can have; of the `first_runs`, where so many are asked."""
    if first_runs is None:
        return range(2**31)
    first = int(read_config(workdir).get("first_run", 0))
    return range(first, first + first_runs)


def chosen_members(workdir: epath.PathLike, step: int, runs: Iterable[int]) -> list[int]:
    """Which member of each of `runs` predicts, where that was chosen after training.

    Raises:
      UserError: the predictions that say it are missing or damaged.
    """
    folder, found = prediction_file.step_dir(workdir, step), []
    for run in runs:
        path = folder / prediction_file.file_name(run)
        made_by = prediction_file.read(path).provenance if path.exists() else {}
        if "chosen_member" not in made_by:
            raise UserError(
                f"{path}: it says which member of run {run} was chosen, and is missing; "
                f"`python -m churn_jax.evaluate --runs={workdir} --step={step}` makes it again"
            )
        found.append(int(made_by["chosen_member"]))
    return found


def failed_runs(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """Runs that training gave up because their loss was not a number any more.

    Returns:
      {group, run, step, last_good_checkpoint} each, by run; `step` is where it was noticed and the
      checkpoint None where there is none before it.

    Raises:
      UserError: the file that says so is damaged.
    """
    return [
        {"group": _label(part), "run": run, **dataclasses.asdict(failed)}
        for part in parts(workdir)
        for run, failed in read_failed_runs(part).items()
    ]


def _label(workdir: epath.PathLike) -> str:
    """The method that a workdir trains, as far as it says so."""
    config = read_config(workdir) if has_config(workdir) else {}
    try:
        return str(config["method"]["label"])
    except (TypeError, KeyError):
        return str(workdir)


def group_runs(runs: Iterable[Predictions]) -> list[Group]:
    """Sorts runs into groups by configuration, in the order of first appearance.

    Raises:
      UserError: a run is there twice, or the runs of a group are of different steps or were trained
        on different data.
    """
    by_hash: dict[str, list[Predictions]] = {}
    for run in runs:
        by_hash.setdefault(run.provenance["config_hash"], []).append(run)
    for members in by_hash.values():
        unequal.refuse_repeats(members)
        unequal.refuse_other_training_data(members)
    names = [members[0].provenance["group"] for members in by_hash.values()]
    return [
        Group(
            name=name if names.count(name) == 1 else f"{name} {config_hash[:8]}",
            config_hash=config_hash,
            step=members[0].provenance["step"],
            runs=members,
        )
        for name, (config_hash, members) in zip(names, by_hash.items(), strict=True)
    ]
