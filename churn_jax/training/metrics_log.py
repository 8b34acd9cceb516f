"""The machine-readable log of a training: `metrics.jsonl` always, TensorBoard where installed.

One JSON object a line: {"step", "epoch", "kind": "train" | "eval", name: [[per member] per run],
"crc32": checksum}. What is not a finite number is null.
"""

import importlib.util
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from churn_jax.storage.checksums import sealed, unsealed
from churn_jax.storage.files import Appender, write_atomically
from churn_jax.system.console import is_first, say


def open_log(workdir: epath.PathLike, from_step: int) -> "MetricsLog | NoLog":
    """The log of a training; only the first of several processes writes it."""
    return MetricsLog(workdir, from_step) if is_first() else NoLog()


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
        kept = [line for step, line in lines if step <= from_step]
        self._lines = Appender(self._path, b"".join(line + b"\n" for line in kept))
        self._tensorboard = _tensorboard(workdir)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._lines.__exit__(*exception)
        if self._tensorboard is not None:
            self._tensorboard.close()

    def write(self, kind: str, step: int, epoch: float, metrics: Mapping[str, np.ndarray]) -> None:
        """Writes one line: `metrics` are [run, member], [run], or scalars."""
        values = {name: _finite(np.asarray(value).tolist()) for name, value in metrics.items()}
        record = {"step": step, "epoch": epoch, "kind": kind, **values}
        self._lines.append(json.dumps(sealed(record)).encode() + b"\n")
        if self._tensorboard is not None:
            scalars = {f"{kind}/{name}": float(np.mean(value)) for name, value in metrics.items()}
            self._tensorboard.write_scalars(step, scalars)


def _whole_lines(path: epath.Path) -> list[tuple[int, bytes]]:
    """(step, line) of every line; a last line that was cut off is not one.

    Where other lines can't be read the file is damaged: that is said, and a copy kept.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    *lines, _ = content.split(b"\n")
    whole = [(step, line) for line in lines if (step := _step(line)) is not None]
    if damaged := len(lines) - len(whole):
        copy = path.parent / "metrics.damaged.jsonl"
        write_atomically(copy, content)
        say(f"{path}: {damaged} damaged lines left out; {copy.name} has the file as it was")
    return whole


def _step(line: bytes) -> int | None:
    try:
        return int(unsealed(json.loads(line))["step"])
    except (ValueError, TypeError, KeyError):
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if math.isfinite(value) else None


def _tensorboard(workdir: epath.PathLike) -> Any:
    """clu's summary writer, which needs TensorFlow; None, said once, where that isn't installed."""
    if not all(importlib.util.find_spec(name) for name in ("tensorflow", "tensorboard")):
        say("TensorBoard: off, because TensorFlow isn't installed; metrics.jsonl has everything")
        return None
    from clu.metric_writers import SummaryWriter

    return SummaryWriter(str(workdir))
