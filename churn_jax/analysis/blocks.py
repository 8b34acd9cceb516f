"""All measures of a block of examples, for all runs and the pairs that are asked for.

The work for n runs and K classes is n·K exponentials an example, and K differences for each pair
and measure of pairs: every run is normalised once, not once for each pair it is in. Arrays are
float32, [run, row, class]; sums over classes are exact to about 1e-7 of their value, and sums over
examples are taken in float64. Of the pairs of two groups' runs nothing is kept but each pair's sum
over the rows and each run's means over its partners, so that memory grows with runs, not pairs.
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np

from churn_jax.analysis import pair_distances, softmax
from churn_jax.analysis.buffers import lent
from churn_jax.analysis.pair_distances import LEAST, PairKernel
from churn_jax.analysis.pair_sums import PairBlock, PairSums
from churn_jax.analysis.pairing import Pairing
from churn_jax.analysis.softmax import Scaling, Softmax
from churn_jax.metrics import bin_indices
from churn_jax.metrics.calibration import NUM_BINS
from churn_jax.predictions.run import Run


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which measures need work beyond what all of them share.

    Attributes:
      alphas: the α of each SChurn_α.
      scores: entropy and Brier score.
      distances: which of `DISTANCES`.
      classwise: the classwise calibration error.
      scored: the classes whose scores are kept, which ranks examples by them.
      ranked: whether the true class's rank is.
      tops: the k of each top-k churn.
    """

    alphas: Sequence[float] = (1.0,)
    scores: bool = False
    distances: Sequence[str] = ()
    classwise: bool = False
    scored: Sequence[int] = ()
    ranked: bool = False
    tops: Sequence[int] = ()

    @property
    def num_pair_measures(self) -> int:
        """How many measures of pairs come of the pass: churn, SChurn, distances and Lemma 2."""
        distances = len(self.distances) + ("l1" in self.distances)
        return 1 + len(self.alphas) + distances + len(self.tops)

    @property
    def ranks(self) -> bool:
        """Whether anything of `scoring` is wanted."""
        return bool(self.scored or self.ranked or self.tops)

    @property
    def logs(self) -> bool:
        """Whether the logarithm of every probability is needed."""
        return self.scores or any(alpha != 1 for alpha in self.alphas)


@dataclasses.dataclass(frozen=True)
class Loops:
    """The inner loops: those of NumPy, or compiled ones."""

    scaling: Scaling | None
    l1_of_pairs: PairKernel

    @classmethod
    def choose(cls, num_values: int, num_pairs: int, wanted: Wanted) -> "Loops":
        """Which are faster for so many values of a run and pairs of runs."""
        passes = len(wanted.alphas) + ("l1" in wanted.distances)
        differences = num_values * num_pairs * passes
        return cls(softmax.choose(differences), pair_distances.choose(differences))


@dataclasses.dataclass(frozen=True)
class ClassBins:
    """Sums of (label is the class) − probability, for the classwise calibration error.

    Nearly all probabilities are in the first bin, so that is summed by class, `first` [run, class],
    and the rest listed: `weights` to be added at the flat places `index` of [run, class, bin].
    """

    first: np.ndarray
    index: np.ndarray
    weights: np.ndarray

    def add_to(self, bins: np.ndarray) -> None:
        """Adds this block to the sums [run, class, bin]."""
        bins[:, :, 0] += self.first
        np.add.at(bins.reshape(-1), self.index, self.weights)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block's results: as in `one_pass.Measured`; `lemma2_holds` as `PairBlock.sums`."""

    rows: slice
    predictions: np.ndarray
    values: dict[str, np.ndarray]
    pairs: dict[str, PairBlock]
    bins: ClassBins | None
    lemma2_holds: Sequence[np.ndarray | np.bool_]


def schurn_key(alpha: float) -> str:
    """The name of SChurn_α among the pair measures: 'schurn' for α = 1, else like 'schurn@2'."""
    return "schurn" if alpha == 1 else f"schurn@{alpha:g}"


