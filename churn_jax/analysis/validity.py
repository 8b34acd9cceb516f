"""What keeps a figure from being a result: broken runs, and runs that are not independent.

A run *never learned* if its accuracy is not above the share of the largest class by more than two
standard errors of that share (a guesser gets past that once in 44 times), or if its negative
log-likelihood is not below log K, that of a uniform guess. Churn between such runs says nothing
about a method, so no group that has one is called better or worse than another.

Runs are *not independent* if no random stream differs between them, or if two of them predict
exactly the same probabilities: then one has been counted twice, or nothing varied.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from churn_jax.analysis.samples import Samples
from churn_jax.predictions import origins
from churn_jax.predictions.origins import Origin

Report = dict[str, Any]
_STANDARD_ERRORS = 2.0


def add(
    report: Report,
    samples: Samples,
    run_names: Sequence[str],
    made_by: Sequence[Origin],
    failed: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Adds to a report what its reader must be warned of, and withholds verdicts accordingly.

    Each group gets `never_learned`, `not_independent` and `made_by`, each contrast `withheld` (why
    it gives no verdict, or None), and the report `failed_runs`, `chance` and `warnings`: one line
    each, the gravest first.

    Args:
      report: with its `groups` and `contrasts`.
      samples: of the report.
      run_names: of all runs, as the samples have them.
      made_by: the origin of each.
      failed: {group, run, step, last_good_checkpoint} of runs that are left out.
    """
    chance = chance_level(samples)
    by_group: dict[str, list[Origin]] = {}
    broken, tied = [], []
    for index, entry in enumerate(report["groups"]):
        rows = samples.members(index).tolist()
        by_group[entry["name"]] = [made_by[row] for row in rows]
        entry["made_by"] = origins.made_by(by_group[entry["name"]])
        entry["never_learned"] = [
            {"run": run_names[row], **fault}
            for row in rows
            if (fault := _fault(samples, row, chance))
        ]
        entry["not_independent"] = _dependence(samples, rows, run_names, by_group[entry["name"]])
        broken += [f"{run['run']} never learned: {run['why']}" for run in entry["never_learned"]]
        tied += [f"{entry['name']}: {entry['not_independent']}"] * bool(entry["not_independent"])
    report["failed_runs"] = list(failed)
    report["chance"] = chance
    report["warnings"] = [
        *map(failure, failed), *broken, *tied,
        *origins.repeats(by_group), *origins.differences(by_group),
    ]  # fmt: skip
    _withhold(report)


def chance_level(samples: Samples) -> dict[str, float] | None:
    """What knows nothing of the examples reaches; None without labels of several classes.

    `accuracy`: the share of the largest class; `accuracy_to_beat`: that and two standard errors;
    `nll`: log K.
    """
    labels = samples.measured.labels
    if labels is None:
        return None
    share = float(np.bincount(labels).max()) / len(labels)
    if share == 1:
        return None
    above = _STANDARD_ERRORS * math.sqrt(share * (1 - share) / len(labels))
    nll = math.log(samples.measured.num_classes)
    return {"accuracy": share, "accuracy_to_beat": share + above, "nll": nll}


def failure(run: Mapping[str, Any]) -> str:
    """What became of a run that training gave up."""
    kept = run["last_good_checkpoint"]
    good = "there is no good checkpoint" if kept is None else f"last good checkpoint: {kept}"
    return (
        f"{run['group']} {run['run']} is left out: its loss became NaN or infinite at step "
        f"{run['step']} ({good})"
    )


def _fault(samples: Samples, row: int, chance: Mapping[str, float] | None) -> dict[str, Any] | None:
    """Why a run counts as one that never learned, or None."""
    if chance is None:
        return None
    measured = samples.measured
    accuracy = float(measured.correct[row].mean())
    nll = float(measured.values["nll"][row].mean()) if "nll" in measured.values else None
    found = {"accuracy": accuracy, "nll": nll}
    if accuracy <= chance["accuracy_to_beat"]:
        return found | {
            "why": f"accuracy {100 * accuracy:.1f} % is not above chance, the largest class's "
            f"{100 * chance['accuracy']:.1f} % and two standard errors"
        }
    # Infinite where a file has probabilities of exactly 0: nothing is known then.
    if nll is not None and math.isfinite(nll) and nll >= chance["nll"]:
        return found | {
            "why": f"NLL {nll:.3g} is not below a uniform guess's, log {measured.num_classes} = "
            f"{chance['nll']:.3g}"
        }
    return None


def _dependence(
    samples: Samples, rows: Sequence[int], run_names: Sequence[str], made_by: Sequence[Origin]
) -> str | None:
    """Why the runs of a group are not independent, or None."""
    if len(rows) < 2:
        return None
    if all(origin and origins.held(origin) for origin in made_by):
        return (
            "no random stream differs between its runs: they are no independent trainings, and "
            "their churn comes of rounding alone"
        )
    if not samples.measured.has_probs:
        return None
    pairs = samples.measured.pairs
    apart = (pairs["schurn"].pairs + pairs["churn"].pairs)[np.ix_(rows, rows)]
    same = np.argwhere(np.triu(apart == 0, 1))
    if not len(same):
        return None
    a, b = (run_names[rows[place]] for place in same[0])
    more = f", and {len(same) - 1} more pairs" if len(same) > 1 else ""
    return f"{a} and {b} predict exactly the same{more}: one run counted twice, or nothing varied"


def _withhold(report: Report) -> None:
    """Says for every contrast whether it may give a verdict."""
    why = {}
    for entry in report["groups"]:
        if entry["never_learned"]:
            why[entry["name"]] = f"{entry['name']} has runs that never learned"
        elif entry["not_independent"]:
            why[entry["name"]] = f"{entry['name']}'s runs are not independent"
    for contrast in report["contrasts"]:
        contrast["withheld"] = why.get(contrast["a"]) or why.get(contrast["b"])
