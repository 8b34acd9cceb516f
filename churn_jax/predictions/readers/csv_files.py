"""Text tables: .csv and .tsv, packed by gzip or not, one row for each example.

Delimiters, encodings and decimal commas are found out. Columns of numbers go to disk as they come;
the others are kept as texts, in memory in proportion to the file.
"""

import csv
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions.readers import dialects
from churn_jax.predictions.readers.columns import Columns, repeated
from churn_jax.predictions.readers.names import MISSING, TEXT, tidy
from churn_jax.predictions.readers.source import refuse_bomb
from churn_jax.predictions.readers.spill import Spill

_BLOCK_FIELDS = 1 << 18
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?\s*$")
_THOUSANDS = re.compile(r"\s*[+-]?[0-9]{1,3}(?:([,. '’])[0-9]{3})+(?:[.,][0-9]+)?\s*$")
_DELIMITER_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars"}

Row = list[str]
IsText = Callable[[Sequence[str]], set[str]]


def read_csv(path: epath.Path, texts: IsText) -> Columns:
    """A text table with a header line.

    Args:
      path: its suffixes are .csv or .tsv, and .gz if it is packed.
      texts: says which of the columns are texts whatever they look like.

    Raises:
      UserError: the file is damaged, or its rows do not fit its header.
    """
    try:
        for encoding in dialects.encodings(path):
            try:
                return _read(path, encoding, texts)
            except UnicodeDecodeError as error:
                fault = error
        raise UserError(f"{path}: is in no encoding that is known here: {fault}; write UTF-8")
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise UserError(f"{path}: damaged .csv file: {error}") from None


def _read(path: epath.Path, encoding: str, texts: IsText) -> Columns:
    delimiter = dialects.delimiter(path, encoding)
    with dialects.open_bytes(path) as packed:
        stream = io.TextIOWrapper(packed, encoding, newline="")
        lines = _lines(path, stream)
        blanks = delimiter != "\t"
        rows = csv.reader(lines, strict=True, delimiter=delimiter, skipinitialspace=blanks)
        header = next((row for row in rows if any(field.strip() for field in row)), [])
        blocks = _Blocks(path, [tidy(field) for field in header], texts, delimiter)
        notes = [] if encoding == "utf-8-sig" else [f"text read as {encoding}"]
        if delimiter in _DELIMITER_NAMES:
            notes.append(f"columns parted by {_DELIMITER_NAMES[delimiter]}")
        return blocks.collect(rows, notes)


