"""Writing files so that nothing half-written is ever left looking whole."""

import contextlib
import errno
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator

from etils import epath

from churn_jax.errors import UserError
from churn_jax.storage import objects
from churn_jax.storage.objects import ask_once, is_google, is_remote

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


def write_atomically(path: epath.PathLike, content: str | bytes | Iterable[bytes]) -> None:
    """Writes `content` beside `path` and renames it into place; an object of a bucket as it is.

    Args:
      path: of the file.
      content: all of it, or its parts in order, of which no two need to be in memory at once; those
        of an object are joined, as one that is half sent may look whole.

    Raises:
      UserError: it can't be written; what was there before still is.
    """
    path = epath.Path(path)
    # UTF-8, whatever the machine's language.
    content = content.encode() if isinstance(content, str) else content
    parts = [content] if isinstance(content, bytes) else content
    if is_remote(path):
        with writing(path), _as_os_errors():
            (objects.write if is_google(path) else epath.Path.write_bytes)(path, b"".join(parts))
        return
    # The process id keeps two writers of one file from sharing the half-written copy.
    temporary = path.parent / f".{path.name}.{os.getpid()}.partial"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                for part in parts:
                    file.write(part)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    """What a bucket's client raises, as the file system would."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each client has its own
        raise OSError(str(error)) from error


@contextlib.contextmanager
def at_hand(path: epath.PathLike) -> Iterator[epath.Path]:
    """A local file to open or map: `path` itself, or of an object a copy, held to its checksum.

    The copy is gone afterwards, but what was mapped from it stays. Errors name the object.

    Raises:
      UserError: there is no such object, or it does not arrive whole.
    """
    path = epath.Path(path)
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = epath.Path(folder) / path.name
        try:
            with _as_os_errors():
                objects.fetch(path, copy) if is_google(path) else path.copy(copy)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
        try:
            yield copy
        except UserError as error:
            raise UserError(str(error).replace(str(copy), str(path))) from None


class Appender:
    """Writes lines at the end of a file, so that what is written is there at once.

    An object of a bucket can't grow, so it is replaced by a longer one; what it holds stays in
    memory. Use as a context manager.
    """

    def __init__(self, path: epath.PathLike, content: bytes = b""):
        """Begins with `content`, in place of what is there.

        Raises:
          UserError: here and later, it can't be written.
        """
        self._path = epath.Path(path)
        write_atomically(self._path, content)
        self._content, self._file = content, None
        if not is_remote(self._path):
            with writing(self._path):
                self._file = self._path.open("ab")

    def __enter__(self) -> "Appender":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            with writing(self._path):
                self._file.close()

    def append(self, line: bytes) -> None:
        """Writes a line, which ends with its own line end."""
        if self._file is None:
            self._content += line
            write_atomically(self._path, self._content)
            return
        with writing(self._path):
            self._file.write(line)
            self._file.flush()


def names_in(folder: epath.PathLike) -> list[str]:
    """The names in a folder, in no order; none if it isn't there.

    One of a bucket is gone when its last file is. The bucket itself is asked each time: what
    other processes have written meanwhile is seen.
    """
    if is_google(folder):
        return objects.names_in(folder)
    folder = epath.Path(folder)
    try:
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []
    except FileNotFoundError:
        return []


def numbered(folder: epath.PathLike, width: int = 0) -> list[int]:
    """The whole numbers that name something in `folder`, ascending; none if it isn't there.

    Args:
      folder: may hold anything else too.
      width: of the numbers, which are padded with zeros; another writing is another name.
    """
    names = names_in(folder)
    numbers = [int(name) for name in names if name.isascii() and name.isdecimal()]
    return sorted({number for number in numbers if f"{number:0{width}d}" in names})


def reach(path: epath.PathLike, name: str) -> epath.Path:
    """The path of the flag or key `name`, once it is known that its storage can be asked.

    `~` is the home folder.

    Raises:
      UserError: it is no path, or storage that can't be reached (a bucket without credentials).
    """
    text = os.fspath(path)
    if not text or "\0" in text:
        raise UserError(f"{name}={text!r} is no path")
    try:
        found = epath.Path(path).expanduser()
        if is_google(text):
            ask_once(found)
        else:
            found.exists()
    except Exception as error:  # each kind of storage has its own
        raise UserError(f"{name}={text} can't be reached: {error}") from error
    return found


def out_folder(path: epath.PathLike, name: str) -> epath.Path:
    """`reach` for a folder to write into, which may have yet to be made; makes nothing.

    Raises:
      UserError: also where a file is in its place or above it, or nothing can be written there.
    """
    found = reach(path, name)
    if is_remote(found):
        return found
    with writing(f"{name}={path}"):
        for place in (found, *found.parents):
            if os.path.lexists(place):
                os.stat(place)  # fails for links that lead nowhere
                if not place.is_dir():
                    raise UserError(f"{name}={path}: {place} is a file, not a folder")
                with tempfile.TemporaryFile(dir=place):
                    break
            with contextlib.suppress(FileNotFoundError):
                os.stat(place)  # fails otherwise for names that are too long
    return found


def checksum(path: epath.PathLike) -> str:
    """CRC-32 of a file's bytes, 8 hex digits: it finds damage, and is no seal against forgery."""
    total = 0
    with epath.Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            total = zlib.crc32(chunk, total)
    return f"{total:08x}"
