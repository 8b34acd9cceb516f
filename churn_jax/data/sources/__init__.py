"""The data sets that a config can name: one function each, from a `DataConfig` to a `Dataset`."""

from collections.abc import Callable

from churn_jax.config import DataConfig
from churn_jax.data.examples import Dataset
from churn_jax.data.sources import digits, fashion_mnist, tfds_sets

SOURCES: dict[str, Callable[[DataConfig], Dataset]] = {
    "digits": digits.load,
    "fashion_mnist": fashion_mnist.load,
    "cifar10": tfds_sets.cifar10,
    "cifar100": tfds_sets.cifar100,
    "svhn": tfds_sets.svhn,
    "imagenet": tfds_sets.imagenet,
    "inaturalist": tfds_sets.inaturalist,
}
