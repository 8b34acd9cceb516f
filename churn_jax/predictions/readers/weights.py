"""A column of weights of examples as numbers, or a refusal by example."""

from collections.abc import Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers.names import MISSING


def as_weights(name: str, values: np.ndarray, examples: Sequence[str] | None = None) -> np.ndarray:
    """Weights [example] as float64; NaN where one is missing.

    Args:
      name: of the file.
      values: of the column.
      examples: what messages call the examples; by their places if None.

    Raises:
      UserError: they are no numbers, or one is negative or infinite.
    """
    if values.ndim != 1:
        raise UserError(f"{name}: weights must be [example], not {list(values.shape)}")

    def called(row: int) -> str:
        return repr(examples[row]) if examples is not None and examples[row] else str(row)

    if values.dtype.kind in "iuf":
        found = values.astype(np.float64)
    else:
        found = np.full(len(values), np.nan)
        for row, value in enumerate(values.tolist()):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            if text.strip() in MISSING:
                continue
            try:
                found[row] = float(text)
            except ValueError:
                raise UserError(
                    f"{name}: the weight of example {called(row)} is {text[:40]!r}, no number"
                ) from None
    faulty = np.isinf(found) | (found < 0)
    if faulty.any():
        row = int(np.argmax(faulty))
        more = int(np.count_nonzero(faulty)) - 1
        others = f", as are {more:,} others" if more else ""
        what = "infinite" if np.isinf(found[row]) else f"negative ({found[row]:g})"
        raise UserError(f"{name}: the weight of example {called(row)} is {what}{others}")
    return found
