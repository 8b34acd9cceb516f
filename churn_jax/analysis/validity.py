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

import numpy as np

from churn_jax.analysis import weighting
from churn_jax.analysis.samples import Samples
from churn_jax.predictions import origins
from churn_jax.predictions.origins import Origin
from churn_jax.report.estimates import Group, NeverLearned
from churn_jax.report.report import Chance, FailedRun

_STANDARD_ERRORS = 2.0


def chance_level(samples: Samples) -> Chance | None:
    """What knows nothing of the examples reaches; None without labels of several classes."""
    labels = samples.measured.labels
    if labels is None:
        return None
    weights = samples.measured.weights
    shares = weighting.counts(labels, weights, 0) / len(labels)
    if np.count_nonzero(shares) == 1:
        return None
    share = float(shares.max())
    trials = len(labels) if weights is None else weighting.effective(weights)
    above = _STANDARD_ERRORS * math.sqrt(share * (1 - share) / trials)
    return Chance(share, share + above, math.log(samples.measured.num_classes))


def never_learned(
    samples: Samples,
    group: int,
    run_names: Sequence[str],
    chance: Chance | None,
    by_threshold: bool = False,
) -> tuple[NeverLearned, ...]:
    """The runs of a group that are not above chance.

    Args:
      samples: of all groups.
      group: its index.
      run_names: of all runs.
      chance: of `chance_level`.
      by_threshold: whether a threshold of the user's decides the classes. It gives up accuracy for
        what its owner wants, so that the probabilities alone are asked, by their NLL.
    """
    if chance is None:
        return ()
    found = []
    for row in samples.members(group).tolist():
        measured = samples.measured
        accuracy = float(weighting.mean(measured.correct[row], measured.weights))
        nll = None
        if "nll" in measured.values:
            nll = float(weighting.mean(measured.values["nll"][row], measured.weights))
        held = None if by_threshold else accuracy
        if why := _fault(held, nll, chance, measured.num_classes):
            found.append(NeverLearned(run_names[row], accuracy, nll, why))
    return tuple(found)


def _fault(
    accuracy: float | None, nll: float | None, chance: Chance, num_classes: int
) -> str | None:
    """Why a run counts as one that never learned, or None; what is None is not asked."""
    if accuracy is not None and accuracy <= chance.accuracy_to_beat:
        return (
            f"accuracy {100 * accuracy:.1f} % is not above chance, the largest class's "
            f"{100 * chance.accuracy:.1f} % and two standard errors"
        )
    # Infinite where a file has probabilities of exactly 0: nothing is known then.
    if nll is not None and math.isfinite(nll) and nll >= chance.nll:
        return f"NLL {nll:.3g} is not below a uniform guess's, log {num_classes} = {chance.nll:.3g}"
    return None


def dependence(
    samples: Samples, group: int, run_names: Sequence[str], made_by: Sequence[Origin]
) -> str | None:
    """Why the runs of a group are not independent, or None.

    Args:
      samples: of all groups.
      group: its index.
      run_names: of all runs.
      made_by: the origins of the group's runs.
    """
    rows = samples.members(group).tolist()
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


def warnings(
    groups: Sequence[Group],
    made_by: Mapping[str, Sequence[Origin]],
    failed: Sequence[FailedRun],
) -> tuple[str, ...]:
    """What a report's reader must be warned of: one line each, the gravest first.

    Args:
      groups: of the report.
      made_by: the origins of each group's runs, by its name.
      failed: the runs that are left out.
    """
    broken = [
        f"{run.run} never learned: {run.why}" for group in groups for run in group.never_learned
    ]
    tied = [f"{group.name}: {group.not_independent}" for group in groups if group.not_independent]
    return (
        *map(failure, failed), *broken, *tied,
        *origins.repeats(made_by), *origins.differences(made_by),
    )  # fmt: skip


def failure(run: FailedRun) -> str:
    """What became of a run that training gave up."""
    kept = run.last_good_checkpoint
    good = "there is no good checkpoint" if kept is None else f"last good checkpoint: {kept}"
    return (
        f"{run.group} {run.run} is left out: its loss became NaN or infinite at step "
        f"{run.step} ({good})"
    )
