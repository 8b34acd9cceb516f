"""Where a training's batches come from: data on the device, or data streamed to it.

A feed joins a source of batches to the compiled step that takes them, so that the loop need not
know which of the two pipelines is at work.
"""

import collections
import dataclasses
import functools
import time
import types
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from churn_jax import random_streams
from churn_jax.data import ArrayExamples, Dataset
from churn_jax.data.batch import Batch, Partners
from churn_jax.data.mixing import epoch_mixing, of_run
from churn_jax.data.resident import ResidentSource, is_resident, position
from churn_jax.data.streaming import stream
from churn_jax.parallel import sharding
from churn_jax.training.experiment import Experiment, Step

Metrics = dict[str, Any]
NOTHING: Mapping[str, np.ndarray] = types.MappingProxyType({})

# Steps handed to the device and not finished, of streamed data: each holds a batch in memory.
_STEPS_IN_FLIGHT = 2


class Feed(Protocol):
    """Where batches come from."""

    waited: float  # seconds spent so far waiting for data

    def advance(self, state: Any, step: int) -> tuple[Any, Metrics]:
        """Takes the batch of `step` and the step itself; must be called for successive steps."""


def make_feed(
    experiment: Experiment, dataset: Dataset, first_step: int, previous: np.ndarray | None = None
) -> Feed:
    """Feeds training from `first_step` to its end, from memory where the data is there.

    Args:
      experiment: what is trained.
      dataset: on what.
      first_step: where to start.
      previous: [run, example, class] log-probabilities of the previous model, for an anchor.
    """
    said = {} if previous is None else {"previous": previous}
    if experiment.sampled_members:
        said["counts"] = _counts(experiment)
    if is_resident(experiment.config.data, dataset.train.in_memory):
        return ResidentFeed(experiment, dataset, experiment.resident_step, said)
    steps = range(first_step, experiment.total_steps)
    return StreamingFeed(experiment, dataset, experiment.streaming_step, steps, said)


def statistics_feed(experiment: Experiment, dataset: Dataset, steps: range) -> Feed:
    """Feeds the batches of `steps`, which may lie after training, to `step.statistics_step`."""
    if is_resident(experiment.config.data, dataset.train.in_memory):
        return ResidentFeed(experiment, dataset, experiment.resident_statistics)
    return StreamingFeed(experiment, dataset, experiment.streaming_statistics, steps)


class ResidentFeed:
    """Data on the device; the host only renews the order of the examples once an epoch."""

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        program: Step,
        said: Mapping[str, np.ndarray] = NOTHING,
    ):
        """`program` takes the state and a `ResidentSource`.

        `said` is what it has of each run's examples beside images and labels, {its field: [run,
        example, …]}.
        """
        examples = dataset.train
        assert isinstance(examples, ArrayExamples)
        self.waited = 0.0  # never: the data is there
        self._experiment, self._program = experiment, program
        self._epoch = -1
        mesh = experiment.mesh
        rows = examples.images.reshape(len(examples), -1)
        self._images = sharding.put(rows, mesh, sharding.REPLICATED)
        self._labels = sharding.put(examples.labels, mesh, sharding.REPLICATED)
        self._runs = sharding.put(experiment.runs, mesh, sharding.RUNS)
        self._said = {
            name: sharding.put(values, mesh, sharding.RUNS) for name, values in said.items()
        }
        self._source: ResidentSource

    def advance(self, state: Any, step: int) -> tuple[Any, Metrics]:
        epoch, offset = position(step, self._experiment.plan)
        if epoch != self._epoch:
            self._epoch = epoch
            self._source = ResidentSource(
                images=self._images,
                labels=self._labels,
                runs=self._runs,
                order=self._experiment.order_window(self._runs, jnp.int32(epoch)),
                epoch=jnp.int32(epoch),
                first_step=jnp.int32(step),
                offset=jnp.int32(offset),
                **self._said,
                **self._mixing(epoch),
            )
        return self._program(state, self._source)

    def _mixing(self, epoch: int) -> dict[str, jax.Array]:
        """What a source says of the mixes of an epoch and of the next one; nothing without any."""
        experiment = self._experiment
        if not experiment.config.data.mixup:
            return {}
        both = (epoch, epoch + 1)
        found = np.stack([epoch_mixing(experiment.plan, experiment.runs, e) for e in both], axis=1)
        return {
            name: sharding.put(np.ascontiguousarray(found[field]), experiment.mesh, sharding.RUNS)
            for name, field in (("partners", "partner"), ("shares", "share"))
        }


class StreamingFeed:
    """Data read and augmented on the host, a few batches ahead of the device."""

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        program: Step,
        steps: range,
        said: Mapping[str, np.ndarray] = NOTHING,
    ):
        """`program` takes the state and a `Batch` of each of the `steps`; `said` is as above."""
        config = experiment.config
        seed, vary = config.seed, config.randomness.vary
        self.waited = 0.0
        self._in_flight: collections.deque[Metrics] = collections.deque()
        self._program = program
        shape = (config.runs, config.batch_size)
        self.part = sharding.local_part(experiment.mesh, experiment.fed_spec, shape)
        runs, places = self.part.held
        self._said = {name: values[runs] for name, values in said.items()}
        self.batches = stream(
            dataset.train,
            functools.partial(_order, seed, vary, experiment.num_train, config.data.sample),
            functools.partial(_augmentation_keys, seed, vary),
            config.data,
            mixing_fn=functools.partial(of_run, experiment.plan) if config.data.mixup else None,
            runs=experiment.runs[runs].tolist(),
            places=places,
            batch_size=config.batch_size,
            first_step=steps.start,
            num_steps=len(steps),
            workers=config.data.workers,
        )

    def advance(self, state: Any, step: int) -> tuple[Any, Metrics]:
        began = time.monotonic()
        batch = next(self.batches)
        self.waited += time.monotonic() - began
        rows: dict[str, Any] = {
            name: np.take_along_axis(values, batch["index"][..., None], axis=1)
            for name, values in self._said.items()
        }
        fed = Batch(batch["image"], batch["label"], **rows)
        if "partner" in batch:
            mix = Partners(batch["partner_image"], batch["partner_label"], batch["share"])
            fed = dataclasses.replace(fed, partners=mix)
        state, metrics = self._program(state, jax.tree.map(self.part.assemble, fed))
        self._in_flight.append(metrics)
        if len(self._in_flight) > _STEPS_IN_FLIGHT:
            jax.block_until_ready(self._in_flight.popleft())
        return state, metrics


def _counts(experiment: Experiment) -> np.ndarray:
    """How often each example is in each member's own sample, uint8 [run, example, member]."""
    config, members = experiment.config, jnp.arange(experiment.config.method.members)

    def of_member(run: jax.Array, member: jax.Array) -> jax.Array:
        vary, size = config.randomness.vary, experiment.num_train
        return random_streams.member_sample(config.seed, run, member, vary, size)

    of_run = jax.vmap(of_member, (None, 0), out_axes=1)
    return np.asarray(jax.vmap(of_run, (0, None))(jnp.asarray(experiment.runs), members))


# Module-level, so that worker processes can be handed them.
def _order(
    seed: int, vary: tuple[str, ...], num_examples: int, sample: str, run: int, epoch: int
) -> np.ndarray:
    return np.asarray(random_streams.epoch_order(seed, run, epoch, vary, num_examples, sample))


def _augmentation_keys(seed: int, vary: tuple[str, ...], run: int, epoch: int) -> np.ndarray:
    return np.asarray(
        jax.random.key_data(random_streams.epoch_augmentation_key(seed, run, epoch, vary))
    )
