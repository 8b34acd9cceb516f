"""What may be said of a difference: the one place where that is decided."""

import math

from churn_jax.metrics.definitions import definition

HINT = "hint"
NO_DIFFERENCE = "no difference shown"
WITHHELD = "withheld"
LEVEL = 0.05


def claim(metric: str, difference: float, p: float, p_holm: float, withheld: str | None) -> str:
    """What may be said of a difference.

    Args:
      metric: the measure.
      difference: how much larger it is in the second group.
      p, p_holm: of no difference, by itself and corrected for all that the report says.
      withheld: why nothing may be said, or None.

    Returns:
      'better' or 'worse' ('lower' or 'higher' where neither is better) where the corrected p-value
      shows it; 'hint' where p alone would; 'no difference shown'; 'withheld'.
    """
    if withheld or math.isnan(p):
        return WITHHELD
    if not p < LEVEL:
        return NO_DIFFERENCE
    if not p_holm < LEVEL:
        return HINT
    side = "higher" if difference > 0 else "lower"
    better = definition(metric).better
    if not better:
        return side
    return "better" if side == better else "worse"
