"""Predictions of a whole split, from a state or from the checkpoints of a workdir."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from etils import epath

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.data import Dataset, DatasetInfo, Examples, fingerprint
from churn_jax.data.streaming import evaluation_batches
from churn_jax.errors import UserError
from churn_jax.parallel import sharding
from churn_jax.predictions import prediction_file
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.system.console import is_first
from churn_jax.training import devices, provenance
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.checkpoints import steps as checkpoint_steps
from churn_jax.training.experiment import Experiment
from churn_jax.training.failed_runs import failed_runs
from churn_jax.training.step import TrainState


def predict(experiment: Experiment, state: TrainState, examples: Examples) -> np.ndarray:
    """Log-probabilities of every example of a split, float32 [run, member, example, class]."""
    parts = _batches(experiment, state, examples)
    return np.concatenate([sharding.to_host(part)[:, :, :count] for part, count in parts], axis=2)


def scores(
    experiment: Experiment, state: TrainState, examples: Examples
) -> tuple[np.ndarray, np.ndarray]:
    """What the members make of the labels of a split, both [run, member, example].

    Of the log-probabilities two numbers an example leave the devices: whether the most probable
    class is right (bool), and the log-probability of the right one (float32).
    """
    labels = np.asarray(examples.labels, np.int32)
    found, start = [], 0
    for part, count in _batches(experiment, state, examples):
        wanted = np.zeros(part.shape[2], np.int32)
        wanted[:count] = labels[start : start + count]
        start += count
        both = sharding.to_host(experiment.score(part, wanted))
        found.append([each[:, :, :count] for each in both])
    correct, own = (np.concatenate(each, axis=2) for each in zip(*found, strict=True))
    return correct, own


def _batches(
    experiment: Experiment, state: TrainState, examples: Examples
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
        log_probs = experiment.predict_step(state.params, state.batch_stats, images)
        yield log_probs, int(batch["mask"].sum())


@contextlib.contextmanager
def _on_disk(
    experiment: Experiment, state: TrainState, examples: Examples
) -> Iterator[np.ndarray | None]:
    """What `predict` returns, as a map of a file that is gone afterwards; None but on the first.

    A pair's predictions of iNaturalist are 1.6 GB, and no process ever holds more than a batch.
    """
    first, start = is_first(), 0
    shape: tuple[int, ...] = ()
    with tempfile.TemporaryFile() as file:
        for part, count in _batches(experiment, state, examples):
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
    workdir: epath.PathLike, experiment: Experiment, dataset: Dataset, state: TrainState, step: int
) -> None:
    """Predicts what was held out from training and writes a file a run and split.

    Those of the test split are the workdir's own; those of a validation split are in
    `WORKDIR/validation`, as a workdir of their own would have them. Failed runs have no file.
    """
    made_by = provenance.describe(experiment.config, experiment.mesh, dataset)
    made_by["step"] = step
    info, folder = dataset.info, epath.Path(workdir)
    _write_split(folder, experiment, "test", info, dataset.test, state, made_by)
    if dataset.validation is not None:
        folder = folder / "validation"
        _write_split(folder, experiment, "validation", info, dataset.validation, state, made_by)


def _write_split(
    folder: epath.Path,
    experiment: Experiment,
    split: str,
    info: DatasetInfo,
    examples: Examples,
    state: TrainState,
    made_by: dict[str, Any],
) -> None:
    failed = failed_runs(experiment, state)
    method, step = experiment.config.method, made_by["step"]
    made_by = made_by | {
        "group": method.label,
        "prediction": method.prediction,
        "dataset": info.name,
        "split": split,
        "class_names": list(info.class_names),
        "data_fingerprint": fingerprint(info, examples),
    }
    with _on_disk(experiment, state, examples) as log_probs:
        if log_probs is None:
            return
        labels = np.asarray(examples.labels, np.int32)
        for run, run_log_probs in zip(experiment.runs, log_probs, strict=True):
            if run in failed:
                continue
            path = prediction_file.step_dir(folder, step) / prediction_file.file_name(int(run))
            made = {"run": int(run), **made_by}
            prediction_file.write(path, Predictions(run_log_probs, labels, examples.ids, made))


def predict_workdir(workdir: epath.PathLike, step: int) -> None:
    """Writes the prediction files of one checkpointed step of a workdir.

    Raises:
      UserError: the workdir has no config or no such checkpoint, or its data can't be found.
    """
    config = config_lib.read(workdir)
    if step not in (there := checkpoint_steps(workdir)):
        raise UserError(f"{workdir}: no checkpoint of step {step} (there are: {there})")
    devices.start_devices(config)
    dataset = data.load(config.data)
    experiment = Experiment(config, dataset.info, len(dataset.train), sharding.make_mesh(config))
    with Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore(step, experiment.abstract_state())
    write_predictions(workdir, experiment, dataset, state, step)
