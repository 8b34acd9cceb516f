"""The gate's verdicts, as types and as the one line that says them."""

import dataclasses
import unicodedata
from typing import Literal

Outcome = Literal["passed", "failed", "undecided"]
# What conditions may call a measure, beside its own name.
ALIASES = {
    "nfr": "negative_flip_rate",
    "bad_churn": "negative_flip_rate",
    "pfr": "positive_flip_rate",
    "good_churn": "positive_flip_rate",
    "btc": "backward_trust",
    "js": "jensen_shannon",
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of one condition of the gate.

    Attributes:
      condition: as it was written.
      failed: whether it is broken, so that the gate fails.
      left, right: the estimates of its two sides; of the worst slice, where it is of every slice.
      margin: by how much it is kept; negative where the estimate breaks it.
      ci95: the margin's interval.
      certain: whether the interval is on one side of zero.
      covers: as of `Estimate`.
      undecided: why it is neither broken nor kept, or None.
      sentence: the verdict in words.
      option: 'fail_if' or 'pass_if'.
      part: the slice that it is of, as 'region=eu', or None.
    """

    condition: str
    failed: bool
    left: float
    right: float
    margin: float
    ci95: tuple[float, float]
    certain: bool
    covers: str
    undecided: str | None = None
    sentence: str = ""
    option: str = "fail_if"
    part: str | None = None

    @property
    def outcome(self) -> Outcome:
        if self.failed:
            return "failed"
        return "undecided" if self.undecided else "passed"


@dataclasses.dataclass(frozen=True)
class Gate:
    """The conditions under which a new model may, or may not, replace the old one.

    Attributes:
      confident: whether a condition of --fail_if counts only beyond doubt.
      conditions: what became of each.
      pass_undecided: whether what can't be decided passes.
    """

    confident: bool
    conditions: tuple[Verdict, ...]
    pass_undecided: bool = False

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The conditions that are broken."""
        return tuple(verdict for verdict in self.conditions if verdict.failed)

    @property
    def undecided(self) -> tuple[Verdict, ...]:
        """The conditions that are neither broken nor kept."""
        return tuple(found for found in self.conditions if found.outcome == "undecided")

    @property
    def outcome(self) -> Outcome:
        """Failed if any condition is, else undecided if any is and that does not pass."""
        if self.failed:
            return "failed"
        return "undecided" if self.undecided and not self.pass_undecided else "passed"

    def line(self) -> str:
        """The verdict in one line: what is broken, what can't be decided, or that all is kept."""
        if self.failed:
            return "FAILED: " + "; ".join(map(_said, self.failed))
        if self.outcome == "undecided":
            return "UNDECIDED: " + "; ".join(map(_said, self.undecided))
        if self.undecided:
            count = len(self.undecided)
            return f"PASSED, with {count} undecided (--undecided=pass): " + "; ".join(
                map(_said, self.undecided)
            )
        if len(self.conditions) == 1:
            return f"PASSED: {_said(self.conditions[0])}"
        return f"PASSED: all {len(self.conditions)} limits are kept"


def _said(verdict: Verdict) -> str:
    return verdict.sentence or verdict.condition


def identifier(group: str) -> str:
    """A group's name as conditions write it: letters, digits and underscores."""
    text = unicodedata.normalize("NFKC", str(group))
    return "".join(char if char.isalnum() else "_" for char in text)
