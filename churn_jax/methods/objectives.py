"""Methods as data: every method of the paper is one value of the frozen dataclass `Objective`.

An objective is a pure function of the logits of all members of one run, [member, example, class],
so one gradient with respect to the logits serves joint updates of any number of members: the
networks never see each other, only their logits meet.
"""

import dataclasses
import inspect
import itertools
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from churn_jax import bounds, losses
from churn_jax.bounds import Name, OneOf, Positive, Within
from churn_jax.errors import UserError
from churn_jax.methods import anchors, schedules
from churn_jax.methods.schedules import Length
from churn_jax.methods.views import VIEWS
from churn_jax.methods.views import count as count_views
from churn_jax.system.registry import Registry

UPDATES = ("joint", "stale")
AGREE_WITH = ("pairs", "mean")
# Which model counts: member 0 or the members' mean, by their last weights or by averages of them.
PREDICTIONS = (
    *("first", "mean", "ema", "ema_mean", "swa", "swa_mean"),
    *("snapshots", "snapshots_mean"),
)


def _peer_cross_entropy(own: jax.Array, peer: jax.Array) -> jax.Array:
    return losses.soft_cross_entropy(own, jax.nn.softmax(peer))


def _closeness_to_uniform(logits: jax.Array, **options: Any) -> jax.Array:
    return -losses.skl_to_uniform(logits, **options)


# Each takes logits, [..., class], and is per example; it may take `top_k` and `renormalise`.
REGULARIZERS: Registry[Callable[..., jax.Array]] = Registry(
    "regulariser",
    {
        "entropy": losses.entropy,
        "skl_to_uniform": _closeness_to_uniform,
    },
)

# Each takes (own logits, peer logits), [example, class], and is per example.
DISTANCES: Registry[Callable[[jax.Array, jax.Array], jax.Array]] = Registry(
    "agreement term",
    {
        "symmetric_kl": losses.symmetric_kl,
        "l1": losses.l1_distance,
        "cross_entropy": _peer_cross_entropy,
    },
)


# What a batch's examples are mixed with (mixup): the partners' labels, int [example], and how much
# of each mix is the example itself, λ [example].
Mix = tuple[jax.Array, jax.Array]


