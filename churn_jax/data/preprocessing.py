"""Pictures of any size to squares that a model takes: the ImageNet recipe, on the host.

Training takes a random part of the picture (area 8 to 100 %, proportions 3:4 to 4:3; C. Szegedy
et al., "Going Deeper with Convolutions", CVPR 2015), evaluation the middle 224/256 of the shorter
side. A picture that would shrink to half or less is halved as it is decoded, which is cheapest, and
the rest is bilinear, as in TensorFlow's recipe: below a factor of two no pixel is skipped.
"""

import math

import cv2
import numpy as np

from churn_jax.data.decoding import Picture
from churn_jax.data.jpeg import Box

# Side length of ImageNet-like pictures where the config says nothing else.
DEFAULT_SIZE = 224

_CENTRE_FRACTION = 224 / 256
_AREA_RANGE = (0.08, 1.0)
_RATIO_RANGE = (3 / 4, 4 / 3)
_LOG_RATIO_RANGE = (math.log(3 / 4), math.log(4 / 3))
_ATTEMPTS = 10


def training_image(picture: Picture, size: int, flip: bool, rng: np.random.Generator) -> np.ndarray:
    """A random part of `picture`, mirrored half of the time if `flip`.

    Args:
      picture: of any size.
      size: side length of the result.
      flip: whether to mirror at random.
      rng: the only source of randomness.

    Returns:
      uint8 [size, size, channel].
    """
    cropped = cut(picture, random_box(*picture.size, rng), size)
    # Drawn even where it is not used, so that `flip` does not change the crops.
    mirrored = rng.random() < 0.5
    if not (flip and mirrored):
        return cropped
    return cv2.flip(cropped, 1).reshape(cropped.shape)


def evaluation_image(picture: Picture, size: int) -> np.ndarray:
    """The middle of `picture` as uint8 [size, size, channel]."""
    return cut(picture, centre_box(*picture.size), size)


def random_box(height: int, width: int, rng: np.random.Generator) -> Box:
    """A random part of a picture, or its middle where ten draws did not fit in."""
    for _ in range(_ATTEMPTS):
        area = height * width * rng.uniform(*_AREA_RANGE)
        ratio = math.exp(rng.uniform(*_LOG_RATIO_RANGE))
        box_width, box_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < box_width <= width and 0 < box_height <= height:
            left = int(rng.integers(width - box_width + 1))
            top = int(rng.integers(height - box_height + 1))
            return left, top, left + box_width, top + box_height
    low, high = _RATIO_RANGE
    box_width, box_height = min(width, round(height * high)), min(height, round(width / low))
    return _middle(height, width, max(box_height, 1), max(box_width, 1))


def centre_box(height: int, width: int) -> Box:
    """What evaluation looks at: a square of 224/256 of the shorter side."""
    side = max(1, round(min(height, width) * _CENTRE_FRACTION))
    return _middle(height, width, side, side)


def cut(picture: Picture, box: Box, size: int) -> np.ndarray:
    """`box` of `picture` as uint8 [size, size, channel]."""
    shrink = _decoding_shrink(min(box[2] - box[0], box[3] - box[1]) // size)
    surroundings, (x, y) = picture.around(box)
    left, top, right, bottom = box[0] - x, box[1] - y, box[2] - x, box[3] - y
    pixels = surroundings.pixels(shrink)
    # What the picture was shrunk by: 1 where it can't be.
    factor = round(surroundings.size[0] / pixels.shape[0]) if shrink > 1 else 1
    part = pixels[top // factor : -(-bottom // factor), left // factor : -(-right // factor)]
    return resize(part, size)


def _decoding_shrink(wanted: int) -> int:
    """The largest of the factors that a JPEG decodes by which is no more than `wanted`."""
    return next((factor for factor in (8, 4, 2) if factor <= wanted), 1)


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """`image` as uint8 [size, size, channel]: bilinear, or means of areas where it halves."""
    shrinks = min(image.shape[:2]) >= 2 * size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (size, size), interpolation=method)
    return resized.reshape(size, size, image.shape[-1])


def _middle(height: int, width: int, box_height: int, box_width: int) -> Box:
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height
