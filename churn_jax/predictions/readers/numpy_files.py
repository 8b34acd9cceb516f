""".npy and .npz files, mapped where they can be, never unpickled."""

import math
import struct
import tokenize
import zipfile
import zlib
from typing import IO

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers.columns import Columns
from churn_jax.predictions.readers.source import Raw, refuse_bomb
from churn_jax.predictions.readers.spill import Spill

_LOCAL_HEADER_BYTES = 30
_END_BYTES = 22
_MANY = 0xFFFF  # the number is elsewhere
_CHUNK = 1 << 20
_DAMAGE = (
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OverflowError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    RuntimeError,  # zipfile: a password is needed
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
)


def read_npy(path: epath.Path) -> Raw:
    """One array: [example, class] values, or [example] predicted classes."""
    try:
        with open(path, "rb") as stream:
            shape, _, dtype = _header(stream)
            wanted = stream.tell() + math.prod(shape) * dtype.itemsize
        if path.stat().length < wanted:
            raise ValueError(f"truncated, the shape {shape} needs {wanted:,} bytes")
        return Raw(str(path), np.load(path, mmap_mode="r", allow_pickle=False))
    except _DAMAGE as error:
        raise UserError(f"{path}: damaged .npy file: {error}") from None


def read_npz(path: epath.Path) -> Columns:
    """Named arrays: predictions, and where they are there labels, ids and class names."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len({entry.filename for entry in entries}) != len(entries):
                raise ValueError("a name is there twice")
            _refuse_lost(path, archive, len(entries))
            arrays = {
                entry.filename.removesuffix(".npy"): _member(path, archive, entry)
                for entry in entries
            }
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(f"{path}: damaged .npz file: {error}") from None
    return Columns(str(path), tuple(arrays), arrays, table=False)


def _refuse_lost(path: epath.Path, archive: zipfile.ZipFile, found: int) -> None:
    """Raises ValueError if the archive's directory lists fewer members than its end says.

    A wrong length in one entry of the directory hides those that follow.
    """
    with open(path, "rb") as stream:
        stream.seek(-_END_BYTES - len(archive.comment), 2)
        (count,) = struct.unpack("<H", stream.read(_END_BYTES)[10:12])
    if count not in (found, _MANY):
        raise ValueError(f"{found} members are listed, and {count} were written")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, Fortran order, type) of an array; raises ValueError for what would need pickle."""
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the format")
    shape, fortran, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which needs pickle and is never loaded")
    if any(size < 0 for size in shape):
        raise ValueError(f"the shape {shape}")
    return shape, fortran, dtype


def _member(path: epath.Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array of the archive, held to its checksum: mapped if it is stored as it is, else
    unpacked to disk."""
    with archive.open(entry) as stream:
        shape, fortran, dtype = _header(stream)
        start = stream.tell()
        if entry.file_size != start + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{entry.filename} does not have the bytes of its shape {shape}")
        order = "F" if fortran else "C"
        empty = math.prod(shape) * dtype.itemsize == 0
        if empty or entry.compress_type == zipfile.ZIP_STORED:
            while stream.read(_CHUNK):
                pass  # the archive's checksum is looked at when the end is reached
            if empty:
                return np.empty(shape, dtype)
            offset = _data_offset(path, entry) + start
            return np.memmap(path, dtype, "r", offset, shape, order)  # type: ignore[call-overload]
        refuse_bomb(path, entry.compress_size, entry.file_size)
        with Spill() as spill:
            while chunk := stream.read(_CHUNK):
                spill.write(chunk)
            return spill.array(dtype, shape, order)


def _data_offset(path: epath.Path, entry: zipfile.ZipInfo) -> int:
    """Where an entry's bytes begin: after its local header, whose two last fields are lengths."""
    with open(path, "rb") as stream:
        stream.seek(entry.header_offset)
        header = stream.read(_LOCAL_HEADER_BYTES)
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    offset = entry.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes
    if header[:4] != b"PK\x03\x04" or offset + entry.file_size > epath.Path(path).stat().length:
        raise ValueError(f"{entry.filename} reaches outside the file")
    return offset
