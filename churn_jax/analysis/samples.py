"""From measurements to statements: the groups, steps and contrasts of a report.

A *group* is a set of independent runs of one thing. Within a group, churn says what a retraining
changes; between two groups, what the step from one to the other changes; a contrast says whether
one group's measure is lower than the other's by more than chance.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from churn_jax.analysis import calibration, influence, intervals, weighting
from churn_jax.analysis.asked import Asked
from churn_jax.analysis.intervals import Interval, Sample
from churn_jax.analysis.one_pass import Measured, PairMeasure
from churn_jax.metrics.definitions import DEFINITIONS, Scope, definition, of_scope

# A measure of the ordered pairs of one run with several others, as values [other, example], of
# which it is the mean by weight.
Kernel = Callable[[int, np.ndarray], np.ndarray]

_STORED = {"lemma2_bound": "lemma2"}  # where the pass has another name for it
# Means over the examples of what follows from each example alone, beside what the pass stores.
_MEANS = {
    *("accuracy", "nll", "brier", "entropy", "confidence"),
    *("lemma1_bound", "gde_gap", "negative_flip_rate", "positive_flip_rate"),
    *("hamming_churn", "hamming_loss"),
}


@dataclasses.dataclass(frozen=True)
class Samples:
    """Gives every measure of one `Measured` as a `Sample`, for groups known by their index.

    Attributes:
      measured: of all runs.
      names: of the groups.
      matched: whether run r of one group belongs to run r of the others, as an update to what it
        updates. Then only they are paired, and what a group's runs differ by may be shared with
        another's: the pairs are the independent units.
      asked: measures beyond those of every report.
    """

    measured: Measured
    names: Sequence[str]
    matched: bool = False
    asked: Sequence[Asked] = ()

    @functools.cached_property
    def run_measures(self) -> list[str]:
        """What can be said of one run."""
        left_out = {"ece_classwise", *({"entropy", "brier"} - set(self.measured.values))}
        if self.measured.weights is not None:
            left_out |= {key for key, known in DEFINITIONS.items() if known.unweighted}
        found = [key for key in self._of_scope("run") if key not in left_out]
        return found + self._asked("run")

    @property
    def unweighted(self) -> "Samples":
        """The same where every example counts the same."""
        return dataclasses.replace(self, measured=dataclasses.replace(self.measured, weights=None))

    @functools.cached_property
    def pair_measures(self) -> list[str]:
        """What can be said of two runs, SChurn of other α and what was asked for last."""
        found = [key for key in self._of_scope("pair") if self._is_measured(key)]
        found += [key for key in self.measured.pairs if key.startswith("schurn@")]
        return found + self._asked("pair")

    @functools.cached_property
    def change_measures(self) -> list[str]:
        """What can be said of the step from one group to another beyond the pair measures."""
        return [key for key in self._of_scope("change") if key != "excess_churn"]

    @property
    def indices(self) -> range:
        """Of the groups."""
        return range(len(self.names))

    def is_mean(self, key: str) -> bool:
        """Whether an example's values don't depend on the others: a part's are part of all.

        Ratios, calibration errors and κ are no means over examples, and must be linearised on the
        examples that they are of.
        """
        if found := self._found(key):
            return found.is_mean
        return key in _MEANS or self._stored(key) is not None

    def _asked(self, scope: Scope) -> list[str]:
        return [each.key for each in self.asked if each.scope == scope]

    def _found(self, key: str) -> Asked | None:
        return next((each for each in self.asked if each.key == key), None)

    def _source(self, group: int) -> str:
        """What a group's runs are called as a source of variation."""
        return "runs" if self.matched else self.names[group]

    def members(self, group: int) -> np.ndarray:
        """Indices of the group's runs."""
        return np.flatnonzero(self.measured.groups == group)

    def run_values(self, key: str, group: int) -> np.ndarray:
        """[run, example] values whose mean over the examples, by weight, is the run's measure.

        Of a calibration error these are the plain values: one run's bias can't be taken from it.
        """
        rows, measured = self.members(group), self.measured
        if asked := self._found(key):
            return asked.values(measured, rows)
        if key == "accuracy":
            return measured.correct[rows].astype(np.float64)
        if key == "hamming_loss":
            assert measured.labels is not None
            return np.stack([self._apart(measured.predictions[i], measured.labels) for i in rows])
        if found := calibration.CALIBRATION_ERRORS.get(key.removesuffix("_plain")):
            top, correct = measured.values["top"], measured.correct
            weights = () if measured.weights is None else (measured.weights,)
            return np.stack([found.values(top[i], correct[i], *weights) for i in rows])
        return measured.values["gap" if key == "confidence" else key][rows]

    def run(self, key: str, group: int) -> Sample:
        """A measure of single runs."""
        if key in calibration.CALIBRATION_ERRORS:
            rows = self.members(group)
            top, correct = self.measured.values["top"][rows], self.measured.correct[rows]
            names = self.names[group], self._source(group)
            return calibration.sample(key, top, correct, *names, self.measured.weights)
        found = intervals.run_sample(self.run_values(key, group), self._source(group))
        if asked := self._found(key):
            trials = asked.trials(self.measured, self.members(group))
            found = dataclasses.replace(found, trials=trials)
        return found.weighted(self.measured.weights)

    def within(self, key: str, group: int) -> Sample:
        """A measure of pairs among the runs of a group, of which there must be two."""
        found = intervals.pair_sample(self._means_within(key, group), self._source(group))
        return found.weighted(self.measured.weights)

    def _means_within(self, key: str, group: int) -> np.ndarray:
        """[run, example], the measure's mean over the pairs that a run is in."""
        if stored := self._stored(key):
            return stored.means(group, group)
        num_runs, num_examples = len(self.members(group)), self.measured.predictions.shape[1]
        means = np.zeros((num_runs, num_examples))
        for run, others, values in self._ordered_pairs(key, group):
            # Each order of a pair comes once, and counts half for either run.
            values = values / 2
            means[run] += np.add.reduce(values, 0)
            means[others] += values
        return means / (num_runs - 1)

    def pair_values(self, key: str, group: int) -> np.ndarray:
        """The measure of each pair of a group's runs (both orders averaged), [run, run].

        The diagonal means nothing.
        """
        rows = self.members(group)
        if stored := self._stored(key):
            return stored.pairs[np.ix_(rows, rows)]
        found = np.zeros((len(rows), len(rows)))
        for run, others, values in self._ordered_pairs(key, group):
            found[run, others] = weighting.mean(values, self.measured.weights)
        return (found + found.T) / 2

    def _ordered_pairs(self, key: str, group: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Each run of a group, the others, and a kernel's values [other, example]."""
        rows, kernel = self.members(group), self._kernel(key)
        for place, run in enumerate(rows):
            others = np.delete(np.arange(len(rows)), place)
            yield place, others, kernel(run, rows[others])

    def between(self, key: str, a: int, b: int) -> Sample:
        """A measure over the pairs of one run of `a` (first) and one of `b` (second).

        The churn beyond a retraining's is that beyond the mean of both groups' own; of matched runs
        that beyond the first's, which `b` updates.
        """
        if key == "excess_churn" and self.matched:
            return self.between("churn", a, b) - self.within("churn", a)
        if key == "excess_churn":
            retraining = self.within("churn", a) + self.within("churn", b)
            return self.between("churn", a, b) - retraining * 0.5
        if self.matched:
            found = intervals.run_sample(self._matched(key, a, b), self._source(a))
        else:
            means = self._means_between(key, a, b)
            found = intervals.cross_sample(*means, self.names[a], self.names[b])
        return found.weighted(self.measured.weights)

    def _means_between(self, key: str, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """[run, example] of either group, the measure's mean over the other's runs."""
        rows_a, rows_b = self.members(a), self.members(b)
        if stored := self._stored(key):
            return stored.means(a, b), stored.means(b, a)
        kernel, examples = self._kernel(key), self.measured.predictions.shape[1]
        means_a, means_b = np.zeros((len(rows_a), examples)), np.zeros((len(rows_b), examples))
        for place, run in enumerate(rows_a):
            values = kernel(run, rows_b)
            means_a[place] = values.mean(0)
            means_b += values / len(rows_a)
        return means_a, means_b

    def _matched(self, key: str, a: int, b: int) -> np.ndarray:
        """The measure of run r of `a` and run r of `b`, [run, example]."""
        if stored := self._stored(key):
            return stored.means(a, b)
        kernel, pairs = self._kernel(key), zip(self.members(a), self.members(b), strict=True)
        return np.stack([kernel(i, np.array([j]))[0] for i, j in pairs])

    def own(self, key: str, group: int) -> Sample:
        """A group's own measure: of its runs, or of the pairs among them."""
        if definition(key).scope == "run":
            return self.run(key, group)
        return self.within(key, group)

    def _kernel(self, key: str) -> Kernel:
        """A measure of pairs that follows from predictions and labels."""
        predictions, weights = self.measured.predictions, self.measured.weights
        if key == "kappa":
            classes = self.measured.num_classes
            return lambda i, js: influence.kappa(predictions[i], predictions[js], classes, weights)
        if key == "hamming_churn":
            return lambda i, js: np.stack([self._apart(predictions[i], predictions[j]) for j in js])
        correct = self.measured.correct
        wrong = ~correct

        def differ(i: int, js: np.ndarray) -> np.ndarray:
            return predictions[i] != predictions[js]

        def error(i: int, js: np.ndarray) -> np.ndarray:
            return (wrong[i] + wrong[js].astype(np.float64)) / 2

        ratio = functools.partial(influence.ratio_values, weights=weights)
        kernels: dict[str, Kernel] = {
            "churn_correct": lambda i, js: ratio(differ(i, js) & correct[i], correct[i][None]),
            "churn_incorrect": lambda i, js: ratio(differ(i, js) & wrong[i], wrong[i][None]),
            "normalised_disagreement": lambda i, js: ratio(differ(i, js), error(i, js)),
            "lemma1_bound": lambda i, js: 2 * error(i, js),
            "gde_gap": lambda i, js: differ(i, js) - error(i, js),
            "negative_flip_rate": lambda i, js: (correct[i] & wrong[js]).astype(np.float64),
            "positive_flip_rate": lambda i, js: (wrong[i] & correct[js]).astype(np.float64),
            "relative_nfr": lambda i, js: influence.relative_flips(correct[i], wrong[js], weights),
            "backward_trust": lambda i, js: ratio(correct[i] & correct[js], correct[i][None]),
        }
        return kernels[key]

    def _apart(self, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """[example], of two sets of labels the share of all labels that only one has."""
        sets = self.measured.sets
        assert sets is not None
        return (sets[ours] != sets[theirs]).mean(1)

    def _stored(self, key: str) -> PairMeasure | None:
        return self.measured.pairs.get(_STORED.get(key, key))

    def _is_measured(self, key: str) -> bool:
        """Whether a measure of pairs follows from predictions, or was measured in the pass."""
        return "probs" not in definition(key).needs or self._stored(key) is not None

    def _of_scope(self, scope: Scope) -> list[str]:
        measured = self.measured
        held = measured.labels is not None, measured.has_probs, measured.sets is not None
        return of_scope(scope, *held)


def interval_of(key: str, sample: Sample) -> Interval:
    """The sample's 95 % interval, inside the measure's possible range."""
    found = definition(key)
    if found.plain:
        return intervals.unknown(sample.mean, found.plain)
    return intervals.interval(sample, *found.limits)


def difference_of(key: str, b: Sample, a: Sample) -> Interval:
    """How much larger the measure is in b than in a, with its 95 % interval."""
    return intervals.difference(b, a, *definition(key).limits)
