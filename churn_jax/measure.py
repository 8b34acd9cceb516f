"""One pass over the predictions of many runs: every measure of each run and of every pair of runs.

`evaluate` and `compare` both stand on this. Predictions arrive a block of examples at a time, all
runs together, so the memory needed does not depend on how large the files are: what is kept is one
number per run and example for each measure, from which `churn_jax.statistics` makes intervals for
the whole set, for a class or for a slice.

The definitions are those of `churn_jax.metrics`, computed here for all pairs at once: every run is
exponentiated once, not once for each pair it is in.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from churn_jax.errors import UserError
from churn_jax.threads import available_cores

# Elements of one run's block: a pair's two blocks and the scratch one stay in a core's cache.
_BLOCK_ELEMENTS = 1 << 15
# Rows of half-precision probabilities add up to 1 only roughly; logits miss by far more than this.
_SUM_TOLERANCE = 0.02


@dataclasses.dataclass(frozen=True)
class Run:
    """The predictions of one model for all examples, read a block at a time.

    Attributes:
      rows: maps a slice of examples to values [example, class] of any float type.
      kind: what the values are. Logits are normalised; the others are taken at their word.
      group: index of the group of runs it belongs to.
      name: what to call it when its values are at fault.
    """

    rows: Callable[[slice], np.ndarray]
    kind: Literal["probs", "log_probs", "logits"]
    group: int = 0
    name: str = "run"


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
    """What one pass finds: arrays [run, example] for runs, `PairMeasure`s for pairs.

    Attributes:
      groups: [run], the group of each run.
      labels: [example].
      predictions: argmax, ties to the lowest index.
      confidence: probability of the predicted class.
      gap: γ, largest minus second-largest probability.
      nll, brier, entropy: −log p_y; Σ_j (p_j − 1[j = y])²; −Σ_j p_j log p_j. In nats.
      churn, schurn: pairs that predict differently; ½‖(p/max p)¹ − (p/max p)²‖₁.
      lemma1, lemma2: [run, run], whether the bounds hold for the pair.
    """

    groups: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray
    gap: np.ndarray
    nll: np.ndarray
    brier: np.ndarray
    entropy: np.ndarray
    churn: PairMeasure
    schurn: PairMeasure
    lemma1: np.ndarray
    lemma2: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """[run, example] whether the predicted class is the label."""
        return self.predictions == self.labels


def measure(runs: Sequence[Run], labels: np.ndarray, num_classes: int) -> Measured:
    """Measures all runs and all pairs of them in one pass over the predictions.

    Args:
      runs: at least one; all of the same examples and classes in the same order.
      labels: [example] integers in [0, num_classes).
      num_classes: columns of the values.
    """
    examples = len(labels)
    groups = np.array([run.group for run in runs])
    found = _Accumulator(groups, labels)
    rows_per_block = max(1, _BLOCK_ELEMENTS // num_classes)

    def work(rows: slice) -> tuple[slice, "_BlockResult"]:
        return rows, _measure_block(runs, rows, labels[rows], groups)

    with ThreadPoolExecutor(available_cores()) as pool:
        for rows, block in pool.map(work, _slices(examples, rows_per_block)):
            found.add(rows, block)
    return found.measured()


@dataclasses.dataclass(frozen=True)
class _RunRows:
    """One run's block: `relative` is p / max p, [row, class] float32; the rest [row] float64."""

    relative: np.ndarray
    prediction: np.ndarray
    confidence: np.ndarray
    gap: np.ndarray
    nll: np.ndarray
    brier: np.ndarray
    entropy: np.ndarray


@dataclasses.dataclass(frozen=True)
class _BlockResult:
    runs: list[_RunRows]
    schurn_means: np.ndarray  # [run, group, row], sums over the pairs with the runs of the group
    schurn_pairs: np.ndarray  # [run, run], sums over the rows
    lemma2: np.ndarray  # [run, run]


def _slices(total: int, step: int) -> Iterator[slice]:
    for start in range(0, total, step):
        yield slice(start, min(start + step, total))


def _measure_block(
    runs: Sequence[Run], rows: slice, labels: np.ndarray, groups: np.ndarray
) -> _BlockResult:
    each = [_run_rows(run, rows, labels) for run in runs]
    n, num_rows = len(runs), len(labels)
    means = np.zeros((n, groups.max() + 1, num_rows), np.float32)
    pairs = np.zeros((n, n))
    lemma2 = np.ones((n, n), bool)
    scratch = np.empty_like(each[0].relative)
    sums = [run.relative.sum(1) for run in each]
    for i in range(n):
        for j in range(i):
            # ½ Σ |a − b| = Σ max(a, b) − ½ Σ (a + b), with one pass less than taking differences.
            np.maximum(each[i].relative, each[j].relative, out=scratch)
            distance = np.maximum(scratch.sum(1) - 0.5 * (sums[i] + sums[j]), 0)
            means[i, groups[j]] += distance
            means[j, groups[i]] += distance
            pairs[i, j] = pairs[j, i] = distance.sum(dtype=np.float64)
            lemma2[i, j] = lemma2[j, i] = _lemma2_holds(each[i], each[j])
    slim = [dataclasses.replace(run, relative=np.empty(0)) for run in each]
    return _BlockResult(slim, means, pairs, lemma2)


