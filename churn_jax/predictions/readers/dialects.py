"""How a text table is written: its encoding, and what stands between its columns."""

import codecs
import csv
import gzip
import io
from typing import IO

from etils import epath

from churn_jax.errors import UserError

DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 1 << 16
_LEAST_ZEROS = 0.2  # of the bytes of UTF-16 text in Latin letters


def open_bytes(path: epath.Path) -> IO[bytes]:
    """The file's bytes, unpacked where its name ends in .gz; gzip's checksum is held to."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def encodings(path: epath.Path) -> list[str]:
    """The encodings to try, the likeliest first.

    Raises:
      UserError: the file is no text, or in an encoding that can't be told.
    """
    with open_bytes(path) as stream:
        head = stream.read(_SAMPLE)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return ["utf-32"]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if zeros := head.count(0):
        if zeros > _LEAST_ZEROS * len(head) and (not any(head[1::2]) or not any(head[::2])):
            return ["utf-16-le" if head[0] else "utf-16-be"]
        raise UserError(f"{path}: holds zero bytes: it is no text table, or damaged")
    # utf-8-sig also reads the mark that spreadsheets put in front.
    return ["utf-8-sig", "cp1252"]


def delimiter(path: epath.Path, encoding: str) -> str:
    """What stands between the columns: the sign that gives every row as many as the header.

    Raises:
      UserError: the file is empty or starts with a comment.
    """
    with open_bytes(path) as stream:
        head = stream.read(_SAMPLE)
    text = codecs.getincrementaldecoder(encoding)().decode(head)
    if not text.strip():
        raise UserError(f"{path}: the file is empty")
    if text.lstrip().startswith("#"):
        raise UserError(f"{path}: begins with a comment (#…): the first line must name the columns")
    if len(head) == _SAMPLE:
        text = text[: text.rfind("\n") + 1] or text
    best, most = ",", (0.0, 1)
    for candidate in DELIMITERS:
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=candidate))
        except csv.Error:
            continue
        rows = [row for row in rows if any(field.strip() for field in row)]
        width = len(rows[0])
        fit = sum(len(row) in (width, width + 1) for row in rows) / len(rows)
        if width > 1 and (fit, width) > most:
            best, most = candidate, (fit, width)
    return best
