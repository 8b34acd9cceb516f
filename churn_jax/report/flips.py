"""Every example whose prediction changes, as types: whole in a few bytes each, and by classes."""

import base64
import binascii
import dataclasses
import functools
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from churn_jax.errors import UserError

# Of the change from the first group to the last, in the ledger's order.
KINDS = {
    "bad": "bad flip ✓→✗",
    "wrong": "wrong either way",
    "both": "right as often ✓⇄✗",
    "good": "good flip ✗→✓",
}
_MOST_UNPACKED = 1 << 28


@dataclasses.dataclass(frozen=True)
class Columns:
    """The examples that change, in the ledger's order: bad flips first, the worst before.

    Names and ids are as they are printed, `errors.printable`.

    Attributes:
      ids: [row] of the examples.
      changes: [row], how many of the `pairs` of runs disagree on it.
      pairs: how many pairs of runs there are.
      names: of the classes that occur; what is called a class below is a place in these.
      votes: [group][row], class and number of runs that predict it, again and again, the most
        frequent first.
      labels: [row], its class; None without labels.
      kinds: [row], a place in `KINDS`; None where there is no change from right to wrong.
      gaps: [row], its mean confidence γ in thousandths; None without probabilities.
      slices: (the way of slicing, names of its slices, [row] a place in these or −1) each.
    """

    ids: Sequence[str]
    changes: Sequence[int]
    pairs: int
    names: Sequence[str]
    votes: Sequence[Sequence[Sequence[int]]]
    labels: Sequence[int] | None = None
    kinds: Sequence[int] | None = None
    gaps: Sequence[int] | None = None
    slices: Sequence[tuple[str, Sequence[str], Sequence[int]]] = ()


@dataclasses.dataclass(frozen=True)
class Flips:
    """All flips between the pairs in question, for the page's ledger.

    Attributes:
      total: how many examples' predictions change.
      kept: how many of them are in the columns: all but of very many.
      kinds: how many of the total are of each kind; empty where there are no kinds.
      classes: how many of the total are of each true class, by name; empty without labels.
      columns: of those that are kept, packed by `pack`.
    """

    total: int
    kept: int
    kinds: Mapping[str, int]
    classes: Mapping[str, int]
    columns: str

    @functools.cached_property
    def rows(self) -> Columns:
        """The columns, unpacked.

        Raises:
          UserError: they are damaged.
        """
        try:
            return Columns(**unpack(self.columns))
        except (ValueError, TypeError, zlib.error, RecursionError) as error:
            raise UserError(f"the flips of a report cannot be read: {error}") from None


@dataclasses.dataclass(frozen=True)
class Move:
    """From which class to which predictions change, and of how many examples.

    `examples` is a mean over the pairs in question. Among the runs of one group there is no before
    and after: then it counts both ways.
    """

    a: str
    b: str
    examples: float


@dataclasses.dataclass(frozen=True)
class ClassFlips:
    """Between which predicted classes predictions change.

    Attributes:
      total: changed predictions, a mean over the pairs in question.
      classes: those of the most frequent changes, all if they are few; in the classes' order.
      examples: [from][to], as of `Move`, among these.
      most: the most frequent of all, in descending order.
    """

    total: float
    classes: tuple[str, ...]
    examples: tuple[tuple[float, ...], ...]
    most: tuple[Move, ...]


def pack(value: Any) -> str:
    """A value of JSON as text of few bytes: base64 of zlib's compression of it."""
    plain = json.dumps(value, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(plain, 9)).decode()


def unpack(text: str) -> Any:
    """What `pack` packed.

    Raises:
      ValueError: it was not made so, or is larger than any that is.
      zlib.error: it is damaged.
    """
    try:
        packed = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    reader = zlib.decompressobj()
    plain = reader.decompress(packed, _MOST_UNPACKED)
    if not reader.eof:
        raise ValueError("it is cut off")
    return json.loads(plain)
