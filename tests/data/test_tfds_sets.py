import dataclasses
import json
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from churn_jax import data
from churn_jax.data.decoding import decode
from churn_jax.data.records import RecordExamples
from churn_jax.data.tfds_writer import write_dataset
from churn_jax.errors import UserError
from tests.fixtures import tfds_sets
from tests.fixtures.configs import data_config

SMALL = {"cifar10": "cifar10", "cifar100": "cifar100", "svhn": "svhn_cropped"}
NUM_CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A data_dir with one small copy of each data set; tests only read it."""
    folder = tmp_path_factory.mktemp("tfds")
    for name in SMALL.values():
        tfds_sets.write_small_images(folder, name)
    tfds_sets.write_imagenet(folder)
    tfds_sets.write_inaturalist(folder)
    return folder


@pytest.fixture
def cifar10(sets, tmp_path):
    """A copy of CIFAR-10's version folder to damage."""
    return shutil.copytree(sets / "cifar10/3.0.2", tmp_path / "cifar10/3.0.2")


def _load(name, folder):
    return data.load(data_config(name=name, dir=str(folder)))


@pytest.mark.parametrize("name", SMALL)
def test_small_sets_are_read_whole(tmp_path, name):
    written = tfds_sets.write_small_images(tmp_path, SMALL[name], num_train=11, num_test=5)
    dataset = _load(name, tmp_path)
    np.testing.assert_array_equal(dataset.train.images, written["train"])
    np.testing.assert_array_equal(dataset.test.images, written["test"])
    np.testing.assert_array_equal(dataset.train.labels, np.arange(11) % NUM_CLASSES[name])
    assert list(dataset.test.ids) == [f"test_{i:05d}" for i in range(5)]
    assert dataset.info.num_classes == NUM_CLASSES[name]
    assert dataset.info.image_shape == (32, 32, 3)


def test_any_folder_from_the_version_up_will_do(sets, monkeypatch):
    expected = _load("cifar10", sets).test.ids
    for folder in (sets / "cifar10", sets / "cifar10/3.0.2"):
        np.testing.assert_array_equal(_load("cifar10", folder).test.ids, expected)
    monkeypatch.setenv("TFDS_DATA_DIR", str(sets))
    np.testing.assert_array_equal(_load("cifar10", "").test.ids, expected)


def test_the_newest_version_is_read(sets, tmp_path):
    shutil.copytree(sets / "cifar10/3.0.2", tmp_path / "cifar10/3.0.2")
    newer = shutil.copytree(sets / "cifar10/3.0.2", tmp_path / "cifar10/3.0.10")
    (tmp_path / "cifar10/3.0.2/dataset_info.json").write_text("not read")
    info = json.loads((newer / "dataset_info.json").read_text()) | {"version": "3.0.10"}
    (newer / "dataset_info.json").write_text(json.dumps(info))
    assert len(_load("cifar10", tmp_path).test) == 10


@pytest.mark.parametrize(
    ("name", "num_classes", "class_name"),
    [("imagenet", 1000, "n01440764"), ("inaturalist", 8142, "Hermodice carunculata")],
)
def test_large_sets_stay_on_disk(sets, name, num_classes, class_name):
    dataset = _load(name, sets)
    assert not dataset.train.in_memory
    assert (len(dataset.train), len(dataset.test)) == (16, 8)
    assert dataset.info.num_classes == num_classes
    assert dataset.info.class_names[0] == class_name
    assert dataset.info.image_shape == (224, 224, 3)
    example = dataset.test[6]
    assert example["id"] == dataset.test.ids[6]
    assert example["label"] == dataset.test.labels[6]
    np.testing.assert_array_equal(example["image"], decode(tfds_sets.jpeg(6), "jpeg 6"))
    assert len(set(dataset.test.ids)) == 8
    assert (
        len({data.fingerprint(dataset.info, split) for split in (dataset.train, dataset.test)}) == 2
    )


def test_imagenet_ids_are_file_names(sets):
    assert _load("imagenet", sets).test.ids[2] == "ILSVRC2012_val_00000003.JPEG"


def test_grey_images_become_rgb(sets):
    image = _load("imagenet", sets).test[5]["image"]
    assert image.shape[2] == 3
    np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_labels_and_ids_decode_no_image(sets, monkeypatch):
    def refuse(encoded, name):
        raise AssertionError(f"decoded {name}")

    dataset = _load("imagenet", sets)
    monkeypatch.setattr("churn_jax.data.records.decode", refuse)
    assert len(dataset.test.labels) == len(dataset.test.ids) == 8


def test_num_train_and_image_size_apply_to_lazy_sets(sets):
    dataset = data.load(data_config(name="imagenet", dir=str(sets), num_train=4, image_size=32))
    assert len(dataset.train) == 4
    assert dataset.info.image_shape == (32, 32, 3)
    assert dataset.train[1]["id"] == dataset.train.ids[1]


