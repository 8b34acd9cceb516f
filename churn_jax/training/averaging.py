"""The models that averaged weights make: their batch-norm statistics are gathered anew.

Running statistics belong to the weights that made them. Those of an average are the mean of the
batches' own over one more epoch of training data, drawn as training would go on (Izmailov et al.
2018); a network without batch norm needs no pass.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from churn_jax.data import Dataset
from churn_jax.errors import UserError
from churn_jax.methods.objectives import averages_of
from churn_jax.training.experiment import Experiment
from churn_jax.training.feeds import statistics_feed
from churn_jax.training.step import Statistics, TrainState, Tree


class Weights(NamedTuple):
    """A model of every member of every run, [run, member, …]."""

    params: Tree
    batch_stats: Tree


def predicting(
    experiment: Experiment,
    state: TrainState,
    dataset: Dataset | None,
    prediction: str | None = None,
) -> list[Weights]:
    """The models whose mean predicts, with the batch-norm statistics that belong to them.

    `prediction` is the config's `method.prediction` unless it says another: the trained weights
    themselves where it names no average, else those averages, which the state must have. Only
    averages of a network with batch norm need the data set.
    """
    kept = experiment.config.method.averages
    wanted = kept if prediction is None else averages_of(prediction)
    if wanted not in ("none", kept):
        raise UserError(
            f"prediction {prediction!r}: the training kept no such averages "
            f"(config.method.prediction={experiment.config.method.prediction!r})"
        )
    if wanted == "none":
        return [Weights(state.params, state.batch_stats)]
    found = []
    for place in range(experiment.recipe.num_averages):
        params = jax.tree.map(lambda leaf, place=place: leaf[:, :, place], state.averages)
        found.append(with_statistics(experiment, state, params, dataset))
    return found


def with_statistics(
    experiment: Experiment, state: TrainState, params: Tree, dataset: Dataset | None
) -> Weights:
    """`params`, which are taken over, with batch-norm statistics over the epoch to come next."""
    if not jax.tree.leaves(state.batch_stats):
        return Weights(params, state.batch_stats)
    assert dataset is not None
    first = int(state.step)
    steps = range(first, first + math.ceil(experiment.steps_per_epoch))
    feed = statistics_feed(experiment, dataset, steps)
    gathered = Statistics(
        step=state.step + 0,  # a copy: the program takes over what it is given
        params=params,
        batch_stats=jax.tree.map(jnp.zeros_like, state.batch_stats),
        seen=jnp.zeros_like(state.failed_at),
    )
    for step in steps:
        gathered, _ = feed.advance(gathered, step)
    return Weights(gathered.params, gathered.batch_stats)
