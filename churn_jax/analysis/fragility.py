"""Which examples of a group of runs flip, what review or abstention spares, which run to ship.

What ranks and what is counted are never the same: a run's flips are ranked by its confidence, or by
the flips of other runs; the run to ship is chosen on other examples than its churn is of.
"""

from collections.abc import Sequence

import numpy as np

from churn_jax import metrics
from churn_jax.analysis.samples import Samples
from churn_jax.report.breakdowns import Abstention, Fragility, NearestRun, Triage

REVIEWED = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)
ALPHA = 0.05


def fragilities(samples: Samples, run_names: Sequence[str]) -> tuple[Fragility, ...]:
    """Of each group that has two runs or more; none where examples have weights.

    What review and abstention cost is counted in examples that somebody looks at.
    """
    if samples.measured.weights is not None:
        return ()
    there = [group for group in samples.indices if len(samples.members(group)) > 1]
    return tuple(_fragility(samples, group, run_names) for group in there)


def _fragility(samples: Samples, group: int, run_names: Sequence[str]) -> Fragility:
    classes = samples.measured.predictions[samples.members(group)]
    probability = metrics.flip_probability(classes)
    stable = float((probability == 0).mean())
    places = np.searchsorted(EDGES, probability[probability > 0], side="left") - 1
    counts = np.bincount(places, minlength=len(EDGES) - 1)
    return Fragility(
        group=samples.names[group],
        edges=EDGES,
        stable=stable,
        share=tuple((counts / len(probability)).tolist()),
        triage=_triage(samples, group, classes) if stable < 1 else None,
        abstention=_abstention(samples, classes),
        nearest=_nearest(samples, group, run_names),
    )


def _triage(samples: Samples, group: int, classes: np.ndarray) -> Triage:
    return Triage(
        reviewed=REVIEWED,
        by_confidence=_by_confidence(samples, group),
        by_flips=_by_flips(classes) if len(classes) >= 4 else None,
    )


def _by_confidence(samples: Samples, group: int) -> tuple[float, ...] | None:
    if not samples.measured.has_probs:
        return None
    gaps = samples.measured.values["gap"][samples.members(group)]
    return _caught(-gaps, samples.measured.pairs["churn"].means(group, group))


def _by_flips(classes: np.ndarray) -> tuple[float, ...]:
    halves = [metrics.flip_probability(classes[first::2]) for first in (0, 1)]
    return _caught(np.stack(halves), np.stack(halves[::-1]))


def _caught(suspicion: np.ndarray, flips: np.ndarray) -> tuple[float, ...]:
    """Of all flips together, [ranking, example] each: the share that each ranking catches."""
    weights = flips.sum(1, dtype=np.float64)
    caught = sum(
        weight * metrics.caught_by_review(suspicion[i], flips[i], REVIEWED)
        for i, weight in enumerate(weights)
        if weight > 0
    )
    return tuple((np.broadcast_to(caught, len(REVIEWED)) / max(weights.sum(), 1e-30)).tolist())


def _abstention(samples: Samples, classes: np.ndarray) -> Abstention | None:
    if 2 * 0.5 ** len(classes) > ALPHA:
        return None
    answer, sure = metrics.selective_vote(classes, ALPHA)
    labels = samples.measured.labels
    right = None if labels is None else answer == labels
    return Abstention(
        alpha=ALPHA,
        abstains=float(1 - sure.mean()),
        accuracy_of_answers=float(right[sure].mean()) if right is not None and sure.any() else None,
        accuracy_of_all=None if right is None else float(right.mean()),
    )


def _nearest(samples: Samples, group: int, run_names: Sequence[str]) -> NearestRun | None:
    members, pairs = samples.members(group), samples.measured.pairs
    if len(members) < 3:
        return None
    distance = "schurn" if "schurn" in pairs else "churn"
    distances, flips = (pairs[key].means(group, group) for key in (distance, "churn"))
    halves = slice(0, None, 2), slice(1, None, 2)
    flipped = [
        float(flips[distances[:, chooses].mean(1).argmin(), counts].mean())
        for chooses, counts in (halves, halves[::-1])
        if distances[:, chooses].size and flips[:, counts].size
    ]
    return NearestRun(
        run=run_names[members[distances.mean(1).argmin()]],
        distance=distance,
        churn=float(np.mean(flipped)) if flipped else float("nan"),
    )
