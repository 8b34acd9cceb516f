"""From a config to a data set: the source, then what the config asks of any source."""

import dataclasses
from typing import cast

import numpy as np

from churn_jax.config import DataConfig
from churn_jax.data.examples import ArrayExamples, Dataset, EncodedExamples, Examples, Subset
from churn_jax.data.preprocessing import resize
from churn_jax.data.sources import SOURCES
from churn_jax.errors import UserError, suggest
from churn_jax.storage.files import reach
from churn_jax.storage.objects import is_remote
from churn_jax.system.host_memory import gibibytes, host_memory

SUBSET_SEED = 1


def load(data: DataConfig) -> Dataset:
    """Loads the data set that `data` names.

    `data.num_train` keeps the first so many of a fixed permutation of the training split: a smaller
    subset is contained in every larger one, and all runs of a study see the same.
    `data.num_validation` holds out the last so many of that permutation. `data.image_size`
    resizes images that are held in memory; those read lazily are resized as they are decoded.

    Raises:
      UserError: an unknown name, missing or damaged files, or more examples than there are.
    """
    check_name(data)
    if is_remote(data.dir):
        raise UserError(
            f"config.data.dir: {data.dir} is a bucket, and examples are read at random: mount it "
            "(launch/tpu_vm.sh and launch/xpk.sh do, by gcsfuse), or copy it to a disk"
        )
    if data.dir:
        reach(data.dir, "config.data.dir")
    dataset = SOURCES[data.name](data)
    if data.num_train or data.num_validation:
        dataset = _split(dataset, data)
    if data.image_size:
        dataset = _resize(dataset, data.image_size)
    return dataset


def check_name(data: DataConfig) -> None:
    """Raises a `UserError` unless there is a data set of that name."""
    if data.name not in SOURCES:
        raise UserError(f"config.data.name: no data set {data.name!r}{suggest(data.name, SOURCES)}")


def _split(dataset: Dataset, data: DataConfig) -> Dataset:
    total = len(dataset.train)
    wanted = data.num_train or total - data.num_validation
    if not 0 < wanted <= total - data.num_validation:
        beside = f" and num_validation={data.num_validation}" if data.num_validation else ""
        raise UserError(
            f"data.num_train={wanted}{beside}, but {data.name} has {total} training examples"
        )
    order = np.random.Generator(np.random.Philox(SUBSET_SEED)).permutation(total)
    train = _take(dataset.train, order[:wanted])
    held_out = order[total - data.num_validation :]
    validation = _take(dataset.train, held_out) if data.num_validation else None
    return dataclasses.replace(dataset, train=train, validation=validation)


def _take(examples: Examples, indices: np.ndarray) -> Examples:
    indices = np.sort(indices)
    if isinstance(examples, ArrayExamples):
        return examples.take(indices)
    return Subset(cast(EncodedExamples, examples), indices)


def _resize(dataset: Dataset, size: int) -> Dataset:
    _refuse_huge(dataset, size)
    channels = dataset.info.image_shape[2]
    info = dataclasses.replace(dataset.info, image_shape=(size, size, channels))
    return Dataset(
        info,
        _resize_split(dataset.train, size),
        _resize_split(dataset.test, size),
        _resize_split(dataset.validation, size) if dataset.validation else None,
    )


def _refuse_huge(dataset: Dataset, size: int) -> None:
    """Raises a `UserError` if the resized images exceed the machine's memory."""
    splits = [dataset.train, dataset.test, *([dataset.validation] if dataset.validation else [])]
    images = sum(len(split) for split in splits if isinstance(split, ArrayExamples))
    needed = images * size * size * dataset.info.image_shape[2]
    if needed > host_memory():
        raise UserError(
            f"config.data.image_size: {size} would take {gibibytes(needed)} of memory for "
            f"{images:,} images, and there are {gibibytes(host_memory())}"
        )


def _resize_split(examples: Examples, size: int) -> Examples:
    if not isinstance(examples, ArrayExamples) or examples.images.shape[1:3] == (size, size):
        return examples
    images = np.stack([resize(image, size) for image in examples.images])
    return dataclasses.replace(examples, images=images)
