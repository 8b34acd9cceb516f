"""More runs of a finished training: `config.runs=15` in a workdir of ten trains five more.

    WORKDIR/                 the first ten, as they were
    WORKDIR/more_runs/10/    a workdir of its own with the runs from 10 on

A run depends on nothing but its index, so the fifteen are those that one training of fifteen would
have given. Fewer runs than there are train nothing, and the report is of the first ones.
"""

import dataclasses
from collections.abc import Sequence

from etils import epath

from churn_jax import config as config_lib
from churn_jax.config import Config
from churn_jax.errors import UserError
from churn_jax.storage import workdir as workdir_files
from churn_jax.storage.workdir import MORE_RUNS, checkpoint_steps


@dataclasses.dataclass(frozen=True)
class Part:
    """Runs that are trained together.

    Attributes:
      config: what trains them.
      folder: their workdir.
      finished_before: workdirs of the runs before them.
      ends_as_asked: whether no run of it is beyond those that are wanted.
    """

    config: Config
    folder: epath.Path
    finished_before: tuple[epath.Path, ...] = ()
    ends_as_asked: bool = True


def part(config: Config, workdir: epath.PathLike) -> Part:
    """What a workdir has to train, or has trained, last, so that it has the runs of `config`.

    Reads config.json files alone. Anything but the number of runs is the config's own, whether the
    workdir's is the same is for the training to ask.
    """
    workdir = epath.Path(workdir)
    folders = workdir_files.parts(workdir) if workdir_files.has_config(workdir) else []
    before: list[epath.Path] = []
    first = config.first_run
    for folder in folders:
        begun = config_lib.read(folder, warn=False)
        if begun.first_run != first:
            break  # `differences` says so
        whole = dataclasses.replace(config, first_run=first, runs=begun.runs)
        left = config.first_run + config.runs - first
        if left <= begun.runs:
            return Part(whole, folder, tuple(before), left == begun.runs)
        before.append(folder)
        first += begun.runs
    if not before:
        return Part(config, workdir)
    rest = config.first_run + config.runs - first
    more = dataclasses.replace(config, first_run=first, runs=rest)
    return Part(more, workdir / MORE_RUNS / str(first), tuple(before))


def refuse_unfinished(part: Part, wanted: Config, total_steps: int) -> None:
    """Raises a `UserError` unless all runs are there that this command does not train itself."""
    folders = list(part.finished_before) + ([] if part.ends_as_asked else [part.folder])
    for folder in folders:
        if total_steps in checkpoint_steps(folder):
            continue
        begun = config_lib.read(folder, warn=False)
        until = begun.first_run + begun.runs - wanted.first_run
        raise UserError(
            f"config.runs: {wanted.runs}, but the {until} runs that {folder} was begun with are "
            f"not finished; --config.runs={until} goes on with them"
        )


def refuse_other_config(part: Part) -> None:
    """Raises a `UserError` if earlier runs were trained by another config or other code."""
    for folder in part.finished_before:
        begun = config_lib.read(folder, warn=False)
        refuse_another(
            folder, dataclasses.replace(part.config, runs=begun.runs, first_run=begun.first_run)
        )


def refuse_another(workdir: epath.Path, config: Config) -> None:
    """Raises a `UserError` that says how a workdir's own config or code differs, if it does."""
    if changed := config_lib.differences(config, config_lib.read(workdir, warn=False)):
        raise UserError(f"--workdir={workdir} was made by another config: {changed}")
    if said := config_lib.changed_files(workdir):
        raise UserError(f"--workdir={workdir} was begun with other code: {said}")


def holding(workdir: epath.PathLike, runs: Sequence[int]) -> epath.Path:
    """The part of a workdir that has all of `runs`; the workdir itself where none has.

    Several parts can have them, but no training holds the weights of several.
    """
    for folder in filter(workdir_files.has_config, workdir_files.parts(workdir)):
        config = config_lib.read(folder, warn=False)
        if set(runs) <= set(range(config.first_run, config.first_run + config.runs)):
            return folder
    return epath.Path(workdir)
