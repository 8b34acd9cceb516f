"""What the pass keeps of every example for measures that are asked for: scores, ranks, top k."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.analysis.blocks import Block, Wanted
from churn_jax.analysis.pair_sums import PairSums
from churn_jax.analysis.pairing import Pairing
from churn_jax.predictions.run import Run

RANK = "label_rank"


def score_key(place: int) -> str:
    """The name among the values of runs of the scores for a class, by its place."""
    return f"score {place}"


def top_key(k: int) -> str:
    """The name of top-k churn among the measures of pairs."""
    return f"top{k}_churn"


def add_rankings(
    block: Block,
    runs: Sequence[Run],
    labels: np.ndarray | None,
    wanted: Wanted,
    pairing: Pairing,
    weights: np.ndarray | None = None,
) -> Block:
    """The block with what is wanted of this module; its values are known to be predictions."""
    values = dict(block.values)
    sets: list[list[np.ndarray]] = [[] for _ in wanted.tops]
    for i, run in enumerate(runs):
        found = _sortable(np.asarray(run.rows(block.rows)))
        of_run = class_scores(run.kind, found, wanted.scored)
        if wanted.ranked:
            assert labels is not None
            of_run[RANK] = label_ranks(found, labels)
        for name, each in of_run.items():
            values.setdefault(name, np.zeros((len(runs), len(each))))[i] = each
        for k, of_k in zip(wanted.tops, sets, strict=True):
            of_k.append(top_sets(found, k))
    pairs = PairSums(pairing, weights)
    for k, of_k in zip(wanted.tops, sets, strict=True):
        codes = set_codes(of_k)
        for a, b in pairs.groups():
            differ = codes[a][:, None] != codes[b][None]
            pairs.add(top_key(k), differ.astype(np.float32))
    return dataclasses.replace(block, values=values, pairs=block.pairs | pairs.pairs())


def _sortable(values: np.ndarray) -> np.ndarray:
    """The values in a type that NumPy can sort, which changes none of them."""
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


def class_scores(kind: str, values: np.ndarray, classes: Sequence[int]) -> dict[str, np.ndarray]:
    """What ranks the examples as the probability of each class does, [row] float64 by name.

    Probabilities and their logarithms rank as they are. Logits do by the class's log-odds, in which
    probabilities that round to 1 still differ.

    Args:
      kind: what the values are, as of `Run`.
      values: of a block, [row, class].
      classes: their places.
    """
    if kind != "logits":
        return {score_key(c): values[:, c].astype(np.float64) for c in classes}
    found = {}
    for c in classes:
        others = np.delete(values, c, axis=1).astype(np.float64)
        largest = others.max(1, keepdims=True)
        rest = largest[:, 0] + np.log(np.exp(others - largest).sum(1))
        found[score_key(c)] = values[:, c] - rest
    return found


def label_ranks(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes come before the true one, [row]; of equal values those with lower places."""
    own = values[np.arange(len(labels)), labels][:, None]
    before = np.arange(values.shape[1]) < labels[:, None]
    return ((values > own) | ((values == own) & before)).sum(1)


def top_sets(values: np.ndarray, k: int) -> np.ndarray:
    """The k largest of each row's values, [row, k] places in ascending order.

    Of equal values those with the lowest places.
    """
    least = np.partition(values, -k, axis=1)[:, -k, None]
    above, ties = values > least, values == least
    room = k - above.sum(1, keepdims=True)
    chosen = above | (ties & (ties.cumsum(1) <= room))
    return np.nonzero(chosen)[1].reshape(-1, k)


def set_codes(sets: Sequence[np.ndarray]) -> np.ndarray:
    """A number for each of all runs' sets, [run, row]: equal where the sets are.

    Args:
      sets: of each run, [row, k] as of `top_sets`.
    """
    whole = np.stack(sets)
    _, codes = np.unique(whole.reshape(-1, whole.shape[2]), axis=0, return_inverse=True)
    return codes.reshape(whole.shape[:2])
