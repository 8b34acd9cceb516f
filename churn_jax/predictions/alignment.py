"""Bringing several files' predictions together: the same examples and classes, or a refusal.

Examples are joined by id where there are ids, in whatever order each file has them. Without ids the
position counts, if every file has the same number of examples. Anything that could pair the wrong
rows or columns is refused; classes are matched by `classes`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions import classes as classes_
from churn_jax.predictions import label_sets, unequal, weighing
from churn_jax.predictions.classes import Classes
from churn_jax.predictions.joining import Joined, join
from churn_jax.predictions.label_sets import LabelSets
from churn_jax.predictions.memory_maps import in_bounded_memory
from churn_jax.predictions.readers import Source
from churn_jax.predictions.run import Run

_SHOWN = 4  # files that one line has room for


@dataclasses.dataclass(frozen=True)
class Aligned:
    """Predictions of the same examples by several runs.

    Attributes:
      runs: with the index of each one's group, in the order of `groups`.
      groups: names of the groups.
      labels: [example] of integers, or None.
      weights: [example], what each counts: positive numbers whose mean is 1; None where all count
        the same.
      ids: [example] of str: the examples' ids, or their positions.
      places: [example], where each one is among the examples of the first file.
      num_given: how many the first file has.
      num_classes: columns of the values.
      class_names: one for each class.
      notes: what a reader must know: positions instead of ids, what was read as what, which
        examples were left out.
      origins: the provenance of each run; {} where its file has none.
      open_ended: whether some are answers: then nothing is said of chance.
      texts: [example], what each one says, of the first file that has them; None where none has.
      label_sets: where a class is a set of labels, which ones each has.
    """

    runs: list[Run]
    groups: list[str]
    labels: np.ndarray | None
    ids: np.ndarray
    places: np.ndarray
    num_given: int
    num_classes: int
    class_names: tuple[str, ...]
    notes: list[str]
    origins: list[dict]
    open_ended: bool = False
    weights: np.ndarray | None = None
    texts: np.ndarray | None = None
    label_sets: LabelSets | None = None

    @property
    def provenance(self) -> dict:
        """Of the first run that has any."""
        return next(filter(None, self.origins), {})

    def origins_by_group(self) -> dict[str, list[dict]]:
        """The provenance of each group's runs, in their order."""
        found: dict[str, list[dict]] = {name: [] for name in self.groups}
        for run, origin in zip(self.runs, self.origins, strict=True):
            found[self.groups[run.group]].append(origin)
        return found


def align(
    groups: Mapping[str, Sequence[Source]],
    labels: Source | None = None,
    weights: Source | None = None,
    on: Literal["all", "common"] = "all",
) -> Aligned:
    """Joins the examples of all sources.

    Args:
      groups: the runs of each group, by its name.
      labels: labels from a file of their own, which count instead of those beside predictions, and
        may be of more examples.
      weights: the same of weights; else those beside predictions. Examples of weight 0 are left
        out, and of equal weights nothing is left to be said.
      on: 'common' compares the examples that all files have, and says how many are left out;
        'all' refuses files of different examples.

    Raises:
      UserError: two files do not belong together; the message names the second and the fault.
    """
    sources = [source for members in groups.values() for source in members]
    beside = [each for each in (labels, weights) if each is not None]
    joined = join(sources, beside, on == "common")
    joined, counting = weighing.weigh([*sources, *beside], joined)
    classes = classes_.unite(sources, labels)
    sets = label_sets.unite([*sources, *([labels] if labels else [])], classes.names)
    notes = [*joined.notes, *_readings(sources), *classes.notes]
    runs = []
    places = zip(joined.rows, classes.columns, strict=True)
    for index, members in enumerate(groups.values()):
        for source in members:
            rows, columns = next(places)
            run, note = _run(source, rows, columns, classes, index)
            runs.append(run)
            notes += [note] if note else []
    return Aligned(
        runs=runs,
        groups=list(groups),
        labels=_labels(sources, labels, joined, classes),
        ids=joined.ids,
        places=np.arange(len(joined.ids)) if joined.rows[0] is None else joined.rows[0],
        num_given=sources[0].size,
        num_classes=max(2, len(classes.names)),
        class_names=classes.names,
        notes=notes,
        origins=[source.provenance or {} for source in sources],
        open_ended=any(source.open_ended for source in sources),
        weights=counting,
        texts=_texts(sources, joined),
        label_sets=sets,
    )


