"""What a workdir says of its training, beside checkpoints and predictions.

    WORKDIR/config.json         the config, every key
    WORKDIR/failed_runs.json    {"3": {"step": 1234, "last_good_checkpoint": 1000}}
    WORKDIR/more_runs/10/       a workdir of the runs from 10 on, that were trained later

The first is there from the start. The second names the runs that training gave up because their
loss or gradients were not finite any more: the step at which it was noticed, and the checkpoint
before it, null where there is none. Both have a checksum as their last key, `crc32`.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from churn_jax.errors import UserError
from churn_jax.storage.checksums import sealed, unsealed
from churn_jax.storage.files import names_in, numbered, write_atomically
from churn_jax.storage.objects import is_remote
from churn_jax.system import private_surfaces

MORE_RUNS = "more_runs"


@dataclasses.dataclass(frozen=True)
class FailedRun:
    """Where a run failed, and the step of the last checkpoint before that."""

    step: int
    last_good_checkpoint: int | None


def has_config(workdir: epath.PathLike) -> bool:
    """Whether a training was begun in this folder."""
    return _config(workdir).exists()


def parts(workdir: epath.PathLike) -> list[epath.Path]:
    """The workdir, and those inside of runs that were trained later, in the order of their runs."""
    folder = epath.Path(workdir)
    begun = [folder / MORE_RUNS / str(first) for first in numbered(folder / MORE_RUNS)]
    return [folder, *filter(has_config, begun)]


def checkpoint_steps(workdir: epath.PathLike) -> list[int]:
    """The steps whose checkpoint, WORKDIR/checkpoints/STEP, is finished, ascending.

    A folder has its name when it is whole; a bucket's folder has it from the start, and says when.
    """
    folder = epath.Path(workdir) / "checkpoints"
    steps = numbered(folder)
    if not is_remote(folder):
        return steps
    return [s for s in steps if private_surfaces.COMMITTED in names_in(folder / str(s))]


def read_config(workdir: epath.PathLike) -> dict[str, Any]:
    """The keys and values of config.json, unchecked; `config.read` checks them.

    Raises:
      UserError: there is none, or it is damaged.
    """
    path = _config(workdir)
    if not path.exists():
        raise UserError(f"{workdir}: no config.json; is it the --workdir of a training?")
    try:
        return unsealed(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged: {error}") from None


def write_config(workdir: epath.PathLike, values: Mapping[str, Any]) -> None:
    """Writes config.json, with a checksum."""
    write_atomically(_config(workdir), json.dumps(sealed(values), indent=2) + "\n")


def read_metrics(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, of which one that is damaged or cut off is none."""
    return _lines(epath.Path(workdir) / "metrics.jsonl")


def read_times(workdir: epath.PathLike) -> list[dict[str, Any]]:
    """The lines of times.jsonl, alike."""
    return _lines(epath.Path(workdir) / "times.jsonl")


def _lines(path: epath.Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if not path.exists():
        return []
    for line in path.read_bytes().split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            found.append(unsealed(json.loads(line)))
    return found


def read_failed_runs(workdir: epath.PathLike) -> dict[int, FailedRun]:
    """{run: where it failed}, by run; empty where none has.

    Raises:
      UserError: the file that says so is damaged.
    """
    path = _failed_runs(workdir)
    if not path.exists():
        return {}
    try:
        found = unsealed(json.loads(path.read_bytes()))
        return {
            int(run): FailedRun(int(entry["step"]), entry["last_good_checkpoint"])
            for run, entry in sorted(found.items(), key=lambda item: int(item[0]))
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: damaged: {error!r}") from None


def write_failed_runs(workdir: epath.PathLike, failed: Mapping[int, FailedRun]) -> None:
    """Writes failed_runs.json, in the order given, with a checksum."""
    listed = {str(run): dataclasses.asdict(entry) for run, entry in failed.items()}
    write_atomically(_failed_runs(workdir), json.dumps(sealed(listed), indent=1) + "\n")


def _config(workdir: epath.PathLike) -> epath.Path:
    return epath.Path(workdir) / "config.json"


def _failed_runs(workdir: epath.PathLike) -> epath.Path:
    return epath.Path(workdir) / "failed_runs.json"
