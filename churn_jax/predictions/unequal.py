"""Refusing to pair what does not belong together: other data, other labels, one run twice.

Whose rows are which examples is asked before, by `joining`; which columns are which classes, by
`classes`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions import origins
from churn_jax.predictions.prediction_file import Predictions


def refuse_other_labels(
    name: str, labels: np.ndarray, before: str, expected: np.ndarray, ids: np.ndarray
) -> None:
    """Raises UserError unless the labels of the examples `ids` are those of the files before."""
    wrong = labels != expected
    if wrong.any():
        example = str(ids[int(np.argmax(wrong))])
        raise UserError(
            f"{name}: the label of {example!r} is another one than in {before}, as in "
            f"{np.count_nonzero(wrong):,} of {len(wrong):,} examples"
        )


def refuse_other_weights(
    name: str, weights: np.ndarray, before: str, expected: np.ndarray, ids: np.ndarray
) -> None:
    """Raises UserError unless the weights of the examples `ids` are those of the file before."""
    wrong = weights != expected
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UserError(
            f"{name}: the weight of {str(ids[row])!r} is {weights[row]:g}, and {expected[row]:g} "
            f"in {before}; they differ in {np.count_nonzero(wrong):,} of {len(wrong):,} examples"
        )


def refuse_mismatched(runs: Sequence[Predictions]) -> None:
    """Raises UserError unless all runs predict the same examples of the same data."""
    first = runs[0]
    for run in runs[1:]:
        pair = f"{_title(first)} and {_title(run)}"
        for key in ("dataset", "split", "data_fingerprint"):
            ours, theirs = first.provenance[key], run.provenance[key]
            if ours != theirs:
                raise UserError(f"{pair} differ in {key}: {ours!r} and {theirs!r}")
        if len(run.ids) != len(first.ids) or np.any(run.ids != first.ids):
            raise UserError(f"{pair} have different example ids")
        refuse_other_labels(_title(run), run.labels, _title(first), first.labels, run.ids)
        if run.log_probs.shape[2] != first.log_probs.shape[2]:
            raise UserError(f"{pair} have different numbers of classes")


def refuse_repeats(runs: Sequence[Predictions]) -> None:
    """Raises UserError where a run is there twice, or at another step than the others."""
    seen = set()
    for run in runs:
        key = origins.identity(run.provenance)
        if key in seen:
            raise UserError(
                f"{_title(run)} is there twice: runs must be independent, and the same config, "
                "seed and index are the same training, wherever it was done (train more with "
                "another config.first_run or config.seed)"
            )
        seen.add(key)
        if run.provenance["step"] != runs[0].provenance["step"]:
            raise UserError(
                f"{_title(runs[0])} and {_title(run)} are of different steps: choose one by --step"
            )


def refuse_other_training_data(runs: Sequence[Predictions]) -> None:
    """Raises UserError where a run was trained on other data, or to update another model."""
    for run in runs:
        updates = [r.provenance.get("previous", {}).get("fingerprint") for r in (runs[0], run)]
        if updates[0] != updates[1]:
            raise UserError(
                f"{_title(runs[0])} and {_title(run)} update different models "
                f"({updates[0]!r} and {updates[1]!r})"
            )
        ours, theirs = (r.provenance.get("train_fingerprint") for r in (runs[0], run))
        if None not in (ours, theirs) and ours != theirs:
            raise UserError(
                f"{_title(runs[0])} and {_title(run)} were trained on different data "
                f"(train_fingerprint {ours!r} and {theirs!r})"
            )


def refuse_unmatched(groups: Mapping[str, Sequence[origins.Origin]], versions: bool = True) -> None:
    """Raises UserError unless run r of each group can belong to run r of the first.

    Args:
      groups: the origins of each group's runs, in their order, the old one first; {} where a file
        says nothing of itself.
      versions: whether all others must be updates of the first, where they say what they update.
    """
    (old, first), *others = groups.items()
    for name, runs in others:
        if len(runs) != len(first):
            raise UserError(
                f"paired runs: {old} has {len(first)} runs and {name} {len(runs)}; run r of the "
                "one is held against run r of the other"
            )
        for ours, theirs in zip(first, runs, strict=True):
            if ours.get("run") != theirs.get("run") and ours and theirs:
                raise UserError(
                    f"paired runs: run {ours.get('run')} of {old} would be held against run "
                    f"{theirs.get('run')} of {name}; give the same runs of both"
                )
            updated = theirs.get("previous", {}).get("config_hash")
            if versions and updated and "config_hash" in ours and updated != ours["config_hash"]:
                raise UserError(
                    f"paired runs: {name} is no update of {old}: its previous model has the config "
                    f"{updated}, {old} {ours['config_hash']}"
                )


def _title(run: Predictions) -> str:
    provenance = run.provenance
    return (
        f"{provenance['group']} run {provenance['run']} "
        f"(seed {provenance['seed']}, step {provenance['step']})"
    )
