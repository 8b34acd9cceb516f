"""The methods of the paper by name, each a value of `Objective`; and what the paper leaves open.

α, β and τ come from the config of a data set (`paper.hyperparameters` for the paper's own). What
the paper does not say, and what is done here:

- ramp lengths: `RAMP_FRACTION` of training, so that the agreement term is whole well before the
  learning rate first decays; `config.method.beta_ramp_epochs`, `alpha_ramp_epochs`.
- t₀, the burn-in of co-distillation with CE: the same fraction; `config.method.beta_ramp_epochs`.
- T, the refresh period of stale peers: 50 steps, which Anil et al. found as good as fresh ones, and
  fewer in the short trainings of digits and Fashion-MNIST; `config.method.refresh_steps`.
- the weight of distillation against L: 0.9, as Hinton et al. advise giving the hard labels
  "a considerably lower weight"; `config.method.teacher_weight`.
- whether top-k probabilities are renormalised: no; `config.method.renormalise`.
- which teachers a student gets: runs 2r and 2r + 1 of the baseline teach student r and no other, so
  that students stay independent; `config.method.teachers`, `num_teachers`. Students have a seed of
  their own, or they would start from the weights of another student's teacher; `config.seed`.
- whether the models of a 2-ensemble see the same batches: they do, and differ by initialisation.
- over how many examples batch norm goes: a TPU core's share of the batch, as TPU programs of that
  time had it, so that no statistics cross cores; `config.model.norm_group`.
- SVHN's optimiser, schedule and augmentation: CIFAR's form at a tenth of its length, with a rate
  that LeNet5 can bear, clipped gradients and no flip; `configs/svhn.py` has every key.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from churn_jax.errors import UserError, suggest
from churn_jax.methods.objectives import Objective
from churn_jax.system.registry import Registry

RAMP_FRACTION = 0.3

_PAIR = Objective(members=2, agreement="symmetric_kl")

METHODS: Registry[Objective] = Registry(
    "method",
    {
        "baseline": Objective(),
        "entropy": Objective(regularizer="entropy"),
        "skl": Objective(regularizer="skl_to_uniform"),
        "ensemble": Objective(members=2, prediction="mean"),
        "ensemble_distill": Objective(teacher_weight=0.9),
        "codistill_ce": dataclasses.replace(
            _PAIR, agreement="cross_entropy", update="stale", beta_ramp="step"
        ),
        "codistill_l1": dataclasses.replace(_PAIR, agreement="l1"),
        "codistill_skl": _PAIR,
        "codistill_skl_entropy": dataclasses.replace(
            _PAIR, regularizer="entropy", convex=False, alpha_ramp="linear"
        ),
        "codistill_skl_skl": dataclasses.replace(
            _PAIR, regularizer="skl_to_uniform", convex=False, alpha_ramp="linear"
        ),
    },
)


# Updates of the model that `config.previous` names: see `methods.anchors`.
UPDATES: dict[str, Objective] = {
    "distill_previous": Objective(anchor="distillation", gamma=0.5),
    "rcp": Objective(anchor="rcp", gamma=0.5),
    "pct_kl": Objective(anchor="focal", gamma=1.0),
    "pct_logits": Objective(anchor="focal_logits", gamma=0.1),
    "ldi": Objective(anchor="inhibition", gamma=0.8),
    # No update: the model that `config.previous` names was trained for its neighbourhoods.
    "knn_smoothing": Objective(anchor="neighbours", gamma=0.3),
}


def method(
    name: str, hyperparameters: Mapping[str, Any], epochs: float, top_k: int = 0
) -> Objective:
    """The method called `name` with a data set's hyperparameters.

    Args:
      name: a key of `METHODS` or `UPDATES`.
      hyperparameters: any of alpha, beta, temperature, refresh_steps.
      epochs: length of training, of which ramps take `RAMP_FRACTION`.
      top_k: for the regularisers.

    Raises:
      UserError: no such method.
    """
    known = {**METHODS, **UPDATES}
    if name not in known and name not in METHODS:
        raise UserError(f"unknown method {name!r}{suggest(name, known)}")
    template = UPDATES.get(name) or METHODS[name]
    ramp_epochs = RAMP_FRACTION * epochs
    return dataclasses.replace(
        template,
        label=name,
        top_k=top_k if template.regularizer != "none" else 0,
        alpha_ramp_epochs=ramp_epochs if template.alpha_ramp != "constant" else 0.0,
        beta_ramp_epochs=ramp_epochs if template.agreement != "none" else 0.0,
        **hyperparameters,
    )
