"""Learning rates and coefficient ramps, as optax schedules: functions of the step.

Durations arrive in epochs, as the paper writes them, and leave in steps.
"""

from collections.abc import Sequence

import optax

RAMPS = ("constant", "linear", "step")


def learning_rate(
    peak: float,
    *,
    steps_per_epoch: float,
    warmup_epochs: float = 0.0,
    decay_epochs: Sequence[float] = (),
    decay_factor: float = 0.1,
) -> optax.Schedule:
    """Linear warm-up from 0 to `peak`, then multiplied by `decay_factor` at each of `decay_epochs`.

    The schedule of Appendix A: CIFAR warms up for 15 epochs and decays at 200, 300 and 400;
    ImageNet for 5, and at 30, 60 and 80. Epochs count from the start of training.
    """
    warmup_steps = round(warmup_epochs * steps_per_epoch)
    boundaries = {
        max(round(epoch * steps_per_epoch) - warmup_steps, 0): decay_factor
        for epoch in decay_epochs
    }
    decayed = optax.piecewise_constant_schedule(peak, boundaries)
    if warmup_steps == 0:
        return decayed
    # Step 0 takes a step, so warm-up starts one increment above 0 and ends at the peak.
    warmup = optax.linear_schedule(peak / warmup_steps, peak, max(warmup_steps - 1, 1))
    return optax.join_schedules([warmup, decayed], [warmup_steps])


def ramp(kind: str, value: float, ramp_steps: int) -> optax.Schedule:
    """A coefficient's ramp towards `value`.

    - `constant`: `value` throughout.
    - `linear`: min(c·t, value) with c = value / ramp_steps, so `value` is reached at `ramp_steps`.
    - `step`: 0 up to and including the burn-in step t₀ = `ramp_steps`, `value` after it.
    """
    if kind == "constant" or (kind == "linear" and ramp_steps == 0):
        return optax.constant_schedule(value)
    if kind == "linear":
        return optax.linear_schedule(0.0, value, ramp_steps)
    if kind == "step":
        return optax.join_schedules(
            [optax.constant_schedule(0.0), optax.constant_schedule(value)], [ramp_steps + 1]
        )
    raise ValueError(f"ramp {kind!r} is none of {RAMPS}")
