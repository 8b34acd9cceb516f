"""How far, how fast, how long yet, how good: a line a report, and in a terminal a bar below it."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from churn_jax.system.console import say, show

# Less waiting than this share of the time is not worth a word.
WAITING_SHARE = 0.1

_BAR = 24  # characters
_REDRAWN = 0.2  # seconds between two looks of the bar


class Progress:
    """Rate and time left of a loop, with compilation and pauses left out.

    The rate is that of all steps since the start, not of the last interval, so one slow interval
    doesn't make the time left jump.
    """

    def __init__(
        self,
        label: str,
        step: int,
        total_steps: int,
        examples_per_step: int,
        waited: Callable[[], float] = lambda: 0.0,
    ):
        """`waited` gives the seconds that the loop has spent waiting for data so far."""
        self._waited = waited
        self._waited_before = 0.0
        self._label = label
        self._total = total_steps
        self._examples_per_step = examples_per_step
        self._counted_from = step
        self._seconds = 0.0
        self._resumed_at: float | None = None
        self._begun_at = self._drawn_at = time.monotonic()
        say("compiling the step …")

    def start(self, step: int) -> None:
        """Begins counting; call after the first step, whose time is compilation's."""
        say(f"the first step took {time.monotonic() - self._begun_at:.1f} s with its compilation")
        self._counted_from = step
        self._waited_before = self._waited()
        self._resumed_at = time.monotonic()

    def pause(self) -> None:
        """Stops counting, while evaluating or writing; takes the bar away."""
        show("")
        if self._resumed_at is not None:
            self._seconds += time.monotonic() - self._resumed_at
        self._resumed_at = None

    def resume(self) -> None:
        """Counts again, if counting had begun."""
        if self._resumed_at is None:
            self._resumed_at = time.monotonic()

    def tick(self, step: int) -> None:
        """Redraws the bar, where there is one, a few times a second; call after every step."""
        if self._resumed_at is not None and time.monotonic() - self._drawn_at > _REDRAWN:
            self._drawn_at = time.monotonic()
            done = step * _BAR // self._total
            show(
                f"{self._label} {'█' * done}{'░' * (_BAR - done)} {step / self._total:.0%}  "
                f"{self.rate(step):.3g} steps/s  {self._left(step)}"
            )

    def _left(self, step: int) -> str:
        rate = self.rate(step)
        return f"{clock((self._total - step) / rate)} left" if rate > 0 else ""

    def rate(self, step: int) -> float:
        """Steps a second."""
        return (step - self._counted_from) / self._counted_seconds()

    def _counted_seconds(self) -> float:
        running = time.monotonic() - self._resumed_at if self._resumed_at is not None else 0.0
        return max(self._seconds + running, 1e-9)

    def _bottleneck(self) -> str:
        """Says so when the device often has nothing to do because data comes too slowly."""
        share = (self._waited() - self._waited_before) / self._counted_seconds()
        if share < WAITING_SHARE:
            return ""
        return f"waiting for data {share:.0%} of the time (see config.data.workers)  "

    def report(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Prints step, rate, time left and each metric of {name: [run, member]}: mean over runs."""
        rate = self.rate(step)
        numbers = "  ".join(f"{name} {_per_member(value)}" for name, value in metrics.items())
        say(
            f"{self._label}  step {step}/{self._total} ({step / self._total:.0%})  "
            f"{rate:.3g} steps/s  {_si(rate * self._examples_per_step)} examples/s  "
            f"{self._left(step)}  {self._bottleneck()}{numbers}"
        )


def _per_member(value: np.ndarray) -> str:
    """Means over the runs that have not failed."""
    return " | ".join(f"{member:.4f}" for member in np.nanmean(value, axis=0))


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, with hours if there are any: '4:05'."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def _si(value: float) -> str:
    return (
        f"{value / 1e6:.3g}M"
        if value >= 1e6
        else f"{value / 1e3:.3g}k"
        if value >= 1e3
        else f"{value:.3g}"
    )
