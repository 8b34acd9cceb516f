"""What a report shows beside its tables: where churn comes from, and on which examples."""

from collections.abc import Sequence

import numpy as np

from churn_jax.analysis import fragility, slicing
from churn_jax.analysis.flips import all_flips, class_flips, pairs_in_question
from churn_jax.analysis.samples import Samples
from churn_jax.analysis.slicing import Partition
from churn_jax.metrics import bin_indices
from churn_jax.metrics.calibration import NUM_BINS
from churn_jax.report.breakdowns import Breakdowns, Flip, Matrix, NearTies, Reliability

LEDGER_LENGTH = 200
_GAP_BINS = 10


def breakdowns(
    samples: Samples,
    changes: Sequence[tuple[int, int]],
    run_names: Sequence[str],
    ids: np.ndarray,
    class_names: Sequence[str],
    partitions: Sequence[Partition],
) -> Breakdowns:
    """Everything here; arguments as of the functions below, and the ways of slicing."""
    return Breakdowns(
        reliability=reliability(samples),
        near_ties=near_ties(samples),
        matrix=matrix(samples, run_names),
        ledger=ledger(samples, ids, class_names),
        flips=all_flips(samples, ids, class_names, partitions),
        class_flips=class_flips(samples, class_names),
        slices=tuple(part for by in partitions for part in slicing.slices(samples, changes, by)),
        fragility=fragility.fragilities(samples, run_names),
    )


def reliability(samples: Samples) -> tuple[Reliability, ...]:
    """For each group, accuracy against confidence in bins of equal width, over all its runs."""
    measured = samples.measured
    if measured.labels is None or not measured.has_probs:
        return ()
    diagrams = []
    weights = measured.weights
    for group, name in enumerate(samples.names):
        rows = samples.members(group)
        top, correct = measured.values["top"][rows].ravel(), measured.correct[rows].ravel()
        bins = bin_indices(top, NUM_BINS)
        count = np.bincount(bins, minlength=NUM_BINS)
        own = np.ones(len(bins)) if weights is None else np.tile(weights, len(rows))
        weight = np.bincount(bins, own, NUM_BINS)
        members = np.where(count > 0, weight, 1)
        right, sure = (np.bincount(bins, own * values, NUM_BINS) for values in (correct, top))
        diagrams.append(
            Reliability(
                group=name,
                count=tuple(count.tolist()),
                accuracy=tuple((right / members).tolist()),
                confidence=tuple((sure / members).tolist()),
                weight=None if weights is None else tuple((weight / len(bins)).tolist()),
            )
        )
    return tuple(diagrams)


def near_ties(samples: Samples) -> NearTies | None:
    """How much churn comes from examples on which a model nearly tied: Lemma 2's argument."""
    measured = samples.measured
    if not measured.has_probs:
        return None
    count, flips = np.zeros(_GAP_BINS), np.zeros(_GAP_BINS)
    gap, predictions = measured.values["gap"], measured.predictions
    weights = np.ones(predictions.shape[1]) if measured.weights is None else measured.weights
    for i, j in pairs_in_question(samples):
        bins = np.minimum((np.minimum(gap[i], gap[j]) * _GAP_BINS).astype(np.int64), _GAP_BINS - 1)
        count += np.bincount(bins, weights, _GAP_BINS)
        flips += np.bincount(bins, weights * (predictions[i] != predictions[j]), _GAP_BINS)
    if not count.sum():
        return None
    return NearTies(
        edges=tuple((np.arange(_GAP_BINS + 1) / _GAP_BINS).tolist()),
        share=tuple((count / count.sum()).tolist()),
        churn=tuple(_shares(flips, count).tolist()),
        part_of_churn=tuple(_shares(flips, flips.sum()).tolist()),
    )


def _shares(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Parts of the wholes; 0 of nothing."""
    wholes = np.broadcast_to(wholes, parts.shape)
    return np.divide(parts, wholes, out=np.zeros(parts.shape), where=wholes > 0)


def matrix(samples: Samples, run_names: Sequence[str]) -> Matrix:
    """Churn of every pair of runs that was measured; NaN for the others."""
    churn = samples.measured.pairs["churn"].pairs
    return Matrix(
        runs=tuple(run_names),
        groups=tuple(samples.names[group] for group in samples.measured.groups),
        churn=tuple(tuple(row) for row in churn.tolist()),
    )


def ledger(
    samples: Samples, ids: np.ndarray, class_names: Sequence[str], length: int = LEDGER_LENGTH
) -> tuple[Flip, ...]:
    """The examples whose predictions change most, and among those the most confident ones first."""
    measured = samples.measured
    last = len(samples.names) - 1
    instability = measured.pairs["churn"].means(0, last).mean(0)
    unstable = np.flatnonzero(instability > 0)
    gap = measured.values["gap"].mean(0) if measured.has_probs else np.zeros(len(ids))
    order = unstable[np.lexsort((-gap[unstable], -instability[unstable]))][:length]
    groups = [samples.members(group) for group in range(len(samples.names))]
    found = []
    for example in order.tolist():
        predictions = measured.predictions[:, example]
        label, right = None, None
        if measured.labels is not None:
            label = class_names[measured.labels[example]]
            correct = predictions == measured.labels[example]
            right = tuple(int(correct[rows].sum()) for rows in groups)
        found.append(
            Flip(
                id=str(ids[example]),
                instability=float(instability[example]),
                gap=float(gap[example]) if measured.has_probs else None,
                votes=tuple(_votes(predictions[rows], class_names) for rows in groups),
                label=label,
                right=right,
            )
        )
    return tuple(found)


def _votes(predictions: np.ndarray, class_names: Sequence[str]) -> dict[str, int]:
    classes, counts = np.unique(predictions, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {class_names[classes[i]]: int(counts[i]) for i in order.tolist()}
