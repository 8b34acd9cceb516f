"""From measurements to statements: the groups, comparisons and contrasts of a report.

A *group* is a set of independent runs of one thing. Within a group, churn says what a retraining
changes; between two groups, what the step from one to the other changes; a contrast says whether
one group's measure is lower than the other's by more than chance.

Everything here is a table of JSON-ready numbers with the keys of the report. A conditional measure
of a pair is that of its first run: within a group it is averaged over ordered pairs.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from churn_jax import statistics
from churn_jax.measure import Measured, PairMeasure
from churn_jax.metrics import bin_indices
from churn_jax.statistics import Sample

RUN_MEASURES = ("accuracy", "ece", "entropy", "confidence", "nll", "brier")
PAIR_MEASURES = ("churn", "schurn", "churn_correct", "churn_incorrect")
BETWEEN_MEASURES = (*PAIR_MEASURES, "negative_flip_rate", "positive_flip_rate")
CONTRASTED = ("churn", "accuracy", "schurn", "ece")

# A measure of a pair, as the values of the ordered pair (i, j): [example].
Kernel = Callable[[int, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Judge:
    """Answers questions about the groups of one `Measured`, each group known by its index."""

    measured: Measured
    names: Sequence[str]

    def members(self, group: int) -> np.ndarray:
        """Indices of the group's runs."""
        return np.flatnonzero(self.measured.groups == group)

    def run_values(self, measure: str, group: int) -> np.ndarray:
        """[run, example] values whose mean over the examples is the run's measure."""
        rows, measured = self.members(group), self.measured
        if measure == "accuracy":
            return measured.correct[rows].astype(np.float64)
        if measure == "ece":
            return calibration_values(measured.confidence[rows], measured.correct[rows])
        return {
            "entropy": measured.entropy,
            "confidence": measured.gap,
            "nll": measured.nll,
            "brier": measured.brier,
        }[measure][rows]

    def kernel(self, measure: str) -> Kernel:
        """The values of an ordered pair of runs for a measure that needs predictions alone."""
        predictions, correct = self.measured.predictions, self.measured.correct

        def given(condition: np.ndarray, i: int, j: int) -> np.ndarray:
            differ = (predictions[i] != predictions[j]) & condition
            return statistics.ratio_values(differ[None], condition[None])[0]

        kernels: dict[str, Kernel] = {
            "churn_correct": lambda i, j: given(correct[i], i, j),
            "churn_incorrect": lambda i, j: given(~correct[i], i, j),
            "negative_flip_rate": lambda i, j: (correct[i] & ~correct[j]).astype(np.float64),
            "positive_flip_rate": lambda i, j: (~correct[i] & correct[j]).astype(np.float64),
        }
        return kernels[measure]

    def run_sample(self, measure: str, group: int) -> Sample:
        return statistics.run_sample(self.run_values(measure, group), self.names[group])

    def within_sample(self, measure: str, group: int) -> Sample:
        """A pair measure among the runs of a group, at least two."""
        rows = self.members(group)
        stored = self._stored(measure)
        if stored:
            means = stored.means[rows, group]
        else:
            kernel = self.kernel(measure)
            means = np.zeros((len(rows), len(self.measured.labels)))
            for (i, run_i), (j, run_j) in itertools.combinations(enumerate(rows), 2):
                both_ways = (kernel(run_i, run_j) + kernel(run_j, run_i)) / 2
                means[i] += both_ways
                means[j] += both_ways
            means /= len(rows) - 1
        return statistics.pair_sample(means, self.names[group])

    def between_sample(self, measure: str, a: int, b: int) -> Sample:
        """A pair measure over the pairs of one run of `a` (first) and one of `b` (second)."""
        rows_a, rows_b = self.members(a), self.members(b)
        stored = self._stored(measure)
        if stored:
            means_a, means_b = stored.means[rows_a, b], stored.means[rows_b, a]
        else:
            kernel = self.kernel(measure)
            means_a = np.zeros((len(rows_a), len(self.measured.labels)))
            means_b = np.zeros((len(rows_b), len(self.measured.labels)))
            for (i, run_i), (j, run_j) in itertools.product(enumerate(rows_a), enumerate(rows_b)):
                values = kernel(run_i, run_j)
                means_a[i] += values / len(rows_b)
                means_b[j] += values / len(rows_a)
        return statistics.cross_sample(means_a, means_b, self.names[a], self.names[b])

    def sample(self, measure: str, group: int) -> Sample:
        if measure in RUN_MEASURES:
            return self.run_sample(measure, group)
        return self.within_sample(measure, group)

    def pair_values(self, measure: str, pairs: Iterable[tuple[int, int]]) -> list[float]:
        """The measure of each unordered pair (both orders averaged)."""
        stored = self._stored(measure)
        if stored:
            return [float(stored.pairs[i, j]) for i, j in pairs]
        kernel = self.kernel(measure)
        return [float((kernel(i, j).mean() + kernel(j, i).mean()) / 2) for i, j in pairs]

    def _stored(self, measure: str) -> PairMeasure | None:
        stored = {"churn": self.measured.churn, "schurn": self.measured.schurn}
        return stored.get(measure)


