"""Predictions of a whole split, from a state or from the checkpoints of a workdir."""

from typing import Any

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
    """Log-probabilities of every example of a split, float32 [run, member, example, class].

    The last batch is padded, so that one program serves all, and the padding's rows are dropped.
    """
    shards = experiment.mesh.shape["data"]
    wanted = min(experiment.config.eval_batch_size, len(examples))
    batch_size = -(-wanted // shards) * shards
    part = sharding.local_part(experiment.mesh, sharding.EXAMPLES, (batch_size,))
    data_config, (places,) = experiment.config.data, part.held
    blocks = []
    for batch in evaluation_batches(examples, data_config, batch_size, places=places):
        images = part.assemble(batch["image"])
        log_probs = experiment.predict_step(state.params, state.batch_stats, images)
        blocks.append(sharding.to_host(log_probs)[:, :, batch["mask"]])
    return np.concatenate(blocks, axis=2)


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
    log_probs = predict(experiment, state, examples)
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
    if not is_first():
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
