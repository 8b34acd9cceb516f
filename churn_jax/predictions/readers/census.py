"""What all rows of values look like together: probabilities, their logarithms, logits, or neither.

A single row proves nothing: a few of many logits happen to add up to 1.
"""

import dataclasses

import numpy as np

from churn_jax.errors import UserError
from churn_jax.metrics.arrays import SUM_TOLERANCE
from churn_jax.predictions.memory_maps import in_bounded_memory
from churn_jax.predictions.readers.source import KIND_NAMES, Kind
from churn_jax.system.threads import in_order

_BLOCK_ELEMENTS = 1 << 21
_LUCKY = 0.05  # of rows of logits may look like something else


@dataclasses.dataclass(frozen=True)
class Census:
    """How many rows are what.

    Attributes:
      rows: that have no NaN.
      missing: [example], whether a row has NaN.
      probs, log_probs: rows that are probabilities, or their logarithms.
      positive, negative: rows without negative, and without positive values.
      ones: rows that add up to 1, whatever their signs.
      first_no_probs, first_no_log_probs: the first row that is none, or None.
      its_sum: what the first row that is no probabilities adds up to.
      hundreds: rows that add up to 100.
      unit: rows within [0, 1].
    """

    rows: int
    missing: np.ndarray
    probs: int
    log_probs: int
    positive: int
    negative: int
    ones: int
    hundreds: int
    unit: int
    first_no_probs: int | None
    first_no_log_probs: int | None
    its_sum: float


def count(values: np.ndarray) -> Census:
    """Looks at every row of values [example, class]; one column counts as one of two classes."""
    missing = np.zeros(len(values), bool)
    counts = dict.fromkeys(
        ("probs", "log_probs", "positive", "negative", "ones", "hundreds", "unit"), 0
    )
    firsts: dict[str, int | None] = {"probs": None, "log_probs": None}
    its_sum = 0.0
    rows = in_bounded_memory(values.__getitem__, values)
    most = max(1, _BLOCK_ELEMENTS // values.shape[1])

    def look(start: int) -> tuple[int, dict[str, np.ndarray], np.ndarray]:
        block = np.asarray(rows(slice(start, start + most)))
        return start, *_of_rows(block if block.dtype == np.float32 else block.astype(np.float64))

    for start, found, sums in in_order(look, range(0, len(values), most)):
        gone = found["gone"]
        missing[start : start + len(gone)] = gone
        for name in counts:
            counts[name] += int(np.count_nonzero(found[name] & ~gone))
        for name in firsts:
            others = ~found[name] & ~gone
            if firsts[name] is None and others.any():
                firsts[name] = start + int(np.argmax(others))
                if name == "probs":
                    its_sum = float(sums[int(np.argmax(others))])
    return Census(
        rows=int(np.count_nonzero(~missing)),
        missing=missing,
        first_no_probs=firsts["probs"],
        first_no_log_probs=firsts["log_probs"],
        its_sum=its_sum,
        **counts,
    )


def _of_rows(block: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """(what each row of a block is, its sum)."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums, least, most = block.sum(1), block.min(1), block.max(1)
    gone = np.isnan(least)
    positive, negative, unit = least >= 0, most <= 0, (least >= 0) & (most <= 1)
    if block.shape[1] == 1:
        probs, log_probs = unit, negative
    else:
        probs = positive & (abs(sums - 1) < SUM_TOLERANCE)
        # Exponentials cost more than all else, and no other rows can be logarithms.
        log_probs = negative.copy()
        log_probs[negative] = abs(np.exp(block[negative]).sum(1) - 1) < SUM_TOLERANCE
    found = {
        "gone": gone,
        "probs": probs,
        "log_probs": log_probs,
        "positive": positive,
        "negative": negative,
        "ones": abs(sums - 1) < SUM_TOLERANCE,
        "hundreds": positive & (abs(sums - 100) < 100 * SUM_TOLERANCE),
        "unit": unit,
    }
    return found, sums


def detect(name: str, found: Census, one_column: bool = False) -> tuple[Kind, str]:
    """(what the values are, how many rows say so).

    Raises:
      UserError: they could be more than one thing, or are nothing that is known.
    """
    rows = found.rows
    if found.probs == rows:
        return "probs", f"all {rows:,} rows"
    if one_column:
        raise UserError(
            f"{name}: one column, of which {found.unit:,} of {rows:,} values are within [0, 1]: no "
            "probabilities of one class; if these are its logits, say so with --kind=logits"
        )
    if found.log_probs == rows:
        return "log_probs", f"all {rows:,} rows"
    for kind, count_, first in (
        ("probs", found.probs, found.first_no_probs),
        ("log_probs", found.log_probs, found.first_no_log_probs),
    ):
        if count_ > max(1, _LUCKY * rows):
            raise UserError(
                f"{name}: {count_:,} of {rows:,} rows are {KIND_NAMES[kind]}, example {first} is "
                f"not{_sum(found) if kind == 'probs' else ''}: a file holds one kind of values"
            )
    if found.ones == rows:
        raise UserError(f"{name}: rows sum to 1 but hold negative values: not probabilities")
    if found.positive == rows or found.negative == rows:
        raise UserError(
            f"{name}: {found.probs:,} of {rows:,} rows are probabilities, {found.log_probs:,} "
            f"log-probabilities{_sum(found)}{_nearest(found)}"
        )
    return "logits", f"{rows - found.probs:,} of {rows:,} rows are no probabilities"


def refuse_other(name: str, kind: Kind, found: Census) -> None:
    """Raises UserError where rows are not the probabilities that they are said to be."""
    rows = found.rows
    if kind == "probs" and found.first_no_probs is not None and found.probs < rows:
        raise UserError(
            f"{name}: {rows - found.probs:,} of {rows:,} rows are no probabilities"
            f"{_sum(found)}{_nearest(found)}"
        )


def _sum(found: Census) -> str:
    return f" (example {found.first_no_probs} sums to {found.its_sum:.4g})"


def _nearest(found: Census) -> str:
    """What values that are no probabilities may be."""
    if found.hundreds == found.rows:
        return ": percentages? divide by 100"
    if found.log_probs == found.rows:
        return ": log-probabilities? say so with --kind=log_probs"
    if found.unit == found.rows:
        return ": probabilities of classes that don't exclude each other can't be compared"
    return "; if these are logits, say so with --kind=logits"
