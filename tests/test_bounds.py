"""Bounds stand beside the fields they bound, and every one of them is asked."""

import dataclasses
from typing import Annotated

import pytest

from churn_jax import bounds
from churn_jax.bounds import Name, OneOf, Positive, Rising, Within
from churn_jax.config import Config
from churn_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Inner:
    share: Annotated[float, Within(0, 1)] = 0.5
    free: str = ""


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    kind: Annotated[str, OneOf(("plain", "fancy"))] = "plain"
    kinds: Annotated[tuple[str, ...], OneOf(("plain", "fancy"), "kind")] = ()
    rate: Annotated[float, Positive()] = 1.0
    count: Annotated[int, Within(1)] = 1
    epochs: Annotated[tuple[float, ...], Rising()] = ()
    name: Annotated[str, Name()] = "a name"


def test_values_on_their_bounds_are_kept():
    for share in (0, 1):
        bounds.check(Outer(Inner(share), "fancy", ("plain", "fancy"), 1e-9, 1, (0.0, 2.5)))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"inner": Inner(share=1.5)}, "config.inner.share: 1.5 is outside [0, 1]"),
        ({"inner": Inner(free="a\0b")}, "config.inner.free: 'a\\x00b' holds a zero byte"),
        ({"kind": "plan"}, "config.kind: unknown value 'plan' (did you mean 'plain'?)"),
        (
            {"kinds": ("plain", "fanci")},
            "config.kinds: unknown kind 'fanci' (did you mean 'fancy'?)",
        ),
        ({"rate": 0.0}, "config.rate: 0.0 is not positive"),
        ({"rate": float("nan")}, "config.rate: nan is not positive"),
        ({"count": 0}, "config.count: 0 is outside [1, …]"),
        ({"epochs": (2.0, 1.0)}, "config.epochs: (2.0, 1.0) is not a rising sequence"),
        ({"epochs": (-1.0,)}, "config.epochs: (-1.0,) is not a rising sequence"),
        ({"name": "a/b"}, "config.name: 'a/b' is not a name"),
        ({"name": ""}, "config.name: '' is not a name"),
    ],
    ids=str,
)
def test_what_breaks_a_bound_is_named(values, line):
    with pytest.raises(UserError) as refused:
        bounds.check(Outer(**values))
    assert str(refused.value).startswith(line)


def test_every_number_of_a_config_is_bounded():
    """A key whose bound was forgotten would let a run begin that can't end well."""

    def unbounded(cls, prefix=""):
        for field in dataclasses.fields(cls):
            if dataclasses.is_dataclass(field.type):
                yield from unbounded(field.type, f"{prefix}{field.name}.")
            elif field.type in (int, float, tuple[float, ...]):
                yield prefix + field.name

    assert list(unbounded(Config)) == ["method.alpha"]  # whose bound depends on another key
