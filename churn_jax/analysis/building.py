"""Builds the report: `evaluate`, `compare` and studies all come here with what they measured."""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from churn_jax.analysis import breakdowns, claims, slicing, summaries, validity, weighting
from churn_jax.analysis.samples import Samples
from churn_jax.analysis.slicing import Partition
from churn_jax.metrics.definitions import DEFINITIONS
from churn_jax.predictions import origins
from churn_jax.predictions.origins import Origin
from churn_jax.report.estimates import Estimate, Group
from churn_jax.report.report import Chance, FailedRun, Point, Report, Weights

# Said in the report of matched runs.
PAIRED = (
    "Paired: run r of a group is compared with run r of the others alone, and the pairs are the "
    "independent units. Churn beyond a retraining's is that beyond the first group's own."
)
_MOST_GROUPS = 10  # of which every two are compared
_HEAVY = 0.05  # of all weight


@dataclasses.dataclass(frozen=True)
class Training:
    """What is known of a group of runs of one configuration of churn_jax.

    Attributes:
      config_hash: of its configuration.
      step: of training.
      intra_pair_churn: between the two members of one run; None where a run has one.
    """

    config_hash: str
    step: int
    intra_pair_churn: Estimate | None


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a report says of the runs beside what was measured.

    Attributes:
      dataset, split: what the predictions are of; '' where no file says it.
      run_names: of all runs, in the samples' order.
      origins: of all runs.
      notes: what was assumed or detected in reading them.
      failed: runs that training gave up, as of `workdirs.failed_runs`.
      trainings: of each group, where churn_jax trained them.
      over_training: each group at every step of its training, where that was asked for.
      open_ended: whether predictions are answers, of which no guesser gets a known share right.
      by_threshold: whether a threshold of the user's decides the classes.
      weights: the column or file with the examples' weights, where they have some.
    """

    dataset: str
    split: str
    run_names: Sequence[str]
    origins: Sequence[Origin]
    notes: Sequence[str] = ()
    failed: Sequence[Mapping[str, Any]] = ()
    trainings: Sequence[Training] = ()
    over_training: Mapping[str, tuple[Point, ...]] | None = None
    open_ended: bool = False
    by_threshold: bool = False
    weights: str = ""


def changes(num_groups: int) -> list[tuple[int, int]]:
    """The groups (a, b) that a report compares, a before b.

    Every two of up to ten groups; of more, each with the first and with the one before it, so that
    the work grows with the groups.
    """
    if num_groups <= _MOST_GROUPS:
        return list(itertools.combinations(range(num_groups), 2))
    return sorted({(a, b) for b in range(1, num_groups) for a in (0, b - 1)})


def report(
    samples: Samples,
    subject: Subject,
    ids: np.ndarray,
    class_names: Sequence[str],
    partitions: Sequence[Partition] = (),
) -> Report:
    """The whole report on groups of runs, breakdowns included.

    Args:
      samples: of the groups, with the pairs of `changes`.
      subject: what else is said of them.
      ids: [example] of str.
      class_names: one for each class.
      partitions: ways of slicing the examples, beside their true classes.
    """
    compared, notes = changes(len(samples.names)), list(subject.notes)
    if len(samples.names) > _MOST_GROUPS:
        notes.append(
            f"With more than {_MOST_GROUPS} groups, each is compared with the first and with the "
            "one before it."
        )
    notes += _of_weights(samples, subject)
    labels = samples.measured.labels
    # Of answers and of sets of labels, most have one item.
    if labels is not None and not subject.open_ended and samples.measured.sets is None:
        classes = slicing.by_class(labels, class_names)
        most = slicing.most_slices(len(samples.names), len(compared))
        if len(classes.names) <= most:
            partitions = [classes, *partitions]
        else:
            notes.append(
                f"The {len(classes.names):,} classes are more than the {most:,} slices that there "
                "is room for: no measures by class."
            )
    contrasted = (*summaries.CONTRASTED, *(each.key for each in samples.asked))
    found = without_breakdowns(samples, subject, compared, contrasted)
    faults = [group.fault for group in found.groups]
    changed = [summaries.change(samples, a, b, faults[a] or faults[b]) for a, b in compared]
    contrasts, between = claims.decide(found.contrasts, changed)
    return dataclasses.replace(
        found,
        notes=tuple(notes),
        contrasts=contrasts,
        between=between,
        breakdowns=breakdowns.breakdowns(
            samples, compared, subject.run_names, ids, class_names, partitions
        ),
    )


def without_breakdowns(
    samples: Samples,
    subject: Subject,
    contrasted: Iterable[tuple[int, int]],
    metrics: Sequence[str] = summaries.CONTRASTED,
) -> Report:
    """A report of groups and contrasts alone.

    Args:
      samples: of the groups.
      subject: what else is said of them.
      contrasted: the pairs of groups (a, b) to contrast.
      metrics: in which measures.
    """
    chance = None if subject.open_ended else validity.chance_level(samples)
    failed = tuple(FailedRun(**run) for run in subject.failed)
    groups = tuple(_group(samples, index, subject, chance) for index in range(len(samples.names)))
    made_by = {name: _origins(samples, index, subject) for index, name in enumerate(samples.names)}
    contrasts, _ = claims.decide(summaries.contrasts(samples, contrasted, groups, metrics), ())
    return Report(
        dataset=subject.dataset,
        split=subject.split,
        num_examples=samples.measured.predictions.shape[1],
        num_classes=samples.measured.num_classes,
        notes=tuple(subject.notes),
        groups=groups,
        contrasts=contrasts,
        failed_runs=failed,
        chance=chance,
        warnings=validity.warnings(groups, made_by, failed),
        over_training=subject.over_training,
        weights=_weights(samples, subject),
        runs_are="repeats" if subject.open_ended else None,
    )


def _weights(samples: Samples, subject: Subject) -> Weights | None:
    found = samples.measured.weights
    return None if found is None else Weights(subject.weights, weighting.effective(found))


def _of_weights(samples: Samples, subject: Subject) -> list[str]:
    """What weights make of a report, and what it lacks because of them."""
    found = _weights(samples, subject)
    if found is None:
        return []
    measured = samples.measured
    lacks = [
        known.title
        for known in DEFINITIONS.values()
        if known.unweighted and known.available(measured.labels is not None, measured.has_probs)
    ]
    lacks += ["McNemar's test"] * (measured.labels is not None)
    listed = ", ".join([*lacks, "what review and abstention spare"])
    alone = ""
    assert measured.weights is not None
    if (heaviest := float(measured.weights.max()) / len(measured.weights)) > _HEAVY:
        alone = (
            f" One example has {100 * heaviest:.0f} % of the weight: intervals of what is rare are "
            "too narrow then."
        )
    return [
        f"Every rate and mean is by weight ({found.of}): {measured.predictions.shape[1]:,} "
        f"examples, which are as good as {found.effective:,.1f} of equal weight, (Σw)²/Σw². What "
        f"has no weighted form is left out: {listed}. Numbers of examples, as of the flips from "
        f"class to class and in the ledger, count each once.{alone}"
    ]


def _group(samples: Samples, index: int, subject: Subject, chance: Chance | None) -> Group:
    measures = summaries.group_measures(samples, index)
    made_by = _origins(samples, index, subject)
    training = subject.trainings[index] if subject.trainings else None
    if training:
        measures["intra_pair_churn"] = training.intra_pair_churn
    return Group(
        name=samples.names[index],
        num_runs=len(made_by),
        measures=measures,
        bounds=summaries.group_bounds(samples, index),
        made_by=origins.made_by(made_by),
        never_learned=validity.never_learned(
            samples, index, subject.run_names, chance, subject.by_threshold
        ),
        not_independent=validity.dependence(samples, index, subject.run_names, made_by),
        config_hash=training.config_hash if training else None,
        step=training.step if training else None,
    )


def _origins(samples: Samples, group: int, subject: Subject) -> list[Origin]:
    return [subject.origins[row] for row in samples.members(group)]
