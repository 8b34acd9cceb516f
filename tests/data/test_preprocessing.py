import numpy as np
import pytest

from churn_jax.data.preprocessing import (
    centre_box,
    evaluation_image,
    random_box,
    resize,
    training_image,
)

SIZES = [(40, 100), (100, 40), (64, 64), (1, 1), (3, 500), (500, 3)]


def _rng(seed=0):
    return np.random.Generator(np.random.Philox(seed))


def _image(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_boxes_lie_in_the_picture(height, width):
    rng = _rng()
    boxes = [random_box(height, width, rng) for _ in range(200)] + [centre_box(height, width)]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_random_boxes_have_the_recipe_s_areas_and_proportions():
    rng = _rng()
    boxes = np.array([random_box(1000, 1000, rng) for _ in range(2000)])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas, ratios = widths * heights / 1e6, widths / heights
    assert 0.079 < areas.min() < 0.1
    assert 0.95 < areas.max() <= 1
    assert 0.74 < ratios.min() < 0.77
    assert 1.3 < ratios.max() < 1.34


def test_centre_box_is_the_middle_seven_eighths():
    assert centre_box(80, 160) == (45, 5, 115, 75)


def test_evaluation_image_of_the_final_size_is_its_centre():
    image = _image(256, 300)
    np.testing.assert_array_equal(evaluation_image(image, 224), image[16:240, 38:262])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_results_are_squares(height, width, channels):
    image = _image(height, width, channels)
    for result in (training_image(image, 16, True, _rng()), evaluation_image(image, 16)):
        assert result.shape == (16, 16, channels)
        assert result.dtype == np.uint8


def test_training_image_follows_its_generator_alone():
    image = _image(50, 70)
    np.testing.assert_array_equal(
        training_image(image, 16, True, _rng(3)), training_image(image, 16, True, _rng(3))
    )
    assert (
        training_image(image, 16, True, _rng(3)) != training_image(image, 16, True, _rng(4))
    ).any()


def test_flip_mirrors_and_keeps_the_crop():
    image = _image(50, 70)
    mirrored = 0
    for seed in range(40):
        plain = training_image(image, 16, False, _rng(seed))
        flipped = training_image(image, 16, True, _rng(seed))
        if (flipped == plain).all():
            continue
        np.testing.assert_array_equal(flipped, plain[:, ::-1])
        mirrored += 1
    assert 8 < mirrored < 32


def test_resize_to_its_own_size_changes_nothing():
    image = _image(16, 16, 1)
    np.testing.assert_array_equal(resize(image, 16), image)
