"""What is done to a process from within, before it becomes a command."""

import dataclasses
import os
import signal
from typing import Any

import jax

from churn_jax.training.feeds import Metrics, ResidentFeed
from churn_jax.training.step import TrainState


def signal_at_rename(count: int, after: bool, number: int = signal.SIGKILL) -> None:
    """Signals the process right before or after its rename number `count`, from 0.

    Whatever is written is written beside and renamed, so these are the moments at which
    checkpoints, predictions, reports and the rest come into being.
    """
    left = count

    def patch(name: str) -> None:
        rename = getattr(os, name)

        def signalling(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            here = left == -1
            if here and not after:
                os.kill(os.getpid(), number)
            result = rename(*args, **options)
            if here and after:
                os.kill(os.getpid(), number)
            return result

        setattr(os, name, signalling)

    patch("rename")
    patch("replace")


def poison(row: int, at_step: int) -> None:
    """Makes the weights of a run so large before a step that its loss overflows."""
    advance = ResidentFeed.advance

    def poisoned(self: ResidentFeed, state: TrainState, step: int) -> tuple[TrainState, Metrics]:
        if step == at_step:
            params = jax.tree.map(lambda leaf: leaf.at[row].multiply(1e25), state.params)
            state = dataclasses.replace(state, params=params)
        return advance(self, state, step)

    ResidentFeed.advance = poisoned  # type: ignore[method-assign]
