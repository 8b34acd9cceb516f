"""What a definition of a measure holds."""

import dataclasses
from typing import Literal

Scope = Literal["run", "pair", "change", "update", "set"]


@dataclasses.dataclass(frozen=True)
class Definition:
    """What one measure is.

    Attributes:
      title: as tables call it.
      text: the definition.
      scope: 'run' for one run; 'pair' for two runs, within a group or between two; 'change' for
        the change from one group to another; 'update' for run r of a study's cell and run r of what
        it replaces; 'set' for all runs of a group together.
      source: whom to cite.
      needs: what the files must hold: 'labels', 'probs', or both; 'sets' of labels as classes.
      high: the largest possible value; the smallest is 0 unless `signed`.
      better: which way is better, or '' where neither is.
      percent: whether it is shown in percent.
      signed: whether it can be negative, down to −`high`.
      nats: whether it is a quantity of information, in nats.
      plain: why it has no interval: it describes a sample, and is no estimate of anything beyond.
      unweighted: why it is left out where examples have weights, or ''.
    """

    title: str
    text: str
    scope: Scope
    source: str = ""
    needs: tuple[str, ...] = ()
    high: float = 1.0
    better: Literal["lower", "higher", ""] = "lower"
    percent: bool = True
    signed: bool = False
    nats: bool = False
    plain: str = ""
    unweighted: str = ""

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        return -self.high if self.signed else 0.0, self.high

    def available(self, labels: bool, probs: bool, sets: bool = False) -> bool:
        """Whether it can be measured from what the files hold."""
        held = {"labels": labels, "probs": probs, "sets": sets}
        return all(held[need] for need in self.needs)
