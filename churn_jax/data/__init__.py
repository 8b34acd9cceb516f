"""Data sets: `load(data)` gives any of them as two splits of examples with stable ids."""

from collections.abc import Callable

import jax

from churn_jax.config import DataConfig
from churn_jax.data.augmentation import AUGMENTATIONS
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
    "register",
    "register_augmentation",
    "training_fingerprint",
]


def register(name: str, source: Callable[[DataConfig], Dataset]) -> Callable[[DataConfig], Dataset]:
    """Gives a data set of one's own a name for `config.data.name`; returns `source`.

    Args:
      name: that no other data set has.
      source: makes the `Dataset`; the same whenever it is called.

    Raises:
      UserError: the name is taken.
    """
    return SOURCES.register(name, source)


def register_augmentation(
    name: str, augmentation: Callable[[jax.Array, jax.Array], jax.Array]
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Gives an augmentation a name for `config.data.augment`.

    It takes a random key and one training input, as the data set has it, after crop, flip and
    cutout, and gives one of the same type and shape. Nothing else may draw from that key.
    """
    return AUGMENTATIONS.register(name, augmentation)
