"""One pass over the predictions of many runs: every measure of each run and of pairs of runs.

`evaluate`, `compare` and studies stand on this. Predictions arrive a block of examples at a time,
all runs together, so the memory needed does not depend on how large the files are: what is kept is
one number per run and example for each measure of runs, and for each measure of pairs one more for
each group that the run is paired with (on disk where that is much). From these `intervals` makes
intervals for the whole set, for a class or for a slice.

The definitions are those of `churn_jax.metrics`; `blocks` computes them for all runs and pairs of a
block at once.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from churn_jax.analysis import weighting
from churn_jax.analysis.blocks import Block, Loops, Wanted, measure_block
from churn_jax.analysis.pair_means import PairMeans
from churn_jax.analysis.pairing import Pairing
from churn_jax.analysis.scoring import add_rankings
from churn_jax.metrics.calibration import NUM_BINS
from churn_jax.predictions.run import Run
from churn_jax.system.threads import in_order

# Elements of all runs' blocks together: eight megabytes, enough that NumPy's calls cost little
# beside their work, and few enough to stay in the last cache.
BLOCK_ELEMENTS = 1 << 21
_LEAST_ROWS = 8
# Bytes of the examples' means over pairs; what is more goes to disk.
MEANS_IN_MEMORY = 256 << 20


@dataclasses.dataclass(frozen=True)
class PairMeasure:
    """A measure of pairs of runs.

    Attributes:
      pairs: [run, run], its mean over the examples for every pair; 0 on the diagonal, and NaN where
        the pair was not asked for.
      of_examples: the means of all examples.
      rows: those of the examples that count; None for all.
    """

    pairs: np.ndarray
    of_examples: PairMeans
    rows: np.ndarray | None = None

    def means(self, of: int, over: int) -> np.ndarray:
        """[run of group `of`, example], its mean over the run's pairs with (others) of `over`."""
        found = self.of_examples.read(of, over)
        return found if self.rows is None else np.ascontiguousarray(found[:, self.rows])


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
        labels too: `nll`, `brier`. Where wanted, the scores and ranks of `scoring`.
      pairs: measures of pairs: `churn`; with probabilities `schurn` and `schurn@α`, and those asked
        for of `blocks.DISTANCES`. With `l1` comes `lemma2`, whether Lemma 2's bound
        counts the example: ‖p¹ − p²‖₁ ≥ min(γ¹, γ²).
      classwise: [run], the classwise calibration error, or None.
      weights: [example], what each counts, with the mean 1; None where all count the same.
      sets: [class, label] whether a class, which is a set of labels, has the label; or None.
      lemma2_holds: [run, run], whether Lemma 2 holds example by example, where it was asked for.
    """

    num_classes: int
    groups: np.ndarray
    labels: np.ndarray | None
    predictions: np.ndarray
    values: Mapping[str, np.ndarray]
    pairs: Mapping[str, PairMeasure]
    classwise: np.ndarray | None
    lemma2_holds: np.ndarray
    weights: np.ndarray | None = None
    sets: np.ndarray | None = None

    @property
    def has_probs(self) -> bool:
        return "top" in self.values

    @functools.cached_property
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
                name: PairMeasure(unknown, pair.of_examples, rows)
                for name, pair in self.pairs.items()
            },
            classwise=None,
            weights=None if self.weights is None else weighting.relative(self.weights[rows]),
        )


def measure(
    runs: Sequence[Run],
    labels: np.ndarray | None,
    num_examples: int,
    num_classes: int,
    wanted: Wanted,
    between: Iterable[tuple[int, int]] | None = None,
    matched: bool = False,
    weights: np.ndarray | None = None,
) -> Measured:
    """Measures all runs and pairs of them in one pass over the predictions.

    Args:
      runs: at least one, group by group; all of the same examples and classes in the same order.
        If one has predicted classes alone, only what needs no probabilities is measured.
      labels: [example] integers in [0, num_classes), or None.
      num_examples: rows of the values.
      num_classes: columns of the values.
      wanted: what to measure beyond churn and the measures of runs.
      between: the groups (a, b), a before b, whose runs are paired, beside those within every
        group; None is all of them.
      matched: whether run r of one group is paired with run r of another alone.
      weights: as of `Measured`.

    Raises:
      UserError: a run's values are no predictions; the message names run and example.
    """
    pairing = Pairing.of([run.group for run in runs], between, matched)
    found = _Collector(runs, labels, num_examples, num_classes, pairing, wanted, weights)
    loops = Loops.choose(num_examples * num_classes, pairing.num_pairs, wanted)
    rows_per_block = max(_LEAST_ROWS, BLOCK_ELEMENTS // (num_classes * len(runs)))

    def work(rows: slice) -> Block:
        own = None if labels is None else labels[rows]
        counting = None if weights is None else weights[rows]
        block = measure_block(runs, rows, own, num_classes, wanted, pairing, loops, counting)
        return add_rankings(block, runs, own, wanted, pairing, counting) if wanted.ranks else block

    for block in in_order(work, _slices(num_examples, rows_per_block)):
        found.add(block)
    return found.measured()


def _slices(total: int, step: int) -> Iterator[slice]:
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))


class _Collector:
    """Puts the blocks' results together."""

    def __init__(
        self,
        runs: Sequence[Run],
        labels: np.ndarray | None,
        num_examples: int,
        num_classes: int,
        pairing: Pairing,
        wanted: Wanted,
        weights: np.ndarray | None,
    ):
        n = len(runs)
        self._labels, self._examples, self._classes = labels, num_examples, num_classes
        self._weights = weights
        self._groups = np.array([run.group for run in runs])
        self._pairing = pairing
        size = 4 * pairing.num_means * num_examples * wanted.num_pair_measures
        self._on_disk = size > MEANS_IN_MEMORY
        self._predictions = np.zeros((n, num_examples), np.int32)
        self._values: dict[str, np.ndarray] = {}
        self._pairs: dict[str, np.ndarray] = {}
        self._means: dict[str, PairMeans] = {}
        self._bins: np.ndarray | None = None
        self._lemma2 = np.ones((n, n), bool)

    def add(self, block: Block) -> None:
        n = len(self._groups)
        self._predictions[:, block.rows] = block.predictions
        for name, values in block.values.items():
            whole = self._values.setdefault(name, np.zeros((n, self._examples)))
            whole[:, block.rows] = values
        for name, found in block.pairs.items():
            if name not in self._means:
                self._means[name] = PairMeans(self._pairing, self._on_disk)
                self._pairs[name] = self._pairing.zeros()
            self._means[name].add(found.means)
            for place, sums in self._blocks_of(self._pairs[name], found.sums):
                place += sums
        if block.bins is not None:
            if self._bins is None:
                self._bins = np.zeros((n, self._classes, NUM_BINS))
            block.bins.add_to(self._bins)
        for place, holds in self._blocks_of(self._lemma2, block.lemma2_holds):
            place &= holds

    def _blocks_of(
        self, matrix: np.ndarray, found: Sequence[np.ndarray | np.bool_]
    ) -> Iterator[tuple[np.ndarray, np.ndarray | np.bool_]]:
        """The parts of a [run, run] matrix that each block's results belong to."""
        for (a, b), result in zip(self._pairing.blocks, found, strict=True):
            yield matrix[self._pairing.groups[a], self._pairing.groups[b]], result

    def measured(self) -> Measured:
        for means in self._means.values():
            means.flush()
        return Measured(
            num_classes=self._classes,
            groups=self._groups,
            labels=self._labels,
            predictions=self._predictions,
            values=self._values,
            pairs={
                name: PairMeasure(_symmetric(total) / self._examples, self._means[name])
                for name, total in self._pairs.items()
            },
            classwise=None if self._bins is None else _classwise(self._bins, self._examples),
            lemma2_holds=self._lemma2 & self._lemma2.T,
            weights=self._weights,
        )


def _symmetric(found: np.ndarray) -> np.ndarray:
    """A [run, run] matrix whose lower triangle is its upper one."""
    return np.triu(found) + np.triu(found, 1).T


def _classwise(bins: np.ndarray, num_examples: int) -> np.ndarray:
    """Classwise ECE of each run from the sums [run, class, bin] of `ClassBins`."""
    return np.abs(bins).sum(2).mean(1) / num_examples
