"""All measures of a block of examples, for all runs and pairs at once.

The work for n runs and K classes is n·K exponentials an example, and n(n−1)/2·K differences for
each measure of pairs: every run is normalised once, not once for each pair it is in. Arrays are
float32, [run, row, class]; sums over classes are exact to about 1e-7 of their value, and sums over
examples are taken in float64.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.metrics import bin_indices

# Rows of half-precision probabilities add up to 1 only roughly; logits miss by far more than this.
_SUM_TOLERANCE = 0.02
NUM_BINS = 15
# In a logarithm a probability below e^−87, float32's smallest, counts as that.
_LEAST = float(np.finfo(np.float32).tiny)


@dataclasses.dataclass(frozen=True)
class Run:
    """The predictions of one model for all examples, read a block at a time.

    Attributes:
      rows: maps a slice of examples to values [example, class] of any float type, or to the
        predicted classes [example].
      kind: 'probs', 'log_probs', 'logits' or 'classes'. Logits are normalised; the others are taken
        at their word.
      group: index of the group of runs it belongs to.
      name: what to call it when its values are at fault.
    """

    rows: Callable[[slice], np.ndarray]
    kind: str
    group: int = 0
    name: str = "run"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Which measures need work beyond what all of them share.

    Attributes:
      alphas: the α of each SChurn_α.
      distances: which of `DISTANCES`.
      classwise: the classwise calibration error.
    """

    alphas: Sequence[float] = (1.0,)
    distances: Sequence[str] = ()
    classwise: bool = False


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
    """A block's results: as in `churn_jax.measure.Measured`, with pairs as [run, run, row]."""

    rows: slice
    predictions: np.ndarray
    values: dict[str, np.ndarray]
    pairs: dict[str, np.ndarray]
    bins: ClassBins | None
    lemma2_holds: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Softmax:
    """The probabilities of a block, p = top · relative, with relative = p / max p = exp(logs).

    `relative` and `logs` are [run, row, class] float32; `prediction`, `top` and `label_logs`, which
    is log p_y or NaN without labels, are [run, row].
    """

    relative: np.ndarray
    logs: np.ndarray
    prediction: np.ndarray
    top: np.ndarray
    label_logs: np.ndarray

    @property
    def probs(self) -> np.ndarray:
        return self.relative * self.top[:, :, None].astype(np.float32)


def schurn_key(alpha: float) -> str:
    """The name of SChurn_α among the pair measures: 'schurn' for α = 1, else like 'schurn@2'."""
    return "schurn" if alpha == 1 else f"schurn@{alpha:g}"


def measure_block(
    runs: Sequence[Run],
    rows: slice,
    labels: np.ndarray | None,
    num_classes: int,
    wanted: Wanted,
) -> Block:
    """Measures one block; `labels` are those of its rows."""
    if any(run.kind == "classes" for run in runs):
        predictions = np.stack([_predicted(run, rows) for run in runs])
        everywhere = np.ones((len(runs), len(runs)), bool)
        return Block(rows, predictions, {}, {"churn": _differ(predictions)}, None, everywhere)
    block = _softmax(runs, rows, labels, num_classes)
    values = _run_values(block, with_labels=labels is not None)
    pairs = {"churn": _differ(block.prediction)}
    for alpha in wanted.alphas:
        relative = block.relative if alpha == 1 else np.exp(np.float32(alpha) * block.logs)
        pairs[schurn_key(alpha)] = 0.5 * _l1(relative)
    for name in wanted.distances:
        pairs[name] = DISTANCES[name](block)
    if "l1" in pairs:
        least_gap = np.minimum(values["gap"][:, None], values["gap"][None])
        pairs["lemma2"] = (pairs["l1"] >= least_gap).astype(np.float32)
    return Block(
        rows=rows,
        predictions=block.prediction,
        values=values,
        pairs=pairs,
        bins=_class_bins(block, labels) if wanted.classwise and labels is not None else None,
        lemma2_holds=_lemma2_holds(block, values["gap"]),
    )


def _predicted(run: Run, rows: slice) -> np.ndarray:
    values = np.asarray(run.rows(rows))
    return values if run.kind == "classes" else values.argmax(1)


