"""Writing files so that nothing half-written is ever left looking whole."""

import os

from etils import epath


def write_atomically(path: epath.PathLike, content: str | bytes) -> None:
    """Writes `content` beside `path` and renames it into place; local paths and `gs://` alike."""
    path = epath.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two writers of one file from sharing the half-written copy.
    temporary = path.parent / f".{path.name}.{os.getpid()}.partial"
    try:
        if isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            temporary.write_text(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
