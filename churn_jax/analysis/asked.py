"""Measures that a report holds only where they are asked for: which, of which classes, and values.

`metrics.asked` has their names and definitions.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from churn_jax.analysis import influence, scoring, weighting
from churn_jax.analysis.blocks import Wanted
from churn_jax.analysis.one_pass import Measured
from churn_jax.errors import UsageError, UserError, suggest
from churn_jax.metrics import asked as names
from churn_jax.metrics.definitions import DEFINITIONS, definition
from churn_jax.predictions.classes import positive_place
from churn_jax.predictions.readers.names import class_key

# Of whose probabilities those of all runs are kept.
MOST_CLASSES = 100


@dataclasses.dataclass(frozen=True)
class Asked:
    """One measure that was asked for.

    Attributes:
      key: as of `metrics.asked`.
      of: the place of the class that it is of; None for the mean over all, and for top k.
      k: of the top k, or 0.
    """

    key: str
    of: int | None
    k: int

    @property
    def family(self) -> str:
        return names.family_of(self.key)

    @property
    def scope(self) -> str:
        return definition(self.key).scope

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean over examples of what follows from each alone."""
        return self.k > 0

    def values(self, measured: Measured, rows: np.ndarray) -> np.ndarray:
        """[run, example] values of a measure of runs, whose mean over the examples is each run's.

        The mean is that by the examples' weights, where they have some.

        Args:
          measured: of all runs.
          rows: the runs.
        """
        if self.k:
            return (measured.values[scoring.RANK][rows] < self.k).astype(np.float64)
        if self.family == "auc":
            return self._areas(measured, rows)
        labels = measured.labels
        assert labels is not None
        return np.stack(
            [
                influence.class_rate(
                    self.family,
                    measured.predictions[run],
                    labels,
                    measured.num_classes,
                    self.of,
                    measured.weights,
                )
                for run in rows
            ]
        )

    def _areas(self, measured: Measured, rows: np.ndarray) -> np.ndarray:
        labels = measured.labels
        assert labels is not None
        classes = np.unique(labels) if self.of is None else np.array([self.of])
        total = np.zeros((len(rows), len(labels)))
        for c in classes.tolist():
            scores, positive = measured.values[scoring.score_key(c)], labels == c
            for place, run in enumerate(rows):
                total[place] += influence.area_under_curve(scores[run], positive, measured.weights)
        return total / len(classes)

    def trials(self, measured: Measured, rows: np.ndarray) -> float:
        """How many examples the measure rests on, where these are fewer than all.

        A class's own, or for AUC the fewer of its own and the others. A mean over K classes of n_c
        examples each is as uncertain as a rate of K² / Σ 1/n_c examples is. Weighted examples are
        as many as equal ones that are as good.
        """
        if self.k:
            return math.inf
        labels = measured.labels
        assert labels is not None
        powers = _powers(measured)
        of_label = powers(labels, slice(None))
        chosen = np.flatnonzero(of_label[0]) if self.of is None else np.array([self.of])
        found = []
        for run in rows:
            predicted = measured.predictions[run]
            counts = weighting.as_good_as(*of_label)
            if self.family == "auc":
                others = of_label.sum(1, keepdims=True) - of_label
                counts = np.minimum(counts, weighting.as_good_as(*others))
            elif self.family != "recall":
                sums = powers(predicted, slice(None))
                if self.family == "f1":
                    hits = predicted == labels
                    sums = sums + of_label - powers(labels[hits], hits)
                counts = weighting.as_good_as(*sums)
            found.append(len(chosen) ** 2 / float((1 / np.maximum(counts[chosen], 1)).sum()))
        return min(found)


def _powers(measured: Measured) -> Callable[[np.ndarray, np.ndarray | slice], np.ndarray]:
    """Gives Σ w and Σ w² of each class, [2, class], from classes and the examples they are of."""
    weights = np.ones(measured.predictions.shape[1])
    if measured.weights is not None:
        weights = measured.weights

    def powers(classes: np.ndarray, of: np.ndarray | slice) -> np.ndarray:
        own, size = weights[of], measured.num_classes
        return np.stack([np.bincount(classes, own**power, size) for power in (1, 2)])

    return powers


def wanted(asked: Iterable[Asked], num_classes: int, others: Wanted) -> Wanted:
    """What the pass must keep for the measures, beside the others."""
    asked = list(asked)
    scored: set[int] = set()
    for each in asked:
        if each.family == "auc":
            scored |= set(range(num_classes)) if each.of is None else {each.of}
    tops = sorted({each.k for each in asked if each.k and each.scope == "pair"})
    ranked = any(each.k and each.scope == "run" for each in asked)
    return dataclasses.replace(others, scored=sorted(scored), ranked=ranked, tops=tops)