def _run_rows(run: Run, rows: slice, labels: np.ndarray) -> _RunRows:
    values, kind = np.asarray(run.rows(rows)), run.kind
    row = np.arange(len(values))
    prediction = values.argmax(1)
    largest = values[row, prediction].astype(np.float64)
    at_label = values[row, labels].astype(np.float64)
    if kind == "probs":
        relative = (values / largest[:, None]).astype(np.float32)
        logs = np.log(np.maximum(relative, np.finfo(np.float32).tiny))
        confidence = largest
    else:
        logs = (values - largest[:, None].astype(values.dtype)).astype(np.float32, copy=False)
        relative = np.exp(logs)
        logs = np.maximum(logs, -1e30)  # so that 0 · log 0 is 0, not NaN
        confidence = (
            np.exp(largest) if kind == "log_probs" else 1 / relative.sum(1, dtype=np.float64)
        )
    total = relative.sum(1, dtype=np.float64)
    _refuse_impossible(run, rows, values, total * confidence)
    with np.errstate(divide="ignore"):
        log_label = {
            "probs": lambda: np.log(at_label),
            "log_probs": lambda: at_label,
            "logits": lambda: at_label - largest + np.log(confidence),
        }[kind]()
    second = _second_largest(relative, prediction)
    squares = np.einsum("rk,rk->r", relative, relative) * confidence**2
    weighted_logs = np.einsum("rk,rk->r", relative, logs)
    return _RunRows(
        relative=relative,
        prediction=prediction,
        confidence=confidence,
        gap=confidence * (1 - second.astype(np.float64)),
        nll=-log_label,
        brier=squares - 2 * np.exp(log_label) + 1,
        entropy=np.maximum(-confidence * (weighted_logs + total * np.log(confidence)), 0),
    )


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


def _second_largest(relative: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    row = np.arange(len(relative))
    relative[row, prediction] = -1
    second = relative.max(1)
    relative[row, prediction] = 1
    return second


def _lemma2_holds(a: _RunRows, b: _RunRows) -> bool:
    """Lemma 2 where it could fail: on the examples where the predictions differ."""
    rows = np.flatnonzero(a.prediction != b.prediction)
    if not len(rows):
        return True
    probs_a = a.relative[rows] * a.confidence[rows, None]
    probs_b = b.relative[rows] * b.confidence[rows, None]
    distance = np.abs(probs_a - probs_b).sum(1)
    return bool(np.all(distance >= np.minimum(a.gap[rows], b.gap[rows])))


class _Accumulator:
    """Collects the blocks' results into whole arrays."""

    def __init__(self, groups: np.ndarray, labels: np.ndarray):
        n, examples = len(groups), len(labels)
        self.groups, self.labels = groups, labels
        self.predictions = np.zeros((n, examples), np.int32)
        self.values = {
            name: np.zeros((n, examples), np.float64)
            for name in ("confidence", "gap", "nll", "brier", "entropy")
        }
        self.schurn_means = np.zeros((n, groups.max() + 1, examples), np.float32)
        self.schurn_pairs = np.zeros((n, n))
        self.lemma2 = np.ones((n, n), bool)

    def add(self, rows: slice, block: _BlockResult) -> None:
        for i, run in enumerate(block.runs):
            self.predictions[i, rows] = run.prediction
            for name, values in self.values.items():
                values[i, rows] = getattr(run, name)
        self.schurn_means[:, :, rows] = block.schurn_means
        self.schurn_pairs += block.schurn_pairs
        self.lemma2 &= block.lemma2

    def measured(self) -> Measured:
        partners = _num_partners(self.groups)
        errors = np.count_nonzero(self.predictions != self.labels, axis=1)
        churn = _churn(self.predictions, self.groups)
        differing = np.rint(churn.pairs * len(self.labels))
        return Measured(
            groups=self.groups,
            labels=self.labels,
            predictions=self.predictions,
            **self.values,
            churn=churn,
            schurn=PairMeasure(
                self.schurn_pairs / len(self.labels),
                self.schurn_means / np.maximum(partners, 1)[:, :, None],
            ),
            lemma1=differing <= errors[:, None] + errors,
            lemma2=self.lemma2,
        )


def _num_partners(groups: np.ndarray) -> np.ndarray:
    """[run, group] how many other runs the group holds."""
    sizes = np.bincount(groups)
    return sizes[None] - (groups[:, None] == np.arange(len(sizes)))


def _churn(predictions: np.ndarray, groups: np.ndarray) -> PairMeasure:
    n, examples = predictions.shape
    means = np.zeros((n, groups.max() + 1, examples), np.float32)
    pairs = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            differ = predictions[i] != predictions[j]
            means[i, groups[j]] += differ
            means[j, groups[i]] += differ
            pairs[i, j] = pairs[j, i] = differ.mean()
    return PairMeasure(pairs, means / np.maximum(_num_partners(groups), 1)[:, :, None])
