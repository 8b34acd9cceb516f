"""A trained model, in three lines.

    model = churn_jax.load("runs/baseline", run=3)
    probabilities = model.predict(images)

It is the model that counts as the run's prediction: member 0 or the one that was chosen, the mean
of the members, or averaged weights, as the config's `method.prediction` says unless another is
asked for; with the share that a previous model's weights have.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from churn_jax import config as config_lib
from churn_jax import data
from churn_jax.config import Config, MeshConfig
from churn_jax.data import DatasetInfo
from churn_jax.data.inputs import check_values
from churn_jax.data.outline import outline
from churn_jax.data.resident import normalise
from churn_jax.errors import UserError
from churn_jax.methods.objectives import PREDICTIONS, averages_of
from churn_jax.methods.views import VIEWS, mean_log_probs
from churn_jax.parallel import sharding
from churn_jax.predictions import workdirs
from churn_jax.storage.files import reach
from churn_jax.storage.workdir import checkpoint_steps, parts, read_failed_runs
from churn_jax.training import more_runs
from churn_jax.training.averaging import Weights
from churn_jax.training.checkpoints import Checkpoints
from churn_jax.training.experiment import Experiment
from churn_jax.training.previous import counted_models, refuse_mixed
from churn_jax.training.previous import load as load_previous
from churn_jax.training.validation import refuse_views

_BATCH = 256


class TrainedModel:
    """One run of a training.

    Attributes:
      config: what trained it.
      class_names: one for each class, in the order of the outputs.
      image_shape: of one input that it takes: (height, width, channels) of a picture.
      variables: {'params', 'batch_stats'} as NumPy arrays of each network whose mean predicts; of
        a baseline there is one.
      step: of training.
      views: from which views of an input it predicts, as `method.views`.
      info: of the data set: type and shape of the inputs, and how they are normalised.
      function: (variables, inputs) to what `logits` gives, pure, for JAX to transform.
    """

    def __init__(
        self,
        config: Config,
        info: DatasetInfo,
        variables: list[dict[str, Any]],
        step: int,
        experiment: Experiment,
        views: str,
    ):
        """Made by `load`."""
        self.config, self.variables, self.step, self.views = config, variables, step, views
        self.class_names, self.image_shape, self.info = info.class_names, info.image_shape, info
        model = experiment.recipe.model

        def networks(variables: list[dict[str, Any]], images: jax.Array) -> jax.Array:
            pixels = normalise(images, info)
            logits = [model.apply(each, pixels, train=False)[0] for each in variables]
            if len(logits) == 1:
                return logits[0] if views == "one" else jax.nn.log_softmax(logits[0])
            each = jax.numpy.stack([jax.nn.log_softmax(z) for z in logits])
            return jax.nn.logsumexp(each, axis=0) - np.float32(np.log(len(logits)))

        def function(variables: list[dict[str, Any]], images: jax.Array) -> jax.Array:
            one_view = functools.partial(networks, variables)
            return mean_log_probs(one_view, images, views)

        self.function = function
        self._compiled = jax.jit(function)

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.image_shape))
        kind = "uint8 images" if self.info.pictures else f"{self.info.dtype} inputs"
        return (
            f"<{self.config.model.name} of {self.config.method.label}, step {self.step}: "
            f"{kind} {shape} to {len(self.class_names)} classes>"
        )

    def logits(self, images: np.ndarray) -> np.ndarray:
        """The network's outputs, float32 [example, class].

        Where the mean of several networks or views predicts, the logarithms of their mean
        probabilities.

        Args:
          images: as the data set has them, uint8 [example, height, width, channel], float32 or
            int32 [example, …], any number of them; they are normalised as in training.

        Raises:
          UserError: they have another type or shape, or hold what is no number or no token.
        """
        images = np.asarray(images)
        dtype, what = self.info.dtype, "images" if self.info.pictures else "inputs"
        expected = f"{dtype} [example, {', '.join(map(str, self.image_shape))}]"
        if images.dtype != np.dtype(dtype) or images.shape[1:] != self.image_shape:
            hint = ""
            if images.shape == self.image_shape:
                hint = f"; one alone is {what}[None]"
            elif dtype == "float32" and images.dtype.kind in "iuf":
                hint = "; give it by .astype('float32')"
            elif dtype == "uint8" and images.dtype.kind == "f":
                hint = "; give pixels from 0 to 255 as they are stored, they are normalised here"
            raise UserError(
                f"{what} must be {expected}, not {images.dtype} {list(images.shape)}{hint}"
            )
        check_values(self.info, what, images, range(len(images)))
        found = [np.zeros((0, len(self.class_names)), np.float32)]
        size = min(_BATCH, max(len(images), 1))
        for start in range(0, len(images), size):
            part = images[start : start + size]
            padded = np.pad(part, [(0, size - len(part))] + [(0, 0)] * (part.ndim - 1))
            found.append(np.asarray(self._compiled(self.variables, padded))[: len(part)])
        return np.concatenate(found)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The probability of every class, float64 [example, class]; arguments as of `logits`."""
        logits = self.logits(images).astype(np.float64)
        exp = np.exp(logits - logits.max(-1, keepdims=True))
        return exp / exp.sum(-1, keepdims=True)


