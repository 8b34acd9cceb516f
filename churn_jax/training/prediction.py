"""Log-probabilities of a split, batch by batch on the devices."""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from churn_jax.data import Examples
from churn_jax.data.streaming import evaluation_batches
from churn_jax.methods import views
from churn_jax.parallel import sharding
from churn_jax.training.averaging import Weights
from churn_jax.training.experiment import Experiment


def predict(experiment: Experiment, models: Sequence[Weights], examples: Examples) -> np.ndarray:
    """Log-probabilities of every example of a split, float32 [run, member, example, class].

    Args:
      experiment: what was trained.
      models: of `averaging.predicting`; where there are several, a member's probabilities are the
        mean of theirs.
      examples: the split.
    """
    parts = batches(experiment, models, examples)
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
    for part, count in batches(experiment, models, examples):
        wanted = np.zeros(part.shape[2], np.int32)
        wanted[:count] = labels[start : start + count]
        start += count
        both = sharding.to_host(experiment.score(part, wanted))
        found.append([each[:, :, :count] for each in both])
    correct, own = (np.concatenate(each, axis=2) for each in zip(*found, strict=True))
    return correct, own


def batches(
    experiment: Experiment, models: Sequence[Weights], examples: Examples
) -> Iterator[tuple[jax.Array, int]]:
    """Log-probabilities on the devices, batch by batch, and how many of the examples are real.

    The last batch is padded, so that one program serves all.
    """
    shards = experiment.mesh.shape["data"]
    config = experiment.config
    wanted = min(max(config.eval_batch_size // views.count(config.method.views), 1), len(examples))
    batch_size = -(-wanted // shards) * shards
    part = sharding.local_part(experiment.mesh, sharding.EXAMPLES, (batch_size,))
    (places,) = part.held
    for batch in evaluation_batches(examples, config.data, batch_size, places=places):
        images = part.assemble(batch["image"])
        each = [experiment.predict_step(*weights, images) for weights in models]
        log_probs = each[0] if len(each) == 1 else experiment.mean_log_probs(each)
        yield log_probs, int(batch["mask"].sum())
