"""Finding the predictions of independent runs, and refusing to pair what does not belong."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from etils import epath

from churn_jax import predictions
from churn_jax.errors import UserError
from churn_jax.predictions import Predictions


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
    """Steps whose predictions are saved, ascending."""
    return _numbered(epath.Path(workdir) / "predictions")


def all_steps(workdir: epath.PathLike) -> list[int]:
    """Steps whose predictions are saved or can be made from a checkpoint, ascending."""
    checkpoints = _numbered(epath.Path(workdir) / "checkpoints")
    return sorted({*prediction_steps(workdir), *checkpoints})


def load_step(workdir: epath.PathLike, step: int) -> list[Predictions]:
    """All runs' predictions at a step, made from the checkpoint if they are not there.

    Raises:
      UserError: the workdir has neither predictions nor a checkpoint of that step.
    """
    workdir = epath.Path(workdir)
    if step not in prediction_steps(workdir):
        steps = all_steps(workdir)
        if step not in steps:
            raise UserError(f"{workdir}: no predictions or checkpoint at step {step} (has {steps})")
        from churn_jax import inference  # brings JAX, which saved predictions do not need

        inference.predict_workdir(workdir, step)
    folder = predictions.step_dir(workdir, step)
    files = sorted(folder.glob("run_*.safetensors"))
    if not files:
        raise UserError(f"{folder}: no prediction files")
    return [predictions.read(path) for path in files]


def group_runs(runs: Iterable[Predictions]) -> list[Group]:
    """Sorts runs into groups by configuration, in the order of first appearance.

    Raises:
      UserError: a run is there twice, or the runs of a group are of different steps.
    """
    by_hash: dict[str, list[Predictions]] = {}
    for run in runs:
        by_hash.setdefault(run.provenance["config_hash"], []).append(run)
    for members in by_hash.values():
        _refuse_repeats(members)
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
        key = (run.provenance["run"], run.provenance["seed"])
        if key in seen:
            raise UserError(
                f"{_title(run)} is there twice: runs must be independent "
                "(train more with another config.first_run or config.seed)"
            )
        seen.add(key)
        if run.provenance["step"] != runs[0].provenance["step"]:
            raise UserError(
                f"{_title(runs[0])} and {_title(run)} are of different steps: choose one by --step"
            )


def _title(run: Predictions) -> str:
    provenance = run.provenance
    return (
        f"{provenance['group']} run {provenance['run']} "
        f"(seed {provenance['seed']}, step {provenance['step']})"
    )


def _numbered(folder: epath.Path) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
