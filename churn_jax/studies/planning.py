"""From a study file and options to cells with checked configs and folders of their own."""

import contextlib
import dataclasses
import json
import math
import runpy
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etils import epath

from churn_jax import config as config_lib
from churn_jax import recipes
from churn_jax.config import Config
from churn_jax.data.loading import check_name
from churn_jax.errors import UserError, suggest
from churn_jax.predictions.workdirs import prediction_steps
from churn_jax.storage.workdir import read_times
from churn_jax.studies.design import Cell, Options, Study

CHECKPOINTS_A_CELL = 5  # where the config asks for none but the last


@dataclasses.dataclass(frozen=True)
class Plan:
    """A cell, ready to be trained.

    Attributes:
      cell: of the study.
      config: what it trains.
      folder: its workdir, named by what decides its result, so that studies share it.
      teachers: plans of the cells that teach it.
      trained_by: the plan of the cell whose training it shares; None where it trains by itself.
      updates: the plan of the cell whose runs it updates; None where it updates none.
    """

    cell: Cell
    config: Config
    folder: epath.Path
    teachers: tuple["Plan", ...] = ()
    trained_by: "Plan | None" = None
    updates: "Plan | None" = None

    @property
    def needs(self) -> tuple["Plan", ...]:
        """What must be finished before it can begin."""
        return (*self.teachers, *filter(None, (self.trained_by, self.updates)))

    @property
    def finished(self) -> bool:
        """Whether all predictions are there."""
        return self._marker.exists()

    @property
    def training(self) -> "Plan":
        """The plan that trains its runs: its own, or that of the cell whose training it shares."""
        return self.trained_by or self

    @property
    def seconds(self) -> float | None:
        """How long it took, in all calls that worked at it; None where that isn't known.

        A call that was killed has told up to its last checkpoint. Trainings of before calls told
        have only the time of the one that finished them.
        """
        if not self.finished:
            return None
        if not (times := read_times(self.folder)):
            return json.loads(self._marker.read_text())["seconds"]
        begun = [line["from_step"] for line in times]
        ended = [line["to_step"] for line in times]
        if [*begun, *prediction_steps(self.folder)[-1:]] != [0, *ended]:
            return None
        return sum(sum(line["seconds"].values()) for line in times)

    @property
    def thousand_predictions(self) -> float | None:
        """Seconds in which all its runs predict 1,000 examples; None where that isn't known."""
        if not self.finished:
            return None
        return json.loads(self._marker.read_text()).get("thousand_predictions")

    @property
    def _marker(self) -> epath.Path:
        return self.folder / "finished.json"


def load_study(path: str, options: Options) -> Study:
    """The study of a file.

    Raises:
      UserError: no such file (lists those beside it), or it has no `get_study`.
    """
    file = Path(path)
    if not _is_file(file):
        there = sorted(other.stem for other in file.parent.glob("*.py"))
        hint = f"{suggest(file.stem, there)}; {file.parent} has {', '.join(there) or 'none'}"
        raise UserError(f"--study={path}: no such file{hint}")
    with _of_file(f"--study={path}", file):
        get_study = runpy.run_path(str(file)).get("get_study")
        if not callable(get_study):
            raise UserError(f"--study={path}: defines no get_study(options)")
        study = get_study(options)
    if not isinstance(study, Study):
        raise UserError(f"--study={path}: get_study returns {type(study).__name__}, not a Study")
    names = [cell.name for cell in study.cells]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--study={path}: the cell {twice[0]!r} is there twice")
    for place, cell in enumerate(study.cells):
        needed = {*cell.taught_by, cell.trained_by, cell.updates, cell.replaces} - {""}
        if unknown := needed - set(names[:place]):
            raise UserError(
                f"--study={path}: the cell {cell.name!r} needs {min(unknown)!r}, which is no cell "
                "before it"
            )
    return study


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file could have
        return False


