"""What a name in a condition means: which measure, and of which group; refused if two things."""

import dataclasses
import unicodedata
from collections.abc import Iterator

from churn_jax.analysis.intervals import Sample
from churn_jax.analysis.samples import Samples
from churn_jax.errors import UsageError, suggest
from churn_jax.metrics.asked import OF_CLASSES
from churn_jax.metrics.definitions import DEFINITIONS, Definition, definition
from churn_jax.predictions.readers.names import class_key
from churn_jax.report.gate import ALIASES, identifier

# Measures of pairs in which the first of the two has a part of its own.
_DIRECTED = ("churn_correct", "churn_incorrect")
_MOST_SUGGESTED = 1000


@dataclasses.dataclass(frozen=True)
class Measure:
    """One measure of a comparison.

    Attributes:
      key: as in `metrics.definitions`.
      group: the index of the group whose own it is; None for that of the change from the first
        group to the last.
      whose: ' of NAME' or ' within NAME', or nothing for the change.
    """

    key: str
    group: int | None
    whose: str = ""

    @property
    def definition(self) -> Definition:
        return definition(self.key)

    @property
    def words(self) -> str:
        """As a person says it."""
        return f"{self.definition.title}{self.whose}"

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest possible value; rates' differences and κ lie in [−1, 1]."""
        return (-1.0, 1.0) if self.definition.signed else self.definition.limits

    def sample(self, samples: Samples) -> Sample:
        if self.group is None:
            return samples.between(self.key, 0, len(samples.names) - 1)
        return samples.own(self.key, self.group)


def resolve(name: str, samples: Samples, option: str) -> Measure:
    """What `churn`, `churn_old`, `ece_GROUP`, `recall_new[CLASS]`, … means among the samples.

    Raises:
      UsageError: it is not measured, or could be two things, or needs more groups or runs.
    """
    found = list(dict.fromkeys(_readings(name, samples)))
    if not found:
        why = _why_unknown(name, samples) or suggest(name, _all_names(samples))
        raise UsageError(f"{option}: {name!r} is not measured{why}")
    if len(found) > 1:
        meanings = " and ".join(_meaning(measure, samples) for measure in found[:2])
        raise UsageError(
            f"{option}: {name!r} means two things, {meanings}: {_way_out(name, found)}"
        )
    (measure,) = found
    if measure.group is None:
        measure = _of_all(name, measure.key, samples, option)
    else:
        _check_own(name, measure, samples, option)
    return measure


def _readings(name: str, samples: Samples) -> Iterator[Measure]:
    """Everything that the name could mean."""
    name, bracket, rest = name.partition("[")
    name, of_class = unicodedata.normalize("NFKC", name), _class(bracket + rest, samples)
    if (key := ALIASES.get(name, name) + of_class) in _known(samples):
        yield Measure(key, None)
    last = len(samples.names) - 1
    places = [(identifier(group), index) for index, group in enumerate(samples.names)]
    places += [("old", 0), ("new", last)]
    # "New" is called new, wherever it stands.
    places += [(group.lower(), index) for group, index in places if group.lower() in ("old", "new")]
    for group, index in places:
        start = name.removesuffix(f"_{group}")
        key = ALIASES.get(start, start) + of_class
        if start != name and key in _known(samples):
            yield _own(key, index, samples)


def _class(written: str, samples: Samples) -> str:
    """`[CLASS]` as the measure that was asked for has it, whatever the case it is written in."""
    own = {f"[{a.key.partition('[')[2]}" for a in samples.asked if a.key != a.family}
    alike = [each for each in own if class_key(each) == class_key(written)]
    return written if written in own or len(alike) != 1 else alike[0]


def _own(key: str, group: int, samples: Samples) -> Measure:
    of = "within" if key in samples.pair_measures else "of"
    return Measure(key, group, f" {of} {samples.names[group]}")