def calibration_values(
    confidence: np.ndarray, correct: np.ndarray, num_bins: int = 15
) -> np.ndarray:
    """The expected calibration error of each run, as values of its examples.

    In a bin the error is |Σ (correct − confidence)| / N: with the bin's sign for each of its
    examples, the mean over the examples is the ECE exactly.

    Args:
      confidence, correct: [run, example].
    """
    values = np.empty(confidence.shape)
    for run, (top, right) in enumerate(zip(confidence, correct, strict=True)):
        bins = bin_indices(top, num_bins)
        gaps = right - top
        signs = np.sign(np.bincount(bins, gaps, num_bins))
        values[run] = signs[bins] * gaps
    return values


def describe_group(judge: Judge, group: int) -> dict[str, Any]:
    """One group's entry in the report; pair measures are null where there is no pair."""
    rows = judge.members(group)
    entry: dict[str, Any] = {"name": judge.names[group], "num_runs": len(rows)}
    for measure in RUN_MEASURES:
        per_run = judge.run_values(measure, group).mean(1)
        entry[measure] = summary(judge.run_sample(measure, group), per_run, measure)
        entry[measure]["per_run"] = per_run.tolist()
    pairs = list(itertools.combinations(rows.tolist(), 2))
    places = list(itertools.combinations(range(len(rows)), 2))
    for measure in PAIR_MEASURES:
        entry[measure] = None
        if pairs:
            per_pair = np.array(judge.pair_values(measure, pairs))
            entry[measure] = summary(judge.within_sample(measure, group), per_pair, measure)
            entry[measure]["per_pair"] = [
                [i, j, value] for (i, j), value in zip(places, per_pair.tolist(), strict=True)
            ]
    entry["bounds"] = _bounds(judge, pairs)
    return entry


def describe_between(judge: Judge, a: int, b: int) -> dict[str, Any]:
    """What the step from group `a` to group `b` changes, over all pairs of a run of each.

    `excess_churn` is the churn between the groups less the mean of the churn within them: what the
    step changes beyond what a retraining would. Null where a group has one run.
    """
    entry: dict[str, Any] = {"a": judge.names[a], "b": judge.names[b]}
    for measure in BETWEEN_MEASURES:
        entry[measure] = _estimate(judge.between_sample(measure, a, b), measure)
    entry["excess_churn"] = None
    if min(len(judge.members(a)), len(judge.members(b))) > 1:
        retraining = judge.within_sample("churn", a) + judge.within_sample("churn", b)
        excess = judge.between_sample("churn", a, b) - retraining * 0.5
        entry["excess_churn"] = _estimate(excess, "difference")
    entry["bounds"] = _bounds(judge, list(itertools.product(judge.members(a), judge.members(b))))
    return entry


def contrasts(judge: Judge, a: int, b: int) -> list[dict[str, Any]]:
    """Differences b − a of the groups' own measures, on the same examples."""
    entries = []
    for measure in CONTRASTED:
        few = min(len(judge.members(a)), len(judge.members(b))) < 2
        if measure in PAIR_MEASURES and few:
            continue
        difference = judge.sample(measure, b) - judge.sample(measure, a)
        found = statistics.interval(difference)
        entries.append(
            {
                "a": judge.names[a],
                "b": judge.names[b],
                "metric": measure,
                "difference": found.mean,
                "ci95": found.ci95,
                "p": found.p,
                "covers": found.covers,
            }
        )
    return entries


def judgement(judge: Judge) -> dict[str, Any]:
    """The report's `groups`, `between` and `contrasts`."""
    pairs = list(itertools.combinations(range(len(judge.names)), 2))
    found = list(itertools.chain.from_iterable(contrasts(judge, a, b) for a, b in pairs))
    adjusted = statistics.holm([contrast["p"] for contrast in found])
    for contrast, p_holm in zip(found, adjusted, strict=True):
        contrast["p_holm"] = p_holm
    return {
        "groups": [describe_group(judge, group) for group in range(len(judge.names))],
        "between": [describe_between(judge, a, b) for a, b in pairs],
        "contrasts": found,
    }


def summary(sample: Sample, values: np.ndarray, measure: str) -> dict[str, Any]:
    """A measure with its spread over `values`, one for each run or pair: the paper's figure."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    estimate = _estimate(sample, measure)
    return {"mean": estimate.pop("mean"), "std": spread} | estimate


def _estimate(sample: Sample, measure: str) -> dict[str, Any]:
    found = statistics.interval(sample, *possible_range(measure))
    return {"mean": found.mean, "ci95": found.ci95, "covers": found.covers}


def possible_range(measure: str) -> tuple[float, float]:
    """Smallest and largest value the measure can take."""
    if measure in ("schurn", "entropy", "nll"):
        return 0.0, np.inf
    if measure == "brier":
        return 0.0, 2.0
    if measure == "difference":
        return -np.inf, np.inf
    return 0.0, 1.0


def _bounds(judge: Judge, pairs: list[tuple[int, int]]) -> dict[str, bool]:
    """Whether the paper's Lemmas 1 and 2 hold for all the pairs; they are theorems."""
    return {
        "lemma1": all(bool(judge.measured.lemma1[i, j]) for i, j in pairs),
        "lemma2": all(bool(judge.measured.lemma2[i, j]) for i, j in pairs),
    }
