"""The data sets that a config can name: one function each, from a `DataConfig` to a `Dataset`."""

import importlib
from collections.abc import Callable

from churn_jax.config import DataConfig
from churn_jax.data.examples import Dataset
from churn_jax.system.registry import Registry


def _source(module: str, function: str = "load") -> Callable[[DataConfig], Dataset]:
    """A source whose module, and the libraries it needs, are imported when it is first used."""

    def load(data: DataConfig) -> Dataset:
        return getattr(importlib.import_module(f"{__name__}.{module}"), function)(data)

    return load


SOURCES: Registry[Callable[[DataConfig], Dataset]] = Registry(
    "data set",
    {
        "digits": _source("digits"),
        "fashion_mnist": _source("fashion_mnist"),
        "cifar10": _source("tfds_sets", "cifar10"),
        "cifar100": _source("tfds_sets", "cifar100"),
        "svhn": _source("tfds_sets", "svhn"),
        "imagenet": _source("tfds_sets", "imagenet"),
        "inaturalist": _source("tfds_sets", "inaturalist"),
        "image_folder": _source("image_folder"),
        "arrays": _source("arrays"),
    },
)
"""What makes the `Dataset` of each `config.data.name`; `churn_jax.data.register` adds one's own."""
