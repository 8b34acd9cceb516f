"""Where metrics go beside metrics.jsonl, as `config.log_to` asks: TensorBoard, W&B, MLflow.

Each gets the means over the runs, one curve for each member: `train/accuracy`, or
`train/accuracy/member_1` where there are several. W&B and MLflow are asked as their own variables
say (WANDB_MODE=offline, MLFLOW_TRACKING_URI); a training that resumes goes on in the same run. What
such a service breaks off with is said once and stops nothing: metrics.jsonl has everything.
"""

import hashlib
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from etils import epath

from churn_jax.config import Config, flatten
from churn_jax.errors import UserError
from churn_jax.system.console import say


class Sink(Protocol):
    """Takes scalars."""

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Of one step."""

    def close(self) -> None:
        """Once, at the end."""


def open_sinks(workdir: epath.PathLike, config: Config) -> "list[Guarded]":
    """What `config.log_to` names.

    Raises:
      UserError: one of them isn't installed, or does not begin.
    """
    return [_opened(name, workdir, config) for name in config.log_to]


def _opened(name: str, workdir: epath.PathLike, config: Config) -> "Guarded":
    try:
        return Guarded(name, SINKS[name](workdir, config))
    except UserError:
        raise
    except Exception as error:  # each has its own
        raise UserError(f"config.log_to: {name}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def scalars(kind: str, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Means over runs of {name: [run, member], [run] or a scalar}, of what is finite."""
    found = {}
    for name, value in metrics.items():
        array = np.asarray(value, np.float64)
        members = array.T if array.ndim == 2 else array.reshape(1, -1)
        for member, of_member in enumerate(members):
            finite = of_member[np.isfinite(of_member)]
            if finite.size:
                which = f"/member_{member}" if len(members) > 1 else ""
                found[f"{kind}/{name}{which}"] = float(finite.mean())
    return found


class Guarded:
    """A sink whose faults stop no training."""

    def __init__(self, name: str, sink: Sink):
        self._name, self._sink = name, sink
        self._broken = False

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """As the sink's, until it breaks."""
        self._do(lambda: self._sink.write(step, scalars))

    def close(self) -> None:
        """As the sink's."""
        self._do(self._sink.close)

    def _do(self, what: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            what()
        except Exception as error:  # each has its own
            self._broken = True
            reason = _first_line(error)
            say(f"{self._name}: {reason}; no more goes there, metrics.jsonl has everything")


class _TensorBoard:
    """Event files in the workdir: `tensorboard --logdir=WORKDIR`; it needs no TensorFlow."""

    def __init__(self, workdir: epath.PathLike, config: Config):
        self._writer = _library("tensorboardX").SummaryWriter(os.fspath(workdir))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """One run of the project `churn_jax`, or of WANDB_PROJECT."""

    def __init__(self, workdir: epath.PathLike, config: Config):
        wandb = _library("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "churn_jax"),
            dir=os.fspath(workdir),
            name=config.method.label,
            id=_identity(workdir),
            resume="allow",
            config=flatten(config),
            settings=wandb.Settings(silent=True),
        )

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()


class _MLflow:
    """One run of the default experiment, or of MLFLOW_EXPERIMENT_ID."""

    def __init__(self, workdir: epath.PathLike, config: Config):
        self._client = _library("mlflow").MlflowClient()
        experiment, tag = os.environ.get("MLFLOW_EXPERIMENT_ID", "0"), _identity(workdir)
        there = self._client.search_runs([experiment], f"tags.churn_jax = '{tag}'")
        if there:
            self._run = there[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
            return
        made = self._client.create_run(
            experiment, run_name=config.method.label, tags={"churn_jax": tag}
        )
        self._run = made.info.run_id
        for key, value in flatten(config).items():
            self._client.log_param(self._run, key, value)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


SINKS: Mapping[str, Callable[[epath.PathLike, Config], Sink]] = {
    "tensorboard": _TensorBoard,
    "wandb": _WeightsAndBiases,
    "mlflow": _MLflow,
}


def _identity(workdir: epath.PathLike) -> str:
    """What a training that resumes is known by: its place."""
    path = os.fspath(workdir)
    place = path if "://" in path else os.path.realpath(path)
    return hashlib.sha256(place.encode()).hexdigest()[:16]


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"config.log_to: {name} can't be imported ({error}): pip install {name}"
        ) from None


def write_all(
    sinks: Sequence[Guarded], kind: str, step: int, metrics: Mapping[str, np.ndarray]
) -> None:
    """Writes metrics of one step to each."""
    if sinks and (found := scalars(kind, metrics)):
        for sink in sinks:
            sink.write(step, found)
