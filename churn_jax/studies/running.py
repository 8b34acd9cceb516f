"""Trains the cells of a study that aren't finished; several processes may share a workdir.

A cell belongs to the process that holds its lock (`churn_jax.storage.locks`).
"""

import json
import time
from collections.abc import Callable, Sequence

from etils import epath

from churn_jax.config import Config
from churn_jax.errors import UserError
from churn_jax.storage import locks
from churn_jax.storage.files import write_atomically
from churn_jax.studies.planning import Plan
from churn_jax.system.console import say
from churn_jax.training import devices, inference, loop
from churn_jax.training.progress import clock

POLL_SECONDS = 2.0


def start_devices(plans: Sequence[Plan]) -> None:
    """Prepares devices for all cells alike, whichever is trained first or alone.

    The number of virtual CPU devices is fixed once a process and decides how sums are split, so it
    must not depend on what happened to be unfinished.
    """

    def models(plan: Plan) -> int:
        return plan.config.runs * plan.config.method.members

    if plans:
        devices.start_devices(max(plans, key=models).config)


def finish(
    plans: Sequence[Plan],
    trainer: Callable[[Config, epath.Path], float | None] = loop.train,
    predictor: Callable[..., float | None] = inference.predict_as,
) -> None:
    """Trains what isn't finished, teachers before students, and waits for what others train.

    Args:
      plans: of the cells.
      trainer: trains a config into a folder; gives how fast it predicts, as `loop.train`.
      predictor: writes what another model of a finished training predicts; as
        `inference.predict_as`.

    Raises:
      UserError: what a cell needs is neither finished nor among `plans`.
    """

    def work(plan: Plan) -> float | None:
        if plan.trained_by:
            return predictor(plan.trained_by.folder, plan.config, plan.folder)
        return trainer(plan.config, plan.folder)

    todo = [plan for plan in plans if not plan.finished]
    _require_needed(todo)
    report = _Progress(plans, todo)
    waiting = False
    while todo:
        ready = [plan for plan in todo if all(needed.finished for needed in plan.needs)]
        done = [plan for plan in ready if _try_to_finish(plan, report, work)]
        todo = [plan for plan in todo if plan not in done]
        if todo and not done:
            if not waiting:
                names = ", ".join(plan.cell.name for plan in todo)
                say(f"waiting for another process, which is at work on cells of this one: {names}")
            waiting = True
            time.sleep(POLL_SECONDS)


def _require_needed(todo: Sequence[Plan]) -> None:
    for plan in todo:
        missing = [
            needed.cell.name for needed in plan.needs if not needed.finished and needed not in todo
        ]
        if missing:
            commands = " and ".join(f"`--cell={name}`" for name in missing)
            raise UserError(
                f"cell {plan.cell.name!r}: what it needs is missing; the same command with "
                f"{commands} makes them"
            )


def _try_to_finish(plan: Plan, report: "_Progress", work: Callable[[Plan], float | None]) -> bool:
    """Whether the cell is finished now; False if another process is at work on it."""
    try:
        with locks.hold(plan.folder):
            if not plan.finished:
                report.begin(plan)
                started = time.monotonic()
                pace = work(plan)
                seconds = time.monotonic() - started
                took = {"seconds": seconds, "thousand_predictions": pace}
                write_atomically(plan.folder / "finished.json", json.dumps(took))
                report.end(plan, seconds)
    except locks.Locked:
        return False
    return True


class _Progress:
    """How far the whole study is, and how long it will take at the pace of its cells so far."""

    def __init__(self, plans: Sequence[Plan], todo: Sequence[Plan]):
        self._left = list(todo)
        self._total = len(plans)
        self._work = 0.0
        self._seconds = 0.0
        say(f"{len(plans)} cells, {len(plans) - len(todo)} of them finished before")

    def begin(self, plan: Plan) -> None:
        place = self._total - len([p for p in self._left if not p.finished]) + 1
        left = ""
        if self._work:
            pace = self._seconds / self._work
            left = f", about {clock(pace * sum(_work(p) for p in self._left))} left"
        say(f"cell {place}/{self._total}: {plan.cell.name}{left} → {plan.folder}")

    def end(self, plan: Plan, seconds: float) -> None:
        self._left.remove(plan)
        self._work += _work(plan)
        self._seconds += seconds


def _work(plan: Plan) -> float:
    """Passes through networks: 1 is one run's epoch of a baseline, whose steps are three passes."""
    config, method = plan.config, plan.config.method
    if plan.trained_by:
        return 0.0
    frozen = (method.members if method.stale else 0) + (method.num_teachers if method.taught else 0)
    return config.runs * config.epochs * (method.members + frozen / 3)
