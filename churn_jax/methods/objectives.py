"""Methods as data: every method of the paper is one value of the frozen dataclass `Objective`.

An objective is a pure function of the logits of all members of one run, [member, example, class],
so one gradient with respect to the logits serves joint updates of any number of members: the
networks never see each other, only their logits meet.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from churn_jax import bounds, losses
from churn_jax.bounds import Name, OneOf, Positive, Within
from churn_jax.errors import UserError
from churn_jax.methods import schedules

UPDATES = ("joint", "stale")
PREDICTIONS = ("first", "mean")


def _peer_cross_entropy(own: jax.Array, peer: jax.Array) -> jax.Array:
    return losses.soft_cross_entropy(own, jax.nn.softmax(peer))


def _closeness_to_uniform(logits: jax.Array, **options: Any) -> jax.Array:
    return -losses.skl_to_uniform(logits, **options)


# Each takes logits, [..., class], `top_k` and `renormalise`, and is per example.
REGULARIZERS: dict[str, Callable[..., jax.Array]] = {
    "entropy": losses.entropy,
    "skl_to_uniform": _closeness_to_uniform,
}

# Each takes (own logits, peer logits), [example, class], and is per example.
DISTANCES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "symmetric_kl": losses.symmetric_kl,
    "l1": losses.l1_distance,
    "cross_entropy": _peer_cross_entropy,
}


@dataclasses.dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; coefficients are ramped over epochs.

    With L the mean cross-entropy of a member, R the regulariser and D the agreement term:

        convex     (1−α)·L + α·R                     (eq. 6, 7)
        added      L + α·R                           (eq. 19)
        agreement  Σ_m L_m + β·mean over pairs of D  (eq. 8, 9)
        stale      each m: L_m + β·mean over peers of D against the peers' stale copies (eq. 17, 18)
        teacher    (1−w)·L + w·τ²·H(t, softmax(z/τ)), t the mean over teachers of softmax(z_t/τ)

    R is the entropy H(p), or −SKL(p, Unif): both are small when predictions are confident.
    """

    label: Annotated[str, Name()] = "baseline"
    members: Annotated[int, Within(1, 128)] = 1
    # Which model counts: member 0, or the mean of all (an ensemble).
    prediction: Annotated[str, OneOf(PREDICTIONS)] = "first"

    regularizer: Annotated[str, OneOf(("none", *REGULARIZERS))] = "none"
    alpha: float = 0.0  # at least 0, and below 1 where convex
    alpha_ramp: Annotated[str, OneOf(schedules.RAMPS)] = "constant"
    alpha_ramp_epochs: Annotated[float, Within(0)] = 0.0
    convex: bool = True
    # The regulariser's sums run over the k largest probabilities; 0 is all.
    top_k: Annotated[int, Within(0)] = 0
    renormalise: bool = False  # whether those k probabilities are scaled to sum to one

    agreement: Annotated[str, OneOf(("none", *DISTANCES))] = "none"
    beta: Annotated[float, Within(0)] = 0.0
    beta_ramp: Annotated[str, OneOf(schedules.RAMPS)] = "linear"
    beta_ramp_epochs: Annotated[float, Within(0)] = 0.0
    update: Annotated[str, OneOf(UPDATES)] = "joint"
    refresh_steps: Annotated[int, Within(1)] = 50  # steps between refreshes of the stale copies

    teacher_weight: Annotated[float, Within(0, 1)] = 0.0
    temperature: Annotated[float, Positive()] = 1.0
    teachers: str = ""  # workdirs of finished baseline runs, separated by commas
    # How many of them teach each run; they teach no other.
    num_teachers: Annotated[int, Within(1, 128)] = 2

    def check(self) -> None:
        """Raises a `UserError` that names the first value no objective can have."""
        bounds.check(self, "config.method.")
        if not self.alpha >= 0 or (self.convex and self.alpha >= 1):
            end = "1)" if self.convex else "…]"
            raise UserError(f"config.method.alpha: {self.alpha} is outside [0, {end}")
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
    def training_cost(self) -> int:
        """Networks trained for one run, its teachers included: the paper's "training cost"."""
        return self.members + (self.num_teachers if self.taught else 0)

    @property
    def inference_cost(self) -> int:
        """Networks that a prediction asks."""
        return self.members if self.prediction == "mean" else 1


def coefficients(
    objective: Objective, step: jax.Array, steps_per_epoch: float
) -> dict[str, jax.Array]:
    """The ramped α and β at `step`."""
    return {
        "alpha": jnp.asarray(
            schedules.ramp(
                objective.alpha_ramp,
                objective.alpha,
                round(objective.alpha_ramp_epochs * steps_per_epoch),
            )(step),
            jnp.float32,
        ),
        "beta": jnp.asarray(
            schedules.ramp(
                objective.beta_ramp,
                objective.beta,
                round(objective.beta_ramp_epochs * steps_per_epoch),
            )(step),
            jnp.float32,
        ),
    }


def terms(
    objective: Objective,
    logits: jax.Array,
    labels: jax.Array,
    *,
    alpha: jax.Array,
    beta: jax.Array,
    stale_logits: jax.Array | None = None,
    teacher_logits: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The objective of one run, per example.

    Args:
      objective: the method.
      logits: [member, example, class].
      labels: int [example]; the members share them.
      alpha, beta: coefficients at this step.
      stale_logits: [member, example, class] of the stale copies, for `update = stale`.
      teacher_logits: [teacher, example, class], for distillation.

    Returns:
      The total [example], summed over members (its gradient with respect to `logits` updates every
      member jointly), and those of the terms {cross_entropy, regularizer, distillation, agreement}
      that the objective has, each [member, example].
    """
    cross_entropy = losses.cross_entropy(logits, jnp.broadcast_to(labels, logits.shape[:-1]))
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
    if objective.agreement != "none":
        parts["agreement"] = _agreement(objective, logits, stale_logits)
        total = total + beta * parts["agreement"]
    return total.sum(axis=0), parts


def _regularizer(objective: Objective, logits: jax.Array) -> jax.Array:
    regularizer = REGULARIZERS[objective.regularizer]
    return regularizer(logits, top_k=objective.top_k or None, renormalise=objective.renormalise)


def _agreement(
    objective: Objective, logits: jax.Array, stale_logits: jax.Array | None
) -> jax.Array:
    """[member, example]; a joint pair's value is split evenly between its two members."""
    distance = DISTANCES[objective.agreement]
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
    pairs = list(itertools.combinations(range(members), 2))
    for a, b in pairs:
        value = distance(logits[a], logits[b])
        if objective.agreement == "cross_entropy":  # not symmetric: each is the other's peer once
            value += distance(logits[b], logits[a])
        per_member[a] += value / (2 * len(pairs))
        per_member[b] += value / (2 * len(pairs))
    return jnp.stack(per_member)