@dataclasses.dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; coefficients are ramped over epochs.

    With L the mean cross-entropy of a member, R the regulariser and D the agreement term:

        convex     (1−α)·L + α·R                     (eq. 6, 7)
        added      L + α·R                           (eq. 19)
        agreement  Σ_m L_m + β·mean over pairs of D  (eq. 8, 9)
        stale      each m: L_m + β·mean over peers of D against the peers' stale copies (eq. 17, 18)
        teacher    (1−w)·L + w·τ²·H(t, softmax(z/τ)), t the mean over teachers of softmax(z_t/τ)
        anchor     to the predictions of a previous model, with weight γ: see `methods.anchors`

    With label smoothing ε, L is the cross-entropy with (1−ε)·e_y + ε/K. Agreement `with` the mean
    takes the mean over members of D between a member and the mean of all members' probabilities.

    R is the entropy H(p), or −SKL(p, Unif): both are small when predictions are confident.
    """

    label: Annotated[str, Name()] = "baseline"
    members: Annotated[int, Within(1, 128)] = 1
    prediction: Annotated[str, OneOf(PREDICTIONS)] = "first"  # which model counts
    # Of which views of a picture the mean prediction counts: see `methods.views`.
    views: Annotated[str, OneOf(VIEWS)] = "one"
    label_smoothing: Annotated[float, Within(0, 0.99)] = 0.0

    regularizer: Annotated[str, OneOf(REGULARIZERS.or_none)] = "none"
    alpha: float = 0.0  # at least 0, and below 1 where convex
    alpha_ramp: Annotated[str, OneOf(schedules.RAMPS)] = "constant"
    alpha_ramp_epochs: Annotated[float, Within(0)] = 0.0
    # Of training, instead of epochs.
    alpha_ramp_percent: Annotated[float, Within(0, 100)] = 0.0
    convex: bool = True
    # The regulariser's sums run over the k largest probabilities; 0 is all.
    top_k: Annotated[int, Within(0)] = 0
    renormalise: bool = False  # whether those k probabilities are scaled to sum to one

    agreement: Annotated[str, OneOf(DISTANCES.or_none)] = "none"
    # pairs: each with each other member; mean: each with the mean of all.
    agree_with: Annotated[str, OneOf(AGREE_WITH)] = "pairs"
    beta: Annotated[float, Within(0)] = 0.0
    beta_ramp: Annotated[str, OneOf(schedules.RAMPS)] = "linear"
    beta_ramp_epochs: Annotated[float, Within(0)] = 0.0
    beta_ramp_percent: Annotated[float, Within(0, 100)] = 0.0
    update: Annotated[str, OneOf(UPDATES)] = "joint"
    refresh_steps: Annotated[int, Within(1)] = 50  # steps between refreshes of the stale copies

    teacher_weight: Annotated[float, Within(0, 1)] = 0.0
    temperature: Annotated[float, Positive()] = 1.0
    teachers: str = ""  # workdirs of finished baseline runs, separated by commas
    # How many of them teach each run; they teach no other.
    num_teachers: Annotated[int, Within(1, 128)] = 2

    # How the model that `config.previous` names enters the loss; see `methods.anchors`.
    anchor: Annotated[str, OneOf(anchors.KINDS)] = "none"
    gamma: Annotated[float, Within(0)] = 0.0  # at most 1 where it is taken from the loss
    gamma_ramp: Annotated[str, OneOf(schedules.RAMPS)] = "constant"
    gamma_ramp_epochs: Annotated[float, Within(0)] = 0.0
    gamma_ramp_percent: Annotated[float, Within(0, 100)] = 0.0
    anchor_temperature: Annotated[float, Within(1e-3, 1e4)] = 1.0  # τ of focal
    anchor_focus: Annotated[float, Within(0)] = 5.0  # b of focal and focal_logits
    anchor_wrong: Annotated[float, Within(0, 1)] = 1.0  # ε of rcp
    anchor_margin: Annotated[float, Within(0)] = 0.5  # ξ of inhibition
    anchor_power: Annotated[float, Within(1, 8)] = 2.0  # p of inhibition
    anchor_top_k: Annotated[int, Within(1)] = 10  # K of inhibition
    anchor_neighbours: Annotated[int, Within(1)] = 10  # of neighbours

    def check(self) -> None:
        """Raises a `UserError` that names the first value no objective can have."""
        bounds.check(self, "config.method.")
        if not self.alpha >= 0 or (self.convex and self.alpha >= 1):
            end = "1)" if self.convex else "…]"
            raise UserError(f"config.method.alpha: {self.alpha} is outside [0, {end}")
        if self.anchor in anchors.CONVEX and self.gamma > 1:
            raise UserError(f"config.method.gamma: {self.gamma} is outside [0, 1]")
        if self.agree_with == "mean" and self.update == "stale":
            raise UserError(
                "config.method.agree_with: 'mean' is for update='joint'; of stale copies each is a "
                "peer by itself"
            )
        if self.members < 2 and self.agreement != "none":
            raise UserError(
                f"config.method.members: {self.members}, but the agreement term "
                f"{self.agreement!r} needs 2 or more"
            )

    @property
    def stale(self) -> bool:
        """Whether members train against stale copies of their peers."""
        return self.agreement != "none" and self.update == "stale"

    @property
    def taught(self) -> bool:
        """Whether members train towards trained teachers."""
        return self.teacher_weight > 0

    @property
    def anchored(self) -> bool:
        """Whether members are held to a previous model's predictions."""
        return self.anchor != "none"

    @property
    def averages(self) -> str:
        """Which averages of the weights predict: a kind of `methods.averages`; 'none' if none."""
        return averages_of(self.prediction)

    @property
    def counts_mean(self) -> bool:
        """Whether the mean of the members is the prediction."""
        return self.prediction.endswith("mean")

    @property
    def training_cost(self) -> int:
        """Networks trained for one run, its teachers included: the paper's "training cost"."""
        return self.members + (self.num_teachers if self.taught else 0)

    @property
    def inference_cost(self) -> int:
        """Networks that a prediction asks, each once for every view; see `Config.inference_cost`
        for their snapshots."""
        return (self.members if self.counts_mean else 1) * count_views(self.views)


