"""Lists in the cells of a table: `[0.2, 0.8]`, as pandas, NumPy, PyTorch and Spark write them."""

import re
from collections.abc import Iterable

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers.names import MISSING
from churn_jax.predictions.readers.spill import Spill

_LIST = re.compile(r"\s*(?:\w+\s*\()?\s*[\[(]([^\[\](){}]*)[\])]\s*(?:,[^)]*)?\)?\s*$", re.DOTALL)


def is_list(cell: str) -> bool:
    """Whether a cell's text is a list."""
    return _LIST.match(cell) is not None


def parse(name: str, column: str, cells: Iterable[str]) -> np.ndarray:
    """Lists of numbers as [example, class] float64, on disk; NaN for a cell that is empty.

    Raises:
      UserError: a cell is no list of numbers, or has another length than the others.
    """
    width, rows, waiting = 0, 0, 0
    with Spill() as spill:
        for row, cell in enumerate(cells):
            if cell.strip() in MISSING:
                if width:
                    spill.write(np.full(width, np.nan))
                else:
                    waiting += 1
                rows += 1
                continue
            values = _numbers(cell)
            if values is None:
                raise UserError(
                    f"{name}: column {column!r}, example {row}: {cell[:40]!r} is no list of numbers"
                )
            if not width:
                width = len(values)
                spill.write(np.full((waiting, width), np.nan))
            if len(values) != width:
                raise UserError(
                    f"{name}: column {column!r}, example {row}: has {len(values)} numbers, "
                    f"the first has {width}"
                )
            spill.write(values)
            rows += 1
        if not width:
            raise UserError(f"{name}: column {column!r} is empty")
        return spill.array(np.dtype(np.float64), (rows, width))


def _numbers(cell: str) -> np.ndarray | None:
    found = _LIST.match(cell)
    if not found:
        return None
    parts = found[1].replace(",", " ").replace(";", " ").split()
    try:
        return np.array([float(part) for part in parts]) if parts else None
    except ValueError:
        return None
