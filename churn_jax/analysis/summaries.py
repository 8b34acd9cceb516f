"""The samples of runs as the estimates of a report."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from churn_jax.analysis import intervals, weighting
from churn_jax.analysis.intervals import Sample
from churn_jax.analysis.samples import Samples, difference_of, interval_of
from churn_jax.metrics.definitions import definition
from churn_jax.report.estimates import Change, Contrast, Estimate, Group, McNemar, Spread, Test

CONTRASTED = (
    *("churn", "accuracy", "schurn", "ece"),
    *("churn_correct", "churn_incorrect", "nll", "brier"),
    *("hamming_churn", "hamming_loss"),
)
_KEPT_BYTES = 128 << 20  # of samples that several contrasts need
_UNKNOWN = (float("nan"), float("nan"))


def group_measures(samples: Samples, group: int) -> dict[str, Estimate | None]:
    """Every measure of one group; those of pairs are None where there is no pair."""
    rows = samples.members(group).tolist()
    found: dict[str, Estimate | None] = {}
    for key in samples.run_measures:
        per_run = weighting.mean(samples.run_values(key, group), samples.measured.weights)
        found[key] = over_runs(key, samples.run(key, group), per_run)
    if samples.measured.classwise is not None:
        found["ece_classwise"] = _classwise(samples.measured.classwise[rows])
    places = list(itertools.combinations(range(len(rows)), 2))
    for key in samples.pair_measures:
        found[key] = None
        if places:
            values = samples.pair_values(key, group)
            per_pair = [float(values[place]) for place in places]
            found[key] = _over_pairs(key, samples.within(key, group), places, per_pair)
    return found | _of_the_set(samples, rows, found["churn"])


def group_bounds(samples: Samples, group: int) -> dict[str, bool]:
    """Whether the paper's bounds hold for all pairs of a group; they are theorems."""
    return _bounds(samples, itertools.combinations(samples.members(group).tolist(), 2))


def change(samples: Samples, a: int, b: int, withheld: str | None) -> Change:
    """What changes from group `a` to group `b`, over all pairs of a run of each.

    `excess_churn` is the churn between the groups less that of a retraining (`Samples.between`):
    what the change does beyond it. None where a group has one run. Its test still
    lacks the correction of `claims.decide`.
    """
    measures = change_measures(samples, a, b)
    rows_a, rows_b = samples.members(a).tolist(), samples.members(b).tolist()
    measures["excess_churn"] = test = None
    if min(len(rows_a), len(rows_b)) > 1:
        excess = samples.between("excess_churn", a, b)
        measures["excess_churn"] = estimate("excess_churn", excess)
        test = Test(interval_of("excess_churn", excess).p, withheld)
    mcnemar = None
    unweighted = samples.measured.weights is None  # the test counts examples
    if len(rows_a) == len(rows_b) == 1 and samples.measured.labels is not None and unweighted:
        correct = samples.measured.correct
        found = intervals.mcnemar(correct[rows_a[0]], correct[rows_b[0]])
        mcnemar = McNemar(int(found["only_a_right"]), int(found["only_b_right"]), found["p"])
    bounds = _bounds(samples, itertools.product(rows_a, rows_b))
    return Change(samples.names[a], samples.names[b], measures, mcnemar, bounds, test)


def change_measures(samples: Samples, a: int, b: int) -> dict[str, Estimate | None]:
    """Every measure of the pairs of one run of `a` and one of `b`."""
    return {
        key: estimate(key, samples.between(key, a, b))
        for key in (*samples.pair_measures, *samples.change_measures)
    }


