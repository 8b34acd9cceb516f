"""Named columns and arrays as a container has them, before anything is known of what they are."""

import dataclasses
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.memory_maps import in_bounded_memory
from churn_jax.predictions.readers.names import MISSING
from churn_jax.predictions.readers.spill import Spill

_BLOCK_ELEMENTS = 1 << 18


@dataclasses.dataclass(frozen=True)
class Columns:
    """What a table, an archive of arrays or a dictionary holds.

    Attributes:
      name: the file, as messages call it.
      order: every name, as they come.
      arrays: those that are not in `numbers`: [example] texts and the like, or [example, class].
      numbers: [example, column] float64, NaN where a cell is empty; None if there are none.
      number_names: of the columns of `numbers`.
      table: whether every column is of the examples, so that none may be left out unsaid.
      notes: how it was read: an encoding, a decimal comma.
    """

    name: str
    order: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    numbers: np.ndarray | None = None
    number_names: tuple[str, ...] = ()
    table: bool = True
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self.arrays:
            return self.arrays[name]
        assert self.numbers is not None
        return self.numbers[:, self.number_names.index(name)]

    @property
    def size(self) -> int:
        """How many examples there are."""
        if self.numbers is not None:
            return len(self.numbers)
        return max((len(array) for array in self.arrays.values() if array.ndim), default=0)

    def take(self, names: Sequence[str]) -> np.ndarray:
        """The columns of numbers that are called so, [example, column], in this order."""
        assert self.numbers is not None
        wanted = [self.number_names.index(name) for name in names]
        if wanted == list(range(wanted[0], wanted[0] + len(wanted))):
            return self.numbers[:, wanted[0] : wanted[0] + len(wanted)]
        rows = in_bounded_memory(self.numbers.__getitem__, self.numbers)
        most = max(1, _BLOCK_ELEMENTS // self.numbers.shape[1])
        with Spill() as spill:
            for start in range(0, len(self.numbers), most):
                spill.write(np.ascontiguousarray(rows(slice(start, start + most))[:, wanted]))
            return spill.array(np.dtype(np.float64), (len(self.numbers), len(wanted)))


def from_mapping(name: str, columns: Mapping[str, np.ndarray], table: bool) -> Columns:
    """The columns of a dictionary or a data frame; numbers [example] are gathered.

    Raises:
      UserError: the columns of a table have different lengths.
    """
    arrays = {str(key): np.asarray(value) for key, value in columns.items()}
    if not table:
        return Columns(name, tuple(arrays), arrays, table=False)
    lengths = {array.shape[:1] for array in arrays.values()}
    if len(lengths) != 1 or lengths == {()}:
        raise UserError(f"{name}: its columns have different lengths: {sorted(lengths)}")
    arrays = {key: _of_objects(array) for key, array in arrays.items()}
    plain = {key: array for key, array in arrays.items() if array.ndim == 1}
    numeric = [key for key, array in plain.items() if array.dtype.kind in "iuf"]
    if not numeric:
        return Columns(name, tuple(arrays), arrays)
    gathered = np.stack([arrays[key].astype(np.float64) for key in numeric], 1)
    return Columns(name, tuple(arrays), arrays, gathered, tuple(numeric))


def _of_objects(array: np.ndarray) -> np.ndarray:
    """A data frame's column of lists as [example, class], of numbers as numbers, else as it is."""
    if array.dtype.kind != "O" or array.ndim != 1:
        return array
    cells = array.tolist()
    if (found := _numbers(cells)) is not None:
        return found
    if any(isinstance(cell, str) or not hasattr(cell, "__len__") for cell in cells):
        return array
    if len({len(cell) for cell in cells}) != 1:
        return array
    return np.array([np.asarray(cell, np.float64) for cell in cells])


def _numbers(cells: Sequence[Any]) -> np.ndarray | None:
    """Python's numbers as an array, NaN where one is missing; None if there is anything else."""
    missing = [str(cell) in MISSING for cell in cells]
    for cell, absent in zip(cells, missing, strict=True):
        if isinstance(cell, bool | np.bool_) or not (absent or isinstance(cell, numbers.Number)):
            return None
    if all(isinstance(cell, int | np.integer) for cell in cells):
        return np.array(cells)
    if all(missing):
        return None
    pairs = zip(cells, missing, strict=True)
    return np.array([np.nan if absent else float(cell) for cell, absent in pairs])


def repeated(names: Iterable[str]) -> str | None:
    """A name that is there twice, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
