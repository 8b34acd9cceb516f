import numpy as np
import pytest
from etils import epath

from churn_jax import data
from churn_jax.data.examples import ArrayExamples, Subset, position_ids
from churn_jax.data.sources.image_folder import FileExamples
from churn_jax.errors import UserError
from tests.fixtures import tfds_sets
from tests.fixtures.configs import data_config
from tests.fixtures.tfds_sets import jpeg


@pytest.mark.parametrize(
    ("name", "hint"), [("digit", "did you mean 'digits'"), ("qqq", "one of: ")]
)
def test_unknown_name_is_refused_with_the_nearest(name, hint):
    with pytest.raises(UserError, match=hint):
        data.load(data_config(name=name))


def test_num_train_subsets_are_nested_and_leave_the_test_split():
    full = data.load(data_config())
    small, large = (data.load(data_config(num_train=n)) for n in (50, 100))
    assert len(small.train) == 50
    assert set(small.train.ids) < set(large.train.ids) < set(full.train.ids)
    np.testing.assert_array_equal(small.test.images, full.test.images)


def test_num_train_beyond_the_split_is_refused():
    with pytest.raises(UserError, match=r"num_train=598, but digits has 597"):
        data.load(data_config(num_train=598))


def test_image_size_resizes_both_splits_and_the_info():
    dataset = data.load(data_config(image_size=12))
    assert dataset.info.image_shape == (12, 12, 1)
    assert dataset.train.images.shape == (597, 12, 12, 1)
    assert dataset.test.images.shape == (1200, 12, 12, 1)
    assert dataset.train.images.dtype == np.uint8


def test_fingerprint_follows_ids_labels_and_preprocessing():
    dataset = data.load(data_config())
    resized = data.load(data_config(image_size=12))
    test = dataset.test
    relabelled = ArrayExamples(test.images, (test.labels + 1) % 10, test.ids)
    renamed = ArrayExamples(test.images, test.labels, position_ids("test", len(test)))
    prints = {
        data.fingerprint(dataset.info, test),
        data.fingerprint(resized.info, resized.test),
        data.fingerprint(dataset.info, relabelled),
        data.fingerprint(dataset.info, renamed),
    }
    assert len(prints) == 4
    assert data.fingerprint(dataset.info, data.load(data_config()).test) in prints


def test_subset_of_lazy_examples_reads_only_what_it_holds(tmp_path):
    names = [f"{index}.jpg" for index in range(6)]
    for index in (2, 5):  # the others are not there to be read
        (tmp_path / names[index]).write_bytes(jpeg(index))
    examples = FileExamples(epath.Path(tmp_path), np.arange(6, dtype=np.int32), np.array(names))
    subset = Subset(examples, np.array([5, 2]))
    assert len(subset) == 2
    assert not subset.in_memory
    assert subset[0]["id"] == "5.jpg" == subset.ids[0]
    np.testing.assert_array_equal(subset.labels, [5, 2])


def test_array_examples_must_be_equally_many():
    with pytest.raises(ValueError, match="2, 3 and 2"):
        ArrayExamples(np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int32), np.array(["a", "b"]))


def test_validation_is_held_out_of_the_training_split():
    whole = data.load(data_config())
    held = data.load(data_config(num_validation=97))
    assert (len(held.train), len(held.validation), len(held.test)) == (500, 97, 1200)
    assert set(held.train.ids) | set(held.validation.ids) == set(whole.train.ids)
    assert not set(held.train.ids) & set(held.validation.ids)
    both = data.load(data_config(num_train=150, num_validation=97))
    assert list(both.validation.ids) == list(held.validation.ids)
    assert list(both.train.ids) == list(data.load(data_config(num_train=150)).train.ids)
    with pytest.raises(UserError, match=r"num_train=501 and num_validation=97, but digits has 597"):
        data.load(data_config(num_train=501, num_validation=97))


def test_versions_share_what_they_should():
    first = data.load(data_config(num_train=200, num_validation=97))
    more = data.load(data_config(num_train=400, num_validation=97))
    replaced = data.load(data_config(num_train=200, skip_train=50, num_validation=97))
    assert set(first.train.ids) < set(more.train.ids)
    assert len(set(first.train.ids) & set(replaced.train.ids)) == 150
    assert list(first.validation.ids) == list(replaced.validation.ids)
    assert list(first.test.ids) == list(replaced.test.ids)
    with pytest.raises(UserError, match="skip_train=400 and num_validation=97, but"):
        data.load(data_config(num_train=101, skip_train=400, num_validation=97))


@pytest.mark.parametrize("lazy", [False, True])
def test_a_share_of_the_labels_is_wrong_and_the_same_in_every_version(tmp_path, lazy):
    settings = {}
    if lazy:
        tfds_sets.write_imagenet(tmp_path, num_train=64, num_validation=8)
        settings = {"name": "imagenet", "dir": str(tmp_path)}

    def labels(split="train", **changes):
        examples = getattr(data.load(data_config(**settings, **changes)), split)
        return {str(i): int(y) for i, y in zip(examples.ids, examples.labels, strict=True)}

    clean, some, many = labels(), labels(label_noise=0.2), labels(label_noise=0.5)
    wrong = {i for i in clean if some[i] != clean[i]}
    assert 0.1 * len(clean) < len(wrong) < 0.3 * len(clean)
    assert all(many[i] == some[i] for i in wrong)
    part = labels(label_noise=0.2, num_train=40)
    assert part.items() < some.items()
    held = {"num_validation": 20}
    assert labels("validation", label_noise=1.0, **held) == labels("validation", **held)
    assert labels("test", label_noise=1.0) == labels("test")
    every = labels(label_noise=1.0)
    assert all(every[i] != clean[i] for i in clean)
    train = data.load(data_config(**settings, label_noise=1.0)).train
    assert [train[i]["label"] for i in range(3)] == list(train.labels[:3])