def contrasts(
    samples: Samples,
    pairs: Iterable[tuple[int, int]],
    groups: Sequence[Group],
    metrics: Sequence[str] = CONTRASTED,
) -> tuple[Contrast, ...]:
    """Differences b − a of the groups' own measures on the same examples.

    What may be said of them is for `claims.decide`, which knows all that a report says.

    Args:
      samples: of the groups.
      pairs: the groups (a, b) of each contrast.
      groups: as the report has them; one with a fault gives no verdict.
      metrics: the measures.
    """
    pairs, found = list(pairs), {}
    alone = {group for group in samples.indices if len(samples.members(group)) < 2}
    kept = max(2, _KEPT_BYTES * len(samples.names) // (8 * samples.measured.predictions.size))
    for key in metrics:
        of_pairs = key not in samples.run_measures
        if of_pairs and key not in samples.pair_measures:
            continue
        own = functools.lru_cache(kept)(functools.partial(samples.own, key))
        for a, b in pairs:
            if not (of_pairs and {a, b} & alone):
                each = difference_of(key, own(b), own(a))
                found[a, b, key] = contrast(key, groups[a], groups[b], each)
    order = itertools.product(pairs, metrics)
    return tuple(found[*pair, key] for pair, key in order if (*pair, key) in found)


def contrast(key: str, a: Group, b: Group, found: intervals.Interval) -> Contrast:
    """The difference b − a as a report has it, before `claims.decide`."""
    return Contrast(
        a=a.name,
        b=b.name,
        metric=key,
        difference=found.mean,
        ci95=(found.low, found.high),
        p=found.p,
        covers=found.covers,
        p_holm=found.p,
        withheld=a.fault or b.fault or _undefined(key, found.unknown),
    )


def _undefined(key: str, unknown: str | None) -> str | None:
    return f"the difference of {definition(key).title} is {unknown}" if unknown else None


def estimate(key: str, sample: Sample, spread: Spread | None = None) -> Estimate:
    """A measure with its interval, and what the interval covers."""
    found = interval_of(key, sample)
    return Estimate(found.mean, (found.low, found.high), found.covers, spread, found.unknown)


def share_of(own: Sample, other: Sample, same: bool) -> Estimate:
    """A measure as a share of another group's, r = a / b, to first order in both.

    The values a/b̄ − r·b/b̄ + r have the mean r, and their spread is that of the ratio; the interval
    is made on a log scale. 1 where the two are the `same` group.
    """
    if same or other.mean == 0:
        share = 1.0 if same else math.nan
        return Estimate(share, (share, share))
    share = own.mean / other.mean
    values = (own - other * share) * (1 / other.mean)
    found = intervals.interval(
        dataclasses.replace(values, examples=values.examples + share), 0, math.inf
    )
    return Estimate(found.mean, (found.low, found.high), found.covers)


def over_runs(key: str, sample: Sample, values: np.ndarray) -> Estimate:
    """A measure of runs with its spread over them: the paper's figure."""
    return estimate(key, sample, Spread(_std(values), per_run=tuple(values.tolist())))


def _over_pairs(
    key: str, sample: Sample, places: Sequence[tuple[int, int]], values: Sequence[float]
) -> Estimate:
    per_pair = tuple((i, j, value) for (i, j), value in zip(places, values, strict=True))
    return estimate(key, sample, Spread(_std(np.array(values)), per_pair=per_pair))


def _std(values: np.ndarray) -> float | None:
    with np.errstate(invalid="ignore"):  # infinite losses have no spread
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _classwise(values: np.ndarray) -> Estimate:
    """The classwise calibration error, which is known for whole runs only."""
    return over_runs("ece_classwise", Sample(values, {}), values)


def _of_the_set(
    samples: Samples, rows: Sequence[int], churn: Estimate | None
) -> dict[str, Estimate | None]:
    """Measures of all runs of a group together."""
    if churn is None:
        return {"ambiguity": None, "discrepancy": None}
    predictions = samples.measured.predictions[rows]
    differing = (predictions != predictions[0]).any(0).astype(np.float64)
    assert churn.spread is not None
    assert churn.spread.per_pair is not None
    return {
        "ambiguity": estimate(
            "ambiguity", Sample(differing, {"": None}).weighted(samples.measured.weights)
        ),
        "discrepancy": Estimate(max(value for *_, value in churn.spread.per_pair), _UNKNOWN),
    }


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
