"""Pairing the rows of several files: by id, by a data frame's names of its rows, or by position."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers.names import TEXT, is_count
from churn_jax.predictions.readers.source import Source


@dataclasses.dataclass(frozen=True)
class Joined:
    """The examples that are compared.

    Attributes:
      ids: [example] of text: their ids, or their positions.
      rows: for each source, where each example is in it; None where they are in order.
      beside_rows: the same for labels and weights from files of their own.
      notes: how rows were paired, and which were left out.
    """

    ids: np.ndarray
    rows: tuple[np.ndarray | None, ...]
    beside_rows: tuple[np.ndarray | None, ...]
    notes: tuple[str, ...]

    def take(self, kept: np.ndarray) -> "Joined":
        """The same of the examples for which `kept` [example] is true."""
        places = np.flatnonzero(kept)

        def of_kept(rows: np.ndarray | None) -> np.ndarray:
            return places if rows is None else rows[places]

        rows, beside = (tuple(map(of_kept, each)) for each in (self.rows, self.beside_rows))
        return Joined(self.ids[places], rows, beside, self.notes)


def join(sources: Sequence[Source], beside: Sequence[Source], common: bool) -> Joined:
    """Pairs the rows of all sources, in the order of the first.

    Args:
      sources: of predictions.
      beside: of labels or weights alone, which may have more examples.
      common: whether examples that some file lacks are left out.

    Raises:
      UserError: the files are of different examples, or it can't be told which is which.
    """
    files = [*sources, *beside]
    keys, notes = _keys(files)
    size = sources[0].size
    if keys is None:
        _refuse_other_sizes(sources, beside)
        ids = _positions(size)
        found = [np.arange(size)] * len(files)
    else:
        assert keys[0] is not None
        ids = keys[0]
        found = [np.arange(size)]
        for file, key in zip(files[1:], keys[1:], strict=True):
            found.append(_by_position(file, size) if key is None else _rows(ids, key))
    if not common:
        _refuse_lacking(files, len(sources), found, keys, ids)
    kept = np.all([rows >= 0 for rows in found], axis=0)
    if common:
        notes += _left_out(sources, int(np.count_nonzero(kept)))
    # An example without an id is in no other file, and counts as one with a gap all the same.
    shared = kept if common else np.ones(size, bool)
    whole, gone, gaps = int(np.count_nonzero(shared)), *_gaps(files, found, shared)
    kept = kept & ~gone
    if gaps:
        notes.append(
            f"--missing=drop left out {np.count_nonzero(gone):,} of {whole:,} examples: "
            f"{', '.join(gaps)}."
        )
    if not kept.any():
        raise UserError(f"{files[-1].name}: has no example that all of the files have whole")
    everything = bool(kept.all())
    rows_of = [
        None if everything and _in_order(rows, file) else rows[kept]
        for file, rows in zip(files, found, strict=True)
    ]
    return Joined(
        ids=ids[kept],
        rows=tuple(rows_of[: len(sources)]),
        beside_rows=tuple(rows_of[len(sources) :]),
        notes=tuple(notes),
    )


def _in_order(rows: np.ndarray, source: Source) -> bool:
    return len(rows) == source.size and bool(np.array_equal(rows, np.arange(len(rows))))


def _keys(files: Sequence[Source]) -> tuple[list[np.ndarray | None] | None, list[str]]:
    """(what joins the rows of each file; None if positions do, what to say of it).

    The last files may be of labels or weights alone. Row names of a data frame count as ids where
    all files have the same ones, or others have ids.
    """
    indexed = [file for file in files if file.ids is None and file.index is not None]
    keys = [file.ids if file.ids is not None else file.index for file in files]
    of_predictions = [key for file, key in zip(files, keys, strict=True) if _predicts(file)]
    known = [key for key in of_predictions if key is not None]
    by_position = [*_said(indexed, "is left out"), _POSITIONS]
    if len(known) < len(of_predictions):
        _refuse_without(files, keys)
        return None, by_position
    if any(file.ids is not None for file in files):
        return keys, _said(indexed, "joins the rows, in place of ids")
    if all(np.array_equal(key, known[0]) for key in known):
        return None, by_position
    if all(set(key.tolist()) == set(known[0].tolist()) for key in known):
        return keys, _said(indexed, "joins the rows")
    odd = next(
        (file for file in indexed if file.index is not None and not is_count(file.index)), None
    )
    if odd is not None:
        raise UserError(
            f"{odd}: the names of its rows are others than those of another file, so it can't "
            "be told which row is which example; say which column has the ids by --id"
        )
    return None, by_position


_POSITIONS = "The files have no example ids: rows are paired by position."


def _said(indexed: Sequence[Source], what: str) -> list[str]:
    if not indexed:
        return []
    return [f"{', '.join(file.name for file in indexed)}: the index column {what}."]


def _refuse_without(files: Sequence[Source], keys: Sequence[np.ndarray | None]) -> None:
    """Raises UserError if some predictions have ids and others nothing of the kind."""
    with_ids = next((f for f in files if f.ids is not None and _predicts(f)), None)
    for file, key in zip(files, keys, strict=True):
        if with_ids is not None and key is None and _predicts(file):
            raise UserError(f"{file.name}: has no example ids, but {with_ids.name} has")


def _predicts(file: Source) -> bool:
    return file.values is not None or file.predicted is not None


def _refuse_other_sizes(sources: Sequence[Source], beside: Sequence[Source]) -> None:
    first = sources[0]
    for source in sources[1:]:
        if source.size != first.size:
            raise UserError(
                f"{source.name}: has {source.size} examples and no ids, {first.name} has "
                f"{first.size}"
            )
    for source in beside:
        _by_position(source, first.size)
        if source.ids is not None and not np.array_equal(source.ids, _positions(first.size)):
            raise UserError(f"{source.name}: has example ids, but {first.name} has none")


def _positions(size: int) -> np.ndarray:
    """Positions as ids."""
    return np.arange(size).astype(TEXT)


def _by_position(source: Source, size: int) -> np.ndarray:
    """Labels or weights without ids are in the order of the first file."""
    if source.size != size:
        what = "weights" if source.weights is not None else "labels"
        raise UserError(f"{source.name}: has {source.size} {what} for {size} examples")
    return np.arange(size)


def _rows(ids: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Where each id is in a file, [example]; -1 where it is not."""
    if len(theirs) == len(ids) and np.array_equal(theirs, ids):
        return np.arange(len(ids))
    places = {name: place for place, name in enumerate(theirs.tolist()) if name}
    return np.array([places.get(name, -1) for name in ids.tolist()], np.int64)


