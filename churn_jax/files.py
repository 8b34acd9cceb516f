"""Writing files so that nothing half-written is ever left looking whole."""

import contextlib
import errno
import os
import zlib
from collections.abc import Iterator

from etils import epath

from churn_jax.errors import UserError

_CHUNK = 1 << 24
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def writing(path: object) -> Iterator[None]:
    """Makes one line that names `path` of a full disk, a read-only file system and the like."""
    try:
        yield
    except OSError as error:
        again = "; the same command goes on once there is room" if error.errno in _FULL else ""
        reason = error.strerror or str(error)
        raise UserError(f"{path} can't be written: {reason}{again}") from error


def write_atomically(path: epath.PathLike, content: str | bytes) -> None:
    """Writes `content` beside `path` and renames it into place; local paths and `gs://` alike.

    Raises:
      UserError: it can't be written; what was there before still is.
    """
    path = epath.Path(path)
    # The process id keeps two writers of one file from sharing the half-written copy.
    temporary = path.parent / f".{path.name}.{os.getpid()}.partial"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if isinstance(content, bytes):
                temporary.write_bytes(content)
            else:
                temporary.write_text(content)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def checksum(path: epath.PathLike) -> str:
    """CRC-32 of a file's bytes, 8 hex digits: it finds damage, and is no seal against forgery."""
    total = 0
    with epath.Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            total = zlib.crc32(chunk, total)
    return f"{total:08x}"
