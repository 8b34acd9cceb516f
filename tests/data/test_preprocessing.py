import io

import numpy as np
import pytest
from PIL import Image

from churn_jax.data.decoding import DecodedPicture, EncodedPicture, UndecodableImage
from churn_jax.data.preprocessing import (
    centre_box,
    cut,
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


def _training(image, size, flip, rng):
    return training_image(DecodedPicture(image), size, flip, rng)


def _evaluation(image, size):
    return evaluation_image(DecodedPicture(image), size)


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
    np.testing.assert_array_equal(_evaluation(image, 224), image[16:240, 38:262])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_results_are_squares(height, width, channels):
    image = _image(height, width, channels)
    for result in (
        _training(image, 16, True, _rng()),
        _evaluation(image, 16),
    ):
        assert result.shape == (16, 16, channels)
        assert result.dtype == np.uint8


def test_training_image_follows_its_generator_alone():
    image = _image(50, 70)
    np.testing.assert_array_equal(
        _training(image, 16, True, _rng(3)),
        _training(image, 16, True, _rng(3)),
    )
    assert (_training(image, 16, True, _rng(3)) != _training(image, 16, True, _rng(4))).any()


def test_flip_mirrors_and_keeps_the_crop():
    image = _image(50, 70)
    mirrored = 0
    for seed in range(40):
        plain = _training(image, 16, False, _rng(seed))
        flipped = _training(image, 16, True, _rng(seed))
        if (flipped == plain).all():
            continue
        np.testing.assert_array_equal(flipped, plain[:, ::-1])
        mirrored += 1
    assert 8 < mirrored < 32


def test_resize_to_its_own_size_changes_nothing():
    image = _image(16, 16, 1)
    np.testing.assert_array_equal(resize(image, 16), image)


def _jpeg(image, **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **({"format": "JPEG", "quality": 95} | options))
    return buffer.getvalue()


def _smooth(height, width):
    down, across = np.mgrid[:height, :width]
    return np.stack(
        [down * 255 // height, across * 255 // width, (down + across) * 100 // (height + width)], -1
    ).astype(np.uint8)


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
def test_jpegs_shrink_as_they_are_decoded(shrink):
    picture = EncodedPicture(_jpeg(_smooth(163, 245)), "a")
    pixels = picture.pixels(shrink)
    assert picture.size == (163, 245)
    assert pixels.shape == (-(-163 // shrink), -(-245 // shrink), 3)


@pytest.mark.parametrize("side", [60, 130, 250, 500])
def test_a_part_of_a_jpeg_is_that_part_at_any_scale(side):
    image = _smooth(600, 700)
    left, top = 90, 60
    found = cut(EncodedPicture(_jpeg(image), "a"), (left, top, left + side, top + side), 48)
    expected = resize(image[top : top + side, left : left + side], 48)
    assert np.abs(found.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ("mode", "options"),
    [("L", {}), ("CMYK", {}), ("P", {"format": "PNG"}), ("RGBA", {"format": "PNG"})],
)
def test_pictures_of_any_mode_become_rgb(mode, options):
    buffer = io.BytesIO()
    Image.fromarray(_smooth(40, 50)).convert(mode).save(buffer, **({"format": "JPEG"} | options))
    picture = EncodedPicture(buffer.getvalue(), "a")
    assert picture.size == (40, 50)
    assert picture.pixels(2).shape[2] == 3


@pytest.mark.parametrize("keep", [0, 10, 150, 2000])
def test_a_damaged_picture_is_named(keep):
    content = _jpeg(_image(64, 64))
    assert len(content) > 2500
    with pytest.raises(UndecodableImage, match="image of example n1_7 does not decode"):
        training_image(EncodedPicture(content[:keep], "n1_7"), 16, True, _rng())
