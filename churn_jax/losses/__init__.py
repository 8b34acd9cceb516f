"""The paper's losses, one value per example, stable in float32 and with gradients in closed form.

The last axis of logits is the class; all axes before it (run, member, example, …) are kept, and the
mean over examples is left to the caller. Half-precision logits are accumulated in float32, float32
and float64 ones in their own type, which is the result's; gradients have the type of the logits.
Logits must be finite, and may be as large as ±1e4 or more.

How they stay accurate and cheap:

- From the forward to the backward pass a loss keeps its logits and a few numbers per example; the
  probabilities are formed again where they are used, and no softmax is differentiated.
- Nothing that cancels is subtracted: log(1 + x) is `log1p`, and x − y of two exponentials is
  (x + y) · tanh(log(x / y) / 2). So a loss of 1e-9 has as many right digits as one of 10, and so
  has the distance between two nearly equal predictions.
- The rules are `jax.custom_vjp`: reverse mode, `vmap`, `jit` and `shard_map` work; forward mode
  (`jvp`) does not.
"""

from churn_jax.losses.agreement import l1_distance, symmetric_kl
from churn_jax.losses.anchors import divergence, logit_distance, logit_inhibition
from churn_jax.losses.cross_entropies import cross_entropy, distillation, soft_cross_entropy
from churn_jax.losses.regularisers import LOG_PROBABILITY_FLOOR, entropy, skl_to_uniform

__all__ = [
    "LOG_PROBABILITY_FLOOR",
    "cross_entropy",
    "distillation",
    "divergence",
    "entropy",
    "l1_distance",
    "logit_distance",
    "logit_inhibition",
    "skl_to_uniform",
    "soft_cross_entropy",
    "symmetric_kl",
]