def averages_of(prediction: str) -> str:
    """The kind of `methods.averages` that one of `PREDICTIONS` needs."""
    kind = prediction.removesuffix("_mean")
    return "none" if kind in ("first", "mean") else kind


def coefficients(objective: Objective, step: jax.Array, length: Length) -> dict[str, jax.Array]:
    """The ramped α and β, and γ where there is an anchor, at `step` of a training."""

    def ramped(name: str) -> jax.Array:
        kind, value = getattr(objective, f"{name}_ramp"), getattr(objective, name)
        lasts = [getattr(objective, f"{name}_ramp_{unit}") for unit in ("epochs", "percent")]
        ramp = schedules.ramp(kind, value, length.steps(*lasts))
        return jnp.asarray(ramp(step), jnp.float32)

    names = ("alpha", "beta", *(["gamma"] if objective.anchored else []))
    return {name: ramped(name) for name in names}


def terms(
    objective: Objective,
    logits: jax.Array,
    labels: jax.Array,
    *,
    alpha: jax.Array,
    beta: jax.Array,
    gamma: jax.Array | float = 0.0,
    stale_logits: jax.Array | None = None,
    teacher_logits: jax.Array | None = None,
    previous: jax.Array | None = None,
    mix: Mix | None = None,
    counts: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The objective of one run, per example.

    Args:
      objective: the method.
      logits: [member, example, class].
      labels: int [example]; the members share them.
      alpha, beta, gamma: coefficients at this step.
      stale_logits: [member, example, class] of the stale copies, for `update = stale`.
      teacher_logits: [teacher, example, class], for distillation.
      previous: [example, class] log-probabilities of the previous model, for an anchor.
      mix: with what the examples are mixed: L is then λ·H(e_y, p) + (1−λ)·H(e_y′, p), which is the
        cross-entropy with the mixed label. All other terms are of the mixed example as it is.
      counts: int [member, example], how often each is in the member's own sample, over which then
        goes whatever is its own; agreement goes over the samples of all.

    Returns:
      The total [example], summed over members (its gradient with respect to `logits` updates every
      member jointly), and those of the terms {cross_entropy, regularizer, distillation, anchor,
      agreement} that the objective has, each [member, example].
    """
    cross_entropy = _of_mix(partial(_cross_entropy, objective, logits), labels, mix)
    parts = {"cross_entropy": cross_entropy}
    total = cross_entropy
    if objective.regularizer != "none":
        parts["regularizer"] = _regularizer(objective, logits)
        kept = 1 - alpha if objective.convex else 1.0
        total = kept * total + alpha * parts["regularizer"]
    if objective.taught:
        assert teacher_logits is not None
        probs = jax.nn.softmax(teacher_logits / objective.temperature).mean(axis=0)
        probs = jnp.broadcast_to(probs, logits.shape)
        parts["distillation"] = losses.distillation(logits, probs, objective.temperature)
        weight = objective.teacher_weight
        total = (1 - weight) * total + weight * parts["distillation"]
    if objective.anchored:
        assert previous is not None
        total, parts["anchor"] = anchors.anchored(
            objective, total, logits, labels, previous, jnp.asarray(gamma)
        )
    if counts is not None:
        total = counts * total
        parts = {name: counts * value for name, value in parts.items()}
    if objective.agreement != "none":
        parts["agreement"] = _agreement(objective, logits, stale_logits)
        if counts is not None:
            parts["agreement"] = jnp.mean(counts, axis=0) * parts["agreement"]
        total = total + beta * parts["agreement"]
    return total.sum(axis=0), parts


def accuracy(logits: jax.Array, labels: jax.Array, mix: Mix | None) -> jax.Array:
    """How right each member is, float32 [member, example]: of a mix, in part for either label."""
    predicted = jnp.argmax(logits, axis=-1)
    return _of_mix(lambda labels: (predicted == labels).astype(jnp.float32), labels, mix)


def _of_mix(
    value: Callable[[jax.Array], jax.Array], labels: jax.Array, mix: Mix | None
) -> jax.Array:
    """`value`(labels), [..., example]; of a mix λ·`value`(y) + (1−λ)·`value`(y′)."""
    if mix is None:
        return value(labels)
    others, share = mix
    return share * value(labels) + (1 - share) * value(others)


def _cross_entropy(objective: Objective, logits: jax.Array, labels: jax.Array) -> jax.Array:
    everyones = jnp.broadcast_to(labels, logits.shape[:-1])
    smoothing, classes = objective.label_smoothing, logits.shape[-1]
    if not smoothing:
        return losses.cross_entropy(logits, everyones)
    target = (1 - smoothing) * jax.nn.one_hot(everyones, classes) + smoothing / classes
    return losses.soft_cross_entropy(logits, target)


def _regularizer(objective: Objective, logits: jax.Array) -> jax.Array:
    name = objective.regularizer
    regularizer = REGULARIZERS[name]
    options = {"top_k": objective.top_k or None, "renormalise": objective.renormalise}
    taken = inspect.signature(regularizer).parameters.values()
    if not any(each.kind == each.VAR_KEYWORD for each in taken):
        options = {key: value for key, value in options.items() if key in {t.name for t in taken}}
    if objective.top_k and "top_k" not in options:
        raise UserError(f"config.method.top_k: {objective.top_k}, but {name!r} takes no top_k")
    return _per_example(f"regularizer: {name!r}", regularizer(logits, **options), logits)


def _per_example(which: str, value: Any, logits: jax.Array) -> jax.Array:
    """A term's value, or a `UserError` unless it is one number an example of `logits`."""
    expected = logits.shape[:-1]
    if jnp.shape(value) != expected or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        found = f"{jnp.result_type(value)}{list(jnp.shape(value))}"
        raise UserError(
            f"config.method.{which} gives {found} for logits {list(logits.shape)}, not one number "
            f"an example, {list(expected)}"
        )
    return value


def _agreement(
    objective: Objective, logits: jax.Array, stale_logits: jax.Array | None
) -> jax.Array:
    """[member, example]; a joint pair's value is split evenly between its two members."""

    def distance(own: jax.Array, peer: jax.Array) -> jax.Array:
        value = DISTANCES[objective.agreement](own, peer)
        return _per_example(f"agreement: {objective.agreement!r}", value, own)

    members = logits.shape[0]
    per_member = [
        jnp.zeros(logits.shape[1], jnp.promote_types(logits.dtype, jnp.float32))
    ] * members
    if objective.update == "stale":
        assert stale_logits is not None
        stale_logits = jax.lax.stop_gradient(stale_logits)
        for own, peer in itertools.permutations(range(members), 2):
            per_member[own] += distance(logits[own], stale_logits[peer]) / (members - 1)
        return jnp.stack(per_member)
    if objective.agree_with == "mean":
        mean = jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - jnp.log(members)
        return jnp.stack([distance(own, mean) for own in logits]) / members
    pairs = list(itertools.combinations(range(members), 2))
    for a, b in pairs:
        value = distance(logits[a], logits[b])
        if objective.agreement == "cross_entropy":  # not symmetric: each is the other's peer once
            value += distance(logits[b], logits[a])
        per_member[a] += value / (2 * len(pairs))
        per_member[b] += value / (2 * len(pairs))
    return jnp.stack(per_member)
