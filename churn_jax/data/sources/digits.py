"""Handwritten digits: 1,797 real 8×8 images that come inside scikit-learn.

They are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak,
UCI Machine Learning Repository, 1998, CC BY 4.0): 13 writers, 16 grey levels.

They have no official split. Ours is fixed, small in training and large in testing: with the usual
1,297 training images two networks agree on 99 % of the test images, which leaves little churn to
see or to reduce.
"""

import importlib.util
from pathlib import Path

import numpy as np

from churn_jax.config import DataConfig
from churn_jax.data.examples import ArrayExamples, Dataset, DatasetInfo

# The first NUM_TRAIN images of a permutation drawn once from SPLIT_SEED train, the rest test.
NUM_TRAIN = 597
NUM_TEST = 1200
SPLIT_SEED = 0

INFO = DatasetInfo(
    name="digits",
    class_names=tuple("0123456789"),
    image_shape=(8, 8, 1),
    mean=(0.305,),
    std=(0.376,),
)


def load(data: DataConfig) -> Dataset:
    """Reads the digits. Ids are positions in scikit-learn's array: `0421`."""
    del data  # embedded: there is nothing to choose
    table = np.loadtxt(_file(), delimiter=",", dtype=np.uint8)  # 64 pixels and the label a row
    images = np.round(table[:, :-1].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    ids = np.array([f"{i:04d}" for i in range(len(images))])
    everything = ArrayExamples(images, table[:, -1].astype(np.int32), ids)
    order = np.random.Generator(np.random.Philox(SPLIT_SEED)).permutation(len(images))
    train, test = order[:NUM_TRAIN], order[NUM_TRAIN : NUM_TRAIN + NUM_TEST]
    # Sorted, so that a table of predictions reads in scikit-learn's order.
    return Dataset(INFO, everything.take(np.sort(train)), everything.take(np.sort(test)))


def _file() -> Path:
    """The file inside scikit-learn, whose own loader takes seconds to import."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets/data/digits.csv.gz"
