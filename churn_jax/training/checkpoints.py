"""Checkpoints: the state, and what made it, written together by Orbax.

    WORKDIR/checkpoints/STEP/state           every leaf of the state by its path, [run, member, …]
    WORKDIR/checkpoints/STEP/meta            JSON: step, provenance, metrics not yet in the log
    WORKDIR/checkpoints/STEP/checksums.json  of the files of both
    WORKDIR/checkpoints/damaged/STEP         one that was found damaged, for you to look at

The position in the data is a function of the step, so the step is the position. Orbax writes beside
and renames, or marks in a bucket what is whole, so a checkpoint that was cut off is never taken for
one (`storage.workdir.checkpoint_steps`).
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath

from churn_jax.errors import UserError
from churn_jax.parallel import processes
from churn_jax.storage import checksums
from churn_jax.storage.files import writing
from churn_jax.storage.objects import is_remote
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.system import private_surfaces
from churn_jax.system.console import is_first, say
from churn_jax.training.step import TrainState

# Leaves that checkpoints lacked before they were introduced, when all of them were zero.
_LATER = ("failed_at",)


class DamagedCheckpoint(UserError):
    """A checkpoint whose files are not those that were written."""


def folder(workdir: epath.PathLike) -> epath.Path:
    """Where the checkpoints of a workdir are."""
    return epath.Path(workdir) / "checkpoints"


class Checkpoints:
    """The checkpoints of one workdir; use as a context manager, which waits for pending writes."""

    def __init__(self, workdir: epath.PathLike, keep: int | None = None):
        """Keeps the newest `keep` checkpoints when it writes; None only reads, beside a writer."""
        self._folder = folder(workdir)
        self._saving = 0
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            create=keep is not None,
            read_only=keep is None,
            cleanup_tmp_directories=keep is not None,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
        )
        # A relative path, made absolute; a bucket's is.
        place = self._folder if is_remote(self._folder) else self._folder.resolve()
        self._manager = ocp.CheckpointManager(place, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        with contextlib.suppress(Exception) if kind else self._writing():
            self._manager.close()

    def save(self, step: int, state: TrainState, meta: dict[str, Any]) -> None:
        """Writes a checkpoint in the background; a step that has one is left as it is."""
        if step in self._manager.all_steps():
            return
        self.wait()
        self._saving = step
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(_by_path(state)), meta=ocp.args.JsonSave(meta)
        )
        with self._writing():
            self._require_room(state)
            self._manager.save(step, args=args)

    def wait(self) -> None:
        """Returns once every checkpoint is on disk."""
        with self._writing():
            self._manager.wait_until_finished()

    def _require_room(self, state: TrainState) -> None:
        """Refuses to begin what won't fit: Orbax would fill the disk and fail at length."""
        if is_remote(self._folder):
            return
        disk = os.statvfs(self._folder)
        free, needed = disk.f_bavail * disk.f_frsize, sum(x.nbytes for x in jax.tree.leaves(state))
        if free < needed:
            reason = f"{os.strerror(errno.ENOSPC)} ({needed:,} bytes needed, {free:,} free)"
            raise OSError(errno.ENOSPC, reason)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One line, as `files.writing` gives, for what the storage refuses to Orbax."""
        try:
            yield
        except Exception as error:
            if number := _refused_by_storage(error):
                reason = error.strerror if isinstance(error, OSError) else os.strerror(number)
                with writing(self._folder / str(self._saving)):
                    raise OSError(number, reason) from error
            raise

    def _seal(self) -> None:
        """Adds checksums to what has been written; Orbax calls this before it names it STEP."""
        if is_first():
            names = (path for path in self._folder.iterdir() if path.stem == str(self._saving))
            checksums.seal(next(names), leave_out=private_surfaces.CHANGED_LATE)

    def resume(self, like: TrainState) -> TrainState | None:
        """The state of the newest whole checkpoint; None where none was ever written.

        Damaged ones are said, and moved aside so that their steps can be written again.

        Raises:
          UserError: all are damaged.
        """
        for step in reversed(checkpoint_steps(self._folder.parent)):
            try:
                return self.restore(step, like)
            except DamagedCheckpoint as error:
                self._set_aside(step, error)
        if (aside := self._folder / "damaged").exists():
            raise UserError(
                f"{self._folder}: no checkpoint is whole, the damaged ones are in {aside}: put "
                "back a copy of one, or delete that folder to train from the start"
            )
        return None

    def _set_aside(self, step: int, error: DamagedCheckpoint) -> None:
        aside = self._folder / "damaged"
        if is_first():
            aside.mkdir(exist_ok=True)
            count = len(list(aside.glob(f"{step}*")))
            target = aside / (f"{step}.{count}" if count else str(step))
            (self._folder / str(step)).rename(target)
            say(f"{error}; moved to {target}")
        processes.agree(step)  # nobody goes on before it is moved
        self._manager.reload()

    def restore(self, step: int, like: TrainState) -> TrainState:
        """The state of `step`, with the shapes, types and shardings of the abstract state `like`.

        Raises:
          DamagedCheckpoint: its files are not those that were written.
          UserError: there is no such checkpoint, or it doesn't hold such a state.
        """
        path = self._folder / str(step)
        sealed = checksums.is_sealed(path)
        fault = checksums.fault(path) if sealed and is_first() else None
        if processes.agree(fault is not None):
            raise DamagedCheckpoint(f"{path} is damaged: {fault}")
        paths = _by_path(like)
        since = {name: paths.pop(name) for name in _LATER if not self._has(step, name)}
        try:
            saved = self._manager.restore(
                step, args=ocp.args.Composite(state=ocp.args.StandardRestore(paths))
            )["state"]
        except Exception as error:
            # Without checksums anything that Orbax raises may come from damage.
            if path.exists() and not sealed:
                raise DamagedCheckpoint(f"{path} is damaged: {error}") from error
            if isinstance(error, ValueError | OSError | KeyError):
                raise UserError(f"{path} can't be restored: {error}") from error
            raise
        saved |= {name: _zeros(leaf) for name, leaf in since.items()}
        return jax.tree.unflatten(
            jax.tree.structure(like), [saved[path] for path in _by_path(like)]
        )

    def meta(self, step: int) -> dict[str, Any]:
        """What was saved beside the state of `step`."""
        args = ocp.args.Composite(meta=ocp.args.JsonRestore())
        return self._manager.restore(step, args=args)["meta"]

    def _has(self, step: int, name: str) -> bool:
        """Whether the checkpoint has a leaf; true where it doesn't say what it has."""
        try:
            metadata = ocp.StandardCheckpointHandler().metadata(self._folder / str(step) / "state")
            return name in metadata.tree
        except (OSError, ValueError, KeyError):  # `restore` says what is wrong with it
            return True


def _zeros(leaf: jax.ShapeDtypeStruct) -> jax.Array:
    return jax.jit(lambda: jnp.zeros(leaf.shape, leaf.dtype), out_shardings=leaf.sharding)()


def _refused_by_storage(error: BaseException) -> int | None:
    """The operating system's error number, which Orbax's storage layer gives as text; or None."""
    if isinstance(error, OSError):
        return error.errno
    found = private_surfaces.OS_ERROR.search(str(error))
    return int(found.group(1)) if found else None


def _by_path(state: TrainState) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
