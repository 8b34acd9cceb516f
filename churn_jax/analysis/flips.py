"""Which examples' predictions change, which way, and from which class to which."""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from churn_jax.analysis.samples import Samples
from churn_jax.analysis.slicing import BY_CLASS, Partition
from churn_jax.errors import printable
from churn_jax.report.flips import KINDS, ClassFlips, Flips, Move, pack

MOST_ROWS = 40_000
MOST_BYTES = 640_000  # of the packed columns: the page stays below 2 MB with them
MOST_CLASSES = 20
MOST_MOVES = 50
_BAD, _WRONG, _BOTH, _GOOD = range(len(KINDS))


def pairs_in_question(samples: Samples) -> list[tuple[int, int]]:
    """The pairs a report is about: across the first and the last group, or within the one."""
    last = len(samples.names) - 1
    if last == 0:
        return list(itertools.combinations(samples.members(0).tolist(), 2))
    if samples.matched:
        return list(zip(samples.members(0).tolist(), samples.members(last).tolist(), strict=True))
    return list(itertools.product(samples.members(0).tolist(), samples.members(last).tolist()))


def all_flips(
    samples: Samples,
    ids: np.ndarray,
    class_names: Sequence[str],
    partitions: Sequence[Partition] = (),
) -> Flips:
    """Every example that changes between the pairs in question.

    Of more than `MOST_ROWS`, or than `MOST_BYTES` hold, the bad flips are kept before the others,
    and among these as many of each true class, those that change most often first.

    Args:
      samples: of the groups.
      ids: [example] of str.
      class_names: one for each class.
      partitions: the ways of slicing.
    """
    measured, pairs = samples.measured, pairs_in_question(samples)
    often = measured.pairs["churn"].means(0, len(samples.names) - 1).mean(0) * len(pairs)
    changes = np.rint(often).astype(np.int64)
    gap = measured.values["gap"].mean(0) if measured.has_probs else np.zeros(len(ids))
    lost = _lost(samples)
    kinds = _kinds(samples, lost)
    rows = np.flatnonzero(changes)
    rows = rows[np.lexsort((-changes[rows], -gap[rows], -np.abs(lost[rows]), kinds[rows]))]
    if len(samples.names) == 1 or measured.labels is None:
        rows = rows[np.argsort(-changes[rows], kind="stable")]
    first = _first_to_keep(measured.labels, kinds, changes, rows)

    def columns(kept: np.ndarray) -> str:
        return pack(_columns(samples, kept, kinds, changes, gap, ids, class_names, partitions))

    most = MOST_ROWS
    while len(packed := columns(rows[np.sort(first[:most])])) > MOST_BYTES:
        most = int(min(most, len(rows)) * 0.95 * MOST_BYTES / len(packed))
    return Flips(
        total=len(rows),
        kept=min(most, len(rows)),
        kinds=_count_kinds(kinds[rows]) if _have_kinds(samples) else {},
        classes={} if measured.labels is None else _counts(measured.labels[rows], class_names),
        columns=packed,
    )


def _have_kinds(samples: Samples) -> bool:
    return samples.measured.labels is not None and len(samples.names) > 1


def _lost(samples: Samples) -> np.ndarray:
    """[example], how many pairs of an old and a new run are a bad flip, less those of a good one.

    Of single models that is exactly the flip. 0 where there are no kinds.
    """
    if not _have_kinds(samples):
        return np.zeros(samples.measured.predictions.shape[1], np.int64)
    old, new = (samples.members(group) for group in (0, len(samples.names) - 1))
    correct = samples.measured.correct
    return correct[old].sum(0) * len(new) - correct[new].sum(0) * len(old)


def _kinds(samples: Samples, lost: np.ndarray) -> np.ndarray:
    """[example], its place in `KINDS`: bad is what fewer of the last group's runs get right."""
    before = samples.measured.correct[samples.members(0)].any(0) if _have_kinds(samples) else False
    equal = np.where(before, _BOTH, _WRONG)
    return np.where(lost > 0, _BAD, np.where(lost < 0, _GOOD, equal))


