"""From a study file and options to cells with checked configs and folders of their own."""

import dataclasses
import json
import runpy
from pathlib import Path
from typing import Any

from etils import epath

from churn_jax import config as config_lib
from churn_jax import recipes
from churn_jax.config import Config
from churn_jax.errors import UserError, suggest
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
    """

    cell: Cell
    config: Config
    folder: epath.Path
    teachers: tuple["Plan", ...] = ()

    @property
    def finished(self) -> bool:
        """Whether all predictions are there."""
        return self._marker.exists()

    @property
    def seconds(self) -> float | None:
        """How long the call that finished it took; None where it isn't finished."""
        return json.loads(self._marker.read_text())["seconds"] if self.finished else None

    @property
    def _marker(self) -> epath.Path:
        return self.folder / "finished.json"


def load_study(path: str, options: Options) -> Study:
    """The study of a file.

    Raises:
      UserError: no such file (lists those beside it), or it has no `get_study`.
    """
    file = Path(path)
    if not file.is_file():
        there = sorted(other.stem for other in file.parent.glob("*.py"))
        hint = f"{suggest(file.stem, there)}; {file.parent} has {', '.join(there) or 'none'}"
        raise UserError(f"--study={path}: no such file{hint}")
    get_study = runpy.run_path(str(file)).get("get_study")
    if get_study is None:
        raise UserError(f"--study={path}: defines no get_study(options)")
    return get_study(options)


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
        teachers = tuple(plans[name] for name in cell.taught_by)
        config = cell_config(cell, options, configs, teachers)
        plans[cell.name] = Plan(cell, config, cell_folder(workdir, config), teachers)
    return list(plans.values())


def cell_config(
    cell: Cell, options: Options, configs: Path, teachers: tuple[Plan, ...] = ()
) -> Config:
    """The checked config of a cell: the data set's, the command's overrides, then the cell's."""
    get_config = _config_file(configs, options.dataset)
    recipe = get_config(cell.method)
    if options.epochs is not None:
        if options.epochs <= 0:
            raise UserError(f"--epochs: {options.epochs} is not positive")
        recipes.scale_epochs(recipe, options.epochs)
    values = recipe.to_dict()
    changes: dict[str, Any] = {
        **options.overrides,
        **cell.overrides,
        "runs": cell.runs,
        "first_run": cell.first_run,
    }
    if teachers:
        changes["method.teachers"] = ",".join(str(teacher.folder) for teacher in teachers)
    for path, value in changes.items():
        _put(values, path, value)
    values["checkpoint_every"] = values["checkpoint_every"] or values["epochs"] / CHECKPOINTS_A_CELL
    return config_lib.check(values)


def cell_folder(workdir: epath.PathLike, config: Config) -> epath.Path:
    """WORKDIR/cells/METHOD-HASH-runs-FIRST-LAST: equal cells of different studies share one.

    Those that log distances have folders of their own, because others lack what they log.
    """
    last = config.first_run + config.runs - 1
    runs = f"runs-{config.first_run}-{last}" + "-distances" * config.log_distances
    name = f"{config.method.label}-{config_lib.config_hash(config)[:8]}-{runs}"
    return epath.Path(workdir) / "cells" / name


def _config_file(configs: Path, dataset: str) -> Any:
    file = configs / f"{dataset}.py"
    if not file.is_file():
        there = [path.stem for path in configs.glob("*.py")]
        raise UserError(f"--dataset: no config {file}{suggest(dataset, there)}")
    return runpy.run_path(str(file))["get_config"]


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    """Sets a dotted key; one that isn't there is left to the config's check to refuse."""
    *groups, key = path.split(".")
    for name in groups:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise UserError(f"config.{path}: no such key")
    values[key] = value
