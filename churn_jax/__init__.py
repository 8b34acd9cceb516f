"""Train many independent runs at once, measure their churn, and reduce it.

`churn_jax.load` is a trained model of a workdir: see `churn_jax.trained`.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Found where they are once they are asked for: they bring JAX, and comparing files needs none.
_PUBLIC = {"load": "churn_jax.trained"}
_PACKAGES = ("data", "losses", "methods", "metrics", "models", "recipes")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
