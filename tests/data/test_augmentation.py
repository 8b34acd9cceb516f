import jax
import jax.numpy as jnp
import numpy as np
import pytest

from churn_jax.data.augmentation import (
    augment,
    crop_by_selection,
    crop_by_slicing,
    cutout,
    pad_and_crop,
    random_flip,
)
from churn_jax.errors import UserError
from tests.fixtures.configs import data_config


def _images(count, shape=(8, 6, 3)):
    # No zero pixels, so that padding shows.
    return jax.random.randint(jax.random.key(7), (count, *shape), 1, 256).astype(jnp.uint8)


def test_crop_is_a_window_of_the_padded_image():
    padding, image = 2, _images(1)[0]
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    windows = {
        padded[top : top + 8, left : left + 6].tobytes()
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    }
    keys = jax.random.split(jax.random.key(0), 400)
    crops = jax.vmap(lambda key: pad_and_crop(key, image, padding))(keys)
    assert crops.dtype == jnp.uint8
    assert {np.asarray(crop).tobytes() for crop in crops} == windows


def test_the_crop_is_the_same_by_selection_as_by_slicing():
    padded = _images(1, (12, 10, 3))[0]
    for top, left in np.ndindex(5, 5):
        sliced = crop_by_slicing(padded, top, left, padding=2)
        np.testing.assert_array_equal(crop_by_selection(padded, top, left, padding=2), sliced)


def test_flip_mirrors_half_of_the_images():
    image = _images(1)[0]
    flipped = jax.vmap(lambda key: random_flip(key, image))(
        jax.random.split(jax.random.key(0), 400)
    )
    mirrored = (flipped == image[:, ::-1]).all(axis=(1, 2, 3))
    assert bool((mirrored | (flipped == image).all(axis=(1, 2, 3))).all())
    assert 150 < int(mirrored.sum()) < 250


def test_augmentation_of_an_example_is_the_same_alone_in_a_batch_and_jitted():
    images, keys = _images(5), jax.random.split(jax.random.key(1), 5)
    config = data_config(crop="pad", crop_padding=2, flip=True)
    batch = jax.jit(jax.vmap(lambda key, image: augment(key, image, config)))(keys, images)
    alone = augment(keys[3], images[3], config)
    np.testing.assert_array_equal(batch[3], alone)
    assert batch.shape == images.shape


def test_crop_and_flip_are_drawn_independently():
    image = _images(1)[0]
    keys = jax.random.split(jax.random.key(2), 200)
    config = data_config(crop="pad", crop_padding=1, flip=True)
    results = jax.vmap(lambda key: augment(key, image, config))(keys)
    assert len({np.asarray(result).tobytes() for result in results}) == 18


def test_nothing_asked_changes_nothing():
    image = _images(1)[0]
    np.testing.assert_array_equal(augment(jax.random.key(0), image, data_config()), image)


def test_resized_crop_belongs_to_the_streaming_pipeline():
    with pytest.raises(UserError, match="pipeline='streaming'"):
        augment(jax.random.key(0), _images(1)[0], data_config(crop="resized"))


def test_cutout_blackens_a_square_around_any_pixel():
    image = _images(1)[0]
    keys = jax.random.split(jax.random.key(0), 400)
    found = np.asarray(jax.vmap(lambda key: cutout(key, image, 3))(keys))
    seen = set()
    for cut in found:
        black = (cut == 0).all(-1)
        np.testing.assert_array_equal(cut[~black], np.asarray(image)[~black])
        rows, columns = np.flatnonzero(black.any(1)), np.flatnonzero(black.any(0))
        assert black[np.ix_(rows, columns)].all()
        assert len(rows) <= 3
        assert len(columns) <= 3
        assert len(rows) >= 2
        assert len(columns) >= 2
        seen.add((rows.min(), rows.max(), columns.min(), columns.max()))
    assert len(seen) == 8 * 6  # every pixel was the centre once


def test_who_asks_for_no_cutout_draws_what_he_always_drew():
    image, key = _images(1)[0], jax.random.key(3)
    plain = augment(key, image, data_config(crop="pad", flip=True))
    cut = augment(key, image, data_config(crop="pad", flip=True, cutout=2))
    black = (np.asarray(cut) == 0).all(-1)
    np.testing.assert_array_equal(np.asarray(cut)[~black], np.asarray(plain)[~black])
