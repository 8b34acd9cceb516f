"""Checkpoints: the state, and what made it, written together by Orbax.

    WORKDIR/checkpoints/STEP/state   every leaf of the state under its path, [run, member, …]
    WORKDIR/checkpoints/STEP/meta    JSON: step, config, provenance

The position in the data is a function of the step, so the step is the position. Orbax writes beside
and renames, so a checkpoint that was cut off is never taken for a whole one.
"""

from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from churn_jax.errors import UserError
from churn_jax.step import TrainState


def folder(workdir: epath.PathLike) -> epath.Path:
    """Where the checkpoints of a workdir are."""
    return epath.Path(workdir) / "checkpoints"


def steps(workdir: epath.PathLike) -> list[int]:
    """The steps that have a whole checkpoint, ascending."""
    if not folder(workdir).exists():
        return []
    return sorted(int(path.name) for path in folder(workdir).iterdir() if path.name.isdigit())


class Checkpoints:
    """The checkpoints of one workdir; use as a context manager, which waits for pending writes."""

    def __init__(self, workdir: epath.PathLike, keep: int = 1):
        self._workdir = workdir
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder(workdir).resolve(), options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()

    def save(self, step: int, state: TrainState, meta: dict[str, Any]) -> None:
        """Writes a checkpoint in the background; a step that has one is left as it is."""
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_by_path(state)), meta=ocp.args.JsonSave(meta)
            ),
        )

    def wait(self) -> None:
        """Returns once every checkpoint is on disk."""
        self._manager.wait_until_finished()

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state of `step`, with the shapes, types and shardings of the abstract state `like`.

        Raises:
          UserError: there is no such checkpoint, or it doesn't hold such a state.
        """
        paths = _by_path(like)
        try:
            saved = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(paths))
            )["state"]
        except (ValueError, FileNotFoundError, KeyError) as error:
            raise UserError(
                f"{folder(self._workdir) / str(step)}: can't be restored: {error}"
            ) from error
        return jax.tree.unflatten(jax.tree.structure(like), [saved[path] for path in paths])


def _by_path(state: TrainState) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
