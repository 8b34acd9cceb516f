"""What a class and an example are called: spellings that mean one thing, and words for nothing.

Classes are compared by what they say: 1, "1", "01.0" without its zero and 1.0 are one name, and
case, blanks and the form of an accent alone never make two. Ids keep their leading zeros and case.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Collection, Iterable

import numpy as np

TEXT = np.dtypes.StringDType()

# What pandas, R, SQL and spreadsheets write where there is no value.
MISSING = frozenset(
    [
        *("", "nan", "NaN", "NAN", "-nan", "-NaN", "NA", "<NA>", "N/A", "n/a", "#N/A", "#N/A N/A"),
        *("#NA", "None", "NULL", "null", "Null", "NaT", "1.#IND", "-1.#IND", "1.#QNAN"),
    ]
)
_WHOLE = re.compile(r"([+-]?)(0|[1-9][0-9]*)(?:\.0*)?$")
_SCIENTIFIC = re.compile(r"[+-]?[0-9]\.[0-9]+[eE][+-]?[0-9]+$")  # as numpy.savetxt writes 1


@dataclasses.dataclass(frozen=True)
class Coded:
    """A column of classes, coded by those that occur.

    Attributes:
      codes: [example], the place of each one's class in `names`; -1 where the value is missing.
      names: the classes that occur, as they are spelled first.
      spellings: (another spelling, the first one) of classes that are spelled in several ways.
    """

    codes: np.ndarray
    names: tuple[str, ...]
    spellings: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def missing(self) -> np.ndarray:
        """[example], whether there is no value."""
        return self.codes < 0


def tidy(text: str) -> str:
    """Without blanks around, with single ones inside, and accents composed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def class_name(text: str) -> str:
    """How a class is shown: `1.0` and `+1` are `1`, `01` stays itself."""
    text = tidy(text)
    if _WHOLE.match(text):
        return str(int(text.split(".")[0]))
    if _SCIENTIFIC.match(text) and (number := float(text)).is_integer():
        return str(int(number))
    return text


def class_key(text: str) -> str:
    """What two spellings of one class share."""
    return class_name(text).casefold()


def is_whole(name: str) -> bool:
    """Whether a class is called by a whole number."""
    return _WHOLE.match(name) is not None


def in_order(names: Iterable[str]) -> list[str]:
    """Whole numbers by size, then the others by text: the order of scikit-learn's `classes_`."""
    return sorted(names, key=lambda name: (0, int(name), "") if is_whole(name) else (1, 0, name))


def coded(values: np.ndarray, classes: Collection[str] = ()) -> Coded:
    """Codes a column of integers, whole floats, booleans or texts.

    Args:
      values: [example].
      classes: names that are classes even if they are words for a missing value.

    Raises:
      ValueError: the values are no classes; the message says which.
    """
    kind = values.dtype.kind
    if kind == "O":
        return _coded_texts([_text_of(value) for value in values.tolist()], classes)
    if kind == "S":
        values, kind = np.char.decode(values, "utf-8"), "U"
    if kind in "UT":
        return _coded_texts(values.tolist(), classes)
    if kind == "b":
        return Coded(values.astype(np.int32), ("False", "True"))
    if kind not in "iuf":
        raise ValueError(f"must be integers or names, not {values.dtype}")
    missing = np.zeros(len(values), bool)
    if kind == "f":
        missing = np.isnan(values)
        faulty = ~missing & (values != np.round(values))
        if faulty.any() or np.isinf(values).any():
            wrong = values[faulty | np.isinf(values)][0]
            raise ValueError(f"must be integers or names, and {wrong:g} is neither")
        values = np.where(missing, 0, values)
    found, codes = np.unique(values, return_inverse=True)
    codes = np.where(missing, -1, codes)
    return Coded(codes.astype(np.int32), tuple(str(int(value)) for value in found.tolist()))


def _coded_texts(texts: Iterable[str], classes: Collection[str]) -> Coded:
    keys = {class_key(name) for name in classes}
    of_text: dict[str, int] = {}  # each spelling is taken apart once
    of_key: dict[str, int] = {}
    names: list[str] = []
    spellings: list[tuple[str, str]] = []

    def code(text: str) -> int:
        name = class_name(text)
        key = name.casefold()
        if name in MISSING and key not in keys:
            return -1
        if key not in of_key:
            of_key[key] = len(names)
            names.append(name)
        elif names[of_key[key]] != name:
            spellings.append((name, names[of_key[key]]))
        return of_key[key]

    codes = []
    for text in texts:
        if text not in of_text:
            of_text[text] = code(text)
        codes.append(of_text[text])
    return Coded(np.array(codes, np.int32), tuple(names), tuple(dict.fromkeys(spellings)))


def _text_of(value: object) -> str:
    """A value of a column of Python objects, as a data frame holds them."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def as_numbers(values: np.ndarray) -> np.ndarray | None:
    """A column of numbers that are not all whole, as float64; None for anything else."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.isnan(values) | (values == np.round(values))
        return None if whole.all() else values.astype(np.float64)
    if values.dtype.kind not in "OUT":
        return None
    numbers = np.empty(len(values))
    for place, value in enumerate(values.tolist()):
        text = str(value).strip()
        if text in MISSING:
            numbers[place] = np.nan
            continue
        try:
            numbers[place] = float(text)
        except ValueError:
            return None
    with np.errstate(invalid="ignore"):
        whole = np.isnan(numbers) | (numbers == np.round(numbers))
    return None if whole.all() else numbers


def is_count(ids: np.ndarray) -> bool:
    """Whether ids [example] of text are whole numbers that rise by one."""
    try:
        numbers = np.array([int(name) for name in ids.tolist()])
    except ValueError:
        return False
    return bool(np.all(np.diff(numbers) == 1))


def id_texts(ids: np.ndarray) -> np.ndarray:
    """Example ids as texts, [example]; "" where one is missing.

    Raises:
      ValueError: they are neither whole numbers nor texts.
    """
    if ids.dtype.kind == "S":
        try:
            ids = np.char.decode(ids, "utf-8")
        except UnicodeDecodeError:
            raise ValueError("ids are not UTF-8") from None
    if ids.dtype.kind in "iu":
        return ids.astype(TEXT)
    if ids.dtype.kind == "f":
        missing = np.isnan(ids)
        if np.any(~missing & (ids != np.round(ids))) or np.isinf(ids).any():
            raise ValueError("ids must be whole numbers or texts, not fractions")
        texts = np.array([str(int(i)) for i in np.where(missing, 0, ids).tolist()], TEXT)
        return np.where(missing, "", texts)
    if ids.dtype.kind not in "OUT":
        raise ValueError(f"ids must be whole numbers or texts, not {ids.dtype}")
    found = [tidy(_text_of(value)) for value in ids.tolist()]
    found = ["" if text in MISSING else text for text in found]
    if all(re.fullmatch(r"[+-]?(0|[1-9][0-9]*)\.0+|", text) for text in found):
        found = [text.split(".")[0] for text in found]  # integers that a gap made floats
    return np.array(found, TEXT)
