"""From a config to a data set: the source, then what the config asks of any source."""

import dataclasses
from typing import cast

import numpy as np

from churn_jax.config import DataConfig
from churn_jax.data import inputs
from churn_jax.data.examples import (
    ArrayExamples,
    Dataset,
    EncodedExamples,
    Examples,
    Relabelled,
    Subset,
)
from churn_jax.data.preprocessing import resize
from churn_jax.data.sources import SOURCES
from churn_jax.errors import UserError, suggest
from churn_jax.storage.files import reach
from churn_jax.storage.objects import is_remote
from churn_jax.system.host_memory import gibibytes, host_memory

SUBSET_SEED, NOISE_SEED = 1, 2


def load(data: DataConfig) -> Dataset:
    """Loads the data set that `data` names.

    `data.num_train` keeps the first so many of a fixed permutation of the training split: a smaller
    subset is contained in every larger one, and all runs of a study see the same. `data.skip_train`
    begins that many later in the permutation. So a version of the data set that has more examples
    says a larger `num_train`, and one in which k are replaced `skip_train=k`.
    `data.num_validation` holds out the last so many of that permutation. `data.label_noise` gives
    that share of the training examples, and of no others, a wrong label. `data.image_size`
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
    inputs.check(dataset)
    if data.num_train or data.num_validation or data.skip_train or data.label_noise:
        dataset = _split(dataset, data)
    if data.image_size:
        if not dataset.info.pictures:
            raise UserError(
                f"config.data.image_size: {data.name} holds no pictures; 0 is for those"
            )
        dataset = _resize(dataset, data.image_size)
    return inputs.fitted(dataset)


def check_name(data: DataConfig) -> None:
    """Raises a `UserError` unless there is a data set of that name."""
    if data.name not in SOURCES:
        raise UserError(f"config.data.name: no data set {data.name!r}{suggest(data.name, SOURCES)}")


def _split(dataset: Dataset, data: DataConfig) -> Dataset:
    total, skipped = len(dataset.train), data.skip_train
    left = total - skipped - data.num_validation
    wanted = data.num_train or left
    if not 0 < wanted <= left:
        beside = [f"{k}={v}" for k in ("skip_train", "num_validation") if (v := getattr(data, k))]
        raise UserError(
            f"data.num_train={wanted}{' and '.join(['', *beside])}, but {data.name} has {total} "
            "training examples"
        )
    order = np.random.Generator(np.random.Philox(SUBSET_SEED)).permutation(total)
    noisy = _with_wrong_labels(dataset.train, data.label_noise, dataset.info.num_classes)
    train = _take(noisy, order[skipped : skipped + wanted])
    held_out = order[total - data.num_validation :]
    validation = _take(dataset.train, held_out) if data.num_validation else None
    return dataclasses.replace(dataset, train=train, validation=validation)


def _with_wrong_labels(examples: Examples, share: float, classes: int) -> Examples:
    """Examples of which a share has another label than its own, each other one equally likely.

    Which, and what it is, depends on the example's place in the whole training split alone.
    """
    if not share:
        return examples
    labels, rng = examples.labels, np.random.Generator(np.random.Philox(NOISE_SEED))
    wrong = rng.random(len(labels)) < share
    others = (labels + rng.integers(1, classes, len(labels))) % classes
    noisy = np.where(wrong, others, labels).astype(np.int32)
    if isinstance(examples, ArrayExamples):
        return dataclasses.replace(examples, labels=noisy)
    return Relabelled(cast(EncodedExamples, examples), noisy)


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
