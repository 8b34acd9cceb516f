"""What a study says of new versions of a model: run r against run r of the old version."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from churn_jax.analysis import claims
from churn_jax.analysis.intervals import Sample
from churn_jax.analysis.samples import Samples, difference_of
from churn_jax.analysis.summaries import contrast, estimate
from churn_jax.metrics.definitions import definition
from churn_jax.report.estimates import Group
from churn_jax.report.report import Report
from churn_jax.studies.design import Study

_OF_BETWEEN = {"churn_to_old": "churn"}  # under another name than the measure itself


def sample(key: str, samples: Samples, group: int, olds: Mapping[int, int]) -> Sample:
    """A group's own measure, or one of the change from its old version.

    Args:
      key: of the measure.
      samples: of all groups, matched where there are old versions.
      group: the new one.
      olds: {new: old}, by place.
    """
    if not is_of_update(key):
        return samples.own(key, group)
    return samples.between(_OF_BETWEEN.get(key, key), olds[group], group)


def is_of_update(key: str) -> bool:
    """Whether a measure is of a new version and its old one."""
    return definition(key).scope in ("change", "update")


def shown(study: Study) -> tuple[str, ...]:
    """Those that its tables show."""
    keys = dict.fromkeys(key for table in study.tables for key in table.measures)
    return tuple(key for key in keys if is_of_update(key))


def added(
    report: Report,
    samples: Samples,
    olds: Mapping[int, int],
    contrasted: Iterable[tuple[int, int]],
    keys: Sequence[str],
) -> Report:
    """The report with the changes from old to new among each new group's measures.

    Args:
      report: of groups and contrasts.
      samples: of the groups.
      olds: {new: old}, by place.
      contrasted: the pairs of groups to contrast, as the report's are.
      keys: in which measures of updates; everything is corrected together.
    """
    if not olds:
        return report
    every = ("churn_to_old", *samples.change_measures, "excess_churn")

    def with_changes(place: int, group: Group) -> Group:
        if place not in olds:
            return group
        found = {key: estimate(key, sample(key, samples, place, olds)) for key in every}
        return dataclasses.replace(group, measures={**group.measures, **found})

    groups = tuple(with_changes(place, group) for place, group in enumerate(report.groups))
    pairs = [(a, b) for a, b in contrasted if a in olds and b in olds]
    further = [
        contrast(key, groups[a], groups[b], difference_of(key, *_both(key, samples, a, b, olds)))
        for key in keys
        for a, b in pairs
    ]
    contrasts, _ = claims.decide((*report.contrasts, *further), ())
    return dataclasses.replace(report, groups=groups, contrasts=contrasts)


def _both(
    key: str, samples: Samples, a: int, b: int, olds: Mapping[int, int]
) -> tuple[Sample, Sample]:
    return sample(key, samples, b, olds), sample(key, samples, a, olds)
