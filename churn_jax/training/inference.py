"""Predictions of a whole split, from a state or from the checkpoints of a workdir."""

import contextlib
import os
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.config import Config
from churn_jax.data import Dataset, DatasetInfo, Examples, fingerprint
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.predictions import prediction_file
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.system.console import is_first
from churn_jax.training import choice, devices, provenance
from churn_jax.training.averaging import Weights
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from churn_jax.training.failed_runs import failed_runs
from churn_jax.training.prediction import batches
from churn_jax.training.previous import Previous, counted_models
from churn_jax.training.previous import load as load_previous
from churn_jax.training.step import TrainState
from churn_jax.training.validation import refuse_views


class Pace:
    """How fast predictions come: of every batch but the first, which may wait for a compiler."""

    def __init__(self) -> None:
        self._seconds, self._examples = 0.0, 0

    def along(self, parts: Iterable[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
        """`parts`, log-probabilities [run, member, example, class] and how many examples count."""
        last = None
        for part, count in parts:
            yield part, count
            now = time.monotonic()
            if last is not None:
                self._seconds += now - last
                self._examples += part.shape[2]
            last = now

    @property
    def of_thousand(self) -> float | None:
        """Seconds for 1,000 examples of all runs; None where there was one batch."""
        return 1000 * self._seconds / self._examples if self._examples else None


@contextlib.contextmanager
def _on_disk(
    experiment: Experiment,
    models: Sequence[Weights],
    examples: Examples,
    others: np.ndarray | None = None,
    share: float = 0.0,
    pace: Pace | None = None,
) -> Iterator[np.ndarray | None]:
    """What `predict` returns, as a map of a file that is gone afterwards; None but on the first.

    Of the probabilities those of `others`, log-probabilities [run, example, class], have a share.
    `pace` is told how fast they come.

    A pair's predictions of iNaturalist are 1.6 GB, and no process ever holds more than a batch.
    """
    first, start = is_first(), 0
    shape: tuple[int, ...] = ()
    with tempfile.TemporaryFile() as file:
        parts = batches(experiment, models, examples)
        for part, count in pace.along(parts) if pace else parts:
            block = sharding.to_host(part)  # all processes take part in this
            if not first:
                continue
            if others is not None:
                block = _mixed(block[:, :, :count], others[:, start : start + count], share)
            runs, members, _, classes = block.shape
            shape = (runs, members, len(examples), classes)
            for model in range(runs * members):
                rows = block[divmod(model, members)][:count]
                place = (model * len(examples) + start) * classes * rows.itemsize
                os.pwrite(file.fileno(), np.ascontiguousarray(rows).data, place)
            start += count
        yield np.memmap(file, np.float32, mode="r", shape=shape) if first else None


def _mixed(log_probs: np.ndarray, others: np.ndarray, share: float) -> np.ndarray:
    """log((1 − share)·p + share·q), of [run, member, …] and [run, …]."""
    with np.errstate(divide="ignore"):
        kept, given = np.float32(np.log1p(-share)), np.float32(np.log(share))
    return np.logaddexp(log_probs + kept, others[:, None] + given)


def write_predictions(
    workdir: epath.PathLike,
    experiment: Experiment,
    dataset: Dataset,
    state: TrainState,
    step: int,
    previous: Previous | None = None,
    counted: Config | None = None,
    origin: Mapping[str, Any] | None = None,
) -> float | None:
    """Predicts what was held out from training and writes a file a run and split.

    Those of the test split are the workdir's own; those of a validation split are in
    `WORKDIR/validation`, as a workdir of their own would have them. Failed runs have no file.

    Args:
      workdir: gets `predictions/`.
      experiment, dataset, state: what was trained, and is finished or at `step`.
      step: of the state.
      previous: the model that was updated, where there is one.
      counted: the config that says which model counts, and the shares of the previous one, where
        that is not the experiment's own.
      origin: of the previous model, where it isn't loaded.

    Returns:
      As of `Pace.of_thousand`, on the test split.
    """
    config = counted or experiment.config
    made_by = provenance.describe(config, experiment.mesh, dataset) | {"step": step}
    if origin := (previous.origin if previous else origin):
        made_by |= {"previous": dict(origin)}
    experiment = experiment.seen(config.method.views)
    models = counted_models(experiment, state, dataset, previous, config)
    failed, folder = failed_runs(experiment, state), epath.Path(workdir)
    share, chosen = config.previous.predictions_share, None
    if config.previous.choose != "first":
        assert previous is not None
        assert dataset.validation is not None
        chosen = choice.fewest_flips(experiment, models, previous, dataset.validation)

    pace = Pace()

    def write(folder: epath.Path, split: str, examples: Examples, pace: Pace | None = None) -> None:
        of_split = _of_split(config, dataset.info, split, examples)
        others = None
        if share:
            assert previous is not None
            assert previous.trained is not None
            others = previous.trained.predict(examples)
        with _on_disk(experiment, models, examples, others, share, pace) as log_probs:
            if log_probs is not None:
                runs = experiment.runs
                _write_runs(folder, runs, failed, log_probs, examples, made_by | of_split, chosen)

    write(folder, "test", dataset.test, pace)
    if dataset.validation is not None:
        write(folder / "validation", "validation", dataset.validation)
    return pace.of_thousand


def _of_split(config: Config, info: DatasetInfo, split: str, examples: Examples) -> dict[str, Any]:
    """What the files of a split say of it."""
    return {
        "group": config.method.label,
        "prediction": config.method.prediction,
        "dataset": info.name,
        "split": split,
        "class_names": list(info.class_names),
        "data_fingerprint": fingerprint(info, examples),
    }


def _write_runs(
    folder: epath.Path,
    runs: np.ndarray,
    failed: Container[int],
    log_probs: np.ndarray,
    examples: Examples,
    made_by: dict[str, Any],
    chosen: np.ndarray | None = None,
) -> None:
    """A file for each run that has not failed; the `chosen` member [run] stands first in it."""
    labels = np.asarray(examples.labels, np.int32)
    for place, (run, run_log_probs) in enumerate(zip(runs, log_probs, strict=True)):
        if run in failed:
            continue
        if chosen is not None:
            made_by |= {"chosen_member": int(chosen[place])}
            others = np.delete(np.arange(len(run_log_probs)), chosen[place])
            run_log_probs = run_log_probs[[chosen[place], *others]]
        name = prediction_file.file_name(int(run))
        path = prediction_file.step_dir(folder, made_by["step"]) / name
        made = {"run": int(run), **made_by}
        prediction_file.write(path, Predictions(run_log_probs, labels, examples.ids, made))


def predict_workdir(workdir: epath.PathLike, step: int) -> None:
    """Writes the prediction files of one checkpointed step of a workdir.

    Raises:
      UserError: the workdir has no config or no such checkpoint, or its data can't be found.
    """
    _predict_again(workdir, step)


def predict_as(workdir: epath.PathLike, counted: Config, out: epath.PathLike) -> float | None:
    """Writes what another model of a finished training predicts, as a workdir of its own would.

    Args:
      workdir: of the training.
      counted: its config, with another `method.prediction` or other views, another share of the
        previous model, or a choice by it.
      out: the folder that gets `predictions/`.

    Returns:
      As `write_predictions`.

    Raises:
      UserError: there is no checkpoint, or the training kept no such averages.
    """
    there = checkpoint_steps(workdir)
    if not there:
        raise UserError(f"{workdir}: no checkpoint to predict from")
    return _predict_again(workdir, there[-1], counted, out)


def _predict_again(
    workdir: epath.PathLike,
    step: int,
    counted: Config | None = None,
    out: epath.PathLike | None = None,
) -> float | None:
    config = config_lib.read(workdir)
    if step not in (there := checkpoint_steps(workdir)):
        raise UserError(f"{workdir}: no checkpoint of step {step} (there are: {there})")
    devices.start_devices(config)
    dataset = data.load(config.data)
    refuse_views(config.data, dataset.info, (counted or config).method.views)
    experiment = Experiment(config, dataset.info, len(dataset.train), sharding.make_mesh(config))
    with Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore(step, experiment.abstract_state())
        origin = checkpoints.meta(step).get("provenance", {}).get("previous")
    asked = (counted or config).previous
    shared = asked.weights_share or asked.predictions_share or asked.choose != "first"
    previous = load_previous(experiment, dataset) if shared else None
    return write_predictions(
        out or workdir, experiment, dataset, state, step, previous, counted or config, origin
    )