@dataclasses.dataclass(frozen=True)
class Known:
    """What the files hold, as far as it decides what can be asked for.

    Attributes:
      class_names: one for each class.
      labels, probs: whether all files have true classes, and probabilities.
      positive: the positive one of two classes, where their names don't say it.
      of_sets: whether a class is a set of labels.
    """

    class_names: Sequence[str]
    labels: bool
    probs: bool
    positive: str | None = None
    of_sets: bool = False

    @property
    def num_classes(self) -> int:
        return max(2, len(self.class_names))

    def resolve(self, keys: Mapping[str, Iterable[str]]) -> list[Asked]:
        """The measures of these names; `NAME[*]` is that of each class.

        Args:
          keys: what was asked for by each option.

        Raises:
          UserError: a name is none, or the files do not hold what it needs; `positive` is none of
            two classes.
        """
        if self.positive is not None and self.num_classes != 2:
            raise UserError(
                f"--positive={self.positive}: is for two classes, and there are "
                f"{self.num_classes}; for one of several ask "
                f"--measures='recall[{self.positive}]' or the like"
            )
        if self.positive is not None:
            positive_place(self.class_names, self.positive)
        found = [
            each for option, of in keys.items() for key in of for each in self._resolve(key, option)
        ]
        return list({each.key: each for each in found}.values())

    def _resolve(self, key: str, option: str) -> list[Asked]:
        name = names.parse(key)
        if name is None:
            raise UsageError(f"{option}: {_no_name(key)}")
        if self.of_sets:
            raise UsageError(
                f"{option}: {key!r} is of one class an example, not of several labels; compare "
                "those that count as binary models"
            )
        lacks = ["labels"] * (not self.labels) + ["probabilities"] * (not self.probs)
        needs = {"labels": "labels", "probs": "probabilities"}
        lacks = [needs[need] for need in definition(key).needs if needs[need] in lacks]
        if lacks:
            raise UsageError(
                f"{option}: {key!r} needs {' and '.join(lacks)}, which not all files hold"
            )
        if name.k:
            self._refuse_large(key, name.k, option)
            return [Asked(key, None, name.k)]
        if name.of_class == "*":
            self._refuse_many(key, option)
            return [Asked(f"{name.family}[{c}]", i, 0) for i, c in enumerate(self.class_names)]
        if name.of_class is not None:
            place = self._place(name.of_class, key, option)
            return [Asked(f"{name.family}[{self.class_names[place]}]", place, 0)]
        if self.num_classes == 2:
            return [Asked(key, positive_place(self.class_names, self.positive), 0)]
        if name.family == "auc":
            self._refuse_many(key, option)
        return [Asked(key, None, 0)]

    def _refuse_large(self, key: str, k: int, option: str) -> None:
        if k >= self.num_classes:
            raise UsageError(
                f"{option}: {key!r} of {self.num_classes} classes says nothing: k must be "
                f"below {self.num_classes}"
            )

    def _refuse_many(self, key: str, option: str) -> None:
        if self.num_classes > MOST_CLASSES:
            raise UsageError(
                f"{option}: {key!r} of {self.num_classes:,} classes is more than there is room "
                f"for ({MOST_CLASSES}): name those that count, such as "
                f"{names.family_of(key)}[{self.class_names[0]}]"
            )

    def _place(self, name: str, key: str, option: str) -> int:
        if name in self.class_names:
            return self.class_names.index(name)
        alike = [i for i, c in enumerate(self.class_names) if class_key(c) == class_key(name)]
        if len(alike) == 1:
            return alike[0]
        near = suggest(name, self.class_names)
        raise UsageError(f"{option}: {key!r}: {name!r} is none of the classes{near}")


def notes(asked: Collection[Asked], class_names: Sequence[str]) -> list[str]:
    """Which class counts as the positive one, where that was not said."""
    found = [each for each in asked if each.of is not None and each.key == each.family]
    if not found:
        return []
    titles = [definition(each.key).title for each in found]
    listed = " and ".join(filter(None, [", ".join(titles[:-1]), titles[-1]]))
    are = "are" if len(titles) > 1 else "is"
    return [f"{listed} {are} of the positive class, {class_names[found[0].of or 0]!r}."]


def _no_name(key: str) -> str:
    if key in DEFINITIONS or key.startswith("schurn@"):
        more = ", ".join(names.EXAMPLES)
        return f"{key!r} needs not be asked for; what can be: {more}"
    return f"{key!r} is no measure{suggest(key, ('all', 'main', *names.EXAMPLES))}"
