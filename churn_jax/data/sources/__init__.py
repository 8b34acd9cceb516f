"""The data sets that a config can name: one function each, from a `DataConfig` to a `Dataset`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from churn_jax.data.examples import Dataset
from churn_jax.data.sources import digits, fashion_mnist

if TYPE_CHECKING:
    from churn_jax.config import DataConfig

SOURCES: dict[str, Callable[["DataConfig"], Dataset]] = {
    "digits": digits.load,
    "fashion_mnist": fashion_mnist.load,
}
