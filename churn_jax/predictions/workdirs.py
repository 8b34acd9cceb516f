"""Finding the predictions of independent runs, and refusing to pair what does not belong."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions import origins, prediction_file
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.storage.files import numbered
from churn_jax.storage.workdir import has_config, read_config, read_failed_runs
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
    paths = {step: folder / str(step) for step in numbered(folder)}
    return [step for step, path in paths.items() if path.is_dir() and any(path.iterdir())]


def load_step(
    workdir: epath.PathLike, step: int, predict_again: Callable[[epath.PathLike, int], None]
) -> list[Predictions]:
    """All runs' predictions at a step, made from the checkpoint if they are missing or damaged.

    Args:
      workdir: of a training.
      step: of training.
      predict_again: writes the prediction files of a checkpointed step of a workdir, as
        `training.inference.predict_workdir` does; called only where they are wanted.

    Raises:
      UserError: the workdir has neither whole predictions nor a checkpoint of that step.
    """
    workdir = epath.Path(workdir)
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


def failed_runs(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """Runs that training gave up because their loss was not a number any more.

    Returns:
      {group, run, step, last_good_checkpoint} each, by run; `step` is where it was noticed and the
      checkpoint None where there is none before it.

    Raises:
      UserError: the file that says so is damaged.
    """
    return [
        {"group": _label(workdir), "run": run, **dataclasses.asdict(failed)}
        for run, failed in read_failed_runs(workdir).items()
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
        _refuse_repeats(members)
        _refuse_other_training_data(members)
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


def refuse_mismatched(runs: Sequence[Predictions]) -> None:
    """Raises UserError unless all runs predict the same examples of the same data."""
    first = runs[0]
    for run in runs[1:]:
        pair = f"{_title(first)} and {_title(run)}"
        for key in ("dataset", "split", "data_fingerprint"):
            ours, theirs = first.provenance[key], run.provenance[key]
            if ours != theirs:
                raise UserError(f"{pair} differ in {key}: {ours!r} and {theirs!r}")
        if len(run.ids) != len(first.ids) or np.any(run.ids != first.ids):
            raise UserError(f"{pair} have different example ids")
        if np.any(run.labels != first.labels):
            raise UserError(f"{pair} have different labels")
        if run.log_probs.shape[2] != first.log_probs.shape[2]:
            raise UserError(f"{pair} have different numbers of classes")


def _refuse_repeats(runs: list[Predictions]) -> None:
    seen = set()
    for run in runs:
        key = origins.identity(run.provenance)
        if key in seen:
            raise UserError(
                f"{_title(run)} is there twice: runs must be independent, and the same config, "
                "seed and index are the same training, wherever it was done (train more with "
                "another config.first_run or config.seed)"
            )
        seen.add(key)
        if run.provenance["step"] != runs[0].provenance["step"]:
            raise UserError(
                f"{_title(runs[0])} and {_title(run)} are of different steps: choose one by --step"
            )


def _refuse_other_training_data(runs: list[Predictions]) -> None:
    for run in runs:
        ours, theirs = (r.provenance.get("train_fingerprint") for r in (runs[0], run))
        if None not in (ours, theirs) and ours != theirs:
            raise UserError(
                f"{_title(runs[0])} and {_title(run)} were trained on different data "
                f"(train_fingerprint {ours!r} and {theirs!r})"
            )


def _title(run: Predictions) -> str:
    provenance = run.provenance
    return (
        f"{provenance['group']} run {provenance['run']} "
        f"(seed {provenance['seed']}, step {provenance['step']})"
    )
