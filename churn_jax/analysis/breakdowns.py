"""What a report shows beside its tables: where churn comes from, and on which examples."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from churn_jax.analysis.samples import Samples
from churn_jax.analysis.summaries import estimate
from churn_jax.metrics import bin_indices
from churn_jax.metrics.calibration import NUM_BINS
from churn_jax.metrics.definitions import DEFINITIONS

LEDGER_LENGTH = 200
_GAP_BINS = 10


def all_details(
    samples: Samples,
    run_names: Sequence[str],
    ids: np.ndarray,
    class_names: Sequence[str],
    given: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Everything here, under the report's keys; arguments as of the functions below."""
    return {
        "reliability": reliability(samples),
        "near_ties": near_ties(samples),
        "matrix": matrix(samples, run_names),
        "ledger": ledger(samples, ids, class_names),
        "slices": slices(samples, class_names, given),
        "definitions": {
            key: {"title": found.title, "text": found.text, "source": found.source}
            for key, found in DEFINITIONS.items()
        },
    }


def pairs_in_question(samples: Samples) -> list[tuple[int, int]]:
    """The pairs a report is about: across the first and the last group, or within the one."""
    last = len(samples.names) - 1
    if last == 0:
        return list(itertools.combinations(samples.members(0).tolist(), 2))
    return list(itertools.product(samples.members(0).tolist(), samples.members(last).tolist()))


def reliability(samples: Samples) -> list[dict[str, Any]]:
    """For each group, accuracy against confidence in bins of equal width, over all its runs."""
    measured = samples.measured
    if measured.labels is None or not measured.has_probs:
        return []
    diagrams = []
    for group, name in enumerate(samples.names):
        rows = samples.members(group)
        top, correct = measured.values["top"][rows].ravel(), measured.correct[rows].ravel()
        bins = bin_indices(top, NUM_BINS)
        count = np.bincount(bins, minlength=NUM_BINS)
        members = np.maximum(count, 1)
        diagrams.append(
            {
                "group": name,
                "count": count.tolist(),
                "accuracy": (np.bincount(bins, correct, NUM_BINS) / members).tolist(),
                "confidence": (np.bincount(bins, top, NUM_BINS) / members).tolist(),
            }
        )
    return diagrams


def near_ties(samples: Samples) -> dict[str, Any] | None:
    """How much churn comes from examples on which a model nearly tied: Lemma 2's argument.

    Examples are binned by the smaller γ of the two runs; `share` is the part of all examples in a
    bin, `churn` the churn there, and `part_of_churn` what the bin adds to all churn.
    """
    measured = samples.measured
    if not measured.has_probs:
        return None
    count, flips = np.zeros(_GAP_BINS), np.zeros(_GAP_BINS)
    gap, predictions = measured.values["gap"], measured.predictions
    for i, j in pairs_in_question(samples):
        bins = np.minimum((np.minimum(gap[i], gap[j]) * _GAP_BINS).astype(np.int64), _GAP_BINS - 1)
        count += np.bincount(bins, minlength=_GAP_BINS)
        flips += np.bincount(bins, predictions[i] != predictions[j], minlength=_GAP_BINS)
    if not count.sum():
        return None
    return {
        "edges": (np.arange(_GAP_BINS + 1) / _GAP_BINS).tolist(),
        "share": (count / count.sum()).tolist(),
        "churn": (flips / np.maximum(count, 1)).tolist(),
        "part_of_churn": (flips / max(flips.sum(), 1)).tolist(),
    }


def matrix(samples: Samples, run_names: Sequence[str]) -> dict[str, Any]:
    """Churn of every pair of runs."""
    groups = [samples.names[group] for group in samples.measured.groups]
    churn = samples.measured.pairs["churn"].pairs
    return {"runs": list(run_names), "groups": groups, "churn": churn.tolist()}


def ledger(
    samples: Samples, ids: np.ndarray, class_names: Sequence[str], length: int = LEDGER_LENGTH
) -> list[dict[str, Any]]:
    """The examples whose predictions change most, and among those the most confident ones first.

    `instability` is the fraction of the pairs in question that disagree on the example, `votes` how
    many runs of each group predict which class, `right` how many are right.
    """
    measured = samples.measured
    means, last = measured.pairs["churn"].means, len(samples.names) - 1
    instability = means[samples.members(0), last].mean(0)
    unstable = np.flatnonzero(instability > 0)
    gap = measured.values["gap"].mean(0) if measured.has_probs else np.zeros(len(ids))
    order = unstable[np.lexsort((-gap[unstable], -instability[unstable]))][:length]
    rows = []
    for example in order.tolist():
        predictions = measured.predictions[:, example]
        row: dict[str, Any] = {
            "id": str(ids[example]),
            "instability": float(instability[example]),
            "gap": float(gap[example]) if measured.has_probs else None,
            "votes": [
                _votes(predictions[samples.members(group)], class_names)
                for group in range(len(samples.names))
            ],
            "label": None,
        }
        if measured.labels is not None:
            row["label"] = class_names[measured.labels[example]]
            correct = measured.correct[:, example]
            row["right"] = [
                int(correct[samples.members(group)].sum()) for group in range(len(samples.names))
            ]
        rows.append(row)
    return rows


def slices(
    samples: Samples, class_names: Sequence[str], given: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Every measure on the examples of each class, and of each of the user's slices.

    Args:
      samples: of all examples.
      class_names: one for each class.
      given: for each way of slicing, the name of every example's slice, [example] of str; an empty
        name is in no slice.
    """
    found = []
    labels = samples.measured.labels
    if labels is not None:
        for index in np.unique(labels).tolist():
            found.append(_slice(samples, "class", class_names[index], labels == index))
    for by, names in given.items():
        for name in np.unique(names).tolist():
            if name:
                found.append(_slice(samples, by, name, names == name))
    return found


def _slice(samples: Samples, by: str, name: str, mask: np.ndarray) -> dict[str, Any]:
    part = Samples(samples.measured.take(mask), samples.names)
    groups: list[dict[str, Any]] = []
    for group, group_name in enumerate(samples.names):
        entry: dict[str, Any] = {"name": group_name}
        for key in part.run_measures:
            entry[key] = estimate(key, part.run(key, group))
        for key in part.pair_measures:
            several = len(part.members(group)) > 1
            entry[key] = estimate(key, part.within(key, group)) if several else None
        groups.append(entry)
    steps: list[dict[str, Any]] = []
    for a, b in itertools.combinations(range(len(samples.names)), 2):
        entry = {"a": samples.names[a], "b": samples.names[b]}
        for key in (*part.pair_measures, *part.change_measures):
            entry[key] = estimate(key, part.between(key, a, b))
        steps.append(entry)
    count = int(np.count_nonzero(mask))
    return {"by": by, "name": name, "num_examples": count, "groups": groups, "between": steps}


def _votes(predictions: np.ndarray, class_names: Sequence[str]) -> dict[str, int]:
    classes, counts = np.unique(predictions, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {class_names[classes[i]]: int(counts[i]) for i in order.tolist()}