def _softmax(
    runs: Sequence[Run], rows: slice, labels: np.ndarray | None, num_classes: int
) -> _Softmax:
    shape = (len(runs), rows.stop - rows.start, num_classes)
    block = _Softmax(
        relative=np.empty(shape, np.float32),
        logs=np.empty(shape, np.float32),
        prediction=np.empty(shape[:2], np.int64),
        top=np.empty(shape[:2]),
        label_logs=np.full(shape[:2], np.nan),
    )
    row = np.arange(shape[1])
    for i, run in enumerate(runs):
        values = np.asarray(run.rows(rows))
        block.prediction[i] = values.argmax(1)
        largest = values[row, block.prediction[i]].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if run.kind == "probs":
                np.divide(values, largest[:, None], out=block.relative[i], casting="same_kind")
                np.log(np.maximum(block.relative[i], _LEAST), out=block.logs[i])
                sums = largest * block.relative[i].sum(1, dtype=np.float64)
                block.top[i] = largest
            else:
                # In the values' own precision: a difference of large logits would lose its digits.
                shift = largest[:, None].astype(values.dtype)
                np.subtract(values, shift, out=block.logs[i], casting="same_kind")
                np.exp(block.logs[i], out=block.relative[i])
                total = block.relative[i].sum(1, dtype=np.float64)
                block.top[i] = 1 / total if run.kind == "logits" else np.exp(largest)
                sums = block.top[i] * total
            if labels is not None:
                block.label_logs[i] = _label_logs(
                    run.kind, values[row, labels], largest, block.top[i]
                )
        _refuse_impossible(run, rows, values, sums)
    return block


def _label_logs(
    kind: str, at_label: np.ndarray, largest: np.ndarray, top: np.ndarray
) -> np.ndarray:
    """log p_y of one run's rows."""
    at_label = at_label.astype(np.float64)
    if kind == "probs":
        return np.log(at_label)
    if kind == "log_probs":
        return at_label
    return at_label - largest + np.log(top)


def _refuse_impossible(run: Run, rows: slice, values: np.ndarray, sums: np.ndarray) -> None:
    """Raises UserError for values that are no prediction."""
    faulty = ~(np.abs(sums - 1) <= _SUM_TOLERANCE)
    if run.kind == "probs":
        faulty |= values.min(1) < 0
    if not faulty.any():
        return
    row = int(np.argmax(faulty))
    where = f"{run.name}: example {rows.start + row}"
    if not np.isfinite(sums[row]):
        raise UserError(f"{where} has values that are not numbers: did the training diverge?")
    if run.kind == "probs" and values[row].min() < 0:
        raise UserError(f"{where} has the negative probability {values[row].min():.3g}")
    raise UserError(f"{where} has probabilities that sum to {sums[row]:.3g}, not to 1")


def _run_values(block: _Softmax, with_labels: bool) -> dict[str, np.ndarray]:
    """Measures of each run, [run, row] float64."""
    total = block.relative.sum(2, dtype=np.float64)
    # Where relative is 0 its logarithm is −inf or far below; 0 · log 0 = 0.
    logs = np.maximum(block.logs, np.float32(-1e30))
    weighted = np.einsum("nrk,nrk->nr", block.relative, logs)
    values = {
        "top": block.top,
        "gap": block.top * (1 - _second_largest(block)),
        "entropy": np.maximum(-block.top * (weighted + total * np.log(block.top)), 0),
    }
    if with_labels:
        squares = np.einsum("nrk,nrk->nr", block.relative, block.relative)
        values["nll"] = -block.label_logs
        values["brier"] = squares * block.top**2 - 2 * np.exp(block.label_logs) + 1
    return values


def _second_largest(block: _Softmax) -> np.ndarray:
    """The second-largest relative probability, [run, row] float64; the largest is 1."""
    place = block.prediction[:, :, None]
    np.put_along_axis(block.relative, place, -1, axis=2)
    second = block.relative.max(2)
    np.put_along_axis(block.relative, place, 1, axis=2)
    return second.astype(np.float64)


def _differ(predictions: np.ndarray) -> np.ndarray:
    return (predictions[:, None] != predictions[None]).astype(np.float32)


