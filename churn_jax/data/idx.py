"""The IDX format of MNIST and its descendants, plain or gzipped.

A file is: two zero bytes, a type code (0x08 = uint8), the number of axes, one big-endian uint32
per axis, then the values.
"""

import gzip
import io
import math
import zlib

import numpy as np
from etils import epath

from churn_jax.errors import UserError

_LARGEST = 1 << 28  # bytes; the four files of Fashion-MNIST have 47 million together
_GZIP_MAGIC = b"\x1f\x8b"
_UINT8_MAGIC = b"\x00\x00\x08"


def read_idx(path: epath.Path, num_axes: int) -> np.ndarray:
    """Reads a uint8 array of `num_axes` axes; refuses any file that isn't exactly one."""
    content = _read(path)
    header = 4 + 4 * num_axes
    if content[:3] != _UINT8_MAGIC or len(content) < header:
        raise UserError(
            f"{path} is not an IDX file of bytes (it starts with {content[:4].hex()!r})"
        )
    if content[3] != num_axes:
        raise UserError(f"{path}: the IDX file has {content[3]} axes, expected {num_axes}")
    shape = tuple(int(n) for n in np.frombuffer(content[4:header], dtype=">u4"))
    found, expected = len(content) - header, math.prod(shape)
    if found != expected:
        problem = "truncated" if found < expected else "longer than its header says"
        raise UserError(f"{path} is {problem}: {found} bytes of data, {expected} expected")
    if expected == 0:
        raise UserError(f"{path} is empty: its header says {' x '.join(map(str, shape))}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _read(path: epath.Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if content[:2] != _GZIP_MAGIC:
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(_LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is truncated or damaged: {error}") from error
    if len(unpacked) > _LARGEST:
        raise UserError(
            f"{path} unpacks to more than {_LARGEST:,} bytes: no such data set is known"
        )
    return unpacked
