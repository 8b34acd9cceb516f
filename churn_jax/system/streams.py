"""Standard output and error that can't change what a command does.

A reader that stops reading (`| head -1`), a full disk behind `>`, or a console without a character
must change neither the files that a command writes nor its exit code: what can't be shown is
dropped, or said in characters that the console has.
"""

import codecs
import errno
import io
import sys
from typing import Any

_ERRORS = "churn_jax.nearest"

# What our own texts hold beside ASCII, in ASCII.
_NEAREST = {
    "→": "->", "−": "-", "–": "-", "±": "+/-", "─": "-", "×": "x", "…": "...", "≥": ">=", "≤": "<=",
    "✓": "right", "✗": "wrong", "½": "1/2", "α": "alpha", "β": "beta", "γ": "gamma", "κ": "kappa",
    "ε": "epsilon", "Σ": "sum", "₁": "1", "¹": "1", "²": "2", "ŷ": "y^", "‖": "||", "√": "sqrt ",
}  # fmt: skip


def make_unfailing() -> None:
    """Makes `sys.stdout` and `sys.stderr` streams whose writing never raises; call once."""
    codecs.register_error(_ERRORS, _nearest)
    sys.stdout = _unfailing(sys.stdout, sys.__stdout__)
    sys.stderr = _unfailing(sys.stderr, sys.__stderr__)


def dropped() -> str | None:
    """Why standard output is not whole; None where it is, or where its reader had enough."""
    raw = _raw(sys.stdout)
    error = raw.error if isinstance(raw, _Unfailing) else None
    return None if error is None or error.errno == errno.EPIPE else error.strerror


class _Unfailing(io.RawIOBase):
    """Bytes to another raw stream, until that one fails; from then on to nowhere."""

    def __init__(self, raw: io.RawIOBase):
        self._raw = raw
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw.isatty()

    def fileno(self) -> int:
        return self._raw.fileno()

    def write(self, content: Any) -> int:
        rest = memoryview(content)
        while len(rest) and self.error is None:
            try:
                rest = rest[self._raw.write(rest) or 0 :]
            except OSError as error:
                self.error = error
        return len(content)


def _raw(stream: Any) -> Any:
    """What is under a text stream; unbuffered ones (`python -u`) have nothing in between."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _unfailing(stream: Any, original: Any) -> Any:
    """The stream made unfailing, unless something stands in its place (a test, a notebook)."""
    raw = _raw(stream)
    if stream is not original or not isinstance(raw, io.FileIO):
        return stream
    unfailing = _Unfailing(raw)
    return io.TextIOWrapper(
        # Without a buffer where there was none: lines of `python -u` are seen at once.
        unfailing if raw is stream.buffer else io.BufferedWriter(unfailing),  # type: ignore[arg-type]
        encoding=stream.encoding,
        errors=_ERRORS,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_NEAREST.get(c, ascii(c)[1:-1]) for c in text), error.end
