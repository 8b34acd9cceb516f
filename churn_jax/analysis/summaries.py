"""The samples of runs as the report's tables of JSON-ready numbers, under the report's keys."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from churn_jax.analysis import intervals
from churn_jax.analysis.intervals import Sample
from churn_jax.analysis.samples import Samples, interval_of

CONTRASTED = (
    *("churn", "accuracy", "schurn", "ece"),
    *("churn_correct", "churn_incorrect", "nll", "brier"),
)


def judgement(samples: Samples) -> dict[str, Any]:
    """The report's `groups`, `between` and `contrasts`."""
    pairs = list(itertools.combinations(range(len(samples.names)), 2))
    return {
        "groups": [describe_group(samples, group) for group in range(len(samples.names))],
        "between": [describe_step(samples, a, b) for a, b in pairs],
        "contrasts": contrasts(samples, pairs),
    }


def describe_group(samples: Samples, group: int) -> dict[str, Any]:
    """One group's entry in the report; measures of pairs are null where there is no pair."""
    rows = samples.members(group).tolist()
    entry: dict[str, Any] = {"name": samples.names[group], "num_runs": len(rows)}
    for key in samples.run_measures:
        per_run = samples.run_values(key, group).mean(1)
        entry[key] = summary(key, samples.run(key, group), per_run)
        entry[key]["per_run"] = per_run.tolist()
    if samples.measured.classwise is not None:
        entry["ece_classwise"] = _over_runs(samples.measured.classwise[rows])
    pairs = list(itertools.combinations(rows, 2))
    places = list(itertools.combinations(range(len(rows)), 2))
    for key in samples.pair_measures:
        entry[key] = None
        if pairs:
            per_pair = samples.pair_values(key, pairs)
            entry[key] = summary(key, samples.within(key, group), np.array(per_pair))
            entry[key]["per_pair"] = [
                [i, j, value] for (i, j), value in zip(places, per_pair, strict=True)
            ]
    entry |= _of_the_set(samples, rows, entry["churn"])
    entry["bounds"] = _bounds(samples, pairs)
    return entry


def describe_step(samples: Samples, a: int, b: int) -> dict[str, Any]:
    """What the step from group `a` to group `b` changes, over all pairs of a run of each.

    `excess_churn` is the churn between the groups less the mean of the churn within them: what the
    step changes beyond what a retraining would. Null where a group has one run.
    """
    entry: dict[str, Any] = {"a": samples.names[a], "b": samples.names[b]}
    for key in (*samples.pair_measures, *samples.change_measures):
        entry[key] = estimate(key, samples.between(key, a, b))
    rows_a, rows_b = samples.members(a), samples.members(b)
    entry["excess_churn"] = None
    if min(len(rows_a), len(rows_b)) > 1:
        entry["excess_churn"] = estimate("excess_churn", samples.between("excess_churn", a, b))
    if len(rows_a) == len(rows_b) == 1 and samples.measured.labels is not None:
        correct = samples.measured.correct
        entry["mcnemar"] = intervals.mcnemar(correct[rows_a[0]], correct[rows_b[0]])
    entry["bounds"] = _bounds(samples, itertools.product(rows_a.tolist(), rows_b.tolist()))
    return entry


def contrasts(samples: Samples, pairs: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
    """Differences b − a of the groups' own measures on the same examples, Holm-corrected."""
    entries: list[dict[str, Any]] = []
    for a, b in pairs:
        alone = min(len(samples.members(a)), len(samples.members(b))) < 2
        for key in CONTRASTED:
            if key not in samples.run_measures and (alone or key not in samples.pair_measures):
                continue
            found = intervals.interval(samples.own(key, b) - samples.own(key, a))
            entries.append(
                {
                    "a": samples.names[a],
                    "b": samples.names[b],
                    "metric": key,
                    "difference": found.mean,
                    "ci95": found.ci95,
                    "p": found.p,
                    "covers": found.covers,
                }
            )
    adjusted = intervals.holm([entry["p"] for entry in entries])
    return [entry | {"p_holm": p} for entry, p in zip(entries, adjusted, strict=True)]


def summary(key: str, sample: Sample, values: np.ndarray) -> dict[str, Any]:
    """A measure with its spread over `values`, one for each run or pair: the paper's figure."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    found = estimate(key, sample)
    return {"mean": found.pop("mean"), "std": spread} | found


def estimate(key: str, sample: Sample) -> dict[str, Any]:
    """A measure with its interval, and what the interval covers."""
    found = interval_of(key, sample)
    return {"mean": found.mean, "ci95": found.ci95, "covers": found.covers}


def _over_runs(values: np.ndarray) -> dict[str, Any]:
    """A measure known for whole runs only, so that its interval is of runs on these examples."""
    several = len(values) > 1
    found = intervals.interval(Sample(values, {}), 0, 1)
    return {
        "mean": float(values.mean()),
        "std": float(np.std(values, ddof=1)) if several else None,
        "ci95": found.ci95 if several else [None, None],
        "covers": "runs" if several else "nothing",
        "per_run": values.tolist(),
    }


def _of_the_set(samples: Samples, rows: list[int], churn: dict[str, Any] | None) -> dict[str, Any]:
    """Measures of all runs of a group together."""
    if churn is None:
        return {"ambiguity": None, "discrepancy": None}
    predictions = samples.measured.predictions[rows]
    differing = (predictions != predictions[0]).any(0).astype(np.float64)
    found = estimate("ambiguity", Sample(differing, {"": None}))
    largest = max(value for _, _, value in churn["per_pair"])
    return {"ambiguity": found, "discrepancy": {"mean": largest, "ci95": [None, None]}}


def _bounds(samples: Samples, pairs: Iterable[tuple[int, int]]) -> dict[str, bool]:
    """Whether the paper's bounds hold for all the pairs; they are theorems."""
    measured, pairs = samples.measured, list(pairs)
    bounds = {"lemma2": all(bool(measured.lemma2_holds[i, j]) for i, j in pairs)}
    if measured.labels is None:
        return bounds
    errors = np.count_nonzero(~measured.correct, axis=1)
    churn = {
        (i, j): np.count_nonzero(measured.predictions[i] != measured.predictions[j])
        for i, j in pairs
    }
    return {"lemma1": all(churn[i, j] <= errors[i] + errors[j] for i, j in pairs)} | bounds