def load(
    workdir: epath.PathLike,
    run: int = 0,
    *,
    step: int | None = None,
    prediction: str | None = None,
    views: str | None = None,
) -> TrainedModel:
    """One run of a training, ready to predict, on any machine and any number of devices.

    Args:
      workdir: of the training, local or in a bucket.
      run: which of its independent runs.
      step: of which checkpoint; None is the last.
      prediction: 'first', 'mean', 'ema' and so on, as `method.prediction`; None is the config's.
      views: 'one', 'flip', 'shift' or 'flip_shift', as `method.views`; None is the config's.

    Raises:
      UserError: there is no such run, checkpoint, prediction or view, it is damaged, or what the
        training predicts is no network's of its own.
    """
    workdir = more_runs.holding(whole := reach(workdir, "workdir"), [run])
    config = dataclasses.replace(config_lib.read(workdir), mesh=MeshConfig())
    _refuse_missing(whole, config, run, prediction)
    views = config.method.views if views is None else views
    if views not in VIEWS:
        raise UserError(f"views {views!r} is none of {', '.join(VIEWS)}")
    refuse_mixed(str(workdir), config)
    steps = checkpoint_steps(workdir)
    if not steps or step not in (None, *steps):
        raise UserError(f"{workdir}: no checkpoint of step {step or 'any'} (there are: {steps})")
    step = steps[-1] if step is None else step
    method = dataclasses.replace(config.method, prediction=prediction or config.method.prediction)
    with Checkpoints(workdir) as checkpoints:
        info = _info(checkpoints.meta(step), config)
        refuse_views(config.data, info, views)
        experiment = Experiment(config, info, config.batch_size, sharding.make_mesh(config))
        state = checkpoints.restore(step, experiment.abstract_state())
    counted = dataclasses.replace(config, method=method)
    dataset = previous = None
    averaged = averages_of(method.prediction) != "none" and jax.tree.leaves(state.batch_stats)
    if averaged or config.previous.weights_share:
        dataset = data.load(config.data)  # whose batches the averages' statistics are gathered of
        experiment = dataclasses.replace(experiment, num_train=len(dataset.train))
        previous = load_previous(experiment, dataset) if config.previous.weights_share else None
    models = counted_models(experiment, state, dataset, previous, counted)
    members: Sequence[int] = range(config.method.members) if method.counts_mean else (0,)
    if counted.chooses:
        members = workdirs.chosen_members(workdir, step, (run,))
    place = run - config.first_run
    variables = [_of(weights, place, member) for weights in models for member in members]
    return TrainedModel(config, info, variables, step, experiment, views)


def _of(weights: Weights, run: int, member: int) -> dict[str, Any]:
    params, batch_stats = jax.tree.map(lambda leaf: leaf[run, member], sharding.to_host(weights))
    return {"params": params, "batch_stats": batch_stats}


def _refuse_missing(workdir: epath.Path, config: Config, run: int, prediction: str | None) -> None:
    if not 0 <= run - config.first_run < config.runs:
        there = [config_lib.read(part, warn=False) for part in parts(workdir)]
        first, last = there[0].first_run, there[-1].first_run + there[-1].runs - 1
        raise UserError(f"{workdir}: no run {run}; it has the runs {first} to {last}")
    if any(run in read_failed_runs(part) for part in parts(workdir)):
        raise UserError(f"{workdir}: run {run} has failed, and is no model")
    if prediction is not None and prediction not in PREDICTIONS:
        raise UserError(f"prediction {prediction!r} is none of {', '.join(PREDICTIONS)}")


def _info(meta: Mapping[str, Any], config: Config) -> DatasetInfo:
    """The data set's shape, as the checkpoint has it; older ones leave it to the data set."""
    if "info" not in meta:
        return outline(config.data).info
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in meta["info"].items()
    }
    return DatasetInfo(**fields)
