"""The gate: conditions on measures under which a new model may not replace the old one.

    churn>0.05, nfr>0.01, ece_new>ece_old+0.01

Each condition compares two sums of measures and numbers; the gate fails if one is true. A measure
of pairs alone (`churn`) is that of the step from the first group to the last; with the name of a
group behind it (`churn_old`, `accuracy_new`) it is the group's own. `old` and `new` are the first
and the last group, whatever they are called. Conditions are parsed, never evaluated as Python.
"""

import ast
import dataclasses

import numpy as np

from churn_jax.analysis import intervals
from churn_jax.analysis.intervals import Sample
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UserError, suggest
from churn_jax.report.report import Verdict

ALIASES = {
    "nfr": "negative_flip_rate",
    "bad_churn": "negative_flip_rate",
    "pfr": "positive_flip_rate",
    "good_churn": "positive_flip_rate",
    "btc": "backward_trust",
    "js": "jensen_shannon",
}


def check(text: str, samples: Samples, confident: bool = False) -> list[Verdict]:
    """Tests every condition.

    Args:
      text: conditions separated by commas.
      samples: what the measures are of.
      confident: fail only if the 95 % interval leaves no doubt that the condition is true, so that
        noise does not stop a release; else by the estimate.

    Raises:
      UserError: a condition cannot be read, or names what is not measured.
    """
    conditions = [part.strip() for part in text.split(",") if part.strip()]
    if not conditions:
        raise UserError("--fail_if is empty: give conditions such as 'churn>0.05, nfr>0.01'")
    return [_verdict(condition, samples, confident) for condition in conditions]


def _verdict(condition: str, samples: Samples, confident: bool) -> Verdict:
    left, right, greater = _parse(condition, samples)
    margin = right - left if greater else left - right
    found = intervals.interval(margin.sample) if isinstance(margin.sample, Sample) else None
    low, high = (found.low, found.high) if found else (0.0, 0.0)
    low, high = low + margin.constant, high + margin.constant
    value = margin.value
    if not np.isfinite(value):
        raise UserError(f"{condition!r}: cannot be decided, a side is not a number")
    return Verdict(
        condition=condition,
        failed=high < 0 if confident else value < 0,
        left=left.value,
        right=right.value,
        margin=value,
        ci95=(low, high),
        certain=low > 0 or high < 0,
        covers=found.covers if found else intervals.EXAMPLES_ONLY,
    )


@dataclasses.dataclass(frozen=True)
class _Sum:
    """A sum of measures and a number; measures may be multiplied by numbers only."""

    sample: Sample | None
    constant: float

    @property
    def value(self) -> float:
        return (self.sample.mean if self.sample else 0.0) + self.constant

    def __mul__(self, factor: float) -> "_Sum":
        return _Sum(self.sample * factor if self.sample else None, self.constant * factor)

    def __add__(self, other: "_Sum") -> "_Sum":
        constant = self.constant + other.constant
        if self.sample and other.sample:
            return _Sum(self.sample + other.sample, constant)
        return _Sum(self.sample or other.sample, constant)

    def __sub__(self, other: "_Sum") -> "_Sum":
        return self + other * -1.0


def _parse(condition: str, samples: Samples) -> tuple[_Sum, _Sum, bool]:
    """(left, right, whether left > right is the condition)."""
    try:
        tree = ast.parse(condition, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(f"--fail_if: cannot read {condition!r}") from None
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        raise UserError(f"--fail_if: {condition!r} is no comparison such as churn>0.05")
    if not isinstance(tree.ops[0], ast.Gt | ast.Lt):
        raise UserError(f"--fail_if: {condition!r} must compare by > or <")
    sides = [_sum(side, condition, samples) for side in (tree.left, tree.comparators[0])]
    return sides[0], sides[1], isinstance(tree.ops[0], ast.Gt)


def _sum(node: ast.expr, condition: str, samples: Samples) -> _Sum:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _Sum(None, float(number))
        case ast.Name(id=name):
            return _Sum(_measure(name, samples), 0.0)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _sum(operand, condition, samples) * -1.0
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _sum(left, condition, samples) + _sum(right, condition, samples)
        case ast.BinOp(op=ast.Sub(), left=left, right=right):
            return _sum(left, condition, samples) - _sum(right, condition, samples)
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            a, b = _sum(left, condition, samples), _sum(right, condition, samples)
            if a.sample and b.sample:
                raise UserError(f"--fail_if: {condition!r} multiplies two measures")
            return b * a.constant if b.sample else a * b.constant
        case _:
            raise UserError(
                f"--fail_if: {condition!r}: only measures, numbers, +, - and * are understood"
            )


def _measure(name: str, samples: Samples) -> Sample:
    """The sample of `churn`, `churn_old`, `ece_GROUP`, …"""
    groups = {str(group): index for index, group in enumerate(samples.names)}
    first, last = 0, len(samples.names) - 1
    for group, index in {**groups, "old": first, "new": last}.items():
        key = _key(name.removesuffix(f"_{_identifier(group)}"))
        if name.endswith(f"_{_identifier(group)}") and _known(key, samples):
            return _of_group(name, key, index, samples)
    key = _key(name)
    if not _known(key, samples):
        choices = (*samples.run_measures, *samples.pair_measures, *samples.change_measures)
        raise UserError(f"--fail_if: {name!r} is not measured{suggest(name, choices)}")
    if key in samples.run_measures:
        if first == last:
            return _of_group(name, key, first, samples)
        raise UserError(f"--fail_if: say whose {name}: {name}_old or {name}_new")
    if first == last:
        return _of_group(name, key, first, samples)
    if key == "excess_churn" and min(len(samples.members(g)) for g in (first, last)) < 2:
        raise UserError("--fail_if: excess_churn needs two runs of each group")
    return samples.between(key, first, last)


def _of_group(name: str, key: str, group: int, samples: Samples) -> Sample:
    if key in samples.run_measures:
        return samples.run(key, group)
    if key not in samples.pair_measures:
        raise UserError(f"--fail_if: {name}: {key} is of a step between two groups")
    if len(samples.members(group)) < 2:
        raise UserError(
            f"--fail_if: {name}: {samples.names[group]} has one run, so no {key} within"
        )
    return samples.within(key, group)


def _known(key: str, samples: Samples) -> bool:
    known = (
        *samples.run_measures,
        *samples.pair_measures,
        *samples.change_measures,
        "excess_churn",
    )
    return key in known


def _key(name: str) -> str:
    return ALIASES.get(name, name)


def _identifier(group: str) -> str:
    """A group's name as conditions write it: letters, digits and underscores."""
    return "".join(char if char.isalnum() else "_" for char in group)
