"""Fashion-MNIST: 60,000 + 10,000 grey 28×28 images of clothing, from IDX files in any folder.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms", arXiv 1708.07747, 2017. MIT licence. Debian and Ubuntu carry it as the package
`dataset-fashion-mnist`.
"""

import numpy as np
from etils import epath

from churn_jax.config import DataConfig
from churn_jax.data.examples import ArrayExamples, Dataset, DatasetInfo, position_ids
from churn_jax.data.idx import read_idx
from churn_jax.errors import UserError

# Looked into, in this order, when the config names no folder.
USUAL_FOLDERS = (
    "/usr/share/datasets/fashion-mnist",
    "~/datasets/fashion-mnist",
    "~/fashion-mnist",
)

NUM_TRAIN = 60_000

_FILE_PREFIXES = {"train": "train", "test": "t10k"}
INFO = DatasetInfo(
    name="fashion_mnist",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    image_shape=(28, 28, 1),
    mean=(0.2860,),
    std=(0.3530,),
)


def load(data: DataConfig) -> Dataset:
    """Reads both splits from `data.dir`. Ids are positions in the files: `test/00012`."""
    folder = _folder(data.dir)
    return Dataset(INFO, _read_split(folder, "train"), _read_split(folder, "test"))


def _folder(named: str) -> epath.Path:
    choices = [named] if named else USUAL_FOLDERS
    for choice in choices:
        folder = epath.Path(choice).expanduser()
        if folder.is_dir():
            return folder
    raise UserError(
        f"no Fashion-MNIST folder at {' or '.join(choices)}: pass --config.data.dir=FOLDER with "
        "the four IDX files, or install them with `apt install dataset-fashion-mnist`"
    )


def _read_split(folder: epath.Path, split: str) -> ArrayExamples:
    prefix = _FILE_PREFIXES[split]
    images_file = _find(folder, f"{prefix}-images-idx3-ubyte")
    labels_file = _find(folder, f"{prefix}-labels-idx1-ubyte")
    images, labels = read_idx(images_file, num_axes=3), read_idx(labels_file, num_axes=1)
    if images.shape[1:] != INFO.image_shape[:2]:
        height, width = images.shape[1:]
        raise UserError(f"{images_file}: images are {height}x{width}, expected 28x28")
    if len(images) != len(labels):
        raise UserError(
            f"{labels_file} has {len(labels)} labels but {images_file.name} has {len(images)} "
            "images: the two files belong to different data sets"
        )
    if labels.max() >= INFO.num_classes:
        raise UserError(f"{labels_file}: label {labels.max()} is outside 0..9")
    return ArrayExamples(
        images[..., None], labels.astype(np.int32), position_ids(split, len(labels))
    )


def _find(folder: epath.Path, name: str) -> epath.Path:
    # Some distributions write the dot of the original archive's member: "train-images.idx3-ubyte".
    for variant in (name, name.replace("-idx", ".idx")):
        for path in (folder / f"{variant}.gz", folder / variant):
            if path.exists():
                return path
    raise UserError(f"{folder} has no {name}.gz (or {name}): is it a Fashion-MNIST folder?")
