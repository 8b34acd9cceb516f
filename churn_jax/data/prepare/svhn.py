"""SVHN, cropped digits: train_32x32.mat and test_32x32.mat.

Each has X, uint8 [32, 32, 3, example], and y, [example, 1] with 10 for the digit 0.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image
from scipy import io

from churn_jax.data.prepare.archives import find
from churn_jax.data.prepare.original import Original, OriginalSplit, RawExample
from churn_jax.errors import UserError


def svhn(source: epath.Path) -> Original:
    """Reads both files of the folder `source`."""
    features = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    splits = {split: _read(source, split) for split in ("train", "test")}
    return Original("svhn_cropped", "3.1.0", tfds.features.FeaturesDict(features), splits)


def _read(source: epath.Path, split: str) -> OriginalSplit:
    path = find(source, f"{split}_32x32.mat")
    if path is None:
        raise UserError(f"{source} has no {split}_32x32.mat")
    try:
        with path.open("rb") as file:
            content = io.loadmat(file)
        images, labels = np.moveaxis(content["X"], -1, 0), content["y"].ravel()
    except (ValueError, KeyError, OSError, TypeError, NotImplementedError) as error:
        raise UserError(f"{path} is damaged or no SVHN file: {error}") from error
    if images.shape != (len(labels), 32, 32, 3) or images.dtype != np.uint8:
        raise UserError(f"{path}: X is {content['X'].shape}, expected 32 x 32 x 3 x {len(labels)}")
    if labels.min() < 1 or labels.max() > 10:
        raise UserError(f"{path}: labels are outside 1..10")
    return OriginalSplit(len(labels), _examples(split, images, labels))


def _examples(split: str, images: np.ndarray, labels: np.ndarray) -> Iterator[RawExample]:
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield {
            "id": f"{split}_{index:06d}",
            "image": Image.fromarray(image),
            "label": int(label) % 10,
        }
