"""From an encoded picture to pixels, whatever its format and mode; no more of them than are needed.

JPEGs, which nearly all pictures are, go through libjpeg-turbo (simplejpeg), which can halve a
picture as it decodes: with the fast integer transform (2 to 5 % faster), and with colours repeated
rather than interpolated where a JPEG stores fewer of them (a quarter faster). Other formats, and
the few JPEGs that it doesn't take, go through pillow.
"""

import dataclasses
import functools
import io

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from churn_jax.data import jpeg
from churn_jax.errors import UserError


class UndecodableImage(UserError):
    """A picture that is damaged, or none."""


@dataclasses.dataclass(frozen=True)
class EncodedPicture:
    """A picture that is not decoded yet.

    Attributes:
      content: the file's.
      name: of the example, for messages.
    """

    content: bytes
    name: str

    @functools.cached_property
    def size(self) -> tuple[int, int]:
        """(height, width), which the first bytes of the content say."""
        if self.content.startswith(jpeg.MAGIC):
            try:
                height, width, _, _ = simplejpeg.decode_jpeg_header(self.content, strict=False)
                return height, width
            except (ValueError, KeyError) as error:
                raise self._undecodable(error) from error
        with self._open() as image:
            return image.height, image.width

    def around(self, box: jpeg.Box) -> tuple["EncodedPicture", tuple[int, int]]:
        """A part with all of `box` in it, and the (left, top) of the part in the picture.

        The smallest that can be had without decoding: of a JPEG with restart markers, the few
        squares that the box touches, of others all.
        """
        if self.content.startswith(jpeg.MAGIC) and (found := jpeg.part(self.content, box)):
            content, origin = found
            return EncodedPicture(content, self.name), origin
        return self, (0, 0)

    def pixels(self, shrink: int = 1) -> np.ndarray:
        """RGB uint8 [height, width, 3]; grey, palette and CMYK convert.

        `shrink` of 2, 4 or 8 allows a picture so many times smaller, for those who would shrink it
        afterwards anyway: a JPEG comes at that size, others whole.

        Raises:
          UndecodableImage: the picture is damaged or none.
        """
        if self.content.startswith(jpeg.MAGIC):
            height, width = self.size
            least = (-(-height // shrink), -(-width // shrink)) if shrink > 1 else (0, 0)
            try:
                return simplejpeg.decode_jpeg(
                    self.content,
                    fastdct=True,
                    fastupsample=True,
                    min_height=least[0],
                    min_width=least[1],
                    strict=True,
                )
            except ValueError:
                pass  # CMYK, or damaged: pillow knows
        with self._open() as image:
            try:
                return np.array(image.convert("RGB"))
            except (OSError, SyntaxError) as error:
                raise self._undecodable(error) from error

    def _open(self) -> Image.Image:
        try:
            return Image.open(io.BytesIO(self.content))
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise self._undecodable(error) from error

    def _undecodable(self, error: Exception) -> UndecodableImage:
        return UndecodableImage(f"the image of example {self.name} does not decode: {error}")


@dataclasses.dataclass(frozen=True)
class DecodedPicture:
    """A picture that was stored as pixels; `image` is uint8 [height, width, channel]."""

    image: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[0], self.image.shape[1]

    def around(self, box: jpeg.Box) -> tuple["DecodedPicture", tuple[int, int]]:
        """The whole: there is nothing to be saved."""
        del box
        return self, (0, 0)

    def pixels(self, shrink: int = 1) -> np.ndarray:
        """The pixels as they are."""
        del shrink
        return self.image


Picture = EncodedPicture | DecodedPicture


def decode(encoded: bytes, name: str) -> np.ndarray:
    """`EncodedPicture.pixels` of the picture of the example called `name`."""
    return EncodedPicture(encoded, name).pixels()
