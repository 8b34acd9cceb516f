"""Bringing several files' predictions together: the same examples and classes, or a refusal.

Examples are joined by id where there are ids, in whatever order each file has them. Without ids the
position counts, if every file has the same number of examples. Anything that could pair the wrong
rows or columns is refused: ids that are not in every file, labels that differ, class names in
another order.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.memory_maps import in_bounded_memory
from churn_jax.predictions.readers import Source
from churn_jax.predictions.run import Run


@dataclasses.dataclass(frozen=True)
class Aligned:
    """Predictions of the same examples by several runs.

    Attributes:
      runs: with the index of each one's group, in the order of `groups`.
      groups: names of the groups.
      labels: [example] of integers, or None.
      ids: [example] of str: the examples' ids, or their positions.
      num_classes: columns of the values.
      class_names: one for each class.
      notes: what a reader must know: positions instead of ids, kinds that were detected.
      origins: the provenance of each run; {} where its file has none.
    """

    runs: list[Run]
    groups: list[str]
    labels: np.ndarray | None
    ids: np.ndarray
    num_classes: int
    class_names: tuple[str, ...]
    notes: list[str]
    origins: list[dict]

    @property
    def provenance(self) -> dict:
        """Of the first run that has any."""
        return next(filter(None, self.origins), {})


def align(groups: Mapping[str, Sequence[Source]], labels: Source | None = None) -> Aligned:
    """Joins the examples of all sources.

    Args:
      groups: the runs of each group, by its name.
      labels: labels from a file of their own, which count instead of those beside predictions.

    Raises:
      UserError: two files do not belong together; the message names the second and the fault.
    """
    sources = [source for members in groups.values() for source in members]
    first = sources[0]
    ids, orders = _join(sources)
    num_classes, class_names, codes = _classes(sources, labels)
    found = _labels(sources, orders, labels, ids, codes, num_classes)
    runs = []
    places = iter(orders)
    for index, members in enumerate(groups.values()):
        for source in members:
            values = source.values
            if values.ndim == 1:
                values = _as_codes(source.name, values, codes, num_classes)
            kind = source.kind or "probs"
            rows = in_bounded_memory(_rows_of(values, next(places)), values)
            runs.append(Run(rows, kind, index, source.name))
    notes = list(dict.fromkeys(source.note for source in sources if source.note))
    if first.ids is None:
        notes.insert(0, "The files have no example ids: rows are paired by position.")
    return Aligned(
        runs=runs,
        groups=list(groups),
        labels=found,
        ids=ids,
        num_classes=num_classes,
        class_names=class_names,
        notes=notes,
        origins=[source.provenance or {} for source in sources],
    )


def _rows_of(values: np.ndarray, order: np.ndarray | None) -> Callable[[slice], np.ndarray]:
    if order is None:
        return lambda rows: values[rows]
    return lambda rows: values[order[rows]]


def _join(sources: Sequence[Source]) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """The examples' ids in the first file's order, and for each file where they are in it."""
    first = sources[0]
    for source in sources[1:]:
        if (source.ids is None) != (first.ids is None):
            with_ids, without = (source, first) if first.ids is None else (first, source)
            raise UserError(f"{without.name}: has no example ids, but {with_ids.name} has")
        if first.ids is None and len(source.values) != len(first.values):
            raise UserError(
                f"{source.name}: has {len(source.values)} examples and no ids, "
                f"{first.name} has {len(first.values)}"
            )
    if first.ids is None:
        return np.arange(len(first.values)).astype(np.str_), [None] * len(sources)
    return first.ids, [_order(source, first.name, first.ids) for source in sources]


def _order(source: Source, reference: str, ids: np.ndarray) -> np.ndarray | None:
    """Where each id is in the source; None if they are in the same order."""
    theirs = source.ids
    assert theirs is not None
    if len(theirs) == len(ids) and np.array_equal(theirs, ids):
        return None
    sorted_places = np.argsort(theirs)
    found = np.searchsorted(theirs, ids, sorter=sorted_places)
    order = sorted_places[np.minimum(found, len(theirs) - 1)]
    missing = theirs[order] != ids
    if missing.any():
        example = str(ids[int(np.argmax(missing))])
        raise UserError(f"{source.name}: lacks the example {example!r} of {reference}")
    if len(theirs) > len(ids):
        extra = np.setdiff1d(theirs, ids)[0]
        raise UserError(f"{source.name}: has the example {str(extra)!r}, which {reference} lacks")
    return order


def _classes(
    sources: Sequence[Source], labels: Source | None
) -> tuple[int, tuple[str, ...], dict[str, int]]:
    """(number of classes, their names, the index of each name)."""
    soft = [source for source in sources if source.values.ndim == 2]
    for source in soft[1:]:
        if source.values.shape[1] != soft[0].values.shape[1]:
            raise UserError(
                f"{source.name}: has {source.values.shape[1]} classes, "
                f"{soft[0].name} has {soft[0].values.shape[1]}"
            )
    named = [source for source in sources if source.class_names]
    for source in named[1:]:
        if source.class_names != named[0].class_names:
            raise UserError(_difference_of_names(source, named[0]))
    if named:
        names = named[0].class_names or ()
    elif soft:
        names = tuple(str(i) for i in range(soft[0].values.shape[1]))
    else:
        names = _names_from_values(sources, labels)
    return len(names), names, {name: i for i, name in enumerate(names)}


def _difference_of_names(source: Source, reference: Source) -> str:
    ours, theirs = source.class_names or (), reference.class_names or ()
    if sorted(ours) == sorted(theirs):
        return f"{source.name}: has the classes of {reference.name} in another order"
    different = next((name for name in ours if name not in theirs), None)
    return f"{source.name}: has other classes than {reference.name}" + (
        f" ({different!r})" if different else f" ({len(ours)} instead of {len(theirs)})"
    )


def _names_from_values(sources: Sequence[Source], labels: Source | None) -> tuple[str, ...]:
    """The classes that appear, where files hold predicted classes alone."""
    arrays = [source.values for source in sources]
    arrays += [
        source.labels for source in (*sources, labels) if source and source.labels is not None
    ]
    if any(array.dtype.kind not in "iu" for array in arrays):
        return tuple(
            np.unique(np.concatenate([array.astype(np.str_) for array in arrays])).tolist()
        )
    largest = max(int(array.max()) for array in arrays)
    if largest >= 1 << 24:
        raise UserError(f"{sources[0].name}: the predicted class {largest} is no class")
    return tuple(str(i) for i in range(max(2, largest + 1)))


def _labels(
    sources: Sequence[Source],
    orders: Sequence[np.ndarray | None],
    separate: Source | None,
    ids: np.ndarray,
    codes: dict[str, int],
    num_classes: int,
) -> np.ndarray | None:
    if separate is not None:
        assert separate.labels is not None
        order = None
        if separate.ids is not None:
            order = _order(separate, sources[0].name, ids)
        elif len(separate.labels) != len(ids):
            raise UserError(
                f"{separate.name}: has {len(separate.labels)} labels for {len(ids)} examples"
            )
        found = _as_codes(separate.name, separate.labels, codes, num_classes)
        return found if order is None else found[order]
    result = None
    for source, order in zip(sources, orders, strict=True):
        if source.labels is None:
            continue
        found = _as_codes(source.name, source.labels, codes, num_classes)
        found = found if order is None else found[order]
        if result is not None and np.any(found != result):
            example = str(ids[int(np.argmax(found != result))])
            raise UserError(f"{source.name}: the label of {example!r} is another one than before")
        result = found
    return result


def _as_codes(name: str, values: np.ndarray, codes: dict[str, int], num_classes: int) -> np.ndarray:
    """Classes as integers in [0, num_classes)."""
    if values.dtype.kind in "iu":
        if values.min() < 0 or values.max() >= num_classes:
            wrong = values[(values < 0) | (values >= num_classes)][0]
            raise UserError(f"{name}: the class {wrong} is outside 0 to {num_classes - 1}")
        return values.astype(np.int32)
    if values.dtype.kind not in "US":
        raise UserError(f"{name}: classes must be integers or names, not {values.dtype}")
    texts = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    unique, inverse = np.unique(texts, return_inverse=True)
    for text in unique.tolist():
        if text not in codes:
            raise UserError(f"{name}: {text!r} is none of the classes")
    return np.array([codes[text] for text in unique.tolist()], np.int32)[inverse]
