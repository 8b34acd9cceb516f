"""What a field of a config may hold, said where the field stands and asked by one function.

batch_size: Annotated[int, Within(1, 1 << 24)] = 128
crop: Annotated[str, OneOf(("none", "pad"))] = "pad"
"""

import dataclasses
import typing
from collections.abc import Collection
from typing import Any, Protocol

from churn_jax.errors import UserError, suggest


class Bound(Protocol):
    """A rule that one value can be held against, whatever the others are."""

    def fault(self, value: Any) -> str | None:
        """What is wrong with `value`, as the end of a line `KEY: …`; None if it keeps the rule."""


@dataclasses.dataclass(frozen=True)
class Within:
    """Inclusive bounds of a number; `high` None is open."""

    low: float
    high: float | None = None

    def fault(self, value: float) -> str | None:
        if value >= self.low and (self.high is None or value <= self.high):
            return None
        end = "…" if self.high is None else self.high
        return f"{value} is outside [{self.low}, {end}]"


@dataclasses.dataclass(frozen=True)
class Positive:
    """A number above zero."""

    def fault(self, value: float) -> str | None:
        return None if value > 0 else f"{value} is not positive"


@dataclasses.dataclass(frozen=True)
class OneOf:
    """One of a few texts; of a tuple, each is."""

    choices: Collection[str]
    noun: str = "value"

    def fault(self, value: str | tuple[str, ...]) -> str | None:
        for each in value if isinstance(value, tuple) else (value,):
            if each not in self.choices:
                return f"unknown {self.noun} {each!r}{suggest(each, self.choices)}"
        return None


@dataclasses.dataclass(frozen=True)
class Rising:
    """A tuple of numbers from zero on, each larger than the one before."""

    def fault(self, value: tuple[float, ...]) -> str | None:
        if list(value) == sorted(set(value)) and all(each >= 0 for each in value):
            return None
        return f"{value} is not a rising sequence of epochs from 0 on"


@dataclasses.dataclass(frozen=True)
class FromTo:
    """Nothing, or two whole numbers from one on, the second no smaller."""

    def fault(self, value: tuple[int, ...]) -> str | None:
        if not value or (len(value) == 2 and 1 <= value[0] <= value[1]):
            return None
        return f"{value} is not the first and the last of some steps, as (10, 20)"


@dataclasses.dataclass(frozen=True)
class Name:
    """A text that tables, file names and command lines can hold."""

    def fault(self, value: str) -> str | None:
        if value and len(value) <= 100 and value.isprintable() and "/" not in value:
            return None
        return (
            f"{value[:110]!r} is not a name: 1 to 100 characters on one line, none of them a slash"
        )


def check(values: Any, prefix: str = "config.") -> None:
    """Holds every field of a dataclass, and of those within it, against its bounds.

    Raises:
      UserError: the first value that breaks one, named by `prefix` and its key.
    """
    hints = typing.get_type_hints(type(values), include_extras=True)
    for field in dataclasses.fields(values):
        value, key = getattr(values, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            check(value, f"{key}.")
            continue
        if isinstance(value, str) and "\0" in value:  # which no path and no table can hold
            raise UserError(f"{key}: {value!r} holds a zero byte")
        for bound in getattr(hints[field.name], "__metadata__", ()):
            if fault := bound.fault(value):
                raise UserError(f"{key}: {fault}")
