"""The training and prediction steps: pure functions of one device's part of the state.

They run inside `shard_map` over the mesh run × member × data, so each sees its own runs, members
and examples and says itself what crosses an axis:

- `member`: the logits, gathered forward. The objective is differentiated with respect to the
  logits of all members, and each member pulls its own part back through its network: that is the
  joint update, with nothing but logits exchanged, and one number a run: whether the numbers of
  any member have gone wrong.
- `data`: one reduction of the gradients and metrics (and of batch-norm statistics, where the
  batch is one group).
- `run`: nothing.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from churn_jax import random_streams
from churn_jax.data.batch import Batch, Leaf
from churn_jax.methods import averages, objectives, sharpness
from churn_jax.methods.objectives import Objective
from churn_jax.methods.schedules import Length
from churn_jax.models import Model
from churn_jax.parallel.stacking import over_models
from churn_jax.training.parts import in_parts, over_parts

Tree = Any


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        *(
            "step",
            "params",
            "batch_stats",
            "opt_state",
            "averages",
            "peers",
            "teachers",
            "failed_at",
        )
    ],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything trained; every leaf but `step` has the leading axes [run, member].

    `averages` holds the averages of `params` that the config asks for, [run, member, average, …]
    (`churn_jax.methods.averages`); it is empty for who asks for none. `peers` holds the stale
    copies {'params', 'batch_stats'} that stale objectives train against; it is empty for the
    others. `teachers` holds the same of the trained networks that distillation learns from, [run,
    teacher, …], and never changes. `failed_at`, int32 [run, member], is 0 or the step (counted from
    1) at which the run's numbers went wrong: what the step before made stays.
    """

    step: Leaf
    params: Tree
    batch_stats: Tree
    opt_state: Tree
    averages: Tree
    peers: Tree
    teachers: Tree
    failed_at: Leaf


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is static in a step."""

    model: Model
    objective: Objective
    optimizer: optax.GradientTransformation
    length: Length
    batch_size: int  # over all devices
    layout: str
    num_averages: int = 0
    average_shares: averages.Shares | None = None  # of each average, where there is any
    sam_radius: float = 0.0  # 0 is no sharpness-aware step
    parts: int = 1  # of each batch, worked off one after another
    seed: int = 0
    first_run: int = 0
    vary: tuple[str, ...] = ()


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "params", "batch_stats", "seen"],
    meta_fields=[],
)
@dataclasses.dataclass(frozen=True)
class Statistics:
    """Batch-norm statistics of given weights, gathered over training batches.

    `batch_stats` is their mean over the `seen` batches so far, int32 [run, member] each, the first
    of which was that of the first `step`.
    """

    step: Leaf
    params: Tree
    batch_stats: Tree
    seen: Leaf


def init_state(recipe: Recipe, keys: jax.Array) -> TrainState:
    """A fresh state from one key a model, [run, member]; its teachers are zeros to be filled in."""
    per_model = partial(jax.vmap, in_axes=0)
    variables = per_model(per_model(recipe.model.init))(keys)
    params, batch_stats = variables["params"], variables["batch_stats"]
    peers = jax.tree.map(jnp.copy, variables) if recipe.objective.stale else {}
    copies = recipe.num_averages

    def average(leaf: jax.Array) -> jax.Array:
        return jnp.repeat(leaf[:, :, None], copies, axis=2)

    opt_state = per_model(per_model(recipe.optimizer.init))(params)

    def no_teachers_yet(leaf: jax.Array) -> jax.Array:
        shape = (leaf.shape[0], recipe.objective.num_teachers, *leaf.shape[2:])
        return jnp.zeros(shape, leaf.dtype)

    teachers = jax.tree.map(no_teachers_yet, variables) if recipe.objective.taught else {}
    return TrainState(
        jnp.zeros((), jnp.int32),
        params,
        batch_stats,
        opt_state,
        jax.tree.map(average, params) if copies else {},
        peers,
        teachers,
        jnp.zeros(keys.shape, jnp.int32),
    )


def train_step(
    state: TrainState, batch: Batch, recipe: Recipe
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One joint update of all members of all runs on this device.

    A run whose loss or gradients, of any member, are not finite is stopped: from then on its
    parameters stay what they were before, whatever its batches say, and its metrics are NaN.

    Returns the new state and the metrics {loss terms, accuracy}, float32 [run, member], means over
    the whole batch.
    """
    peers = _refreshed_peers(state, recipe)
    keys = _noise_keys(state, batch, recipe)
    coefficients = objectives.coefficients(recipe.objective, state.step, recipe.length)
    run_step = partial(_gradients, coefficients=coefficients, recipe=recipe)

    def of_part(
        params: Tree, batch_stats: Tree, batch: Batch, keys: jax.Array | None
    ) -> tuple[Tree, Tree]:
        """(batch statistics, what is summed over parts and devices) of a part of the batch."""
        grads, batch_stats, metrics, wrong = over_models(run_step, recipe.layout)(
            params, batch_stats, peers, state.teachers, batch, keys
        )
        return batch_stats, (grads, metrics, wrong)

    def gradients(params: Tree) -> tuple[Tree, Tree, dict[str, jax.Array], jax.Array]:
        if recipe.parts == 1:
            batch_stats, sums = of_part(params, state.batch_stats, batch, keys)
        else:
            batch_stats, sums = over_parts(
                partial(of_part, params), state.batch_stats, in_parts(batch, keys, recipe.parts)
            )
        grads, metrics, wrong = jax.lax.psum(sums, "data")
        return grads, batch_stats, metrics, wrong

    grads, batch_stats, metrics, wrong = gradients(state.params)
    if recipe.sam_radius:
        ascended = partial(sharpness.ascended, radius=recipe.sam_radius)
        grads, _, _, wrong_there = gradients(jax.vmap(jax.vmap(ascended))(state.params, grads))
        wrong += wrong_there
    failed_at = _failed_at(state, (grads, batch_stats), wrong)

    def update(grads: Tree, opt_state: Tree, params: Tree) -> tuple[Tree, Tree]:
        updates, opt_state = recipe.optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    params, opt_state = jax.vmap(jax.vmap(update))(grads, state.opt_state, state.params)
    healthy = failed_at == 0

    def if_healthy(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(healthy.reshape(*healthy.shape, *[1] * (new.ndim - 2)), new, old)

    params, batch_stats, opt_state = jax.tree.map(
        if_healthy,
        (params, batch_stats, opt_state),
        (state.params, state.batch_stats, state.opt_state),
    )
    metrics = {name: jnp.where(healthy, value, jnp.nan) for name, value in metrics.items()}
    made = TrainState(
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        averages=_averages(state, params, recipe),
        peers=peers,
        teachers=state.teachers,
        failed_at=failed_at,
    )
    return made, metrics


def _averages(state: TrainState, params: Tree, recipe: Recipe) -> Tree:
    """The averages after a step that made `params`."""
    if recipe.average_shares is None:
        return state.averages
    update = partial(averages.updated, share=recipe.average_shares(state.step))
    return jax.tree.map(update, state.averages, params)


def statistics_step(
    state: Statistics, batch: Batch, recipe: Recipe
) -> tuple[Statistics, dict[str, jax.Array]]:
    """Takes the statistics of one batch, as a training step would see them, into their mean.

    A model keeps running statistics r ← m·r + (1 − m)·b. Its m and the batch's own b are told apart
    by the derivative of the update, so that a model need not say which m it has.
    """

    keys = _noise_keys(state, batch, recipe)

    def of_run(params: Tree, running: Tree, images: jax.Array, keys: jax.Array | None) -> Tree:
        def of_member(params: Tree, running: Tree, keys: jax.Array | None) -> Tree:
            def update(before: Tree) -> Tree:
                variables = {"params": params, "batch_stats": before}
                return recipe.model.apply(variables, images, True, keys)[1]

            zeros, ones = (jax.tree.map(fill, running) for fill in (jnp.zeros_like, jnp.ones_like))
            added, kept = jax.jvp(update, (zeros,), (ones,))
            return jax.tree.map(lambda b, m: b / (1 - m), added, kept)

        return over_models(of_member, recipe.layout)(params, running, keys)

    def of_part(images: jax.Array, keys: jax.Array | None) -> Tree:
        running = state.batch_stats
        return over_models(of_run, recipe.layout)(state.params, running, images, keys)

    if recipe.parts == 1:
        found = of_part(batch.images, keys)
    else:
        parts, keys = in_parts(batch, keys, recipe.parts)
        every = jax.lax.map(lambda part: of_part(*part), (parts.images, keys))
        found = jax.tree.map(lambda leaf: leaf.mean(0), every)
    seen = state.seen + 1

    def mean(before: jax.Array, new: jax.Array) -> jax.Array:
        return before + (new - before) / seen.reshape(*seen.shape, *[1] * (new.ndim - 2))

    batch_stats = jax.tree.map(mean, state.batch_stats, found)
    return Statistics(state.step + 1, state.params, batch_stats, seen), {}


def _failed_at(state: TrainState, made: Tree, wrong: jax.Array) -> jax.Array:
    """`TrainState.failed_at` after this step, int32 [run, member].

    Args:
      state: before the step.
      made: what the step has made of the members on this device, [run, member, …].
      wrong: [run], how many devices have seen a loss that is not finite.
    """

    def of_model(tree: Tree) -> jax.Array:
        """Not finite if any entry isn't, or is so large that the next step's would not be."""
        return sum((jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)), jnp.float32(0))

    finite = jnp.isfinite(jax.vmap(jax.vmap(of_model))(made)).all(axis=1)
    wrong += jax.lax.psum(jnp.where(finite, 0.0, 1.0), "member")
    fails = (wrong > 0)[:, None] & (state.failed_at == 0)
    return jnp.where(fails, state.step + 1, state.failed_at)