def measure_block(
    runs: Sequence[Run],
    rows: slice,
    labels: np.ndarray | None,
    num_classes: int,
    wanted: Wanted,
    pairing: Pairing,
    loops: Loops,
    weights: np.ndarray | None = None,
) -> Block:
    """Measures one block; `labels` and `weights` are those of its rows."""
    found = PairSums(pairing, weights)
    if any(run.kind == "classes" for run in runs):
        predictions = np.stack([_predicted(run, rows) for run in runs])
        for a, b in found.groups():
            found.add("churn", _differ(predictions, a, b))
        everywhere = [np.True_ for _ in found.groups()]
        return Block(rows, predictions, {}, found.pairs(), None, everywhere)
    shape = (len(runs), rows.stop - rows.start, num_classes)
    with lent(shape) as relative, lent(shape) if wanted.logs else nullcontext() as logs:
        block = softmax.of_runs(runs, rows, labels, relative, logs, loops.scaling)
        predictions = _decided(runs, rows, block)
        measured = _measured(block, predictions, rows, labels, wanted, found, loops.l1_of_pairs)
        if not wanted.classwise or labels is None:
            return measured
        return dataclasses.replace(measured, bins=_class_bins(block, labels, weights))


def _decided(runs: Sequence[Run], rows: slice, block: Softmax) -> np.ndarray:
    """The predicted classes [run, row]: those that a run gives, else those of the largest value."""
    given = [None if run.predicted is None else run.predicted(rows) for run in runs]
    return np.stack([block.prediction[i] if g is None else g for i, g in enumerate(given)])


def _measured(
    block: Softmax,
    predictions: np.ndarray,
    rows: slice,
    labels: np.ndarray | None,
    wanted: Wanted,
    found: PairSums,
    l1_of_pairs: PairKernel,
) -> Block:
    """The block but for its bins of classes; `found` takes the measures of pairs."""
    values = _run_values(block, labels is not None, wanted.scores)
    for a, b in found.groups():
        found.add("churn", _differ(predictions, a, b))
    power, before = block.relative, 1.0
    for alpha in wanted.alphas:
        # Squares are had for less than exponentials.
        power = np.square(power) if alpha == 2 * before else block.power(alpha)
        before = alpha
        for a, b in found.groups():
            found.add(schurn_key(alpha), 0.5 * l1_of_pairs(power, a, b))
    probs = block.probs if wanted.distances else None
    logs = None
    if probs is not None and set(wanted.distances) & _DIVERGENCES.keys():
        logs = np.log(np.maximum(probs, LEAST))
    for name in wanted.distances:
        assert probs is not None
        for a, b in found.groups():
            if name == "l1":
                distances = l1_of_pairs(probs, a, b)
                least_gap = np.minimum(values["gap"][a][:, None], values["gap"][b][None])
                counted = (distances >= least_gap).astype(np.float32)
                if a == b:  # a run is no pair with itself, though its γ may be 0
                    counted[np.diag_indices(len(counted))] = 0
                found.add("lemma2", counted)
            else:
                assert logs is not None
                distances = _DIVERGENCES[name](probs, logs, a, b)
            found.add(name, distances)
    return Block(
        rows=rows,
        predictions=predictions,
        values=values,
        pairs=found.pairs(),
        bins=None,
        lemma2_holds=[_lemma2_holds(block, values["gap"], a, b) for a, b in found.groups()],
    )


def _predicted(run: Run, rows: slice) -> np.ndarray:
    if run.predicted is not None:
        return run.predicted(rows)
    values = np.asarray(run.rows(rows))
    return values if run.kind == "classes" else values.argmax(1)


