"""Learning rates and coefficient ramps, as optax schedules: functions of the step.

Durations arrive in steps; configs have them in epochs, as the paper writes them, or in percent of
training.
"""

import collections
import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a training is, for durations that are parts of it."""

    steps_per_epoch: float
    total_steps: int

    def steps(self, epochs: float, percent: float = 0.0) -> int:
        """A duration in steps: so many epochs or, where those are 0, percent of training."""
        return round(epochs * self.steps_per_epoch or percent / 100 * self.total_steps)


RAMPS = ("constant", "linear", "step")
SCHEDULES = ("stepped", "cosine", "cycles", "constant")


def learning_rate(
    kind: str,
    peak: float,
    *,
    total_steps: int,
    warmup_steps: int = 0,
    decay_steps: Sequence[int] = (),
    decay_factor: float = 0.1,
    cycles: int = 1,
    tail_steps: int = 0,
) -> optax.Schedule:
    """Linear warm-up from 0 to `peak`, and what comes after it.

    - `stepped`: multiplied by `decay_factor` at each of `decay_steps`, twice where two of them fall
      together. The schedule of Appendix A: CIFAR warms up for 15 epochs and decays at 200, 300 and
      400; ImageNet for 5, and at 30, 60 and 80.
    - `cosine`: to 0 at the end along half a cosine (Loshchilov and Hutter 2017).
    - `cycles`: `cycles` such cosines of equal length, the first begun by the warm-up, each from the
      peak (Huang et al. 2017).
    - `constant`: at the peak until the last `tail_steps`, which go to 0 in a straight line.

    Steps count from the start of training.
    """
    after: dict[str, Callable[[], optax.Schedule]] = {
        "stepped": lambda: _stepped(peak, decay_steps, decay_factor, warmup_steps),
        "cosine": lambda: optax.cosine_decay_schedule(peak, max(total_steps - warmup_steps, 1)),
        "cycles": lambda: _cycles(peak, total_steps, warmup_steps, cycles),
        "constant": lambda: _with_tail(peak, total_steps - warmup_steps, tail_steps),
    }
    if kind not in after:
        raise ValueError(f"schedule {kind!r} is none of {SCHEDULES}")
    if warmup_steps == 0:
        return after[kind]()
    # Step 0 takes a step, so warm-up starts one increment above 0 and ends at the peak.
    warmup = optax.linear_schedule(peak / warmup_steps, peak, max(warmup_steps - 1, 1))
    return optax.join_schedules([warmup, after[kind]()], [warmup_steps])


def _stepped(
    peak: float, decay_steps: Sequence[int], factor: float, warmup_steps: int
) -> optax.Schedule:
    together = collections.Counter(max(step - warmup_steps, 0) for step in decay_steps)
    return optax.piecewise_constant_schedule(
        peak, {step: factor**times for step, times in together.items()}
    )


def cycle_end(cycle: int, cycles: int, total_steps: int) -> int:
    """After how many steps the cycle `cycle` of `cycles` (from 0) is over; the last at the end."""
    return (cycle + 1) * total_steps // cycles


def _cycles(peak: float, total_steps: int, warmup_steps: int, cycles: int) -> optax.Schedule:
    ends = [cycle_end(i, cycles, total_steps) for i in range(cycles)]
    starts = [warmup_steps, *ends[:-1]]

    def rate(step: jax.typing.ArrayLike) -> jax.Array:
        done = jnp.asarray(step) + warmup_steps
        cycle = jnp.clip(jnp.searchsorted(jnp.array(ends), done, side="right"), 0, cycles - 1)
        start, end = jnp.array(starts)[cycle], jnp.array(ends)[cycle]
        passed = jnp.clip((done - start) / jnp.maximum(end - start, 1), 0, 1)
        return peak * 0.5 * (1 + jnp.cos(jnp.pi * passed))

    return rate


def _with_tail(peak: float, steps: int, tail_steps: int) -> optax.Schedule:
    tail = min(tail_steps, steps)
    if tail <= 0:
        return optax.constant_schedule(peak)
    return optax.join_schedules(
        [optax.constant_schedule(peak), optax.linear_schedule(peak, 0.0, tail)], [steps - tail]
    )


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