def predict_step(params: Tree, batch_stats: Tree, images: jax.Array, recipe: Recipe) -> jax.Array:
    """Log-probabilities, float32 [run, member, example, class], of normalised images."""

    def one_model(params: Tree, batch_stats: Tree) -> jax.Array:
        variables = {"params": params, "batch_stats": batch_stats}
        logits, _ = recipe.model.apply(variables, images, train=False)
        return jax.nn.log_softmax(logits)

    one_run = over_models(one_model, recipe.layout)
    return over_models(one_run, recipe.layout)(params, batch_stats)


def _gradients(
    params: Tree,
    batch_stats: Tree,
    peers: Tree,
    teachers: Tree,
    batch: Batch,
    keys: jax.Array | None,
    *,
    coefficients: dict,
    recipe: Recipe,
) -> tuple[Tree, Tree, dict[str, jax.Array], jax.Array]:
    """One run's gradients, batch statistics and metrics, from this device's members and examples.

    Gradients and metrics are this device's part of the mean over the batch: summed over `data` they
    are whole. The last result is 1 where the loss of any member is not finite, else 0.
    """

    def network(params: Tree) -> tuple[jax.Array, Tree]:
        def one_member(
            params: Tree, batch_stats: Tree, keys: jax.Array | None
        ) -> tuple[jax.Array, Tree]:
            variables = {"params": params, "batch_stats": batch_stats}
            return recipe.model.apply(variables, batch.images, True, keys)

        return over_models(one_member, recipe.layout)(params, batch_stats, keys)

    logits, pull_back, batch_stats = jax.vjp(network, params, has_aux=True)
    everyone = jax.lax.all_gather(logits, "member", tiled=True)
    stale = _frozen_logits(peers, batch.images, recipe) if peers else None
    taught = _frozen_logits(teachers, batch.images, recipe) if teachers else None
    mix = None if batch.partners is None else (batch.partners.labels, batch.partners.share)

    def objective(everyone: jax.Array) -> tuple[jax.Array, tuple[dict[str, jax.Array], jax.Array]]:
        total, parts = objectives.terms(
            recipe.objective,
            everyone,
            batch.labels,
            stale_logits=stale,
            teacher_logits=taught,
            previous=batch.previous,
            mix=mix,
            counts=None if batch.counts is None else batch.counts.T,
            **coefficients,
        )
        return total.sum() / recipe.batch_size, (parts, jnp.isfinite(total).all())

    grad_everyone, (parts, finite) = jax.grad(objective, has_aux=True)(everyone)
    parts["accuracy"] = objectives.accuracy(everyone, batch.labels, mix)

    members = logits.shape[0]
    first = jax.lax.axis_index("member") * members

    def mine(rows: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(rows, first, members)

    (grads,) = pull_back(mine(grad_everyone))
    metrics = {name: mine(value).sum(-1) / recipe.batch_size for name, value in parts.items()}
    return grads, batch_stats, metrics, jnp.where(finite, 0.0, 1.0)


def _noise_keys(state: Any, batch: Batch, recipe: Recipe) -> jax.Array | None:
    """What networks draw from in this step, [run, member, example] of this device; or None."""
    examples = batch.labels.shape[1]
    if not recipe.model.draws(examples):
        return None
    runs, members = jax.tree.leaves(state.params)[0].shape[:2]

    def numbers(axis: str, count: int) -> jax.Array:
        return jax.lax.axis_index(axis) * count + jnp.arange(count)

    def key(run: jax.Array, member: jax.Array, place: jax.Array) -> jax.Array:
        return random_streams.noise_key(recipe.seed, run, member, state.step, place, recipe.vary)

    of_member = jax.vmap(key, (None, None, 0))
    of_run = jax.vmap(of_member, (None, 0, None))
    return jax.vmap(of_run, (0, None, None))(
        recipe.first_run + numbers("run", runs),
        numbers("member", members),
        numbers("data", examples),
    )


def _refreshed_peers(state: TrainState, recipe: Recipe) -> Tree:
    """The stale copies, replaced by the current models every `refresh_steps` steps."""
    if not recipe.objective.stale:
        return state.peers
    current = {"params": state.params, "batch_stats": state.batch_stats}
    refresh = state.step % recipe.objective.refresh_steps == 0
    return jax.tree.map(lambda new, old: jnp.where(refresh, new, old), current, state.peers)


def _frozen_logits(models: Tree, images: jax.Array, recipe: Recipe) -> jax.Array:
    """Logits of one run's stale copies or teachers, in inference mode; no gradient enters them.

    The models [model, …] are split over `member`, as the trained ones are.
    """

    def one_model(variables: Tree) -> jax.Array:
        return recipe.model.apply(variables, images, train=False)[0]

    logits = over_models(one_model, recipe.layout)(models)
    return jax.lax.all_gather(jax.lax.stop_gradient(logits), "member", tiled=True)
