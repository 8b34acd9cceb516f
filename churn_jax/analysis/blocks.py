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

from churn_jax.analysis import pair_distances
from churn_jax.analysis.buffers import lent
from churn_jax.analysis.pair_distances import LEAST, PairKernel
from churn_jax.analysis.pair_sums import PairBlock, PairSums
from churn_jax.analysis.pairing import Pairing
from churn_jax.errors import UserError
from churn_jax.metrics import bin_indices
from churn_jax.metrics.arrays import SUM_TOLERANCE
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


@dataclasses.dataclass(frozen=True)
class _Softmax:
    """The probabilities of a block, p = top · relative, with relative = p / max p = exp(logs).

    `relative` and `logs` are [run, row, class] float32, `logs` None if nobody wants them; the
    others are [run, row]: `total` is the sum of `relative`, `second` its second-largest value (the
    largest is 1), and `label_logs` log p_y, or NaN.
    """

    relative: np.ndarray
    logs: np.ndarray | None
    prediction: np.ndarray
    top: np.ndarray
    total: np.ndarray
    second: np.ndarray
    label_logs: np.ndarray

    @property
    def probs(self) -> np.ndarray:
        return self.relative * self.top[:, :, None].astype(np.float32)

    def power(self, alpha: float) -> np.ndarray:
        """relative^α."""
        if alpha == 1:
            return self.relative
        assert self.logs is not None
        return np.exp(np.float32(alpha) * self.logs)


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
    l1_of_pairs: PairKernel,
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
        block = _softmax(runs, rows, labels, relative, logs)
        predictions = _decided(runs, rows, block)
        measured = _measured(block, predictions, rows, labels, wanted, found, l1_of_pairs)
        if not wanted.classwise or labels is None:
            return measured
        return dataclasses.replace(measured, bins=_class_bins(block, labels, weights))


def _decided(runs: Sequence[Run], rows: slice, block: _Softmax) -> np.ndarray:
    """The predicted classes [run, row]: those that a run gives, else those of the largest value."""
    given = [None if run.predicted is None else run.predicted(rows) for run in runs]
    return np.stack([block.prediction[i] if g is None else g for i, g in enumerate(given)])


def _measured(
    block: _Softmax,
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
    for alpha in wanted.alphas:
        power = block.power(alpha)
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


def _softmax(
    runs: Sequence[Run],
    rows: slice,
    labels: np.ndarray | None,
    relative: np.ndarray,
    all_logs: np.ndarray | None,
) -> _Softmax:
    """The block's probabilities, in the memory of `relative` and, if wanted, `all_logs`."""
    shape = relative.shape
    prediction = np.empty(shape[:2], np.int64)
    largest, label_logs = np.empty(shape[:2]), np.full(shape[:2], np.nan)
    row, ones = np.arange(shape[1]), np.ones(shape[2], np.float32)
    for i, run in enumerate(runs):
        values = np.asarray(run.rows(rows))
        prediction[i] = values.argmax(1)
        largest[i] = values[row, prediction[i]]
        # In the values' own precision: a difference of large logits would lose its digits.
        shift = largest[i][:, None].astype(values.dtype)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if run.kind == "probs":
                np.multiply(values, 1 / shift, out=relative[i], casting="same_kind")
                if all_logs is not None:
                    np.log(np.maximum(relative[i], LEAST), out=all_logs[i])
            else:
                shifted = relative[i] if all_logs is None else all_logs[i]
                np.subtract(values, shift, out=shifted, casting="same_kind")
                np.exp(shifted, out=relative[i])
            if labels is not None:
                label_logs[i] = values[row, labels]
    # A product with ones is the fastest sum there is.
    total = (relative @ ones).astype(np.float64)
    top = _top(runs, largest, total)
    _refuse_impossible(runs, rows, relative, top * total)
    if labels is not None:
        label_logs = _label_logs(runs, label_logs, largest, top)
    second = _second_largest(relative, prediction)
    return _Softmax(relative, all_logs, prediction, top, total, second, label_logs)


def _top(runs: Sequence[Run], largest: np.ndarray, total: np.ndarray) -> np.ndarray:
    """The largest probability, [run, row]."""
    kinds = np.array([run.kind for run in runs])[:, None]
    with np.errstate(over="ignore"):
        exponential = np.exp(largest)
    return np.where(kinds == "probs", largest, np.where(kinds == "logits", 1 / total, exponential))


def _label_logs(
    runs: Sequence[Run], at_label: np.ndarray, largest: np.ndarray, top: np.ndarray
) -> np.ndarray:
    """log p_y from the values at the labels, [run, row]."""
    logs = at_label.copy()
    for i, run in enumerate(runs):
        if run.kind == "probs":
            with np.errstate(divide="ignore"):
                logs[i] = np.log(at_label[i])
        elif run.kind == "logits":
            logs[i] = at_label[i] - largest[i] + np.log(top[i])
    return logs


def _refuse_impossible(
    runs: Sequence[Run], rows: slice, relative: np.ndarray, sums: np.ndarray
) -> None:
    """Raises UserError for values that are no prediction."""
    lowest = relative.min(2)
    # Written so that NaN is faulty.
    faulty = ~((np.abs(sums - 1) <= SUM_TOLERANCE) & (lowest >= 0))
    if not faulty.any():
        return
    i, row = np.argwhere(faulty)[0]
    where = f"{runs[i].name}: example {rows.start + row}"
    if not np.isfinite(sums[i, row]):
        raise UserError(f"{where} has values that are not numbers: did the training diverge?")
    if lowest[i, row] < 0:
        raise UserError(f"{where} has a negative probability")
    raise UserError(f"{where} has probabilities that sum to {sums[i, row]:.3g}, not to 1")


def _run_values(block: _Softmax, with_labels: bool, scores: bool) -> dict[str, np.ndarray]:
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


def _second_largest(relative: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The second-largest relative probability, [run, row] float64; sets the largest to exactly 1.

    With the largest out of the way a maximum is all it takes, which is faster than any sorting.
    """
    n, num_rows = prediction.shape
    place = (np.arange(n)[:, None], np.arange(num_rows), prediction)
    relative[place] = -1
    second = relative.max(2)
    relative[place] = 1
    return second.astype(np.float64)


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


def _class_bins(block: _Softmax, labels: np.ndarray, weights: np.ndarray | None) -> ClassBins:
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


def _lemma2_holds(block: _Softmax, gap: np.ndarray, a: slice, b: slice) -> np.ndarray:
    """[run of a, run of b], whether ‖p¹ − p²‖₁ ≥ min(γ¹, γ²) wherever the predictions differ.

    The distance is at least its part from the two predicted classes, which is what the lemma's
    proof uses, so four numbers an example verify it.
    """
    ours, theirs = block.prediction[a][:, None], block.prediction[b][None]
    tops_a, tops_b = block.top[a][:, None], block.top[b][None]
    run, row = np.arange(len(block.prediction)), np.arange(block.prediction.shape[1])
    # What each run of one group gives the class that each of the other predicts.
    a_of_theirs = block.relative[run[a][:, None, None], row, theirs] * tops_a
    b_of_ours = block.relative[run[b][None, :, None], row, ours] * tops_b
    distance = np.abs(tops_a - b_of_ours)
    distance += np.abs(tops_b - a_of_theirs)
    enough = distance >= np.minimum(gap[a][:, None], gap[b][None])
    return ((ours == theirs) | enough).all(2)
