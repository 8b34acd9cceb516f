"""Parts of JPEGs, cut out of their bytes: exactly the pixels of the whole."""

import io
import shutil

import numpy as np
import pytest
import simplejpeg
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from churn_jax.data import jpeg
from churn_jax.data.decoding import EncodedPicture
from churn_jax.data.prepare.restarts import add_restarts
from churn_jax.data.preprocessing import cut

SHRINKS = (1, 2, 4, 8)


def encode(height, width, mode="RGB", **options):
    image = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3))
    buffer = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).convert(mode).save(
        buffer, **({"format": "JPEG", "quality": 80, "restart_marker_blocks": 1} | options)
    )
    return buffer.getvalue()


@st.composite
def boxes(draw, height, width):
    left, top = draw(st.integers(0, width - 8)), draw(st.integers(0, height - 8))
    return left, top, draw(st.integers(left + 8, width)), draw(st.integers(top + 8, height))


@given(st.data())
def test_a_part_has_the_pixels_of_the_whole_at_every_scale(data):
    height, width = data.draw(st.integers(8, 150)), data.draw(st.integers(8, 150))
    content = encode(
        height,
        width,
        data.draw(st.sampled_from(["RGB", "L"])),
        subsampling=data.draw(st.integers(0, 2)),  # colours whole, halved across, halved twice
        restart_marker_blocks=data.draw(st.integers(1, 4)),
    )
    layout = jpeg.read_layout(content)
    assert (layout.height, layout.width) == (height, width)
    assume(layout.columns % layout.interval == 0)
    box = data.draw(boxes(height, width))
    whole, shrink = EncodedPicture(content, "a"), data.draw(st.sampled_from(SHRINKS))
    part, (left, top) = whole.around(box)
    assert np.all(np.less_equal((left, top), box[:2]))
    assert np.all(np.greater_equal((left + part.size[1], top + part.size[0]), box[2:]))
    found, (x, y) = part.pixels(shrink), (left // shrink, top // shrink)
    expected = whole.pixels(shrink)[y : y + found.shape[0], x : x + found.shape[1]]
    np.testing.assert_array_equal(found, expected)


def test_no_more_is_decoded_than_the_squares_that_a_box_touches():
    content = encode(160, 320)
    found, origin = jpeg.part(content, (100, 50, 130, 90))
    assert simplejpeg.decode_jpeg_header(found)[:2] == (48, 48)
    assert origin == (96, 48)
    assert len(found) < 0.1 * len(content) + 700  # the header's


@pytest.mark.parametrize("size", [24, 60, 100])
def test_a_crop_is_the_same_with_restart_markers_and_without(size):
    box = (37, 21, 201, 187)
    without = EncodedPicture(encode(200, 320, restart_marker_blocks=0), "a")
    np.testing.assert_array_equal(
        cut(EncodedPicture(encode(200, 320), "a"), box, size), cut(without, box, size)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"restart_marker_blocks": 0},
        {"restart_marker_blocks": 3},  # of four in a row
        {"progressive": True, "restart_marker_blocks": 0},
        {"mode": "CMYK"},
    ],
)
def test_others_are_taken_whole(options):
    picture = EncodedPicture(encode(64, 64, **options), "a")
    assert picture.around((0, 0, 10, 10)) == (picture, (0, 0))
    assert picture.pixels().shape == (64, 64, 3)


@given(st.data())
def test_damage_never_crashes_the_cutting(data):
    content = bytearray(encode(40, 40, quality=20))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut_off = data.draw(st.integers(2, len(content)))
    found = jpeg.part(bytes(content[:cut_off]), (8, 8, 24, 24))
    assert found is None or found[0].startswith(jpeg.MAGIC[:2])


SCAN = b"\xff\xda"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: content.index(SCAN)] + SCAN + b"\x00\x02",  # an empty header
        lambda content: content[: content.index(SCAN) + 4],
        lambda content: content[: content.index(SCAN)],
        lambda content: content[:158] + content[158:177] + content[158:],  # two frames
    ],
)
def test_a_damaged_header_is_none(damage):
    content = encode(40, 40)
    assert content[158:160] == b"\xff\xc0"
    assert jpeg.read_layout(damage(content)) is None


def test_a_truncated_picture_is_taken_whole_so_that_it_is_named():
    content = encode(64, 64)[:-40]
    assert jpeg.part(content, (0, 0, 16, 16)) is None


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="libjpeg-turbo-progs not installed")
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L"}])
@pytest.mark.parametrize("width", [200, 250, 336])
def test_restart_markers_leave_the_pixels_alone(width, options):
    content = encode(120, width, restart_marker_blocks=0, optimize=True, **options)
    marked = add_restarts(content)
    columns = -(-width // (8 if options.get("mode") == "L" else 16))
    assert columns % jpeg.read_layout(marked).interval == 0
    assert jpeg.part(marked, (50, 50, 90, 90)) is not None
    np.testing.assert_array_equal(
        EncodedPicture(marked, "a").pixels(), EncodedPicture(content, "a").pixels()
    )


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="libjpeg-turbo-progs not installed")
@pytest.mark.parametrize("content", [encode(64, 64)[:-300], b"\xff\xd8\xff\xe0", encode(9, 9)[:50]])
def test_what_is_damaged_stays_as_it_is(content):
    assert add_restarts(content) == content
