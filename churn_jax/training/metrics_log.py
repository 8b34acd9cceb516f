"""The machine-readable log of a training: `metrics.jsonl` always, and what `config.log_to` names.

One JSON object a line: {"step", "epoch", "kind": "train" | "eval", name: [[per member] per run],
"learning_rate", "crc32": checksum}. What is not a finite number is null.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from churn_jax.config import Config
from churn_jax.storage.checksums import sealed, unsealed
from churn_jax.storage.files import Appender, write_atomically
from churn_jax.system.console import is_first, say
from churn_jax.training import log_sinks
from churn_jax.training.log_sinks import Guarded


def open_log(workdir: epath.PathLike, from_step: int, config: Config) -> "MetricsLog | NoLog":
    """The log of a training; only the first of several processes writes it.

    Raises:
      UserError: something that `config.log_to` names isn't installed.
    """
    if not is_first():
        return NoLog()
    return MetricsLog(workdir, from_step, log_sinks.open_sinks(workdir, config))


class NoLog:
    """Leaves the writing to the first process."""

    was_at = 0

    def __enter__(self) -> "NoLog":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def write(self, kind: str, step: int, epoch: float, metrics: Mapping[str, np.ndarray]) -> None:
        """Writes nothing."""


class MetricsLog:
    """Appends metrics of a workdir; use as a context manager."""

    def __init__(self, workdir: epath.PathLike, from_step: int, sinks: Sequence[Guarded] = ()):
        """Continues at `from_step`: what an interrupted training wrote beyond is dropped.

        `was_at` is the last step that was written before, 0 where none was.
        """
        self._path = epath.Path(workdir) / "metrics.jsonl"
        lines = _whole_lines(self._path)
        self.was_at = max((step for step, _ in lines), default=0)
        kept = [line for step, line in lines if from_step and step <= from_step]
        self._lines = Appender(self._path, b"".join(line + b"\n" for line in kept))
        self._sinks = sinks

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._lines.__exit__(*exception)
        for sink in self._sinks:
            sink.close()

    def write(self, kind: str, step: int, epoch: float, metrics: Mapping[str, np.ndarray]) -> None:
        """Writes one line: `metrics` are [run, member], [run], or scalars."""
        values = {name: _finite(np.asarray(value).tolist()) for name, value in metrics.items()}
        record = {"step": step, "epoch": epoch, "kind": kind, **values}
        self._lines.append(json.dumps(sealed(record)).encode() + b"\n")
        log_sinks.write_all(self._sinks, kind, step, metrics)


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
