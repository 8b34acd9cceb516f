"""Teachers of distillation: finished baseline runs, each of which teaches one student alone.

Student r learns from the runs r·T, …, r·T + T − 1 of the baseline, with T = `method.num_teachers`,
so n students take T·n runs, which may lie in several workdirs. Students of different teachers, and
of another seed than all of them, are as independent of each other as runs of any method.
"""

import dataclasses
import os
from typing import Any

import jax
import numpy as np

from churn_jax import config as config_lib
from churn_jax.config import Config, MeshConfig
from churn_jax.errors import UserError
from churn_jax.methods.objectives import Objective
from churn_jax.parallel import sharding
from churn_jax.storage import workdir as workdir_files
from churn_jax.storage.paths import split_paths
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from churn_jax.training.failed_runs import failed_runs
from churn_jax.training.step import Tree


def load(experiment: Experiment) -> Tree:
    """The teachers' variables {'params', 'batch_stats'}, [run, teacher, …]; {} where none teach.

    Raises:
      UserError: a teacher is missing or unfinished, or was trained by another recipe.
    """
    config = experiment.config
    if not config.method.taught:
        return {}
    wanted = teachers_of(experiment.runs, config.method.num_teachers)
    found: dict[int, Tree] = {}
    for workdir in filter(None, split_paths(config.method.teachers)):
        for part in workdir_files.parts(os.path.expanduser(workdir)):
            found |= _trained(str(part), experiment)
    missing = sorted(set(wanted.ravel().tolist()) - found.keys())
    if missing:
        raise UserError(
            f"config.method.teachers: {config.method.teachers!r} lacks the baseline runs "
            f"{missing[0]} to {missing[-1]}; make them with `{_command(config, missing)}`"
        )
    rows = [[found[teacher] for teacher in of_run] for of_run in wanted.tolist()]
    stacked = jax.tree.map(
        lambda *leaves: np.stack(leaves).reshape(*wanted.shape, *leaves[0].shape),
        *(teacher for row in rows for teacher in row),
    )
    return jax.tree.map(lambda leaf: sharding.put(leaf, experiment.mesh, sharding.STATE), stacked)


def teachers_of(runs: np.ndarray, num_teachers: int) -> np.ndarray:
    """[run, teacher] indices of the baseline runs that teach each of `runs` [run]."""
    return np.asarray(runs)[:, None] * num_teachers + np.arange(num_teachers)


def _trained(workdir: str, student: Experiment) -> dict[int, Tree]:
    """{run: variables of its member 0} of a finished workdir."""
    if not workdir_files.has_config(workdir):
        raise UserError(
            f"config.method.teachers: there are no runs in {workdir!r}; make them with "
            f"`{_command(student.config, [0, _last(student)], workdir)}`"
        )
    config = config_lib.read(workdir)
    _check_recipe(workdir, config, student.config)
    config = dataclasses.replace(config, mesh=MeshConfig())
    mesh = sharding.make_mesh(config)
    experiment = Experiment(config, student.info, student.num_train, mesh)
    if experiment.total_steps not in checkpoint_steps(workdir):
        raise UserError(
            f"config.method.teachers: the runs in {workdir!r} are not finished; call "
            f"`{_command(config, experiment.runs.tolist(), workdir)}`"
        )
    with Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore(experiment.total_steps, experiment.abstract_state())
    if failed := failed_runs(experiment, state):
        raise UserError(f"config.method.teachers: runs {sorted(failed)} in {workdir!r} have failed")
    variables = sharding.to_host({"params": state.params, "batch_stats": state.batch_stats})
    return {
        int(run): jax.tree.map(lambda leaf, place=place: leaf[place, 0], variables)
        for place, run in enumerate(experiment.runs)
    }


def _check_recipe(workdir: str, teacher: Config, student: Config) -> None:
    """Teachers are baselines of the student's own recipe, which therefore says what they are."""
    if teacher.seed == student.seed:
        raise UserError(
            f"config.seed: {student.seed} is that of the teachers in {workdir!r} too, so a student "
            "would start from the weights of another's teacher; give it another seed"
        )
    same: dict[str, Any] = {key: getattr(teacher, key) for key in ("seed", "runs", "first_run")}
    expected = dataclasses.replace(student, method=Objective(), **same)
    if changed := config_lib.differences(expected, teacher):
        raise UserError(
            f"config.method.teachers: the runs in {workdir!r} are not baselines of the student's "
            f"recipe: {changed}"
        )


def _last(student: Experiment) -> int:
    return int(teachers_of(student.runs, student.config.method.num_teachers).max())


def _command(config: Config, runs: list[int], workdir: str = "DIR") -> str:
    """What trains the baseline runs from the first to the last of `runs`."""
    first = f" --config.first_run={runs[0]}" if runs[0] else ""
    return (
        f"python -m churn_jax.main --config=configs/{config.data.name}.py:baseline "
        f"--config.runs={runs[-1] - runs[0] + 1}{first} --workdir={workdir}"
    )
