"""Pictures in the ledger: of the data set that was predicted, and none where it is absent."""

import base64
import io

import numpy as np
from PIL import Image
from sklearn import datasets

from churn_jax.report.thumbnails import data_uri, pictures


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_digits_are_shown():
    provenance = {"split": "test", "config": {"data": {"name": "digits"}}}
    from churn_jax import data
    from churn_jax.config import DataConfig

    test = data.load(DataConfig(name="digits")).test
    name = str(test.ids[5])
    found = pictures(provenance, [name, "none"])
    assert list(found) == [name]
    np.testing.assert_array_equal(decoded(found[name]), test[5]["image"][:, :, 0])
    assert decoded(found[name]).shape == datasets.load_digits().images[0].shape


def test_an_unknown_or_missing_data_set_has_no_pictures():
    for config in (
        {},
        {"data": {"name": "none"}},
        {"data": {"name": "fashion_mnist", "dir": "/no"}},
    ):
        assert pictures({"split": "test", "config": config}, ["a"]) == {}
    assert pictures({"split": "train", "config": {"data": {"name": "digits"}}}, ["a"]) == {}


def test_large_images_become_thumbnails():
    image = np.zeros((300, 200, 3), np.uint8)
    assert decoded(data_uri(image)).shape == (96, 64, 3)
