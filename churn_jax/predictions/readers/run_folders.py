"""Run folders: the workdirs of churn_jax's own trainings."""

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file, workdirs
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.predictions.readers.source import Raw
from churn_jax.predictions.readers.spill import Spill
from churn_jax.storage.workdir import has_config, parts

_ROWS = 4096


def read_run_folder(path: epath.Path) -> list[Raw]:
    """All runs of a workdir at its latest step that has predictions.

    Those of `more_runs` that aren't finished are left out. `WORKDIR/validation` is of all as well.
    """
    steps = workdirs.prediction_steps(path)
    if not steps:
        raise UserError(f"{path}: a folder without predictions; is it a workdir of churn_jax?")
    of_split = not has_config(path) and has_config(path.parent)
    folders = [part / path.name for part in parts(path.parent)] if of_split else parts(path)
    files = [file for part in folders for file in prediction_file.run_files(part, steps[-1])]
    return [from_predictions(str(file), prediction_file.read(file)) for file in files]


def from_predictions(name: str, run: Predictions) -> Raw:
    """One run's prediction file as the readers have it."""
    names = run.provenance.get("class_names")
    return Raw(
        name=name,
        values=_counted(run),
        kind="log_probs",
        labels=run.labels,
        ids=run.ids,
        class_names=tuple(names) if names else None,
        group=run.provenance["group"],
        roles=(run.note,) if run.note else (),
        provenance=run.provenance,
    )


def _counted(run: Predictions) -> np.ndarray:
    """The log-probabilities that count; those of an ensemble are averaged to disk."""
    if run.counts_first:
        return run.counted()
    _, examples, classes = run.log_probs.shape
    with Spill() as spill:
        for start in range(0, examples, _ROWS):
            spill.write(run.counted(slice(start, start + _ROWS)))
        return spill.array(np.dtype(np.float32), (examples, classes))
