"""How numbers are written for people: in tables, sentences, figures and studies alike."""

import math

from churn_jax.metrics.definitions import definition
from churn_jax.report.estimates import Estimate

MISSING = "–"


def number(key: str, value: float | None, unit: bool = False, rounded: bool = False) -> str:
    """A value as the measure is shown: percent with two digits, or four significant digits.

    Args:
      key: of the measure.
      value: a fraction, where the measure is shown in percent.
      unit: whether to add the sign of percent.
      rounded: two digits whatever the measure, as papers print them.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    percent = definition(key).percent
    text = f"{scaled(key, value):.2f}" if percent or rounded else f"{value:.4g}"
    return (text + " %" * (percent and unit)).replace("-", "−")


def scaled(key: str, value: float) -> float:
    """In percent where the measure is shown so."""
    return 100 * value if definition(key).percent else value


def signed(key: str, value: float | None) -> str:
    """A difference with its sign."""
    text = number(key, value)
    return text if value is None or value < 0 or text == MISSING else f"+{text}"


def cell(key: str, estimate: Estimate | None, rounded: bool = False) -> str:
    """`mean ± std [low, high]`."""
    if estimate is None:
        return MISSING
    text = number(key, estimate.mean, rounded=rounded)
    std = estimate.spread.std if estimate.spread else None
    if std is not None and math.isfinite(std):
        text += f" ± {number(key, std, rounded=rounded)}"
    if math.isnan(estimate.low) and math.isnan(estimate.high):
        return text
    low, high = (number(key, end, rounded=rounded) for end in estimate.ci95)
    return f"{text} [{low}, {high}]"


def p_text(p: float) -> str:
    """A p-value with two digits."""
    if math.isnan(p):
        return MISSING
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def short_percent(value: float) -> str:
    """A fraction in percent with one digit, for sentences."""
    return f"{100 * value:.1f} %"


def short_range(estimate: Estimate) -> str:
    """An interval of fractions in percent with one digit, for sentences."""
    return f"95 % interval {100 * estimate.low:.1f} to {100 * estimate.high:.1f} %"
