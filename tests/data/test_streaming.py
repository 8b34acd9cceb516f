import jax
import numpy as np
import pytest

from churn_jax import data
from churn_jax.data import streaming
from churn_jax.data.augmentation import augment
from churn_jax.data.examples import ArrayExamples, position_ids
from churn_jax.data.preprocessing import evaluation_image
from churn_jax.data.streaming import evaluation_batches, stream
from churn_jax.errors import UserError
from tests.fixtures import tfds_sets
from tests.fixtures.configs import data_config

NUM_EXAMPLES = 23
BATCH_SIZE = 8


def order(run, epoch):
    return np.random.default_rng([run, epoch]).permutation(NUM_EXAMPLES)


def keys(run, epoch):
    return np.array([run, epoch], np.uint32)


@pytest.fixture(scope="module")
def examples():
    images = np.random.default_rng(0).integers(0, 256, (NUM_EXAMPLES, 12, 12, 3), dtype=np.uint8)
    labels = np.arange(NUM_EXAMPLES, dtype=np.int32)
    return ArrayExamples(images, labels, position_ids("train", NUM_EXAMPLES))


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    tfds_sets.write_imagenet(folder, num_train=NUM_EXAMPLES, num_validation=7)
    return data.load(data_config(name="imagenet", dir=str(folder), image_size=32))


def _batches(examples, config, first_step=0, num_steps=6, runs=(0, 4), workers=0):
    return list(
        stream(
            examples,
            order,
            keys,
            config,
            runs=runs,
            batch_size=BATCH_SIZE,
            first_step=first_step,
            num_steps=num_steps,
            workers=workers,
        )
    )


def _assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])


def test_every_example_comes_once_an_epoch_in_the_run_s_order(examples):
    batches = _batches(examples, data_config(), num_steps=6)
    labels = np.concatenate([batch["label"] for batch in batches], axis=1)
    assert labels.dtype == np.int32
    for row, run in enumerate((0, 4)):
        expected = np.concatenate([order(run, epoch) for epoch in range(3)])
        np.testing.assert_array_equal(labels[row], expected[: labels.shape[1]])


def test_images_belong_to_their_labels(examples):
    for batch in _batches(examples, data_config()):
        np.testing.assert_array_equal(batch["image"], examples.images[batch["label"]])


def test_resuming_anywhere_gives_the_same_batches(examples, imagenet):
    for split, crop in ((examples, "pad"), (imagenet.train, "resized")):
        config = data_config(crop=crop, crop_padding=2, flip=True, image_size=32)
        whole = _batches(split, config)
        _assert_same(whole[4:], _batches(split, config, first_step=4, num_steps=2))


def test_a_run_does_not_depend_on_its_company(imagenet):
    config = data_config(crop="resized", flip=True, image_size=32)
    together = _batches(imagenet.train, config, num_steps=3)
    alone = _batches(imagenet.train, config, num_steps=3, runs=(4,))
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a["image"][1], b["image"][0])


def test_pad_and_flip_are_those_of_the_resident_pipeline(examples):
    config = data_config(crop="pad", crop_padding=2, flip=True)
    batch = _batches(examples, config, first_step=3, num_steps=1, runs=(4,))[0]
    for place, (image, index) in enumerate(zip(batch["image"][0], batch["label"][0], strict=True)):
        epoch = (3 * BATCH_SIZE + place) // NUM_EXAMPLES
        key = jax.random.wrap_key_data(keys(4, epoch))
        expected = augment(jax.random.fold_in(key, index), examples.images[index], config)
        np.testing.assert_array_equal(image, expected)


def test_resized_crops_differ_between_epochs_runs_and_examples(imagenet):
    config = data_config(crop="resized", flip=True, image_size=32)
    images = np.concatenate(
        [batch["image"].reshape(-1, 32 * 32 * 3) for batch in _batches(imagenet.train, config)]
    )
    assert len(np.unique(images, axis=0)) == len(images)


