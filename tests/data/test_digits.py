"""The digits are scikit-learn's, in its order."""

import numpy as np
from sklearn.datasets import load_digits

from churn_jax import data
from tests.fixtures.configs import data_config


def test_images_labels_and_ids_are_those_of_scikit_learn():
    expected = load_digits()
    dataset = data.load(data_config(name="digits"))
    for split in (dataset.train, dataset.test):
        places = split.ids.astype(int)
        pixels = np.round(expected.images[places] * (255 / 16))
        np.testing.assert_array_equal(split.images[..., 0], pixels)
        np.testing.assert_array_equal(split.labels, expected.target[places])
    assert len(dataset.train) + len(dataset.test) == len(expected.target)
