"""Mixup (Zhang et al. 2018): which example is mixed with which, and how much of either there is.

    λ·x + (1−λ)·x′ with the label λ·e_y + (1−λ)·e_y′,   λ ~ Beta(α, α)

The mixing itself is `batch.mixed`, the label's part `methods.objectives`. Members of a run see the
same mixes, so that they can agree about them. Both draws follow run, epoch and example, as all
augmentation does; the partner x′ is any example that the run trains on, as it is cropped and
flipped itself in that epoch.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from churn_jax import random_streams
from churn_jax.data.resident import ResidentPlan

ROW = np.dtype([("partner", np.int32), ("share", np.float32)])


def epoch_mixing(plan: ResidentPlan, runs: np.ndarray, epoch: int) -> np.ndarray:
    """The mixes of one epoch of some runs: `ROW` [run, example].

    `plan.data.mixup` is α: small, and almost all of a mix is one of the two; 1, and any share is as
    likely as any other; large, and it is half of each.
    """

    def of_run(run: jax.Array) -> tuple[jax.Array, jax.Array]:
        return random_streams.epoch_mixing(
            plan.seed, run, epoch, plan.vary, plan.num_examples, plan.data.sample
        )

    partners, quantiles = jax.vmap(of_run)(jnp.asarray(runs, jnp.int32))
    found = np.empty(partners.shape, ROW)
    found["partner"] = partners
    # By the inverse of its distribution function: JAX's own `beta` takes seconds to compile.
    alpha = plan.data.mixup
    found["share"] = special.betaincinv(alpha, alpha, np.asarray(quantiles, np.float64))
    return found


def of_run(plan: ResidentPlan, run: int, epoch: int) -> np.ndarray:
    """The same of one run: `ROW` [example]."""
    return epoch_mixing(plan, np.array([run]), epoch)[0]
