"""How a report's predictions were made, as far as their files say it, and how to cite it."""

from collections.abc import Mapping
from typing import Any

import churn_jax
from churn_jax.report.making import Making
from churn_jax.report.report import Report

CITE = "CITATION.cff of churn_jax, and “On the Reproducibility of Neural Network Predictions”"
_FINGERPRINT = 8  # digits of one that are shown
_MADE = {
    "config_hash": "config",
    "data_fingerprint": "data",
    "step": "step",
    "code_version": "code",
    "platform": "on",
    "versions": "with",
}


def footer(report: Report, making: Making | None = None) -> list[str]:
    """One line each: what made each group's runs, what made the page and of which files, how to
    cite."""
    lines = [f"{group.name}: {said}." for group in report.groups if (said := _made(group.made_by))]
    lines += making.lines() if making else []
    return [*lines, f"This page: churn_jax {churn_jax.__version__}.", f"To cite: {CITE}."]


def _made(by: Mapping[str, Any] | None) -> str:
    """`config b61e7caf, data 62fc40fc, step 64, code 0.1.0, on cpu, with jax 0.10.2 …`."""
    found = []
    for key, word in _MADE.items():
        values = (by or {}).get(key)
        shown = [_shown(key, value) for value in (values if isinstance(values, list) else [values])]
        if any(shown):
            found.append(f"{word} {' and '.join(filter(None, shown))}")
    return ", ".join(found)


def _shown(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    text = "" if value is None else str(value)
    return text[:_FINGERPRINT] if key in ("config_hash", "data_fingerprint") else text
