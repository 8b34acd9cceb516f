"""Data sets: `load(data)` gives any of them as two splits of examples with stable ids."""

from churn_jax.data.examples import (
    ArrayExamples,
    Dataset,
    DatasetInfo,
    Example,
    Examples,
    fingerprint,
    training_fingerprint,
)
from churn_jax.data.loading import load
from churn_jax.data.sources import SOURCES

__all__ = [
    "SOURCES",
    "ArrayExamples",
    "Dataset",
    "DatasetInfo",
    "Example",
    "Examples",
    "fingerprint",
    "load",
    "training_fingerprint",
]
