"""Frozen dataclasses as JSON and back: one rule for writing, and the same rule for reading.

A field stands under its own name. One marked `LEFT_OUT` is absent where it is None, and one marked
`FLAT`, a dataclass or measures by name, stands with its parts beside the others. Numbers that are
not finite are null, and null is NaN where a number is wanted. Reading takes a field's default where
it is absent, and ignores keys that no field has: a report of an earlier or later version is still a
report.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from churn_jax.metrics.definitions import is_measure

T = TypeVar("T")


# Metadata of fields: its parts stand beside the other fields; JSON lacks it where it is None.
FLAT: Mapping[str, bool] = {"flat": True}
LEFT_OUT: Mapping[str, bool] = {"left_out": True}


def to_plain(value: Any) -> Any:
    """A value of dataclasses, mappings, tuples, numbers and texts as what JSON has for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value):
        return _plain_fields(value)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], value: Any, where: str = "") -> T:
    """The value of the dataclass `kind` that `to_plain` made `value` of.

    Raises:
      ValueError: something is missing or of another type; the message says where.
    """
    return _read(kind, value, where)


def _plain_fields(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kind: Any = type(value)
    for field in _fields(kind):
        part = getattr(value, field.name)
        if field.flat:
            found |= to_plain(part) or {}
        elif part is not None or not field.left_out:
            found[field.name] = to_plain(part)
    return found


class _Field(typing.NamedTuple):
    name: str
    kind: Any
    flat: bool
    left_out: bool
    required: bool


@functools.cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    kinds = typing.get_type_hints(kind)
    return tuple(
        _Field(
            name=field.name,
            kind=kinds[field.name],
            flat=field.metadata.get("flat", False),
            left_out=field.metadata.get("left_out", False),
            required=field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    )


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not types.NoneType]
        return None if value is None else _read(inner, value, where)
    if origin is tuple:
        return tuple(_read_items(arguments, _of_type(list, value, where), where))
    if origin is not None and issubclass(origin, Mapping):
        items = _of_type(dict, value, where).items()
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in items}
    if dataclasses.is_dataclass(kind):
        return _read_fields(kind, _of_type(dict, value, where), where)
    if kind is float:
        return math.nan if value is None else float(_of_type((int, float), value, where))
    return _of_type(kind, value, where)


def _read_items(kinds: tuple[Any, ...], values: list[Any], where: str) -> Iterable[Any]:
    if kinds[1:] == (...,):
        kinds = (kinds[0],) * len(values)
    if len(kinds) != len(values):
        raise ValueError(f"{where} has {len(values)} items, not {len(kinds)}")
    for place, (kind, item) in enumerate(zip(kinds, values, strict=True)):
        yield _read(kind, item, f"{where}[{place}]")


def _read_fields(kind: Any, value: dict[str, Any], where: str) -> Any:
    given = {}
    for field in _fields(kind):
        path = f"{where}.{field.name}" if where else field.name
        if field.flat:
            given[field.name] = _read_flat(field.kind, value, where)
        elif field.name in value:
            given[field.name] = _read(field.kind, value[field.name], path)
        elif field.required:
            raise ValueError(f"{path} is missing")
    return kind(**given)


def _read_flat(kind: Any, value: dict[str, Any], where: str) -> Any:
    """Measures by name, or a dataclass that may be absent: then none of its fields is there."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is not None and origin is not types.UnionType:
        return {
            key: _read(arguments[1], item, f"{where}.{key}")
            for key, item in value.items()
            if is_measure(key)
        }
    (inner,) = [argument for argument in arguments if argument is not types.NoneType]
    if not any(field.name in value for field in _fields(inner)):
        return None
    return _read_fields(inner, value, where)


def _of_type(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is {type(value).__name__} instead of {_called(kind)}")
    return value


def _called(kind: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(kind, "a number")