def test_examples_travel_to_other_processes(sets):
    test = _load("imagenet", sets).test
    copy = pickle.loads(pickle.dumps(test))
    np.testing.assert_array_equal(copy[3]["image"], test[3]["image"])


def test_nothing_imports_tensorflow(sets):
    program = (
        "import sys\n"
        "from churn_jax import data\n"
        "from tests.fixtures.configs import data_config\n"
        f"for name in ('cifar10', 'imagenet'):\n"
        f"    data.load(data_config(name=name, dir={str(sets)!r})).test[0]\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def _edit_info(folder, **changes):
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _train_shard(folder):
    return sorted(folder.glob("*-train.*"))[1]


def _damage_other_data_set(folder):
    _edit_info(folder, name="cifar100")


def _damage_tfrecord(folder):
    _edit_info(folder, fileFormat="tfrecord")


def _damage_metadata(folder):
    (folder / "dataset_info.json").write_text("{")


def _damage_missing_shard(folder):
    _train_shard(folder).unlink()


def _damage_empty_shard(folder):
    _train_shard(folder).write_bytes(b"")


def _damage_truncated_shard(folder):
    shard = _train_shard(folder)
    shard.write_bytes(shard.read_bytes()[:-100])


def _damage_other_shard(folder):
    shutil.copy(folder / "cifar10-test.array_record-00000-of-00002", _train_shard(folder))


def _damage_no_test_split(folder):
    splits = json.loads((folder / "dataset_info.json").read_text())["splits"]
    _edit_info(folder, splits=[split for split in splits if split["name"] == "train"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_damage_other_data_set, "holds 'cifar100', but cifar10 is 'cifar10'"),
        (_damage_tfrecord, "in tfrecord form, .*`python launch/prepare_data.py cifar10 --source="),
        (_damage_metadata, r"cannot read its dataset_info\.json"),
        (_damage_missing_shard, "train.array_record-00001-of-00004 is missing"),
        (_damage_empty_shard, "train.array_record-00001-of-00004 is damaged"),
        (_damage_truncated_shard, "train.array_record-00001-of-00004 is damaged"),
        (_damage_other_shard, "00001-of-00004 is damaged: it holds 5 of 6 examples"),
        (_damage_no_test_split, "no examples in split 'test'"),
    ],
)
def test_damaged_data_sets_are_one_line(cifar10, damage, message):
    damage(cifar10)
    with pytest.raises(UserError, match=message) as error:
        _load("cifar10", cifar10)
    assert "\n" not in str(error.value)


def test_missing_folders_say_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"no data folder .*--config\.data\.dir"):
        _load("cifar10", tmp_path / "none")
    with pytest.raises(UserError, match=r"`python launch/prepare_data\.py imagenet"):
        _load("imagenet", tmp_path)


def _write_cifar10(folder, names=tfds_sets.CIFAR10_NAMES, **example):
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=names),
        }
    )
    example = {"id": "train_7", "image": tfds_sets.jpeg(0), "label": 0} | example
    splits = {"train": (1, [example]), "test": (1, [example])}
    return write_dataset(folder, name="cifar10", version="3.0.2", features=features, splits=splits)


def test_wrong_class_count_is_refused(tmp_path):
    _write_cifar10(tmp_path, names=["cat", "dog"])
    with pytest.raises(UserError, match="has 2 classes, but cifar10 has 10"):
        _load("cifar10", tmp_path)


def test_wrong_image_size_is_refused(tmp_path):
    _write_cifar10(tmp_path)
    with pytest.raises(UserError, match=r"example train_7 is .*, expected 32x32x3"):
        _load("cifar10", tmp_path)


def test_image_that_does_not_decode_is_named(tmp_path):
    _write_cifar10(tmp_path, image=tfds_sets.jpeg(0)[:200])
    with pytest.raises(UserError, match="image of example train_7 does not decode"):
        _load("cifar10", tmp_path)


def test_label_out_of_range_is_named(tmp_path):
    folder = _write_cifar10(tmp_path, label=9)
    features = folder / "features.json"
    features.write_text(features.read_text().replace('"numClasses": "10"', '"numClasses": "2"'))
    (folder / "label.labels.txt").unlink()
    examples = RecordExamples(folder, "test", "id")
    with pytest.raises(UserError, match=r"example train_7 has label 9, outside 0\.\.1"):
        _ = examples.labels


@pytest.mark.parametrize("promised", [1, 3])
def test_writer_refuses_a_wrong_count(tmp_path, promised):
    example = {"id": "a", "image": tfds_sets.jpeg(0), "label": 0}
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(num_classes=2),
        }
    )
    with pytest.raises(ValueError, match="promised"):
        write_dataset(
            tmp_path,
            name="pets",
            version="1.0.0",
            features=features,
            splits={"train": (promised, [example, example])},
        )


def test_sources_are_named_as_configs_name_them():
    for name, source in data.SOURCES.items():
        if dataclasses.is_dataclass(source):
            assert source.name == name
