"""Updates of a previous model: how its predictions enter the loss, each way a value of `Anchor`.

With L the cross-entropy with the label (and whatever regularises it), p_old and z_old the previous
model's prediction, `right` whether that is the label, and γ the weight:

    distillation  (1−γ)·L + γ·H(p_old, p)                                Jiang et al., 2022
    rcp           right: (1−γ)·L + γ·H(p_old, p)                         Cormier et al., 2016
                  wrong: ε·((1−γ)·L + γ·H(uniform, p))
    focal         L + γ·(1 + b·right)·τ²·KL(p_old^τ ‖ p^τ)               PCT, Yan et al., 2021
    focal_logits  L + γ·(1 + b·right)·½‖z − z_old‖²                      PCT
    inhibition    (1−γ)·L + γ·Σ over top K of max(0, |z − z_old| − ξ)^p  LDI, Zhao et al., 2022
    neighbours    (1−γ)·L + γ·H(η, p)                                    Bahri and Jiang, 2021

η is the share of each class among the labels of the example's nearest neighbours in z_old: smooth
labels, whose first model is not one that is updated but one trained for them.

Logits are centred (`losses.anchors`). Of several members each is held to the one previous model.
"""

from typing import Protocol

import jax
import jax.numpy as jnp

from churn_jax import losses

KINDS = ("none", "distillation", "rcp", "focal", "focal_logits", "inhibition", "neighbours")
# Whose γ is taken from L, and is at most 1.
CONVEX = ("distillation", "rcp", "inhibition", "neighbours")


class Settings(Protocol):
    """What the kinds have beside their weight: fields of `objectives.Objective`."""

    @property
    def anchor(self) -> str: ...
    @property
    def anchor_temperature(self) -> float: ...  # τ of focal
    @property
    def anchor_focus(self) -> float: ...  # b of focal and focal_logits
    @property
    def anchor_wrong(self) -> float: ...  # ε of rcp
    @property
    def anchor_margin(self) -> float: ...  # ξ of inhibition
    @property
    def anchor_power(self) -> float: ...  # p of inhibition
    @property
    def anchor_top_k(self) -> int: ...  # K of inhibition


def anchored(
    settings: Settings,
    total: jax.Array,
    logits: jax.Array,
    labels: jax.Array,
    previous: jax.Array,
    gamma: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """The loss with the anchor's term, and that term without its weight.

    Args:
      settings: which kind, and how.
      total: L, [member, example].
      logits: [member, example, class].
      labels: int [example].
      previous: log-probabilities of the previous model, [example, class]; of `neighbours`, log η.
      gamma: γ at this step.

    Returns:
      Both [member, example].
    """
    right = (jnp.argmax(previous, axis=-1) == labels).astype(total.dtype)
    term = _term(settings, logits, jnp.broadcast_to(previous, logits.shape), right)
    if settings.anchor == "rcp":
        scale = jnp.where(right > 0, 1.0, settings.anchor_wrong)
        return scale * ((1 - gamma) * total + gamma * term), term
    kept = 1 - gamma if settings.anchor in CONVEX else 1.0
    return kept * total + gamma * term, term


def _term(
    settings: Settings, logits: jax.Array, previous: jax.Array, right: jax.Array
) -> jax.Array:
    match settings.anchor:
        case "distillation" | "neighbours":
            return losses.soft_cross_entropy(logits, jax.nn.softmax(previous))
        case "rcp":
            classes = logits.shape[-1]
            target = jnp.where(right[..., None] > 0, jax.nn.softmax(previous), 1 / classes)
            return losses.soft_cross_entropy(logits, target)
        case "focal":
            far = losses.divergence(logits, previous, settings.anchor_temperature)
            return (1 + settings.anchor_focus * right) * far
        case "focal_logits":
            return (1 + settings.anchor_focus * right) * losses.logit_distance(logits, previous)
    top_k = min(settings.anchor_top_k, logits.shape[-1])
    return losses.logit_inhibition(
        logits, previous, settings.anchor_margin, settings.anchor_power, top_k
    )