def _run_values(block: Softmax, with_labels: bool, scores: bool) -> dict[str, np.ndarray]:
    """Measures of each run, [run, row] float64."""
    values = {"top": block.top, "gap": block.top * (1 - block.second)}
    if with_labels:
        values["nll"] = -block.label_logs
    if not scores:
        return values
    assert block.logs is not None
    # Where relative is 0 its logarithm is −inf or far below; 0 · log 0 = 0.
    weighted = np.einsum("nrk,nrk->nr", block.relative, np.maximum(block.logs, np.float32(-1e30)))
    entropy = -block.top * (weighted + block.total * np.log(block.top))
    values["entropy"] = np.maximum(entropy, 0)
    if with_labels:
        squares = np.einsum("nrk,nrk->nr", block.relative, block.relative)
        values["brier"] = squares * block.top**2 - 2 * np.exp(block.label_logs) + 1
    return values


def _differ(predictions: np.ndarray, a: slice, b: slice) -> np.ndarray:
    return (predictions[a][:, None] != predictions[b][None]).astype(np.float32)


# From probabilities and their logarithms, as a `PairKernel` otherwise.
_DIVERGENCES: dict[str, Callable[[np.ndarray, np.ndarray, slice, slice], np.ndarray]] = {
    "jensen_shannon": pair_distances.jensen_shannon,
    "symmetric_kl": pair_distances.symmetric_kl,
}
DISTANCES = ("l1", *_DIVERGENCES)

# With SChurn's curve towards churn.
EVERYTHING = Wanted((1.0, 2.0, 4.0, 8.0, 16.0, 32.0), True, DISTANCES, True)


def of_report(everything: bool, alphas: Sequence[float] = EVERYTHING.alphas) -> Wanted:
    """What a report needs, with entropy, Brier score, distances and classwise errors or without."""
    return Wanted(alphas, everything, DISTANCES if everything else (), everything)


def _class_bins(block: Softmax, labels: np.ndarray, weights: np.ndarray | None) -> ClassBins:
    probs = block.probs.astype(np.float64)
    counting = np.ones(len(labels)) if weights is None else weights
    n, num_rows, num_classes = probs.shape
    run, row, cls = np.nonzero(probs > 1 / NUM_BINS)
    large = probs[run, row, cls] * counting[row]
    of_label = probs[:, np.arange(num_rows), labels]
    places = (run * num_classes + cls) * NUM_BINS
    label_places = (np.arange(n)[:, None] * num_classes + labels) * NUM_BINS
    return ClassBins(
        first=-probs.sum(1) if weights is None else -np.einsum("nrk,r->nk", probs, weights),
        # A large probability leaves the first bin for its own; the label counts in its bin.
        index=np.concatenate(
            [
                places,
                places + bin_indices(probs[run, row, cls], NUM_BINS),
                (label_places + bin_indices(of_label, NUM_BINS)).ravel(),
            ]
        ),
        weights=np.concatenate([large, -large, np.tile(counting, n)]),
    )


def _lemma2_holds(block: Softmax, gap: np.ndarray, a: slice, b: slice) -> np.ndarray:
    """[run of a, run of b], whether ‖p¹ − p²‖₁ ≥ min(γ¹, γ²) wherever the predictions differ.

    The distance is at least its part from the two predicted classes, which is what the lemma's
    proof uses, so four numbers verify it of each pair and example that differ.
    """
    differ = block.prediction[a][:, None] != block.prediction[b][None]
    if a == b:
        differ &= np.tri(len(differ), k=-1, dtype=bool)[:, :, None]  # each pair once
    in_a, in_b, row = np.nonzero(differ)
    # Places in flat arrays, as `take` is several times as fast as several indices.
    rows, classes = block.relative.shape[1:]
    i, j = (in_a + a.start) * rows + row, (in_b + b.start) * rows + row
    ours, theirs = block.prediction.take(i), block.prediction.take(j)
    tops = block.top.take(i), block.top.take(j)
    # What each of the two gives the class that the other predicts.
    of_theirs = block.relative.take(i * classes + theirs) * tops[0]
    of_ours = block.relative.take(j * classes + ours) * tops[1]
    distance = np.abs(tops[0] - of_ours) + np.abs(tops[1] - of_theirs)
    broken = distance < np.minimum(gap.take(i), gap.take(j))
    holds = np.ones(differ.shape[:2], bool)
    holds[in_a[broken], in_b[broken]] = False
    return holds
