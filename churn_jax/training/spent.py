"""What the time of a training went to, told at its end and kept in `WORKDIR/times.jsonl`.

One line for each process that trained: {"since", "from_step", "to_step", "seconds": {part: …},
"crc32"}; the parts add up to the whole. Apart from metrics.jsonl, which has the same bytes however
often a training is cut off. What a process spent that was killed is not known.
"""

import contextlib
import json
import time
from collections.abc import Iterator

from etils import epath

from churn_jax.storage.checksums import sealed
from churn_jax.storage.files import write_atomically
from churn_jax.storage.workdir import read_times
from churn_jax.system.console import is_first, say
from churn_jax.training.progress import clock

# In the order of a training; `waiting` is the part of training that waited for data.
PARTS = ("starting", "training", "waiting for data", "evaluating", "checkpoints", "predicting")


class Spent:
    """Seconds by part; one part at a time, training where no other is."""

    def __init__(self) -> None:
        self._since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._part, self._changed = "starting", time.monotonic()
        self.waited = 0.0  # seconds of training that waited for data

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

    def end(self, workdir: epath.PathLike, from_step: int, to_step: int) -> None:
        """Says and keeps it; nothing where no step was done."""
        self.begin(self._part)
        if to_step == from_step:
            return
        waited = min(self.waited, self._seconds["training"])
        self._seconds["waiting for data"] += waited
        self._seconds["training"] -= waited
        say(_sentence(self._seconds))
        if is_first():
            seconds = {part: round(value, 3) for part, value in self._seconds.items()}
            line = {"since": self._since, "from_step": from_step, "to_step": to_step}
            before = [found for found in read_times(workdir) if found["to_step"] <= from_step]
            lines = [json.dumps(sealed(each)) for each in (*before, line | {"seconds": seconds})]
            write_atomically(epath.Path(workdir) / "times.jsonl", "\n".join(lines) + "\n")


def _sentence(seconds: dict[str, float]) -> str:
    whole = sum(seconds.values())
    parts = [f"{part} {clock(value)}" for part, value in seconds.items() if value >= 0.5]
    share = seconds["training"] / max(whole, 1e-9)
    return f"{clock(whole)} in all ({share:.0%} of it training): {', '.join(parts)}"
