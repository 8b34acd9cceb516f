"""Pictures of any size to squares that a model takes: the ImageNet recipe, in pillow on the host.

Training takes a random part of the picture (area 8 to 100 %, proportions 3:4 to 4:3; C. Szegedy
et al., "Going Deeper with Convolutions", CVPR 2015), evaluation the middle 224/256 of the shorter
side. Both cut and resize in one step.
"""

import math

import numpy as np
from PIL import Image

# Side length of ImageNet-like pictures where the config says nothing else.
DEFAULT_SIZE = 224

_CENTRE_FRACTION = 224 / 256
_AREA_RANGE = (0.08, 1.0)
_RATIO_RANGE = (3 / 4, 4 / 3)
_ATTEMPTS = 10

# Left, top, right, bottom, in pixels of the original picture; fractions are allowed.
Box = tuple[float, float, float, float]


def training_image(
    image: np.ndarray, size: int, flip: bool, rng: np.random.Generator
) -> np.ndarray:
    """A random part of `image`, mirrored half of the time if `flip`.

    Args:
      image: uint8 [height, width, channel].
      size: side length of the result.
      flip: whether to mirror at random.
      rng: the only source of randomness.

    Returns:
      uint8 [size, size, channel].
    """
    cropped = resize(image, size, random_box(image.shape[0], image.shape[1], rng))
    # Drawn even where it is not used, so that `flip` does not change the crops.
    mirrored = rng.random() < 0.5
    return cropped[:, ::-1] if flip and mirrored else cropped


def evaluation_image(image: np.ndarray, size: int) -> np.ndarray:
    """The middle of `image` [height, width, channel] as uint8 [size, size, channel]."""
    return resize(image, size, centre_box(image.shape[0], image.shape[1]))


def random_box(height: int, width: int, rng: np.random.Generator) -> Box:
    """A random part of a picture, or its middle where ten draws did not fit in."""
    for _ in range(_ATTEMPTS):
        area = height * width * rng.uniform(*_AREA_RANGE)
        ratio = math.exp(rng.uniform(*np.log(_RATIO_RANGE)))
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
    side = min(height, width) * _CENTRE_FRACTION
    return _middle(height, width, side, side)


def resize(image: np.ndarray, size: int, box: Box | None = None) -> np.ndarray:
    """`box` of `image` (None: all of it) as uint8 [size, size, channel], bilinear, antialiased."""
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    resized = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box)
    return np.asarray(resized).reshape(size, size, image.shape[-1])


def _middle(height: float, width: float, box_height: float, box_width: float) -> Box:
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height