@contextlib.contextmanager
def _of_file(name: str, file: Path) -> Iterator[None]:
    """Makes one line of whatever is wrong with a file of Python, with the line it is in."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(file)]
        where = f", line {lines[-1]}" if lines else ""
        raise UserError(f"{name}{where}: {type(error).__name__}: {error}") from error


def plan(study: Study, options: Options, configs: Path, workdir: epath.PathLike) -> list[Plan]:
    """The study's cells in order, each after its teachers.

    Args:
      study: of `load_study`.
      options: of the command.
      configs: folder of the data sets' config files.
      workdir: of the study.

    Raises:
      UserError: unknown data set, or a config that can't be.
    """
    plans: dict[str, Plan] = {}
    for cell in study.cells:
        if cell.trained_by:
            plans[cell.name] = _seen_as(cell, plans[cell.trained_by])
            continue
        teachers = tuple(plans[name] for name in cell.taught_by)
        updates = plans[cell.updates] if cell.updates else None
        try:
            config = cell_config(cell, options, configs, teachers, updates)
        except UserError as error:
            raise UserError(f"cell {cell.name}: {error}") from error
        folder = cell_folder(workdir, config, updates)
        plans[cell.name] = Plan(cell, config, folder, teachers, updates=updates)
    return list(plans.values())


def _seen_as(cell: Cell, trained: Plan) -> Plan:
    """The plan of a cell that counts another model of a training: WORKDIR/cells/…/as/NAME."""
    values = config_lib.to_dict(trained.config)
    for path, value in cell.counted.items():
        _put(values, path, value)
    name = cell.name.removeprefix(f"{cell.trained_by}-")
    return Plan(
        cell,
        config_lib.check(values),
        trained.folder / "as" / name,
        trained_by=trained,
        updates=trained.updates,
    )


def cell_config(
    cell: Cell,
    options: Options,
    configs: Path,
    teachers: tuple[Plan, ...] = (),
    updates: Plan | None = None,
) -> Config:
    """The checked config of a cell: the data set's, the command's overrides, then the cell's."""
    get_config = _config_file(configs, options.dataset)
    recipe = get_config(cell.method)
    if options.epochs is not None:
        if not 0 < options.epochs < math.inf:
            raise UserError(f"--epochs: {options.epochs} is not positive and finite")
        recipes.scale_epochs(recipe, options.epochs)
    if cell.length != 1:
        recipes.scale_epochs(recipe, cell.length * recipe.epochs)
    values = recipe.to_dict()
    changes: dict[str, Any] = {
        **options.overrides,
        **cell.overrides,
        "runs": cell.runs,
        "first_run": cell.first_run,
    }
    if teachers:
        changes["method.teachers"] = ",".join(str(teacher.folder) for teacher in teachers)
    if updates:
        changes["previous.source"] = str(updates.training.folder)
        changes["previous.prediction"] = updates.config.method.prediction
    for path, value in changes.items():
        _put(values, path, value)
    values["checkpoint_every"] = values["checkpoint_every"] or values["epochs"] / CHECKPOINTS_A_CELL
    config = config_lib.check(values)
    check_name(config.data)
    return config


def cell_folder(workdir: epath.PathLike, config: Config, updates: Plan | None = None) -> epath.Path:
    """WORKDIR/cells/METHOD-HASH-runs-FIRST-LAST: equal cells of different studies share one.

    Those that log distances have folders of their own, because others lack what they log; so have
    the updates of each model, whose place is not hashed.
    """
    last = config.first_run + config.runs - 1
    runs = f"runs-{config.first_run}-{last}" + "-distances" * config.log_distances
    name = f"{config.method.label}-{config_lib.config_hash(config)[:8]}-{runs}"
    if updates:
        name += f"-of-{updates.training.folder.name}"
    return epath.Path(workdir) / "cells" / name


def _config_file(configs: Path, dataset: str) -> Any:
    file = configs / f"{dataset}.py"
    there = [path.stem for path in configs.glob("*.py")]
    if dataset not in there:
        raise UserError(f"--dataset: no config {file}{suggest(dataset, there)}")
    with _of_file(f"--dataset={dataset}", file):
        return runpy.run_path(str(file))["get_config"]


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    """Sets a dotted key; one that isn't there is left to the config's check to refuse."""
    *groups, key = path.split(".")
    for name in groups:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise UserError(f"config.{path}: no such key")
    values[key] = value
