"""The machine-readable log of a training: `metrics.jsonl` always, TensorBoard where installed.

One JSON object a line: {"step", "epoch", "kind": "train" | "eval", name: [[per member] per run]}.
"""

import importlib.util
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from churn_jax import processes
from churn_jax.files import write_atomically
from churn_jax.progress import say


def open_log(workdir: epath.PathLike, from_step: int) -> "MetricsLog | NoLog":
    """The log of a training; only the first of several processes writes it."""
    return MetricsLog(workdir, from_step) if processes.is_first() else NoLog()


class NoLog:
    """Leaves the writing to the first process."""

    def __enter__(self) -> "NoLog":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def write(self, kind: str, step: int, epoch: float, metrics: Mapping[str, np.ndarray]) -> None:
        """Writes nothing."""


class MetricsLog:
    """Appends metrics of a workdir; use as a context manager."""

    def __init__(self, workdir: epath.PathLike, from_step: int):
        """Continues at `from_step`: what an interrupted training wrote beyond is dropped."""
        self._path = epath.Path(workdir) / "metrics.jsonl"
        lines = _whole_lines(self._path) if from_step else []
        kept = [line for line in lines if json.loads(line)["step"] <= from_step]
        write_atomically(self._path, "".join(f"{line}\n" for line in kept))
        self._file = self._path.open("a")
        self._tensorboard = _tensorboard(workdir)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()

    def write(self, kind: str, step: int, epoch: float, metrics: Mapping[str, np.ndarray]) -> None:
        """Writes one line: `metrics` are [run, member], [run], or scalars."""
        values = {name: np.asarray(value, np.float64).tolist() for name, value in metrics.items()}
        record = {"step": step, "epoch": epoch, "kind": kind, **values}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._tensorboard is not None:
            scalars = {f"{kind}/{name}": float(np.mean(value)) for name, value in metrics.items()}
            self._tensorboard.write_scalars(step, scalars)


def _whole_lines(path: epath.Path) -> list[str]:
    """The lines of the log; a last line that was cut off is not one."""
    if not path.exists():
        return []
    *whole, _ = path.read_text().split("\n")
    return whole


def _tensorboard(workdir: epath.PathLike) -> Any:
    """clu's summary writer, which needs TensorFlow; None, said once, where that isn't installed."""
    if not all(importlib.util.find_spec(name) for name in ("tensorflow", "tensorboard")):
        say("TensorBoard: off, because TensorFlow isn't installed; metrics.jsonl has everything")
        return None
    from clu.metric_writers import SummaryWriter

    return SummaryWriter(str(workdir))