@pytest.mark.parametrize("crop", ["none", "pad", "resized"])
def test_lazy_images_of_any_size_become_squares(imagenet, crop):
    config = data_config(crop=crop, crop_padding=2, image_size=32)
    batch = _batches(imagenet.train, config, num_steps=1)[0]
    assert batch["image"].shape == (2, BATCH_SIZE, 32, 32, 3)
    assert batch["image"].dtype == np.uint8
    np.testing.assert_array_equal(
        batch["label"][0], imagenet.train.labels[order(0, 0)[:BATCH_SIZE]]
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_worker_processes_change_nothing(imagenet, workers):
    config = data_config(crop="resized", flip=True, image_size=32)
    expected = _batches(imagenet.train, config, first_step=1, num_steps=5)
    found = _batches(imagenet.train, config, first_step=1, num_steps=5, workers=workers)
    _assert_same(expected, found)


@pytest.mark.parametrize("batch_size", [1, 8, 23, 50])
def test_evaluation_covers_the_split_and_masks_the_rest(examples, batch_size):
    batches = list(evaluation_batches(examples, data_config(), batch_size))
    assert all(batch["image"].shape == (batch_size, 12, 12, 3) for batch in batches)
    mask = np.concatenate([batch["mask"] for batch in batches])
    assert mask.sum() == NUM_EXAMPLES
    assert not mask[NUM_EXAMPLES:].any()
    images = np.concatenate([batch["image"] for batch in batches])[mask]
    np.testing.assert_array_equal(images, examples.images)


def test_evaluation_of_lazy_images(imagenet):
    config = data_config(image_size=32)
    batches = list(evaluation_batches(imagenet.test, config, batch_size=4))
    assert [batch["mask"].sum() for batch in batches] == [4, 3]
    for batch, image in ((batches[0], 0), (batches[1], 4)):
        expected = evaluation_image(imagenet.test.encoded(image).picture, 32)
        np.testing.assert_array_equal(batch["image"][0], expected)


@pytest.mark.parametrize("places", [[0, 1], [2, 3]])
def test_evaluation_of_one_process_s_places(imagenet, places):
    whole = list(evaluation_batches(imagenet.test, data_config(image_size=32), batch_size=4))
    part = evaluation_batches(
        imagenet.test, data_config(image_size=32), batch_size=4, places=np.array(places)
    )
    for ours, all_places in zip(part, whole, strict=True):
        np.testing.assert_array_equal(ours["image"], all_places["image"][places])
        np.testing.assert_array_equal(ours["mask"], all_places["mask"])


def _damaged(tmp_path):
    """A folder of pictures, one of them not whole."""
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        for index in range(3):
            (tmp_path / name / f"{index}.jpg").write_bytes(tfds_sets.jpeg(index))
    (tmp_path / "train/b/1.jpg").write_bytes(tfds_sets.jpeg(1)[:400])
    return tmp_path


def _epoch_of_folder(folder, workers=0, **overrides):
    config = data_config(
        name="image_folder", dir=str(folder), crop="resized", image_size=16, **overrides
    )
    batches = stream(
        data.load(config).train,
        six_in_order,
        keys,
        config,
        runs=[0],
        batch_size=6,
        first_step=0,
        num_steps=1,
        workers=workers,
    )
    return next(iter(batches))


def six_in_order(run, epoch):
    return np.arange(6)


def test_a_damaged_picture_stops_the_stream_and_is_named(tmp_path):
    with pytest.raises(UserError, match=r"image of example train/b/1\.jpg does not decode"):
        _epoch_of_folder(_damaged(tmp_path))


def test_a_damaged_picture_may_be_blank(tmp_path, capsys):
    batch = _epoch_of_folder(_damaged(tmp_path), undecodable="blank")
    blank = ~batch["image"][0].any(axis=(1, 2, 3))
    assert blank.tolist() == [False, False, False, False, True, False]
    assert "blank, because the image of example train/b/1.jpg does not decode" in (
        capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_damaged_picture_is_named_by_worker_processes_too(tmp_path):
    with pytest.raises(UserError, match=r"image of example train/b/1\.jpg does not decode"):
        _epoch_of_folder(_damaged(tmp_path), workers=1)


def test_crops_are_made_by_the_host_and_not_behind_the_steps_of_a_device():
    """JAX's default device stands in for an accelerator."""
    augmented = streaming.host_augmentation(data_config(crop="pad", crop_padding=1))
    key = np.zeros((1, 2, 2), np.uint32)
    images = np.arange(2 * 64, dtype=np.uint8).reshape(1, 2, 8, 8, 1)
    with jax.default_device(jax.devices()[3]):
        found = augmented(key, np.array([[4, 5]]), images)
    assert found.devices() == {jax.devices()[0]}