def _first_to_keep(
    labels: np.ndarray | None, kinds: np.ndarray, changes: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Places in `rows`, the most wanted first."""
    others = kinds[rows] != _BAD
    parts = others.astype(np.int64) if labels is None else 2 * labels[rows] + others
    order = np.lexsort((-changes[rows], parts))
    # How many of its kind and class come before it: so every class has its turn.
    starts = np.flatnonzero(np.diff(parts[order], prepend=-1))
    turn = np.arange(len(rows)) - np.repeat(starts, np.diff([*starts, len(rows)]))
    return order[np.lexsort((turn, others[order]))]


def _columns(
    samples: Samples,
    rows: np.ndarray,
    kinds: np.ndarray,
    changes: np.ndarray,
    gap: np.ndarray,
    ids: np.ndarray,
    class_names: Sequence[str],
    partitions: Sequence[Partition],
) -> dict[str, object]:
    """The fields of `Columns`, those that are None left out."""
    measured = samples.measured
    predictions = measured.predictions[:, rows]
    labels = np.zeros(0, np.int64) if measured.labels is None else measured.labels[rows]
    present = np.unique(np.concatenate([predictions.ravel(), labels]))
    codes = np.searchsorted(present, predictions)
    columns: dict[str, object] = {
        "ids": [printable(str(id)) for id in ids[rows].tolist()],
        "changes": changes[rows].tolist(),
        "pairs": len(pairs_in_question(samples)),
        "names": [printable(class_names[index]) for index in present.tolist()],
        "votes": [_votes(codes[samples.members(group)]) for group in samples.indices],
    }
    if measured.labels is not None:
        columns["labels"] = np.searchsorted(present, labels).tolist()
    if _have_kinds(samples):
        columns["kinds"] = kinds[rows].tolist()
    if measured.has_probs:
        columns["gaps"] = np.rint(1000 * gap[rows]).astype(np.int64).tolist()
    given = [by for by in partitions if by.by != BY_CLASS]
    if given:
        columns["slices"] = [
            (printable(by.by), [*map(printable, by.names)], by.places(len(ids))[rows].tolist())
            for by in given
        ]
    return columns


def _votes(codes: np.ndarray) -> list[list[int]]:
    """As `Columns.votes` of one group, from its runs' predicted classes [run, row]."""
    sorted_rows = np.sort(codes, 0).T.tolist()
    return [
        [value for entry in Counter(row).most_common() for value in entry] for row in sorted_rows
    ]


def _count_kinds(kinds: np.ndarray) -> dict[str, int]:
    counted = np.bincount(kinds, minlength=len(KINDS)).tolist()
    return {key: count for key, count in zip(KINDS, counted, strict=True) if count}


def _counts(codes: np.ndarray, class_names: Sequence[str]) -> dict[str, int]:
    """How often each class is there, in the classes' order."""
    present, counts = np.unique(codes, return_counts=True)
    return {
        printable(class_names[i]): n for i, n in zip(present.tolist(), counts.tolist(), strict=True)
    }


def class_flips(samples: Samples, class_names: Sequence[str]) -> ClassFlips | None:
    """From which class to which predictions change; None where none does."""
    pairs, size = pairs_in_question(samples), len(class_names)
    codes: np.ndarray = np.zeros(0, np.int64)
    counts: np.ndarray = np.zeros(0)
    for found in _changed(samples, pairs, size):
        new, number = np.unique(found, return_counts=True)
        merged, place = np.unique(np.concatenate([codes, new]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, number]))
        codes = merged
    if not len(codes):
        return None
    old, new = np.divmod(codes, size)
    means = counts / len(pairs)
    total = float(means.sum())
    if len(samples.names) == 1:  # no run is the earlier one
        old, new, means = _both_ways(old, new, means, size)
    once = old < new if len(samples.names) == 1 else np.ones(len(old), bool)
    order = np.flatnonzero(once)[np.argsort(-means[once], kind="stable")][:MOST_MOVES]
    shown = np.arange(size)
    if size > MOST_CLASSES:
        in_most = dict.fromkeys(np.stack([old[order], new[order]], 1).ravel().tolist())
        shown = np.sort(list(in_most)[:MOST_CLASSES])
    matrix = np.zeros((len(shown), len(shown)))
    inside = np.isin(old, shown) & np.isin(new, shown)
    places = np.searchsorted(shown, old[inside]), np.searchsorted(shown, new[inside])
    matrix[places] = means[inside]
    return ClassFlips(
        total=total,
        classes=tuple(class_names[i] for i in shown.tolist()),
        examples=tuple(tuple(row) for row in matrix.tolist()),
        most=tuple(
            Move(class_names[old[i]], class_names[new[i]], float(means[i])) for i in order.tolist()
        ),
    )


def _changed(samples: Samples, pairs: Sequence[tuple[int, int]], size: int) -> Iterator[np.ndarray]:
    """Old class × number of classes + new class of every change, one run's at a time."""
    predictions = samples.measured.predictions.astype(np.int64)
    for run, others in itertools.groupby(pairs, key=lambda pair: pair[0]):
        new = predictions[[other for _, other in others]]
        old = np.broadcast_to(predictions[run], new.shape)
        changed = old != new
        yield old[changed] * size + new[changed]


def _both_ways(
    old: np.ndarray, new: np.ndarray, means: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The moves, each counted with its reverse."""
    codes, place = np.unique(
        np.concatenate([old * size + new, new * size + old]), return_inverse=True
    )
    return *np.divmod(codes, size), np.bincount(place, np.tile(means, 2))
