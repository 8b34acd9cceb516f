import gzip

import numpy as np
import pytest
from sklearn import datasets

from churn_jax import data
from churn_jax.data.sources import fashion_mnist
from churn_jax.errors import UserError
from tests.fixtures.configs import data_config
from tests.fixtures.idx import idx_bytes, write_fashion_mnist

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"


def test_digits_split_is_a_partition_with_every_class():
    dataset = data.load(data_config())
    assert len(dataset.test) >= 1000
    ids = np.concatenate([dataset.train.ids, dataset.test.ids])
    assert sorted(ids) == [f"{i:04d}" for i in range(1797)]
    for split in (dataset.train, dataset.test):
        assert np.bincount(split.labels, minlength=10).min() > 30


def test_digits_ids_point_into_scikit_learn():
    dataset, original = data.load(data_config()), datasets.load_digits()
    example = dataset.test[17]
    np.testing.assert_allclose(
        example["image"][..., 0] / 255, original.images[int(example["id"])] / 16, atol=0.002
    )
    assert example["label"] == original.target[int(example["id"])]
    assert dataset.info.mean[0] == pytest.approx(np.mean(dataset.train.images / 255), abs=0.01)
    assert dataset.info.std[0] == pytest.approx(np.std(dataset.train.images / 255), abs=0.01)


@pytest.mark.parametrize("compressed", [True, False])
def test_fashion_mnist_reads_what_was_written(tmp_path, compressed):
    splits = write_fashion_mnist(tmp_path, compressed=compressed)
    dataset = data.load(data_config(name="fashion_mnist", dir=str(tmp_path)))
    for split, examples in (("train", dataset.train), ("test", dataset.test)):
        images, labels = splits[split]
        np.testing.assert_array_equal(examples.images[..., 0], images)
        np.testing.assert_array_equal(examples.labels, labels)
        assert examples.ids[3] == f"{split}/00003"
    assert dataset.info.num_classes == 10


def test_fashion_mnist_without_a_folder_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_mnist, "USUAL_FOLDERS", (str(tmp_path / "none"),))
    with pytest.raises(UserError, match=r"--config\.data\.dir=.*apt install"):
        data.load(data_config(name="fashion_mnist"))


def _damage_truncated_gzip(folder):
    path = folder / TRAIN_IMAGES
    path.write_bytes(path.read_bytes()[:-500])


def _damage_truncated_plain(folder):
    content = gzip.decompress((folder / TRAIN_IMAGES).read_bytes())
    (folder / TRAIN_IMAGES).write_bytes(content[:-100])


def _damage_too_long(folder):
    content = gzip.decompress((folder / TRAIN_IMAGES).read_bytes())
    (folder / TRAIN_IMAGES).write_bytes(content + b"\0")


def _damage_not_idx(folder):
    (folder / TRAIN_IMAGES).write_bytes(b"<!DOCTYPE html>")


def _damage_empty(folder):
    (folder / TRAIN_IMAGES).write_bytes(b"")


def _damage_no_examples(folder):
    (folder / TRAIN_IMAGES).write_bytes(idx_bytes(np.zeros((0, 28, 28), np.uint8)))


def _damage_wrong_axes(folder):
    (folder / TRAIN_IMAGES).write_bytes(idx_bytes(np.zeros((20, 784), np.uint8)))


def _damage_wrong_size(folder):
    (folder / TRAIN_IMAGES).write_bytes(idx_bytes(np.zeros((20, 32, 32), np.uint8)))


def _damage_fewer_labels(folder):
    (folder / TRAIN_LABELS).write_bytes(idx_bytes(np.zeros(19, np.uint8)))


def _damage_label_out_of_range(folder):
    (folder / TRAIN_LABELS).write_bytes(idx_bytes(np.full(20, 10, np.uint8)))


def _damage_missing(folder):
    (folder / TRAIN_LABELS).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_damage_truncated_gzip, "train-images.* is truncated or damaged"),
        (_damage_truncated_plain, "truncated: 15580 bytes of data, 15680 expected"),
        (_damage_too_long, "longer than its header says"),
        (_damage_not_idx, "not an IDX file"),
        (_damage_empty, "not an IDX file"),
        (_damage_no_examples, "is empty: its header says 0 x 28 x 28"),
        (_damage_wrong_axes, "has 2 axes, expected 3"),
        (_damage_wrong_size, r"images are 32x32, expected 28x28"),
        (_damage_fewer_labels, "19 labels .* 20 images"),
        (_damage_label_out_of_range, r"label 10 is outside 0\.\.9"),
        (_damage_missing, "has no train-labels-idx1-ubyte.gz"),
    ],
)
def test_damaged_fashion_mnist_is_one_line(tmp_path, damage, message):
    write_fashion_mnist(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        data.load(data_config(name="fashion_mnist", dir=str(tmp_path)))
    assert "\n" not in str(error.value)
