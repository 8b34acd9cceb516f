"""From an encoded picture to pixels, whatever its mode."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from churn_jax.errors import UserError


def decode(encoded: bytes, name: str) -> np.ndarray:
    """Decodes a JPEG, PNG, … into RGB uint8 [height, width, 3]; grey, palette and CMYK convert.

    Raises:
      UserError: the picture called `name` is damaged or no picture.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f"the image of example {name} does not decode: {error}") from error
