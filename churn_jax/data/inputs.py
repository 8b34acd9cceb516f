"""What any data set's inputs must be, and how float ones are normalised.

Pictures are uint8 [height, width, channel]; anything else is float32 of any shape (features,
spectrograms) or int32 of any shape (tokens; where one is padding, it is 0). Nothing is converted:
what has another type is refused in one line.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.data.examples import ArrayExamples, Dataset, DatasetInfo, Examples
from churn_jax.errors import UserError

DTYPES = ("uint8", "float32", "int32")
_ROWS = 65536  # fitted at a time, in float64


def check(dataset: Dataset) -> None:
    """Raises a `UserError` unless all inputs and labels in memory are what the info says."""
    info = dataset.info
    if info.dtype not in DTYPES:
        raise UserError(f"{info.name}: dtype {info.dtype!r} is none of {', '.join(DTYPES)}")
    if info.dtype == "uint8" and len(info.image_shape) != 3:
        raise UserError(
            f"{info.name}: uint8 {list(info.image_shape)} is no picture [height, width, channel]; "
            "give other inputs as float32 or int32"
        )
    if info.dtype == "uint8" and not info.mean:
        raise UserError(f"{info.name}: pictures need mean and std, a channel each, in [0, 1]")
    if info.dtype == "int32" and info.vocabulary < 1:
        raise UserError(f"{info.name}: tokens need the size of their vocabulary")
    for split in ("train", "validation", "test"):
        examples: Examples | None = getattr(dataset, split)
        if isinstance(examples, ArrayExamples):
            _check_split(info, f"{info.name}, {split}", examples)


def _check_split(info: DatasetInfo, where: str, examples: ArrayExamples) -> None:
    inputs, labels = examples.images, examples.labels
    expected = f"{info.dtype} [example, {', '.join(map(str, info.image_shape))}]"
    if str(inputs.dtype) != info.dtype or inputs.shape[1:] != info.image_shape:
        raise UserError(
            f"{where}: the inputs are {inputs.dtype} {list(inputs.shape)}, not {expected}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise UserError(
            f"{where}: the labels are {labels.dtype} {list(labels.shape)}, not integers [example]"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < info.num_classes:
        raise UserError(
            f"{where}: labels from {labels.min()} to {labels.max()}, but the {info.num_classes} "
            f"classes are numbered 0 to {info.num_classes - 1}"
        )
    check_values(info, where, inputs, examples.ids)


def check_values(
    info: DatasetInfo, where: str, inputs: np.ndarray, ids: Sequence[object] | np.ndarray
) -> None:
    """Raises a `UserError` that names the first value that no network can be given.

    Args:
      info: of the data set.
      where: what the inputs are, for the line.
      inputs: of the right type and shape.
      ids: what its examples are called.
    """
    if info.dtype == "uint8":
        return
    if info.dtype == "float32":
        wrong, what = ~np.isfinite(inputs), "is no finite number"
    else:
        wrong = (inputs < 0) | (inputs >= info.vocabulary)
        what = f"is no token id in 0 … {info.vocabulary - 1}"
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise UserError(
            f"{where}: {inputs[place]} {what}: example {str(ids[place[0]])!r}, "
            f"entry {list(place[1:])}; {int(wrong.sum())} such in all"
        )


def fitted(dataset: Dataset) -> Dataset:
    """The data set with mean and deviation of its training inputs, where they are floats.

    One of each for every entry of the last axis, over all else; an entry that never changes keeps
    the deviation 1. What the data set says itself stays.
    """
    info, train = dataset.info, dataset.train
    if info.dtype != "float32" or info.mean or not isinstance(train, ArrayExamples):
        return dataset
    rows = train.images.reshape(-1, info.image_shape[-1])
    parts = [rows[i : i + _ROWS].astype(np.float64) for i in range(0, len(rows), _ROWS)]
    mean = sum(part.sum(0) for part in parts) / len(rows)
    variance = sum(np.square(part - mean).sum(0) for part in parts) / len(rows)
    std = np.sqrt(np.maximum(variance, 0))
    std = np.where(std > 1e-12 * (1 + np.abs(mean)), std, 1.0)
    of_mean, of_std = (tuple(float(np.float32(v)) for v in values) for values in (mean, std))
    return dataclasses.replace(dataset, info=dataclasses.replace(info, mean=of_mean, std=of_std))