def _run(
    source: Source,
    rows: np.ndarray | None,
    columns: np.ndarray | None,
    classes: Classes,
    group: int,
) -> tuple[Run, str]:
    """A source as a run of the joined examples and classes, and what to say of it."""
    predicted = None
    if source.predicted is not None:
        codes = classes.codes(source, "prediction", source.predicted)
        predicted = codes if rows is None else codes[rows]
    values = source.values
    if values is None:
        assert predicted is not None
        return Run(predicted.__getitem__, "classes", group, source.name), ""
    if values.shape[1] == 1:
        assert columns is not None
        values, columns = _both(values, source.kind, int(columns[0])), None
    read = in_bounded_memory(_rows_of(values, rows, columns), values)
    if predicted is None:
        return Run(read, source.kind, group, source.name), ""
    note = _disagreement(source, read, predicted, len(classes.names))
    return Run(read, source.kind, group, source.name, predicted.__getitem__), note


def _rows_of(
    values: np.ndarray, rows: np.ndarray | None, columns: np.ndarray | None
) -> Callable[[slice], np.ndarray]:
    if rows is None and columns is None:
        return lambda wanted: values[wanted]
    if columns is None:
        assert rows is not None
        return lambda wanted: values[rows[wanted]]
    if rows is None:
        return lambda wanted: values[wanted][:, columns]
    return lambda wanted: values[rows[wanted]][:, columns]


def _both(values: np.ndarray, kind: str, of: int) -> np.ndarray:
    """Values [example, 2] from those of one class of two."""
    one = np.asarray(values[:, 0], np.float64)
    if kind == "logits":
        other = np.zeros_like(one)
    elif kind == "log_probs":
        with np.errstate(divide="ignore", invalid="ignore"):
            other = np.log(-np.expm1(one))
    else:
        other = 1 - one
    return np.stack([other, one] if of == 1 else [one, other], 1)


def _disagreement(
    source: Source, read: Callable[[slice], np.ndarray], predicted: np.ndarray, num_classes: int
) -> str:
    """How many predicted classes are not those of the largest value, in words."""
    most, size = max(1, (1 << 20) // num_classes), len(predicted)
    differ = 0
    for start in range(0, size, most):
        wanted = slice(start, min(start + most, size))
        block = np.asarray(read(wanted))
        given = block[np.arange(len(block)), predicted[wanted]]
        differ += int(np.count_nonzero(given < block.max(1)))
    if not differ:
        return ""
    if num_classes == 2 and source.values is not None and source.values.shape[1] == 1:
        one = np.asarray(source.values[:, 0])
        if source.kind == "probs" and differ > size // 10 and one.min() >= 0.5:
            raise UserError(
                f"{source.name}: its one probability is of the predicted class, not of one class "
                "of two (none is below 0.5, whatever is predicted); leave it out by "
                "--kind=classes"
            )
    return (
        f"{source.name}: the predicted class is not the one of the largest value in {differ:,} of "
        f"{size:,} examples: the predicted classes count, and the values for what needs them."
    )


def _labels(
    sources: Sequence[Source], separate: Source | None, joined: Joined, classes: Classes
) -> np.ndarray | None:
    if separate is not None:
        assert separate.labels is not None
        found = classes.codes(separate, "label", separate.labels)
        rows = joined.beside_rows[0]
        return found if rows is None else found[rows]
    result: np.ndarray | None = None
    for source, rows in zip(sources, joined.rows, strict=True):
        if source.labels is None:
            continue
        found = classes.codes(source, "label", source.labels)
        found = found if rows is None else found[rows]
        if result is not None:
            unequal.refuse_other_labels(source.name, found, "the files before", result, joined.ids)
        result = found
    return result


def _texts(sources: Sequence[Source], joined: Joined) -> np.ndarray | None:
    for source, rows in zip(sources, joined.rows, strict=True):
        if source.texts is not None:
            return source.texts if rows is None else source.texts[rows]
    return None


def _readings(sources: Sequence[Source]) -> list[str]:
    """What was read as what, once for all files of which the same is said."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for source in sources:
        if source.notes:
            alike.setdefault(source.notes, []).append(source.name)
    return [f"{_listed(files)}: {'; '.join(notes)}." for notes, files in alike.items()]


def _listed(files: Sequence[str]) -> str:
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return f"{', '.join(files[:_SHOWN])}{more}"
