"""What the time of a training went to, told at its end and kept in `WORKDIR/times.jsonl`.

One line for each process that trained, written anew at each of its checkpoints, so that what a
process did that was killed is known up to its last:

    {"since", "from_step", "to_step", "away", "lost_steps", "seconds": {part: …}, "crc32"}

The parts add up to the process's whole time. `away` are the seconds from when the process before
was last heard of (its last checkpoint, where it was killed) to the start of this one, in which it
worked in vain, or nothing ran; `lost_steps` are those that are known to have been done in vain,
which this process did again. Apart from metrics.jsonl, which has the same bytes however often a
training is cut off.
"""

import contextlib
import datetime
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from churn_jax.storage.checksums import sealed
from churn_jax.storage.files import write_atomically
from churn_jax.storage.workdir import read_times
from churn_jax.system.console import is_first, say
from churn_jax.training.progress import clock

# In the order of a training. `compiling` is the first step with its compilation; `waiting for data`
# is the part of training that waited for it.
PARTS = (
    *("starting", "compiling", "training", "waiting for data"),
    *("evaluating", "checkpoints", "predicting"),
)
_TIME = "%Y-%m-%d %H:%M:%S %z"


class Spent:
    """Seconds by part; one part at a time."""

    def __init__(self) -> None:
        self._since = datetime.datetime.now().astimezone()
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._part, self._changed = "starting", time.monotonic()
        self._waited: Callable[[], float] = lambda: 0.0
        self._line: dict[str, Any] = {}
        self._before: list[dict[str, Any]] = []

    def begin(self, part: str) -> None:
        """From now on it is this part's time."""
        now = time.monotonic()
        self._seconds[self._part] += now - self._changed
        self._part, self._changed = part, now

    @contextlib.contextmanager
    def on(self, part: str) -> Iterator[None]:
        """The block's time is this part's, and then the one's before."""
        before = self._part
        self.begin(part)
        try:
            yield
        finally:
            self.begin(before)

    def go_on(self, workdir: epath.PathLike, step: int, done_before: int) -> None:
        """Says where training goes on, and how far it is known to have been before."""
        self._before = read_times(workdir)
        done = max([done_before, *(line["to_step"] for line in self._before)])
        self._line = {
            "since": self._since.strftime(_TIME),
            "from_step": step,
            "to_step": step,
            "away": round(_seconds_since(self._before[-1:], self._since), 3),
            "lost_steps": max(done - step, 0),
        }

    def train(self, waited: Callable[[], float]) -> None:
        """From now on it is training's time; `waited` gives the seconds it waited for data."""
        self.begin("training")
        already = waited()
        self._waited = lambda: waited() - already

    def keep(self, workdir: epath.PathLike, step: int) -> None:
        """Writes what is spent so far; nothing where no step was done."""
        self.begin(self._part)
        self._line |= {"to_step": step, "seconds": self._by_part()}
        if is_first() and step > self._line["from_step"]:
            lines = [json.dumps(sealed(each)) for each in (*self._before, self._line)]
            write_atomically(epath.Path(workdir) / "times.jsonl", "\n".join(lines) + "\n")

    def end(self, workdir: epath.PathLike, step: int) -> None:
        """Says and keeps it; nothing where no step was done."""
        self.keep(workdir, step)
        if step > self._line["from_step"]:
            say(_sentence(self._by_part()))
            if self._before:
                say(_together([*self._before, self._line]))

    def _by_part(self) -> dict[str, float]:
        seconds = dict(self._seconds)
        waited = min(self._waited(), seconds["training"])
        seconds["waiting for data"] += waited
        seconds["training"] -= waited
        return {part: round(value, 3) for part, value in seconds.items()}


def _seconds_since(last: Sequence[Mapping[str, Any]], now: datetime.datetime) -> float:
    """From the end of what the last line tells; 0 where there is none."""
    for line in last:
        began = datetime.datetime.strptime(line["since"], _TIME)
        return max((now - began).total_seconds() - sum(line["seconds"].values()), 0.0)
    return 0.0


def _sentence(seconds: Mapping[str, float]) -> str:
    whole = sum(seconds.values())
    parts = [f"{part} {clock(value)}" for part, value in seconds.items() if value >= 0.5]
    share = seconds["training"] / max(whole, 1e-9)
    return f"{clock(whole)} in all ({share:.0%} of it training): {', '.join(parts)}"


def _together(lines: Sequence[Mapping[str, Any]]) -> str:
    """Of all processes that had a part in a training, with what their ends cost."""
    worked = sum(sum(line["seconds"].values()) for line in lines)
    away = sum(line.get("away", 0.0) for line in lines)
    lost = sum(line.get("lost_steps", 0) for line in lines)
    trained = sum(line["seconds"]["training"] for line in lines)
    steps = sum(line["to_step"] - line["from_step"] for line in lines)
    useful = trained * min(lines[-1]["to_step"] / max(steps, 1), 1.0)
    share = useful / max(worked + away, 1e-9)
    return (
        f"with {len(lines) - 1} before this start: {clock(worked)} of work and {clock(away)} "
        f"between, {lost} steps done again; {share:.0%} of it training that counts"
    )