def _of_all(name: str, key: str, samples: Samples, option: str) -> Measure:
    """A measure whose group is not said."""
    if len(samples.names) == 1:
        measure = _own(key, 0, samples)
        _check_own(name, measure, samples, option)
        return measure
    if key in samples.run_measures:
        start, bracket, rest = name.partition("[")
        old, new = (f"{start}_{which}{bracket}{rest}" for which in ("old", "new"))
        raise UsageError(f"{option}: say whose {name}: {old} or {new}")
    first, last = 0, len(samples.names) - 1
    if key == "excess_churn" and min(len(samples.members(g)) for g in (first, last)) < 2:
        raise UsageError(f"{option}: excess_churn needs two runs of each group")
    if key in samples.change_measures or key in _DIRECTED:
        _refuse_reversed(name, samples, option)
    return Measure(key, None)


def _refuse_reversed(name: str, samples: Samples, option: str) -> None:
    lower = [str(group).lower() for group in samples.names]
    if lower[0] == "new" or lower[-1] == "old":
        first, last = samples.names[0], samples.names[-1]
        raise UsageError(
            f"{option}: {name} is of the change from the first group, {first!r}, to the last, "
            f"{last!r}: give old first and new last"
        )


def _check_own(name: str, measure: Measure, samples: Samples, option: str) -> None:
    key, group = measure.key, measure.group or 0
    if key in samples.run_measures:
        return
    if key not in samples.pair_measures:
        raise UsageError(f"{option}: {name}: {key} is of a change between two groups")
    if len(samples.members(group)) < 2:
        raise UsageError(
            f"{option}: {name}: {samples.names[group]} has one run, so no {key} within"
        )


def _meaning(measure: Measure, samples: Samples) -> str:
    title = measure.definition.title
    if measure.group is None:
        return f"the measure {title}"
    last = len(samples.names) - 1
    place = {0: "first ", last: "last "}.get(measure.group, "") if last else ""
    return f"{title} of the {place}group {samples.names[measure.group]!r}"


def _way_out(name: str, found: list[Measure]) -> str:
    by_place = name.endswith(("_old", "_new"))
    if by_place and all(measure.group is not None for measure in found):
        return "give old first and new last"
    return "rename the group by --group NAME=FILES"


def _why_unknown(name: str, samples: Samples) -> str:
    """Why a measure that there is can't be had of these files; '' for what is no measure."""
    groups = ["old", "new", *map(identifier, samples.names)]
    starts = [name, *(name.removesuffix(f"_{group}") for group in groups)]
    key = next((key for start in starts if (key := ALIASES.get(start, start)) in DEFINITIONS), None)
    if key is None:
        return ""
    measured, needs = samples.measured, definition(key).needs
    lacks = ["labels"] * ("labels" in needs and measured.labels is None)
    lacks += ["probabilities"] * ("probs" in needs and not measured.has_probs)
    lacks += ["several labels an example (--kind=multilabel)"] * (
        "sets" in needs and measured.sets is None
    )
    if (why := definition(key).unweighted) and measured.weights is not None:
        return f" where examples have weights: {why}"
    if lacks:
        return f": it needs {' and '.join(lacks)}, which not all files hold"
    return ": no condition can hold it, or --measures=main left it out"


def _known(samples: Samples) -> tuple[str, ...]:
    return (
        *samples.run_measures,
        *samples.pair_measures,
        *samples.change_measures,
        "excess_churn",
    )


def _all_names(samples: Samples) -> list[str]:
    """Names that can be written; of run measures with the groups they may be of."""
    groups = ["old", "new", *map(identifier, samples.names)]
    plain = [*samples.pair_measures, *samples.change_measures, *ALIASES, "top5_churn"]
    keys = dict.fromkeys((*samples.run_measures, *OF_CLASSES, "top5_accuracy"))
    own = [f"{key}_{group}" for key in keys for group in groups]
    return plain + own[:_MOST_SUGGESTED]
