"""What a command does to its process before all else. Importing the package does none of it."""

import gc
import logging
import os
import sys

from churn_jax.system import commands, interruption

# New objects between two looks for unreachable ones. Python's own 700 cost a tenth of a start:
# imports and tracing make objects by the hundred thousand, and hardly any is garbage.
_OBJECTS_BETWEEN_COLLECTIONS = 200_000


def start(*, trains: bool = False, checkpoints: bool = False) -> None:
    """Prepares the process; call before the imports of what works, which take seconds.

    What breaks from now on, imports too, ends with the exit code of a bug. Python collects garbage
    less often, and OpenCV, which pictures are decoded by, starts no threads of its own, in worker
    processes neither: batches are made side by side, and a picture is no work to share.

    Args:
      trains: from now on SIGTERM and Ctrl-C are answered as `interruption` says.
      checkpoints: Orbax, whose threads log at length what it then raises, is silenced.
    """
    sys.excepthook = commands.end_with_a_bug
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # OpenCV asks as it is imported
    # So does fsspec; a listing that it remembers hides what other processes write to a bucket.
    os.environ.setdefault("FSSPEC_GCS", '{"use_listings_cache": false}')
    if checkpoints:
        import absl.logging  # makes the logger  # noqa: F401

        logging.getLogger("absl").setLevel(logging.CRITICAL)
    if trains:
        interruption.listen()