def _refuse_lacking(
    files: Sequence[Source],
    num_sources: int,
    found: Sequence[np.ndarray],
    keys: Sequence[np.ndarray | None] | None,
    ids: np.ndarray,
) -> None:
    """Raises UserError unless all files have the same examples; those beside, more."""
    if keys is None:
        return
    hint = "; --on=common compares the examples that all files have"
    reference = files[0].name
    has_id = ids != ""
    for i, (file, rows) in enumerate(zip(files, found, strict=True)):
        lacking = (rows < 0) & has_id
        if lacking.any():
            example = str(ids[int(np.argmax(lacking))])
            zeros = _other_zeros(example, keys[i])
            raise UserError(
                f"{file.name}: lacks the example {example!r} of {reference}"
                f"{_more(lacking)}{zeros or hint}"
            )
        own = keys[i]
        if i < num_sources and own is not None:
            extra = own != ""
            extra[rows[rows >= 0]] = False
            if extra.any():
                example = str(own[int(np.argmax(extra))])
                raise UserError(
                    f"{file.name}: has the example {example!r}, which {reference} lacks"
                    f"{_more(extra)}{hint}"
                )


def _more(which: np.ndarray) -> str:
    count = int(np.count_nonzero(which)) - 1
    return f" (and {count:,} more)" if count else ""


def _other_zeros(example: str, theirs: np.ndarray | None) -> str:
    """What to say where the ids would be the same but for zeros in front."""
    if theirs is None or not example.isdecimal():
        return ""
    short = example.lstrip("0") or "0"
    numbers = (name for name in theirs.tolist() if name.isdecimal())
    other = next((name for name in numbers if (name.lstrip("0") or "0") == short), None)
    if other is None:
        return ""
    return f", but has {other!r}: one of the two lost or gained zeros in front; write ids as texts"


def _left_out(sources: Sequence[Source], kept: int) -> list[str]:
    parts = [f"{s.name} {s.size - kept:,} of {s.size:,}" for s in sources if s.size > kept]
    if not parts:
        return []
    return [f"--on=common compares {kept:,} examples; left out: {', '.join(parts)}."]


def _gaps(
    files: Sequence[Source], found: Sequence[np.ndarray], shared: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """(which examples have gaps in some file, how many each file has)."""
    counts, gone = [], np.zeros(len(shared), bool)
    for file, rows in zip(files, found, strict=True):
        if file.missing is None:
            continue
        own = shared & (rows >= 0) & file.missing[rows]
        if own.any():
            counts.append(f"{file.name} {np.count_nonzero(own):,}")
        gone |= own
    return gone, counts
