"""How a group's runs learnt, for the page and report.json."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Curve:
    """One quantity of a group over its training.

    Attributes:
      group: whose.
      measure: `train/accuracy`, `eval/nll`: of the batches since the last line, or of the test
        split.
      member: of each run; None where it is not a member's, as the learning rate.
      epochs: at which it was logged.
      mean: over the runs that have not failed; NaN where all have.
      std: over runs; 0 of a single one.
    """

    group: str
    measure: str
    member: int | None
    epochs: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
