"""One pass over the predictions of many runs: every measure of each run and of every pair of runs.

`evaluate` and `compare` both stand on this. Predictions arrive a block of examples at a time, all
runs together, so the memory needed does not depend on how large the files are: what is kept is one
number per run and example for each measure, from which `intervals` makes
intervals for the whole set, for a class or for a slice.

The definitions are those of `churn_jax.metrics`; `blocks` computes them for all runs and pairs of a
block at once.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from churn_jax.analysis import pair_distances
from churn_jax.analysis.blocks import Block, Wanted, measure_block
from churn_jax.metrics.calibration import NUM_BINS
from churn_jax.predictions.run import Run
from churn_jax.system.threads import in_order

# Elements of all runs' blocks together: eight megabytes, enough that NumPy's calls cost little
# beside their work, and few enough to stay in the last cache.
_BLOCK_ELEMENTS = 1 << 21
_LEAST_ROWS = 8


@dataclasses.dataclass(frozen=True)
class PairMeasure:
    """A measure of pairs of runs.

    Attributes:
      pairs: [run, run], its mean over the examples for every pair; 0 on the diagonal.
      means: [run, group, example], its mean over the pairs of the run with the (other) runs of the
        group; 0 where there are none.
    """

    pairs: np.ndarray
    means: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one pass finds.

    Attributes:
      num_classes: of the predictions.
      groups: [run], the index of each run's group.
      labels: [example], or None where there are none.
      predictions: [run, example], argmax, ties to the lowest index.
      values: measures of runs, each [run, example]. With probabilities: `top` (the probability of
        the predicted class), `gap` (γ, largest minus second-largest probability), `entropy`; with
        labels too: `nll`, `brier`.
      pairs: measures of pairs: `churn`; with probabilities `schurn` and `schurn@α`, and those asked
        for of `blocks.DISTANCES`. With `l1` comes `lemma2`, whether Lemma 2's bound
        counts the example: ‖p¹ − p²‖₁ ≥ min(γ¹, γ²).
      classwise: [run], the classwise calibration error, or None.
      lemma2_holds: [run, run], whether Lemma 2 holds example by example.
    """

    num_classes: int
    groups: np.ndarray
    labels: np.ndarray | None
    predictions: np.ndarray
    values: Mapping[str, np.ndarray]
    pairs: Mapping[str, PairMeasure]
    classwise: np.ndarray | None
    lemma2_holds: np.ndarray

    @property
    def has_probs(self) -> bool:
        return "top" in self.values

    @property
    def correct(self) -> np.ndarray:
        """[run, example] whether the predicted class is the label."""
        if self.labels is None:
            raise ValueError("there are no labels")
        return self.predictions == self.labels

    def take(self, rows: np.ndarray) -> "Measured":
        """The same on a subset of the examples (a mask or indices); the pairs' means are NaN."""
        unknown = np.full((len(self.groups), len(self.groups)), np.nan)
        return dataclasses.replace(
            self,
            labels=None if self.labels is None else self.labels[rows],
            predictions=self.predictions[:, rows],
            values={name: values[:, rows] for name, values in self.values.items()},
            pairs={
                name: PairMeasure(unknown, pair.means[:, :, rows])
                for name, pair in self.pairs.items()
            },
            classwise=None,
        )


def measure(
    runs: Sequence[Run],
    labels: np.ndarray | None,
    num_examples: int,
    num_classes: int,
    wanted: Wanted,
) -> Measured:
    """Measures all runs and all pairs of them in one pass over the predictions.

    Args:
      runs: at least one; all of the same examples and classes in the same order. If one has
        predicted classes alone, only what needs no probabilities is measured.
      labels: [example] integers in [0, num_classes), or None.
      num_examples: rows of the values.
      num_classes: columns of the values.
      wanted: what to measure beyond churn and the measures of runs.

    Raises:
      UserError: a run's values are no predictions; the message names run and example.
    """
    found = _Collector(runs, labels, num_examples, num_classes)
    l1_of_pairs = pair_distances.choose(
        num_examples * num_classes * len(runs) * (len(runs) - 1) // 2
    )
    rows_per_block = max(_LEAST_ROWS, _BLOCK_ELEMENTS // (num_classes * len(runs)))

    def work(rows: slice) -> Block:
        return measure_block(
            runs,
            rows,
            None if labels is None else labels[rows],
            num_classes,
            wanted,
            l1_of_pairs,
        )

    for block in in_order(work, _slices(num_examples, rows_per_block)):
        found.add(block)
    return found.measured()


def _slices(total: int, step: int) -> Iterator[slice]:
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))


class _Collector:
    """Puts the blocks' results together."""

    def __init__(
        self, runs: Sequence[Run], labels: np.ndarray | None, num_examples: int, num_classes: int
    ):
        n = len(runs)
        self._labels, self._examples, self._classes = labels, num_examples, num_classes
        self._groups = np.array([run.group for run in runs])
        self._partners = _partners(self._groups)
        self._predictions = np.zeros((n, num_examples), np.int32)
        self._values: dict[str, np.ndarray] = {}
        self._pairs: dict[str, np.ndarray] = {}
        self._means: dict[str, np.ndarray] = {}
        self._bins: np.ndarray | None = None
        self._lemma2 = np.ones((n, n), bool)

    def add(self, block: Block) -> None:
        n, num_groups = self._partners.shape
        self._predictions[:, block.rows] = block.predictions
        for name, values in block.values.items():
            whole = self._values.setdefault(name, np.zeros((n, self._examples)))
            whole[:, block.rows] = values
        for name, distances in block.pairs.items():
            shape = (n, num_groups, self._examples)
            means = self._means.setdefault(name, np.zeros(shape, np.float32))
            for group in range(num_groups):
                of_group = distances[:, self._groups == group]
                means[:, group, block.rows] = of_group.sum(1) / self._partners[:, group, None]
            total = self._pairs.setdefault(name, np.zeros((n, n)))
            total += distances.sum(2, dtype=np.float64)
        if block.bins is not None:
            if self._bins is None:
                self._bins = np.zeros((n, self._classes, NUM_BINS))
            block.bins.add_to(self._bins)
        self._lemma2 &= block.lemma2_holds

    def measured(self) -> Measured:
        return Measured(
            num_classes=self._classes,
            groups=self._groups,
            labels=self._labels,
            predictions=self._predictions,
            values=self._values,
            pairs={
                name: PairMeasure(total / self._examples, self._means[name])
                for name, total in self._pairs.items()
            },
            classwise=None if self._bins is None else _classwise(self._bins, self._examples),
            lemma2_holds=self._lemma2,
        )


def _partners(groups: np.ndarray) -> np.ndarray:
    """[run, group] how many other runs the group holds; 1 where there are none, for dividing."""
    sizes = np.bincount(groups)
    return np.maximum(sizes[None] - (groups[:, None] == np.arange(len(sizes))), 1)


def _classwise(bins: np.ndarray, num_examples: int) -> np.ndarray:
    """Classwise ECE of each run from the sums [run, class, bin] of `ClassBins`."""
    return np.abs(bins).sum(2).mean(1) / num_examples