def _lines(path: epath.Path, stream: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a file, which may not hold zeros or unpack to a bomb."""
    size, length = path.stat().length, 0
    for line in stream:
        length += len(line)
        if path.suffix.lower() == ".gz":
            refuse_bomb(path, size, length)
        if "\0" in line:
            raise UserError(f"{path}: holds zero bytes: it is no text table, or damaged")
        yield line


class _Blocks:
    """Rows gathered in blocks of columns."""

    def __init__(self, path: epath.Path, header: Row, texts: IsText, delimiter: str):
        self._path, self._delimiter = path, delimiter
        self._names = _without_last(header)
        _refuse_bad_header(path, self._names)
        self._text_names = texts(self._names)
        self._decimal = ""  # known once a number has one
        self._number_columns: list[int] = []
        self._rows_before = 0
        self._row_names = False

    def collect(self, rows: Iterator[Row], notes: list[str]) -> Columns:
        """Reads all rows."""
        kept: dict[int, list[np.ndarray]] = {}
        with Spill() as spill:
            for block in self._blocks(rows):
                columns = list(zip(*block, strict=True))
                if not self._rows_before:
                    self._number_columns = self._numeric(columns)
                numbers = np.empty((len(block), len(self._number_columns)))
                for place, i in enumerate(self._number_columns):
                    numbers[:, place] = self._numbers(self._names[i], columns[i])
                spill.write(numbers)
                for i in range(len(self._names)):
                    if i not in self._number_columns:
                        kept.setdefault(i, []).append(np.array(columns[i], TEXT))
                self._rows_before += len(block)
            if not self._rows_before:
                raise UserError(f"{self._path}: has no examples")
            shape = (self._rows_before, len(self._number_columns))
            found = spill.array(np.dtype(np.float64), shape) if shape[1] else None
        if self._decimal == ",":
            notes.append("numbers have decimal commas")
        arrays = {self._names[i]: self._with_points(np.concatenate(kept[i])) for i in kept}
        numbers_of = tuple(self._names[i] for i in self._number_columns)
        order, arrays = self._without_empty(arrays)
        return Columns(str(self._path), order, arrays, found, numbers_of, notes=tuple(notes))

    def _blocks(self, rows: Iterator[Row]) -> Iterator[list[Row]]:
        """Whole rows; blank lines are none, except where one is a gap in a single column."""
        most = max(1, _BLOCK_FIELDS // len(self._names))
        block: list[Row] = []
        blank: list[Row] = []  # the last lines of a file may be blank
        for number, row in enumerate(rows, start=2):
            if not any(field.strip() for field in row):
                if row or len(self._names) == 1:
                    blank.append([""] * len(self._names))
                continue
            block += blank
            blank = []
            block.append(self._fitting(number, row))
            if len(block) >= most:
                yield block
                block = []
        if block:
            yield block

    def _fitting(self, number: int, row: Row) -> Row:
        """A row with as many fields as the header."""
        if len(row) == len(self._names) + 1 and not row[-1].strip():
            row = row[:-1]  # a delimiter at the end
        if number == 2 and len(row) == len(self._names) + 1 and "" not in self._names:
            self._names = ["", *self._names]  # R writes no name above the names of its rows
            self._text_names = self._text_names | {""}
        if len(row) != len(self._names):
            comment = ": a comment?" if row[0].lstrip().startswith("#") else ""
            raise UserError(
                f"{self._path}: row {number} has {len(row)} fields, not {len(self._names)}{comment}"
            )
        return row

    def _numeric(self, columns: Sequence[Sequence[str]]) -> list[int]:
        """Which columns hold numbers, as far as the first block shows."""
        found = []
        for i, (name, cells) in enumerate(zip(self._names, columns, strict=True)):
            if name in self._text_names:
                continue
            values = [cell for cell in cells if cell.strip() not in MISSING]
            if not values:
                if name:
                    found.append(i)
                continue
            try:
                self._numbers(name, values[:1])
            except UserError as error:
                if _THOUSANDS.match(values[0]):
                    raise error from None
                continue
            found.append(i)
        return found

    def _numbers(self, name: str, cells: Sequence[str]) -> np.ndarray:
        """A column's cells as numbers; NaN where one is empty."""
        result = np.empty(len(cells))
        for row, cell in enumerate(cells):
            try:
                result[row] = float(cell)
                if "_" in cell:
                    raise ValueError
                if "." in cell:
                    self._settle_decimal(".", name, cell)
            except ValueError:
                result[row] = self._unusual(name, row, cell)
        return result

    def _unusual(self, name: str, row: int, cell: str) -> float:
        if cell.strip() in MISSING:
            return np.nan
        if _DECIMAL_COMMA.match(cell):
            self._settle_decimal(",", name, cell)
            return float(cell.replace(",", "."))
        hint = ""
        if _THOUSANDS.match(cell):
            hint = "; write numbers without signs between the thousands, with a decimal point"
        place = self._rows_before + row
        raise UserError(
            f"{self._path}: column {name!r}, example {place}: {cell[:40]!r} is no number{hint}"
        )

    def _settle_decimal(self, sign: str, name: str, cell: str) -> None:
        if self._decimal not in ("", sign):
            raise UserError(
                f"{self._path}: column {name!r} has {cell[:40]!r}, where other numbers are written "
                "with a decimal " + ("comma" if sign == "." else "point")
            )
        self._decimal = sign

    def _with_points(self, texts: np.ndarray) -> np.ndarray:
        """Texts whose decimal commas, if the table has such, are points."""
        if self._delimiter == "," and self._decimal != ",":
            return texts
        cells = texts.tolist()
        if not all(_DECIMAL_COMMA.match(cell) or cell.strip() in MISSING for cell in cells):
            return texts
        return np.array([cell.replace(",", ".") for cell in cells], TEXT)

    def _without_empty(
        self, arrays: dict[str, np.ndarray]
    ) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
        """Without a column that has neither name nor values: a delimiter at the end of each row."""
        if "" in arrays and not any(cell.strip() for cell in arrays[""].tolist()):
            arrays = {name: array for name, array in arrays.items() if name}
        return tuple(n for n in self._names if n or "" in arrays), arrays


def _without_last(header: Row) -> Row:
    """A header without the empty name behind a last delimiter, if it has another empty one."""
    return header[:-1] if header and not header[-1] and "" in header[:-1] else header


def _refuse_bad_header(path: epath.Path, names: Sequence[str]) -> None:
    if (twice := repeated(names)) is not None:
        raise UserError(f"{path}: the column {twice!r} is there twice")
    for name in names:
        if re.fullmatch(r"[+-]?[0-9]*[.,][0-9]*[1-9][0-9]*([eE][+-]?[0-9]+)?", name):
            raise UserError(
                f"{path}: has no header: the first line must name the columns, and has {name!r}"
            )
