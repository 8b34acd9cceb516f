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

from churn_jax.system.registry import Registry


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a training is, for durations that are parts of it."""

    steps_per_epoch: float
    total_steps: int

    def steps(self, epochs: float, percent: float = 0.0) -> int:
        """A duration in steps: so many epochs or, where those are 0, percent of training."""
        return round(epochs * self.steps_per_epoch or percent / 100 * self.total_steps)


RAMPS = ("constant", "linear", "step")


@dataclasses.dataclass(frozen=True)
class Course:
    """What a schedule of the learning rate is made for.

    Attributes:
      peak: the rate that warm-up ends at, `config.optimizer.learning_rate`.
      total_steps: of training, the warm-up among them.
      warmup_steps: in which the rate rises in a straight line; a schedule begins after them.
      decay_steps, decay_factor: of `stepped`; steps count from the start of training.
      cycles: of `cycles`.
      tail_steps: of `constant`.
    """

    peak: float
    total_steps: int
    warmup_steps: int = 0
    decay_steps: Sequence[int] = ()
    decay_factor: float = 0.1
    cycles: int = 1
    tail_steps: int = 0

    @property
    def steps(self) -> int:
        """Those after the warm-up."""
        return max(self.total_steps - self.warmup_steps, 1)


def learning_rate(kind: str, course: Course) -> optax.Schedule:
    """Linear warm-up from 0 to the peak, and what comes after it.

    `kind` is one of `SCHEDULES`:

    - `stepped`: multiplied by `decay_factor` at each of `decay_steps`, twice where two of them fall
      together. The schedule of Appendix A: CIFAR warms up for 15 epochs and decays at 200, 300 and
      400; ImageNet for 5, and at 30, 60 and 80.
    - `cosine`: to 0 at the end along half a cosine (Loshchilov and Hutter 2017).
    - `cycles`: `cycles` such cosines of equal length, the first begun by the warm-up, each from the
      peak (Huang et al. 2017).
    - `constant`: at the peak until the last `tail_steps`, which go to 0 in a straight line.

    """
    after, peak, warmup_steps = SCHEDULES[kind](course), course.peak, course.warmup_steps
    if warmup_steps == 0:
        return after
    # Step 0 takes a step, so warm-up starts one increment above 0 and ends at the peak.
    warmup = optax.linear_schedule(peak / warmup_steps, peak, max(warmup_steps - 1, 1))
    return optax.join_schedules([warmup, after], [warmup_steps])


def _stepped(course: Course) -> optax.Schedule:
    steps = (max(step - course.warmup_steps, 0) for step in course.decay_steps)
    return optax.piecewise_constant_schedule(
        course.peak,
        {step: course.decay_factor**times for step, times in collections.Counter(steps).items()},
    )


def _cosine(course: Course) -> optax.Schedule:
    return optax.cosine_decay_schedule(course.peak, course.steps)


def cycle_end(cycle: int, cycles: int, total_steps: int) -> int:
    """After how many steps the cycle `cycle` of `cycles` (from 0) is over; the last at the end."""
    return (cycle + 1) * total_steps // cycles


def _cycles(course: Course) -> optax.Schedule:
    peak, warmup_steps, cycles = course.peak, course.warmup_steps, course.cycles
    ends = [cycle_end(i, cycles, course.total_steps) for i in range(cycles)]
    starts = [warmup_steps, *ends[:-1]]

    def rate(step: jax.typing.ArrayLike) -> jax.Array:
        done = jnp.asarray(step) + warmup_steps
        cycle = jnp.clip(jnp.searchsorted(jnp.array(ends), done, side="right"), 0, cycles - 1)
        start, end = jnp.array(starts)[cycle], jnp.array(ends)[cycle]
        passed = jnp.clip((done - start) / jnp.maximum(end - start, 1), 0, 1)
        return peak * 0.5 * (1 + jnp.cos(jnp.pi * passed))

    return rate


def _with_tail(course: Course) -> optax.Schedule:
    peak, steps = course.peak, course.total_steps - course.warmup_steps
    tail = min(course.tail_steps, steps)
    if tail <= 0:
        return optax.constant_schedule(peak)
    return optax.join_schedules(
        [optax.constant_schedule(peak), optax.linear_schedule(peak, 0.0, tail)], [steps - tail]
    )


# Each gives the rate of the steps after warm-up, counted from 0.
SCHEDULES: Registry[Callable[[Course], optax.Schedule]] = Registry(
    "schedule",
    {"stepped": _stepped, "cosine": _cosine, "cycles": _cycles, "constant": _with_tail},
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
