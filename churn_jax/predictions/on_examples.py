"""What other models predict of given examples: their files' log-probabilities, in our order."""

from collections.abc import Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.metrics.arrays import SUM_TOLERANCE
from churn_jax.predictions.alignment import align
from churn_jax.predictions.readers import Source
from churn_jax.predictions.run import Run

_ROWS = 1 << 14  # at once
_OURS = "the training set"


def log_probs(
    sources: Sequence[Source], ids: np.ndarray, class_names: Sequence[str], least: float
) -> np.ndarray:
    """Log-probabilities of the examples that `ids` names, float32 [source, example, class].

    Args:
      sources: read from files, which may have further examples.
      ids: str [example].
      class_names: in the order that is wanted; the files' own order is that of their names.
      least: what smaller ones become, those of probability 0 among them.

    Raises:
      UserError: a file has no ids, lacks examples, has other classes or no probabilities.
    """
    classes = len(class_names)
    for source in sources:
        if source.ids is None:
            raise UserError(
                f"{source.name}: has no example ids, so it can't be told which training example "
                f"is which; give it a column 'id' like {str(ids[0])!r}"
            )
        if source.values is None:
            raise UserError(f"{source.name}: has predicted classes alone, no probabilities")
    ours = Source(
        _OURS,
        len(ids),
        np.broadcast_to(np.float32(1 / classes), (len(ids), classes)),
        "probs",
        ids=np.asarray(ids).astype(str),
        class_names=tuple(class_names),
    )
    aligned = align({_OURS: [ours], "previous": list(sources)}, on="common")
    if len(aligned.ids) < len(ids):
        _refuse_lacking(sources, ours, set(aligned.ids.tolist()))
    return np.stack([_normalised(run, len(ids), least) for run in aligned.runs[1:]])


def _refuse_lacking(sources: Sequence[Source], ours: Source, common: set[str]) -> None:
    assert ours.ids is not None
    lacking = next(i for i in ours.ids.tolist() if i not in common)
    for source in sources:
        has = set(source.ids.tolist() if source.ids is not None else ())
        if lacking not in has:
            count = sum(i not in has for i in ours.ids.tolist())
            raise UserError(
                f"{source.name}: lacks {count:,} of the {ours.size:,} training examples, such as "
                f"{lacking!r}"
            )
    raise UserError(f"{sources[0].name}: has no value for the example {lacking!r}")


def _normalised(run: Run, size: int, least: float) -> np.ndarray:
    found = []
    for start in range(0, size, _ROWS):
        values = np.asarray(run.rows(slice(start, start + _ROWS)), np.float64)
        if run.kind == "probs":
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.log(values)
        elif run.kind == "logits":
            values = values - values.max(1, keepdims=True)
            values -= np.log(np.exp(values).sum(1, keepdims=True))
        sums = np.exp(values).sum(1)
        if faulty := np.flatnonzero(~(np.abs(sums - 1) <= SUM_TOLERANCE)).tolist():
            raise UserError(
                f"{run.name}: example {start + faulty[0]} has probabilities that sum to "
                f"{sums[faulty[0]]:.3g}, not to 1"
            )
        found.append(np.maximum(values, least).astype(np.float32))
    return np.concatenate(found)
