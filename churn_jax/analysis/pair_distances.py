"""Distances of pairs of runs, and the inner loop of comparing: Σ |a − b| over the classes."""

from collections.abc import Callable

import numpy as np

from churn_jax.analysis.buffers import lent
from churn_jax.analysis.compiled import WORTH, compiled
from churn_jax.analysis.pairing import size

# Values [run, row, class] float32 and two groups' runs, the first group not after the second → the
# distances of each run of one to each of the other, [run, run, row] float32.
PairKernel = Callable[[np.ndarray, slice, slice], np.ndarray]

# In a logarithm a probability below e^−87, float32's smallest, counts as that.
LEAST = float(np.finfo(np.float32).tiny)


def choose(num_differences: int) -> PairKernel:
    """The kernel that is faster for so many differences in all."""
    fill = compiled(_fill_l1) if num_differences >= WORTH else None
    if fill is None:
        return l1_of_pairs

    def l1(values: np.ndarray, a: slice, b: slice) -> np.ndarray:
        found = np.zeros((size(a), size(b), values.shape[1]), np.float32)
        fill(values, a.start, b.start, found)
        return found

    return l1


def l1_of_pairs(values: np.ndarray, a: slice, b: slice) -> np.ndarray:
    """Σ_k |values[i, r, k] − values[j, r, k]| for all i in `a`, j in `b`, and r."""
    ones = np.ones(values.shape[2], np.float32)
    with lent((size(a), *values.shape[1:])) as changes:

        def distances_to(others: slice, j: int) -> np.ndarray:
            change = changes[: size(others)]
            np.subtract(values[others], values[j], out=change)
            np.abs(change, out=change)
            return change @ ones  # the fastest sum there is

        return pairs_of(values.shape[1], a, b, distances_to)


def pairs_of(
    rows: int, a: slice, b: slice, distances_to: Callable[[slice, int], np.ndarray]
) -> np.ndarray:
    """[run of a, run of b, row] from a function that gives a run's distances to some before it."""
    found = np.zeros((size(a), size(b), rows), np.float32)
    for j in range(b.start, b.stop):
        before = slice(a.start, min(a.stop, j))
        if size(before):
            found[: size(before), j - b.start] = distances_to(before, j)
    return found + found.swapaxes(0, 1) if a == b else found


def symmetric_kl(probs: np.ndarray, logs: np.ndarray, a: slice, b: slice) -> np.ndarray:
    """Σ (p − q) (log p − log q)."""
    return pairs_of(
        probs.shape[1],
        a,
        b,
        lambda others, j: np.einsum(
            "nrk,nrk->nr", probs[others] - probs[j], logs[others] - logs[j]
        ),
    )


def jensen_shannon(probs: np.ndarray, logs: np.ndarray, a: slice, b: slice) -> np.ndarray:
    """½ KL(p‖m) + ½ KL(q‖m) with m = (p + q) / 2, in nats."""

    def distances_to(others: slice, j: int) -> np.ndarray:
        middle = np.log(np.maximum(0.5 * (probs[others] + probs[j]), LEAST))
        ours = np.einsum("rk,nrk->nr", probs[j], logs[j] - middle)
        theirs = np.einsum("nrk,nrk->nr", probs[others], logs[others] - middle)
        return np.maximum(0.5 * (ours + theirs), 0)

    return pairs_of(probs.shape[1], a, b, distances_to)


def _fill_l1(values, a, b, found):  # type: ignore[no-untyped-def]
    """The loop of `l1_of_pairs`, of the runs from `a` on to those from `b` on."""
    _, rows, classes = values.shape
    for r in range(rows):
        for j in range(found.shape[1]):
            for i in range(min(found.shape[0], b + j - a)):
                total = np.float32(0)
                for k in range(classes):
                    total += abs(values[b + j, r, k] - values[a + i, r, k])
                found[i, j, r] = total
                if a == b:
                    found[j, i, r] = total
