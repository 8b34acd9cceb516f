"""The language of conditions: from text to sums of measures. Nothing is evaluated as Python.

    conditions = condition {"," condition}
    condition  = sum (">" | "<") sum
    sum        = ["-"] product {("+" | "-") product}
    product    = factor {"*" factor}
    factor     = NUMBER ["%"] | MEASURE ["[" CLASS "]"] ["[" slice "]"] | "(" sum ")"
    slice      = "*" | WAY "=" "*" | WAY "=" NAME

CLASS, WAY and NAME stand as they are, or in quotes where they hold brackets, quotes or '='.
"""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import NoReturn

from churn_jax.errors import UsageError
from churn_jax.metrics import asked

_DEEPEST = 50
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<name>[^\W\d]\w*(?:@\d+(?:\.\d+)?(?:_\w+)?)?)
      | (?P<slice>\[(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^]"'])*\])
      | (?P<sign>>=|<=|==|!=|[-−+*%(),<>≥≤])
      | (?P<other>\S)
    )""",
    re.VERBOSE,
)
_QUOTED = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
_CLASS = re.compile(rf"\s*({_QUOTED}|[^=\"'*]+?)\s*")
_SLICE = re.compile(rf"\s*({_QUOTED}|[^=\"']+?)\s*=\s*({_QUOTED}|[^\"']*?)\s*")


@dataclasses.dataclass(frozen=True)
class Slice:
    """A part of the examples; None stands for every way of slicing, or for every slice of it."""

    by: str | None = None
    name: str | None = None

    @property
    def every(self) -> bool:
        return self.name is None


@dataclasses.dataclass(frozen=True)
class Reference:
    """A measure as it is written: `accuracy_new`, on all examples or on a slice.

    Attributes:
      name: without brackets.
      of_class: that it is of, as `cat` in `recall_new[cat]`.
      part: the slice.
    """

    name: str
    of_class: str | None = None
    part: Slice | None = None

    @property
    def key(self) -> str:
        """The name with its class."""
        return self.name if self.of_class is None else f"{self.name}[{self.of_class}]"


@dataclasses.dataclass(frozen=True)
class Sum:
    """Σ factor · measure + constant, and whether a number in the sum (no factor) had a '%'."""

    terms: tuple[tuple[float, Reference], ...] = ()
    constant: float = 0.0
    percent: bool = False

    def __add__(self, other: "Sum") -> "Sum":
        percent = self.percent or other.percent
        return Sum(self.terms + other.terms, self.constant + other.constant, percent)

    def times(self, factor: float) -> "Sum":
        terms = tuple((factor * own, reference) for own, reference in self.terms)
        return Sum(terms, factor * self.constant, self.percent)


@dataclasses.dataclass(frozen=True)
class Condition:
    """`left > right`, or `left < right` where not `greater`.

    Attributes:
      text: as it was written.
      left_text, right_text: its two sides.
      option: where it was written, for messages.
    """

    text: str
    left: Sum
    right: Sum
    greater: bool
    left_text: str
    right_text: str
    option: str


def parse(text: str, option: str) -> list[Condition]:
    """The conditions in `text`.

    Raises:
      UsageError: it cannot be read; the message names `option`.
    """
    conditions = _Parser(text, option).conditions()
    if not conditions:
        raise UsageError(f"{option} is empty: give conditions such as 'churn>5%, nfr>1%'")
    return conditions


class _Parser:
    """Reads one text from left to right; `self._next` is the place of the token to come."""

    def __init__(self, text: str, option: str):
        self._text, self._option = text, option
        self._tokens = [
            (match.lastgroup or "", match[match.lastgroup or 0], match.start(match.lastgroup or 0))
            for match in _TOKEN.finditer(text)
        ]
        self._next, self._begin, self._depth = 0, 0, 0

    def conditions(self) -> list[Condition]:
        found = []
        while self._next < len(self._tokens):
            if self._take(","):
                continue
            found.append(self._condition())
            if self._next < len(self._tokens) and not self._take(","):
                self._refuse(f"{self._why()}; a comma goes between two conditions")
        return found

    def _condition(self) -> Condition:
        self._begin = self._place()
        left = self._sum()
        middle = self._place()
        sign = self._peek()
        if sign in (">=", "<=", "≥", "≤", "==", "!="):
            strict = {">=": ">", "≥": ">", "<=": "<", "≤": "<"}.get(sign)
            near = f" (did you mean {self._here().replace(sign, strict)!r}?)" if strict else ""
            self._refuse(f"must compare by > or <{near}")
        if sign not in (">", "<"):
            # The rest of a number with a decimal comma is one, too.
            point = "" if left.terms else "; decimals are written with a point"
            ended = sign in ("", ",")
            self._refuse(f"is no comparison such as churn>5%{point}" if ended else self._why())
        self._next += 1
        begin_right = self._place()
        right = self._sum()
        if self._peek() in (">", "<", ">=", "<="):
            self._refuse("is no comparison of two sides such as churn>5%")
        end = self._place()
        return Condition(
            text=self._text[self._begin : end].strip(),
            left=left,
            right=right,
            greater=sign == ">",
            left_text=self._text[self._begin : middle].strip(),
            right_text=self._text[begin_right:end].strip(),
            option=self._option,
        )

    def _sum(self) -> Sum:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse("has too many brackets", "cannot read")
        found = self._product()
        while self._peek() in ("+", "-", "−"):
            sign = 1.0 if self._take("+") else -1.0
            self._next += sign < 0
            found = found + self._product().times(sign)
        self._depth -= 1
        return found

    def _product(self) -> Sum:
        found = self._factor()
        while self._take("*"):
            other = self._factor()
            if found.terms and other.terms:
                self._refuse("multiplies two measures")
            # A percentage of a measure is a factor, no limit in percent.
            if other.terms:
                found, other = other, found
            percent = found.percent if found.terms else found.percent or other.percent
            found = dataclasses.replace(found.times(other.constant), percent=percent)
        return found

    def _factor(self) -> Sum:
        if self._peek() in ("-", "−"):
            self._next += 1
            return self._factor_after_sign().times(-1.0)
        return self._factor_after_sign()

    def _factor_after_sign(self) -> Sum:
        if self._take("("):
            found = self._sum()
            if not self._take(")"):
                self._refuse("has a bracket that is not closed", "cannot read")
            return found
        kind, text, _ = self._token()
        if kind == "number":
            self._next += 1
            value, percent = float(text), self._take("%")
            if not math.isfinite(value):
                self._refuse(f"cannot be decided: {text} is no finite number")
            return Sum(constant=value / 100 if percent else value, percent=percent)
        if kind == "name":
            self._next += 1
            of_class = self._class() if asked.begins(text) in asked.OF_CLASSES else None
            return Sum(((1.0, Reference(text, of_class, self._slice())),))
        return self._refuse(self._why())

    def _class(self) -> str | None:
        """The class in brackets, which has no '='; a slice is left where it is."""
        kind, text, _ = self._token()
        match = _CLASS.fullmatch(text[1:-1]) if kind == "slice" else None
        if not match:
            return None
        self._next += 1
        return _unquoted(match[1])

    def _slice(self) -> Slice | None:
        kind, text, _ = self._token()
        if kind != "slice":
            return None
        self._next += 1
        inside = text[1:-1].strip()
        if inside == "*":
            return Slice()
        match = _SLICE.fullmatch(inside)
        if not match:
            self._refuse(
                f"has the slice {text}, which is none of [COLUMN=NAME], [COLUMN=*] and [*]; put "
                "names with brackets, quotes or = in quotes"
            )
        by, name = match[1], match[2]
        return Slice(_unquoted(by), None if name == "*" else _unquoted(name))

    def _why(self) -> str:
        """What is wrong at the token to come."""
        kind, text, _ = self._token()
        if not kind:
            return "ends too early"
        if text == "," or kind == "number":
            return f"has {text!r} where it makes no sense; decimals are written with a point"
        return f"has {text!r}: only measures, numbers, +, - and * are understood"

    def _token(self) -> tuple[str, str, int]:
        end = ("", "", len(self._text))
        return self._tokens[self._next] if self._next < len(self._tokens) else end

    def _peek(self) -> str:
        kind, text, _ = self._token()
        return text if kind == "sign" else "" if not kind else f"{kind} {text}"

    def _take(self, sign: str) -> bool:
        found = self._peek() == sign
        self._next += found
        return found

    def _place(self) -> int:
        return self._token()[2]

    def _here(self) -> str:
        """The condition being read, up to its comma."""
        end = next(
            (place for _, text, place in self._tokens[self._next :] if text == ","),
            len(self._text),
        )
        return self._text[self._begin : end].strip()

    def _refuse(self, why: str, verb: str = "") -> NoReturn:
        shown = self._here()
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise UsageError(f"{self._option}: {verb}{' ' * bool(verb)}{shown!r} {why}")


def references(condition: Condition) -> Iterator[Reference]:
    """The measures that a condition names."""
    for _, reference in (*condition.left.terms, *condition.right.terms):
        yield reference


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text