def _pairs_of(shape: tuple[int, ...], distances_to: Callable[[int], np.ndarray]) -> np.ndarray:
    """[run, run, row] from a function that gives run i's distances to the runs before it."""
    n, rows = shape[:2]
    found = np.zeros((n, n, rows), np.float32)
    for i in range(1, n):
        found[i, :i] = distances_to(i)
        found[:i, i] = found[i, :i]
    return found


def _l1(values: np.ndarray) -> np.ndarray:
    """Σ |a − b| over the classes for all pairs of runs."""
    scratch, ones = np.empty_like(values), np.ones(values.shape[2], np.float32)

    def distances_to(i: int) -> np.ndarray:
        np.subtract(values[:i], values[i], out=scratch[:i])
        np.abs(scratch[:i], out=scratch[:i])
        return scratch[:i] @ ones

    return _pairs_of(values.shape, distances_to)


def _log_probs(block: _Softmax) -> np.ndarray:
    return np.log(np.maximum(block.probs, _LEAST))


def _symmetric_kl(block: _Softmax) -> np.ndarray:
    """Σ (p − q) (log p − log q)."""
    probs, logs = block.probs, _log_probs(block)
    return _pairs_of(
        probs.shape,
        lambda i: np.einsum("nrk,nrk->nr", probs[:i] - probs[i], logs[:i] - logs[i]),
    )


def _jensen_shannon(block: _Softmax) -> np.ndarray:
    """½ KL(p‖m) + ½ KL(q‖m) with m = (p + q) / 2, in nats."""
    probs, logs = block.probs, _log_probs(block)

    def distances_to(i: int) -> np.ndarray:
        middle = np.log(np.maximum(0.5 * (probs[:i] + probs[i]), _LEAST))
        ours = np.einsum("rk,nrk->nr", probs[i], logs[i] - middle)
        theirs = np.einsum("nrk,nrk->nr", probs[:i], logs[:i] - middle)
        return np.maximum(0.5 * (ours + theirs), 0)

    return _pairs_of(probs.shape, distances_to)


DISTANCES: dict[str, Callable[[_Softmax], np.ndarray]] = {
    "l1": lambda block: _l1(block.probs),
    "jensen_shannon": _jensen_shannon,
    "symmetric_kl": _symmetric_kl,
}


def _class_bins(block: _Softmax, labels: np.ndarray) -> ClassBins:
    probs = block.probs.astype(np.float64)
    n, num_rows, num_classes = probs.shape
    run, row, cls = np.nonzero(probs > 1 / NUM_BINS)
    large = probs[run, row, cls]
    of_label = probs[:, np.arange(num_rows), labels]
    places = (run * num_classes + cls) * NUM_BINS
    label_places = (np.arange(n)[:, None] * num_classes + labels) * NUM_BINS
    return ClassBins(
        first=-probs.sum(1),
        # A large probability leaves the first bin for its own; the label counts in its bin.
        index=np.concatenate(
            [
                places,
                places + bin_indices(large, NUM_BINS),
                (label_places + bin_indices(of_label, NUM_BINS)).ravel(),
            ]
        ),
        weights=np.concatenate([large, -large, np.ones(label_places.size)]),
    )


def _lemma2_holds(block: _Softmax, gap: np.ndarray) -> np.ndarray:
    """[run, run] whether ‖p¹ − p²‖₁ ≥ min(γ¹, γ²) wherever the predictions differ.

    The distance is at least its part from the two predicted classes, which is what the lemma's
    proof uses, so four numbers an example verify it.
    """
    n = len(block.prediction)
    holds = np.ones((n, n), bool)
    for i, j in _indices_of_pairs(n):
        rows = np.flatnonzero(block.prediction[i] != block.prediction[j])
        ours, theirs = block.prediction[i, rows], block.prediction[j, rows]
        top_i, top_j = block.top[i, rows], block.top[j, rows]
        distance = np.abs(top_i - block.relative[j, rows, ours] * top_j)
        distance += np.abs(top_j - block.relative[i, rows, theirs] * top_i)
        holds[i, j] = holds[j, i] = np.all(distance >= np.minimum(gap[i, rows], gap[j, rows]))
    return holds


def _indices_of_pairs(n: int) -> Iterator[tuple[int, int]]:
    for i in range(n):
        for j in range(i):
            yield i, j
