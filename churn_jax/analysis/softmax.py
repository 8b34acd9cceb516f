"""The probabilities of all runs on a block of examples, whatever kind of values files hold."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from churn_jax.analysis.compiled import WORTH, compiled
from churn_jax.analysis.pair_distances import LEAST
from churn_jax.errors import UserError
from churn_jax.metrics.arrays import SUM_TOLERANCE
from churn_jax.predictions.run import Run


@dataclasses.dataclass(frozen=True)
class Softmax:
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


# Probabilities [row, class] float32, and where to put them over each row's largest → the place of
# the largest, and the sum and the second-largest of what was put there, each [row]; None where one
# of the values is no probability.
Scaling = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray] | None]


def choose(num_differences: int) -> Scaling | None:
    """A compiled scaling, where there is enough to compare."""
    fill = compiled(_fill_relative) if num_differences >= WORTH else None
    if fill is None:
        return None

    def scaled(
        probs: np.ndarray, relative: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        places = np.empty(len(probs), np.int32)
        sums, seconds = np.empty((2, len(probs)), np.float32)
        bits = (probs.view(np.int32), relative.view(np.int32), seconds.view(np.int32))
        return (places, sums, seconds) if fill(probs, relative, *bits, places, sums) else None

    return scaled


def of_runs(
    runs: Sequence[Run],
    rows: slice,
    labels: np.ndarray | None,
    relative: np.ndarray,
    logs: np.ndarray | None,
    scaling: Scaling | None = None,
) -> Softmax:
    """The block's probabilities, in the memory of `relative` and, if wanted, `logs`.

    Raises:
      UserError: a run's values are no predictions; the message names run and example.
    """
    shape = relative.shape[:2]
    prediction = np.empty(shape, np.int64)
    largest, label_logs = np.empty(shape), np.full(shape, np.nan)
    total, lowest, second = np.empty(shape), np.zeros(shape), np.empty(shape)
    row = np.arange(shape[1])
    for i, run in enumerate(runs):
        values = np.asarray(run.rows(rows))
        own_logs = None if logs is None else logs[i]
        found = None
        if scaling and run.kind == "probs" and values.dtype == np.float32:
            found = scaling(np.ascontiguousarray(values), relative[i])
        if found is None:
            prediction[i] = values.argmax(1)
            largest[i] = values[row, prediction[i]]
            _relate(run.kind, values, largest[i], relative[i], own_logs)
            total[i], lowest[i], second[i] = _summed(relative[i], prediction[i])
        else:
            prediction[i], total[i], second[i] = found
            largest[i] = values[row, prediction[i]]
        if own_logs is not None and run.kind == "probs":
            np.log(np.maximum(relative[i], LEAST), out=own_logs)
        if labels is not None:
            label_logs[i] = values[row, labels]
    top = _top(runs, largest, total)
    _refuse_impossible(runs, rows, lowest, top * total)
    if labels is not None:
        label_logs = _label_logs(runs, label_logs, largest, top)
    return Softmax(relative, logs, prediction, top, total, second, label_logs)


def _relate(
    kind: str,
    values: np.ndarray,
    largest: np.ndarray,
    relative: np.ndarray,
    logs: np.ndarray | None,
) -> None:
    """Fills `relative`, and `logs` of what is no probabilities, from a run's values."""
    # In the values' own precision: a difference of large logits would lose its digits.
    shift = largest[:, None].astype(values.dtype)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if kind == "probs":
            np.multiply(values, 1 / shift, out=relative, casting="same_kind")
        else:
            shifted = relative if logs is None else logs
            np.subtract(values, shift, out=shifted, casting="same_kind")
            np.exp(shifted, out=relative)


def _summed(
    relative: np.ndarray, prediction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sum, the lowest and the second-largest, each [row]; sets the largest to exactly 1."""
    # A product with ones is the fastest sum there is. With the largest out of the way a maximum is
    # all that the second-largest takes, which is faster than any sorting.
    total, lowest = relative @ np.ones(relative.shape[1], np.float32), relative.min(1)
    row = np.arange(len(relative))
    relative[row, prediction] = -1
    second = relative.max(1)
    relative[row, prediction] = 1
    return total, lowest, second


def _fill_relative(  # type: ignore[no-untyped-def]
    probs, relative, bits, relative_bits, second_bits, places, sums
):
    """The loop of a `Scaling`; whether all values are probabilities.

    Floating-point numbers without a sign compare as their bits do, and only whole numbers have
    maxima that a compiler takes with vector instructions.
    """
    rows, classes = probs.shape
    infinity = np.int32(0x7F800000)
    for r in range(rows):
        most, least = np.int32(0), np.int32(0)
        for k in range(classes):
            most, least = max(most, bits[r, k]), min(least, bits[r, k])
        if least < 0 or most == 0 or most >= infinity:
            return False
        place = np.int32(classes)
        for k in range(classes):
            place = min(place, np.int32(k) if bits[r, k] == most else np.int32(classes))
        scale = np.float32(1) / probs[r, place]
        total = np.float32(0)
        for k in range(classes):
            share = probs[r, k] * scale
            relative[r, k] = share
            total += share
        relative[r, place] = np.float32(0)
        second = np.int32(0)
        for k in range(classes):
            second = max(second, relative_bits[r, k])
        relative[r, place] = np.float32(1)
        places[r], sums[r], second_bits[r] = place, total, second
    return True


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
    runs: Sequence[Run], rows: slice, lowest: np.ndarray, sums: np.ndarray
) -> None:
    """Raises UserError for values that are no prediction; `lowest` and `sums` are [run, row]."""
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
