"""Objects of a bucket, `gs://BUCKET/NAME`: whole or not there, and written over by version alone.

A bucket has no files that grow, no locks and no renames: an object appears, or is replaced, when
its last byte has arrived, and every version of it has a generation number. A write that names the
generation it means to replace (`if_generation_match` in the JSON API) fails when another has come
between. Google's client repeats a write when the service answers 503 or not at all, and holds what
it sends, and what it gets whole, to the CRC-32C that the service keeps of every object. gcsfs, by
which else paths of buckets are read, reads parts, of which there is none.
"""

import errno
import functools
import logging
import os
from typing import Any

from etils import epath


class Changed(Exception):
    """Another has written the object since it was last read or written here."""


def is_remote(path: epath.PathLike) -> bool:
    """Whether a path is of a bucket or the like, and not of a file system."""
    return "://" in str(path)


def is_google(path: epath.PathLike) -> bool:
    """Whether it is of one of Cloud Storage's buckets, which are asked by Google's own client."""
    return str(path).startswith("gs://")


class VersionedObject:
    """One small object; it remembers the version that it has seen."""

    exact = True  # of two writers one fails

    def __init__(self, path: epath.Path):
        """Of a `gs://` path; looks at nothing yet."""
        self.path = path
        self._blob = _blob(path)
        self._generation = 0  # none is there

    def read_text(self) -> str:
        """What it holds now, empty where it isn't there.

        Raises:
          OSError: the service does not say.
        """
        google = _exceptions()
        try:
            self._blob.reload()
            seen = int(self._blob.generation)
            text = self._blob.download_as_bytes(if_generation_match=seen).decode()
        except google.NotFound:
            self._generation = 0
            return ""
        except google.PreconditionFailed:  # it was replaced this moment
            return self.read_text()
        except Exception as error:
            raise OSError(str(error)) from error
        self._generation = seen
        return text

    def write_text(self, text: str) -> None:
        """Replaces the version that was last seen.

        Raises:
          Changed: it is not there any more.
          OSError: the service does not take it.
        """
        google, expected = _exceptions(), self._generation
        try:
            self._blob.upload_from_string(text, if_generation_match=expected)
        except google.PreconditionFailed:
            # Ours, if only its response was lost, and it was sent again.
            if self.read_text() != text or self._generation == expected:
                raise Changed(str(self.path)) from None
            return
        except Exception as error:
            raise OSError(str(error)) from error
        self._generation = int(self._blob.generation)


def write(path: epath.PathLike, content: bytes) -> None:
    """Makes or replaces the object at a `gs://` path; raises what the service says against it."""
    _blob(path).upload_from_string(content, "application/octet-stream")


def fetch(path: epath.PathLike, to: epath.PathLike) -> None:
    """Copies the object at a `gs://` path into a local file; raises what the service says.

    Raises:
      FileNotFoundError: it isn't there.
      OSError: other bytes come than the service has the checksum of.
    """
    from google.cloud.storage.exceptions import DataCorruption

    try:
        _blob(path).download_to_filename(os.fspath(to))
    except _exceptions().NotFound:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    except DataCorruption as error:
        raise OSError("other bytes came than the bucket has the CRC-32C of") from error


def ask_once(path: epath.PathLike) -> None:
    """Asks the bucket of a `gs://` path whether it answers; raises whatever is wrong, at once.

    Only what the service itself says will pass (503 and the like) is asked again, for 20 seconds.
    What reads and writes also repeats requests that nobody answers, for a minute, which is right
    later, and is long for a machine without a network.
    """
    from google.api_core import retry

    google = _exceptions()
    passing = retry.if_exception_type(google.ServerError, google.TooManyRequests)
    again = retry.Retry(predicate=passing, initial=0.5, timeout=20)
    bucket, _, name = str(path).removeprefix("gs://").partition("/")
    list(_client().list_blobs(bucket, prefix=name, max_results=1, retry=again, timeout=20))


def names_in(folder: epath.PathLike) -> list[str]:
    """The names that follow `gs://BUCKET/FOLDER/`, in no order: of objects, and of folders.

    fsspec, which other paths of buckets are read by, remembers a listing where it was imported
    before `FSSPEC_GCS` told it not to (a notebook); this has nothing to remember it in.
    """
    bucket, _, name = str(folder).removeprefix("gs://").strip("/").partition("/")
    prefix = f"{name}/" if name else ""
    found = _client().list_blobs(bucket, prefix=prefix, delimiter="/")
    names = {blob.name.removeprefix(prefix) for blob in found}  # an iterator: prefixes come with it
    names |= {path.removeprefix(prefix).rstrip("/") for path in found.prefixes}
    return sorted(names - {""})


def _blob(path: epath.PathLike) -> Any:
    bucket, _, name = str(path).removeprefix("gs://").partition("/")
    return _client().bucket(bucket).blob(name)


@functools.cache
def _client() -> Any:
    from google.cloud import storage

    for name in ("google.auth", "gcsfs"):  # they log at length what they then raise
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return storage.Client(project=None)  # objects are of buckets; what lists buckets needs one


def _exceptions() -> Any:
    from google.api_core import exceptions

    return exceptions
