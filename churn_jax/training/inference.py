"""Predictions of a whole split, from a state or from the checkpoints of a workdir."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Container, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.config import Config
from churn_jax.data import Dataset, DatasetInfo, Examples, fingerprint
from churn_jax.data.streaming import evaluation_batches
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.predictions import prediction_file
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.storage.workdir import checkpoint_steps
from churn_jax.system.console import is_first
from churn_jax.training import averaging, devices, provenance
from churn_jax.training.averaging import Weights
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from churn_jax.training.failed_runs import failed_runs
from churn_jax.training.step import TrainState


def predict(experiment: Experiment, models: Sequence[Weights], examples: Examples) -> np.ndarray:
    """Log-probabilities of every example of a split, float32 [run, member, example, class].

    Args:
      experiment: what was trained.
      models: of `averaging.predicting`; where there are several, a member's probabilities are the
        mean of theirs.
      examples: the split.
    """
    parts = _batches(experiment, models, examples)
    return np.concatenate([sharding.to_host(part)[:, :, :count] for part, count in parts], axis=2)


def scores(
    experiment: Experiment, models: Sequence[Weights], examples: Examples
) -> tuple[np.ndarray, np.ndarray]:
    """What the members make of the labels of a split, both [run, member, example].

    Of the log-probabilities two numbers an example leave the devices: whether the most probable
    class is right (bool), and the log-probability of the right one (float32).
    """
    labels = np.asarray(examples.labels, np.int32)
    found, start = [], 0
    for part, count in _batches(experiment, models, examples):
        wanted = np.zeros(part.shape[2], np.int32)
        wanted[:count] = labels[start : start + count]
        start += count
        both = sharding.to_host(experiment.score(part, wanted))
        found.append([each[:, :, :count] for each in both])
    correct, own = (np.concatenate(each, axis=2) for each in zip(*found, strict=True))
    return correct, own


def _batches(
    experiment: Experiment, models: Sequence[Weights], examples: Examples
) -> Iterator[tuple[jax.Array, int]]:
    """Log-probabilities on the devices, batch by batch, and how many of the examples are real.

    The last batch is padded, so that one program serves all.
    """
    shards = experiment.mesh.shape["data"]
    wanted = min(experiment.config.eval_batch_size, len(examples))
    batch_size = -(-wanted // shards) * shards
    part = sharding.local_part(experiment.mesh, sharding.EXAMPLES, (batch_size,))
    data_config, (places,) = experiment.config.data, part.held
    for batch in evaluation_batches(examples, data_config, batch_size, places=places):
        images = part.assemble(batch["image"])
        each = [experiment.predict_step(*weights, images) for weights in models]
        log_probs = each[0] if len(each) == 1 else experiment.mean_log_probs(each)
        yield log_probs, int(batch["mask"].sum())


@contextlib.contextmanager
def _on_disk(
    experiment: Experiment, models: Sequence[Weights], examples: Examples
) -> Iterator[np.ndarray | None]:
    """What `predict` returns, as a map of a file that is gone afterwards; None but on the first.

    A pair's predictions of iNaturalist are 1.6 GB, and no process ever holds more than a batch.
    """
    first, start = is_first(), 0
    shape: tuple[int, ...] = ()
    with tempfile.TemporaryFile() as file:
        for part, count in _batches(experiment, models, examples):
            block = sharding.to_host(part)  # all processes take part in this
            if not first:
                continue
            runs, members, _, classes = block.shape
            shape = (runs, members, len(examples), classes)
            for model in range(runs * members):
                rows = block[divmod(model, members)][:count]
                place = (model * len(examples) + start) * classes * rows.itemsize
                os.pwrite(file.fileno(), np.ascontiguousarray(rows).data, place)
            start += count
        yield np.memmap(file, np.float32, mode="r", shape=shape) if first else None


def write_predictions(
    workdir: epath.PathLike,
    experiment: Experiment,
    dataset: Dataset,
    state: TrainState,
    step: int,
    prediction: str | None = None,
) -> None:
    """Predicts what was held out from training and writes a file a run and split.

    Those of the test split are the workdir's own; those of a validation split are in
    `WORKDIR/validation`, as a workdir of their own would have them. Failed runs have no file.
    `prediction` is the config's `method.prediction` unless it says another.
    """
    method = experiment.config.method
    counted = dataclasses.replace(method, prediction=prediction or method.prediction)
    config = dataclasses.replace(experiment.config, method=counted)
    made_by = provenance.describe(config, experiment.mesh, dataset) | {"step": step}
    models = averaging.predicting(experiment, state, dataset, prediction)
    failed, folder = failed_runs(experiment, state), epath.Path(workdir)

    def write(folder: epath.Path, split: str, examples: Examples) -> None:
        of_split = _of_split(config, dataset.info, split, examples)
        with _on_disk(experiment, models, examples) as log_probs:
            if log_probs is not None:
                runs = experiment.runs
                _write_runs(folder, runs, failed, log_probs, examples, made_by | of_split)

    write(folder, "test", dataset.test)
    if dataset.validation is not None:
        write(folder / "validation", "validation", dataset.validation)


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
) -> None:
    labels = np.asarray(examples.labels, np.int32)
    for run, run_log_probs in zip(runs, log_probs, strict=True):
        if run in failed:
            continue
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


def predict_as(workdir: epath.PathLike, prediction: str, out: epath.PathLike) -> None:
    """Writes what another model of a finished training predicts, as a workdir of its own would.

    Args:
      workdir: of the training.
      prediction: which model, as `method.prediction` says it.
      out: the folder that gets `predictions/`.

    Raises:
      UserError: there is no checkpoint, or the training kept no such averages.
    """
    there = checkpoint_steps(workdir)
    if not there:
        raise UserError(f"{workdir}: no checkpoint to predict from")
    _predict_again(workdir, there[-1], prediction, out)


def _predict_again(
    workdir: epath.PathLike,
    step: int,
    prediction: str | None = None,
    out: epath.PathLike | None = None,
) -> None:
    config = config_lib.read(workdir)
    if step not in (there := checkpoint_steps(workdir)):
        raise UserError(f"{workdir}: no checkpoint of step {step} (there are: {there})")
    devices.start_devices(config)
    dataset = data.load(config.data)
    experiment = Experiment(config, dataset.info, len(dataset.train), sharding.make_mesh(config))
    with Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore(step, experiment.abstract_state())
    write_predictions(out or workdir, experiment, dataset, state, step, prediction)
