"""Reading safetensors files as memory-mapped NumPy arrays.

The safetensors library reads a tensor by copying it. Comparing many runs must not hold them all in
memory, so the tensors are mapped here, and every number of the header is checked before it is used.
The format is eight bytes of header length, a JSON header, and the tensors' bytes.
"""

import json
import math
from typing import Any

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.storage.files import at_hand

_MAX_HEADER_BYTES = 100_000_000
_DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_SHORT_FLOATS = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


def read_tensors(path: epath.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns (tensors by name, metadata) of a safetensors file; the tensors are read-only maps.

    The file is memory-mapped: nothing but the header is read until an array is indexed. One of a
    bucket is copied to this machine's temporary folder first.

    Raises:
      UserError: the file is missing, truncated, or not a safetensors file.
    """
    path = epath.Path(path)
    buffer = _open(path)
    size = len(buffer)
    header_bytes = int.from_bytes(bytes(buffer[:8]), "little")
    start = 8 + header_bytes
    if size < 8 or header_bytes > _MAX_HEADER_BYTES or start > size:
        raise UserError(f"{path}: truncated or not a safetensors file ({size} bytes)")
    try:
        header = json.loads(bytes(buffer[8:start]))
        if not isinstance(header, dict):
            raise ValueError("the header is not an object")
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict):
            raise ValueError("the metadata is not an object")
        tensors = {name: _tensor(buffer, start, name, entry) for name, entry in header.items()}
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: damaged safetensors file: {error}") from None
    return tensors, metadata


def _open(path: epath.Path) -> np.ndarray:
    """The file's bytes as a mapped uint8 array."""
    try:
        with at_hand(path) as file:
            if file.is_dir():
                raise UserError(f"{path}: is a folder, not a file")
            if file.stat().length == 0:
                raise UserError(f"{path}: the file is empty")
            return np.memmap(file, np.uint8, mode="r")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def _tensor(buffer: np.ndarray, start: int, name: str, entry: dict[str, Any]) -> np.ndarray:
    """One tensor of the file, mapped; raises ValueError, KeyError or TypeError if it is damaged."""
    dtype = _dtype(name, entry["dtype"])
    shape = entry["shape"]
    begin, end = entry["data_offsets"]
    if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
        raise ValueError(f"tensor {name!r} has a shape or position that is no whole number")
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"tensor {name!r} has {end - begin} bytes, not those of its shape {shape}")
    if start + end > len(buffer):
        raise ValueError(f"tensor {name!r} ends after the file does: it is truncated")
    flat: np.ndarray = buffer[start + begin : start + end].view(dtype)
    return flat.reshape(shape)


def _dtype(name: str, code: str) -> np.dtype:
    """NumPy's type, or that of ml_dtypes for the short floats that NumPy does not have."""
    if code in _SHORT_FLOATS:
        try:
            import ml_dtypes
        except ImportError:
            raise UserError(f"reading {code} needs ml_dtypes (pip install ml_dtypes)") from None
        return np.dtype(getattr(ml_dtypes, _SHORT_FLOATS[code]))
    if code not in _DTYPES:
        raise ValueError(f"tensor {name!r} has the unsupported type {code!r}")
    return _DTYPES[code]
