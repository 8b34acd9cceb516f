"""Learning curves of groups of runs, from the logs of their workdirs."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from etils import epath

from churn_jax.predictions import workdirs
from churn_jax.predictions.prediction_file import Predictions
from churn_jax.report.curves import Curve
from churn_jax.storage.workdir import has_config, parts, read_config, read_metrics

_KINDS = ("train", "eval")
_MOST_POINTS = 100  # of a curve, which no page can show more of
_DIGITS = 6

# {(measure, step): (epoch, [run, member] or a scalar)} of one workdir.
_Logged = Mapping[tuple[str, int], tuple[float, np.ndarray]]


def curves(
    groups: Sequence[workdirs.Group],
    loaded: Mapping[epath.PathLike, Sequence[Predictions]],
    first_runs: int | None = None,
) -> tuple[Curve, ...]:
    """A curve for each quantity and member of each group whose workdirs have logs.

    Args:
      groups: of the runs.
      loaded: the same runs by their workdirs.
      first_runs: so many of each workdir; None is all.
    """
    logs: dict[str, list[_Logged]] = {}
    for workdir, runs in loaded.items():
        shown = workdirs.run_range(workdir, first_runs)
        for part in filter(has_config, parts(workdir)) if runs else ():
            first = int(read_config(part).get("first_run", 0))
            if first in shown:
                of_config = logs.setdefault(runs[0].provenance["config_hash"], [])
                of_config.append(_logged(part, shown.stop - first))
    found = (_of_group(group.name, logs.get(group.config_hash, [])) for group in groups)
    return tuple(itertools.chain.from_iterable(found))


def _logged(part: epath.Path, num_runs: int) -> _Logged:
    """What a workdir logged of its first runs."""
    found = {}
    for line in read_metrics(part):
        if line.get("kind") not in _KINDS:
            continue
        for name, value in line.items():
            if name in ("step", "epoch", "kind"):
                continue
            array = np.array(value, np.float64)  # null, of what is not finite, is NaN
            of_runs = array[:num_runs] if array.ndim == 2 else array
            found[f"{line['kind']}/{name}", line["step"]] = (line["epoch"], of_runs)
    return found


def _of_group(name: str, logs: Sequence[_Logged]) -> list[Curve]:
    """Of the steps that all of its workdirs have logged."""
    if not logs:
        return []
    common = set.intersection(*(set(log) for log in logs))
    steps: dict[str, list[int]] = {}
    for measure, step in sorted(common, key=lambda key: key[1]):
        steps.setdefault(measure, []).append(step)
    made = []
    for measure in sorted(steps):
        shown = _thinned(steps[measure])
        epochs = [logs[0][measure, step][0] for step in shown]
        arrays = [[log[measure, step][1] for log in logs] for step in shown]
        if all(array.ndim == 2 for array in arrays[0]):
            whole = np.stack([np.concatenate(of_step) for of_step in arrays])
            for member in range(whole.shape[2]):
                made.append(_curve(name, measure, member, epochs, whole[:, :, member]))
        elif all(array.ndim == 0 for array in arrays[0]):
            whole = np.array(arrays, np.float64)[:, :1]
            made.append(_curve(name, measure, None, epochs, whole))
    return made


def _thinned(steps: Sequence[int]) -> list[int]:
    """Evenly many of them, the first and the last among them."""
    if len(steps) <= _MOST_POINTS:
        return list(steps)
    places = np.linspace(0, len(steps) - 1, _MOST_POINTS).round().astype(int)
    return [steps[place] for place in places]


def _curve(
    group: str, measure: str, member: int | None, epochs: Sequence[float], values: np.ndarray
) -> Curve:
    """Of `values` [step, run]."""
    known = np.isfinite(values)
    count = known.sum(1)
    safe = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = safe.sum(1) / count
        squares = np.where(known, (values - mean[:, None]) ** 2, 0.0).sum(1)
        std = np.sqrt(squares / np.maximum(count - 1, 1))
    return Curve(group, measure, member, *map(_rounded, (epochs, mean, std)))


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{_DIGITS}g}") for value in values)
