"""An experiment: everything that a config and a data set decide before the first step.

The training loop, prediction from checkpoints and the ahead-of-time planner all start here, so they
compile the same program.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from churn_jax import models, random_streams
from churn_jax.config import Config
from churn_jax.data import DatasetInfo, shapes
from churn_jax.data.batch import Batch
from churn_jax.data.resident import (
    ResidentPlan,
    ResidentSource,
    epoch_window,
    normalise,
    prepared,
    take_batch,
)
from churn_jax.methods import averages, views
from churn_jax.methods.schedules import Length
from churn_jax.parallel import sharding, stacking
from churn_jax.system import private_surfaces
from churn_jax.training import devices, step, weight_distances
from churn_jax.training.optimizer import make_optimizer
from churn_jax.training.step import Recipe, Statistics, TrainState

# (state, batch or source of batches) -> (state, metrics [run, member]), for one kind of state.
Step = Callable[[Any, Any], tuple[Any, dict[str, jax.Array]]]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config bound to a data set's shape and a mesh; the programs are compiled lazily.

    Whether it can be trained is what `validation.validate` asks.
    `packed` is whether pixels may lie side by side in the channels, as `stacking` says.
    """

    config: Config
    info: DatasetInfo
    num_train: int
    mesh: Mesh
    packed: bool = True

    def seen(self, views: str) -> "Experiment":
        """The same, predicting from such views: see `methods.views`."""
        if views == self.config.method.views:
            return self  # with the programs that it has compiled
        method = dataclasses.replace(self.config.method, views=views)
        return dataclasses.replace(self, config=dataclasses.replace(self.config, method=method))

    @property
    def steps_per_epoch(self) -> float:
        """Fractional where the batch size does not divide the training set."""
        return self.num_train / self.config.batch_size

    @property
    def total_steps(self) -> int:
        """Enough steps to see every example `config.epochs` times."""
        return math.ceil(self.config.epochs * self.steps_per_epoch)

    @property
    def length(self) -> Length:
        """Of the training, for durations that are parts of it."""
        return Length(self.steps_per_epoch, self.total_steps)

    @property
    def runs(self) -> np.ndarray:
        """The indices of the runs trained here, int32 [run]."""
        first = self.config.first_run
        return np.arange(first, first + self.config.runs, dtype=np.int32)

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What is static in a step."""
        config = self.config
        shards = self.mesh.shape["data"] * config.optimizer.accumulate
        examples = config.batch_size // shards  # at a time, on a device
        kind = self.mesh.devices.flat[0].device_kind
        model = models.build(
            config.model.name,
            num_classes=self.info.num_classes,
            image_shape=self.info.image_shape,
            input_dtype=self.info.dtype,
            vocabulary=self.info.vocabulary,
            dtype=config.model.dtype,
            norm_group=config.model.norm_group,
            norm_axis="data",
            columns=stacking.columns(self.platform, examples) if self.packed else 1,
            wide_passes=self.packed and stacking.wide_passes(kind, examples),
            batch_parts=self.mesh.shape["data"],
            activation=config.model.activation,
            activation_width=config.model.activation_width,
            width=config.model.width,
            depth=config.model.depth,
            dropout=config.model.dropout,
            remat=config.model.remat,
        )
        return Recipe(
            model=model,
            objective=config.method,
            optimizer=make_optimizer(config, self.length),
            length=self.length,
            batch_size=config.batch_size,
            layout=stacking.choose(self.platform, config.model.name in models.OF_PRODUCTS),
            sam_radius=config.optimizer.sam_radius,
            parts=config.optimizer.accumulate,
            seed=config.seed,
            first_run=config.first_run,
            vary=config.randomness.vary,
            **self._averages(),
        )

    def _averages(self) -> dict[str, Any]:
        """What a recipe says of averages; nothing where the config asks for none."""
        kind, asked, cycles = (
            self.config.method.averages,
            self.config.averages,
            self.config.optimizer.cycles,
        )
        count = averages.count(kind, cycles)
        if not count:
            return {}
        shares = averages.shares(
            kind,
            total_steps=self.total_steps,
            decay=asked.decay,
            every=asked.every,
            start=asked.start_percent / 100,
            cycles=cycles,
        )
        return {"num_averages": count, "average_shares": shares}

    @functools.cached_property
    def plan(self) -> ResidentPlan:
        """What is static in taking a batch of resident data."""
        config = self.config
        return ResidentPlan(
            data=config.data,
            info=self.info,
            seed=config.seed,
            vary=config.randomness.vary,
            num_examples=self.num_train,
            batch_size=config.batch_size,
        )

    def init_state(self) -> TrainState:
        """The state before the first step, sharded."""
        shardings = self.state_shardings()
        state = jax.jit(
            self._init_state, out_shardings=shardings, compiler_options=self._run_once_options
        )()
        if self.config.randomness.perturb == "none":
            return state
        # In a program of its own: within the first it would change how that one rounds.
        move = jax.jit(jax.vmap(random_streams.move_one_ulp), out_shardings=shardings.params)
        return dataclasses.replace(state, params=move(state.params, jnp.asarray(self.runs)))

    def abstract_state(self) -> TrainState:
        """Shapes, types and shardings of the state, without computing anything."""
        return jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
            self.state_shapes(),
            self.state_shardings(),
        )

    def state_shapes(self) -> TrainState:
        """Shapes and types of the state alone."""
        return jax.eval_shape(self._init_state)

    def abstract_batch(self) -> Batch:
        """Shapes and types of what `streaming_step` takes beside the state."""
        return shapes.batch(self.plan, self.config.runs, **self._said)

    def abstract_source(self) -> ResidentSource:
        """Shapes and types of what `resident_step` takes beside the state."""
        return shapes.source(self.plan, self.config.runs, **self._said)

    @property
    def _said(self) -> dict[str, Any]:
        """What is said of each example beside its image and label, as `shapes` takes it."""
        return {"anchored": self.config.method.anchored, "sampled": self.sampled_members}

    @property
    def sampled_members(self) -> int:
        """How many members of a run have training samples of their own."""
        own = self.config.data.sample == "bootstrap_members"
        return self.config.method.members if own else 0

    def state_shardings(self) -> TrainState:
        """The sharding of every leaf of the state."""
        specs = _state_specs(self.state_shapes())
        return jax.tree.map(functools.partial(sharding.shard, self.mesh), specs)

    def _init_state(self) -> TrainState:
        vary, seed = self.config.randomness.vary, self.config.seed
        members = jnp.arange(self.config.method.members)

        def keys_of(run: jax.Array) -> jax.Array:
            return jax.vmap(lambda member: random_streams.init_key(seed, run, member, vary))(
                members
            )

        return step.init_state(self.recipe, jax.vmap(keys_of)(jnp.asarray(self.runs)))

    @functools.cached_property
    def streaming_step(self) -> Step:
        """The jitted training step on a batch of uint8 images; donates the state."""
        return self._streaming(step.train_step, self.state_shapes(), self.abstract_batch())

    @property
    def fed_spec(self) -> PartitionSpec:
        """How `streaming_step` takes its batch."""
        return sharding.fed_spec(self.mesh, self.config.batch_size)

    @functools.cached_property
    def resident_step(self) -> Step:
        """The jitted step that takes its own batch from resident data; donates the state."""
        return self._resident(step.train_step, self.state_shapes(), self.abstract_source())

    @functools.cached_property
    def streaming_statistics(self) -> Step:
        """`step.statistics_step` on batches as `streaming_step` takes them."""
        batch = shapes.batch(self.plan, self.config.runs, anchored=False, sampled=0)
        return self._streaming(step.statistics_step, self._statistics_shapes(), batch)

    @functools.cached_property
    def resident_statistics(self) -> Step:
        """`step.statistics_step` on batches as `resident_step` takes them."""
        source = shapes.source(self.plan, self.config.runs, anchored=False, sampled=0)
        return self._resident(step.statistics_step, self._statistics_shapes(), source)

    def _statistics_shapes(self) -> Statistics:
        state = self.state_shapes()
        return Statistics(state.step, state.params, state.batch_stats, state.failed_at)

    def _streaming(self, do: Callable[..., Any], state: Any, batch: Batch) -> Step:
        """`do` on batches of such shapes."""
        spec = self.fed_spec

        def get_batch(state: Any, batch: Batch) -> Batch:
            if spec == sharding.FED:
                batch = sharding.gather_members(batch)
            return prepared(batch, self.info)

        specs = jax.tree.map(lambda _: spec, batch)
        return self._jit_step(do, state, get_batch, specs)

    def _resident(self, do: Callable[..., Any], state: Any, source: ResidentSource) -> Step:
        """`do` on the batches of a source of such shapes."""
        specs = shapes.source_parts(source, sharding.REPLICATED, sharding.RUNS)
        return self._jit_step(
            do, state, lambda state, source: take_batch(source, state.step, self.plan), specs
        )

    def _jit_step(
        self,
        do: Callable[..., Any],
        state: Any,
        get_batch: Callable[[Any, Any], Batch],
        source_specs: Any,
    ) -> Step:
        """`do`(state, batch, recipe) over the mesh, compiled; `state` has its state's shapes."""

        def body(state: Any, source: Any) -> tuple[Any, dict[str, jax.Array]]:
            with jax.default_matmul_precision(self._precision):
                return do(state, get_batch(state, source), self.recipe)

        state_specs = _state_specs(state)
        sharded = jax.shard_map(
            body,
            mesh=self.mesh,
            in_specs=(state_specs, source_specs),
            out_specs=(state_specs, sharding.STATE),
            # The check that nothing varies over an axis unsaid passes, once parameters and images
            # are cast (`jax.lax.pcast`) to vary over `data` and `member`, but for one thing: it has
            # no rule for `axis_index_groups` (NotImplementedError in jax 0.10.2), by which
            # batch-norm groups span neighbouring devices (`models.layers`).
            check_vma=False,
        )
        place = functools.partial(jax.tree.map, functools.partial(sharding.shard, self.mesh))
        return jax.jit(
            sharded,
            in_shardings=(place(state_specs), place(source_specs)),
            out_shardings=(place(state_specs), place(sharding.STATE)),
            donate_argnums=0,
            compiler_options=self._compiler_options,
        )

    @functools.cached_property
    def predict_step(self) -> Callable[[Any, Any, Any], jax.Array]:
        """(params, batch_stats, uint8 images [example, …]) to log-probabilities, jitted."""

        def body(params: Any, batch_stats: Any, images: jax.Array) -> jax.Array:
            def log_probs(images: jax.Array) -> jax.Array:
                pixels = normalise(images, self.info)
                return step.predict_step(params, batch_stats, pixels, self.recipe)

            with jax.default_matmul_precision(self._precision):
                return views.mean_log_probs(log_probs, images, self.config.method.views)

        sharded = jax.shard_map(
            body,
            mesh=self.mesh,
            in_specs=(sharding.STATE, sharding.STATE, sharding.EXAMPLES),
            out_specs=sharding.LOGITS,
        )
        return jax.jit(sharded, compiler_options=self._compiler_options)

    @functools.cached_property
    def score(self) -> Callable[[jax.Array, Any], tuple[jax.Array, jax.Array]]:
        """Of `predict_step`'s log-probabilities and the labels [example], jitted.

        Whether the most probable class is right, and the right one's log-probability. It only
        picks, so that the numbers are those that would be picked on the host.
        """

        def pick(log_probs: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
            own = jnp.take_along_axis(log_probs, labels[None, None, :, None], axis=-1)[..., 0]
            return log_probs.argmax(-1) == labels, own

        sharded = jax.shard_map(
            pick,
            mesh=self.mesh,
            in_specs=(sharding.LOGITS, sharding.EXAMPLES),
            out_specs=(sharding.LOGITS, sharding.LOGITS),
        )
        return jax.jit(sharded, compiler_options=self._run_once_options)

    @functools.cached_property
    def mean_log_probs(self) -> Callable[[Sequence[jax.Array]], jax.Array]:
        """Log-probabilities of several models to those of their mean probability, jitted."""
        return jax.jit(lambda each: jax.nn.logsumexp(jnp.stack(each), axis=0) - jnp.log(len(each)))

    @functools.cached_property
    def distances(self) -> Callable[[Any], dict[str, jax.Array]]:
        """Jitted `weight_distances.distances`."""
        return jax.jit(weight_distances.distances)

    @functools.cached_property
    def order_window(self) -> Callable[[jax.Array, jax.Array], jax.Array]:
        """Jitted `resident.epoch_window`."""
        window = functools.partial(epoch_window, plan=self.plan)
        return jax.jit(
            window,
            out_shardings=sharding.shard(self.mesh, sharding.RUNS),
            compiler_options=self._run_once_options,
        )

    @property
    def _compiler_options(self) -> dict[str, Any] | None:
        if self.platform == "cpu":
            return devices.cpu_options()
        asked = self.config.deterministic
        return weight_distances.DETERMINISTIC_OPTIONS.get(self.platform) if asked else None

    @property
    def _run_once_options(self) -> dict[str, int] | None:
        """For random numbers drawn once: LLVM takes ten times longer to optimise the program."""
        return private_surfaces.UNOPTIMISED if self.platform == "cpu" else None

    @property
    def _precision(self) -> str | None:
        """Of products: unless told to do as the config says, a TPU multiplies float32 in bfloat16
        and a GPU in TF32.

        Said in every program, so that no default precision that somebody has set counts.
        """
        exact = self.platform != "cpu" and self.config.model.dtype == "float32"
        return "highest" if exact else None

    @property
    def platform(self) -> str:
        """cpu, gpu or tpu."""
        return self.mesh.devices.flat[0].platform


def _state_specs(state: Any) -> Any:
    """The partition of every leaf: all but the step counter have the axes [run, member]."""
    return dataclasses.replace(
        jax.tree.map(lambda _: sharding.STATE, state), step=sharding.REPLICATED
    )
