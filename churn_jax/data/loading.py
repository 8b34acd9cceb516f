"""From a config to a data set: the source, then what the config asks of any source."""

import dataclasses

import numpy as np

from churn_jax.config import DataConfig
from churn_jax.data.examples import ArrayExamples, Dataset, Examples, Subset
from churn_jax.data.preprocessing import resize
from churn_jax.data.sources import SOURCES
from churn_jax.errors import UserError, suggest

SUBSET_SEED = 1


def load(data: DataConfig) -> Dataset:
    """Loads the data set that `data` names.

    `data.num_train` keeps the first so many of a fixed permutation of the training split: a smaller
    subset is contained in every larger one, and all runs of a study see the same. `data.image_size`
    resizes images that are held in memory; those read lazily are resized as they are decoded.

    Raises:
      UserError: an unknown name, missing or damaged files, or too large a `num_train`.
    """
    if data.name not in SOURCES:
        raise UserError(f"no data set {data.name!r}{suggest(data.name, SOURCES)}")
    dataset = SOURCES[data.name](data)
    if data.num_train:
        dataset = dataclasses.replace(dataset, train=_subset(dataset.train, data))
    if data.image_size:
        dataset = _resize(dataset, data.image_size)
    return dataset


def _subset(train: Examples, data: DataConfig) -> Examples:
    if not 0 < data.num_train <= len(train):
        raise UserError(
            f"data.num_train={data.num_train}, but {data.name} has {len(train)} training examples"
        )
    order = np.random.Generator(np.random.Philox(SUBSET_SEED)).permutation(len(train))
    indices = np.sort(order[: data.num_train])
    return train.take(indices) if isinstance(train, ArrayExamples) else Subset(train, indices)


def _resize(dataset: Dataset, size: int) -> Dataset:
    channels = dataset.info.image_shape[2]
    info = dataclasses.replace(dataset.info, image_shape=(size, size, channels))
    return Dataset(info, _resize_split(dataset.train, size), _resize_split(dataset.test, size))


def _resize_split(examples: Examples, size: int) -> Examples:
    if not isinstance(examples, ArrayExamples) or examples.images.shape[1:3] == (size, size):
        return examples
    images = np.stack([resize(image, size) for image in examples.images])
    return dataclasses.replace(examples, images=images)
