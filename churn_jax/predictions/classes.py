"""The classes that several files share: by name where they have names, else by position.

A label or a prediction is looked up among the classes by what it says. Positions count only where
columns have no names (plain arrays), and then whatever is no position says how the columns are
ordered: as scikit-learn orders `classes_`, whole numbers by size and texts by alphabet.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from churn_jax.errors import UserError, suggest
from churn_jax.predictions.readers.names import Coded, class_key, class_name, in_order, is_whole
from churn_jax.predictions.readers.source import Source

# Pairs of which the second is what a binary model's one probability is of.
_BINARY = (
    *(("0", "1"), ("-1", "1"), ("false", "true"), ("no", "yes"), ("neg", "pos"), ("n", "y")),
    *(("negative", "positive"), ("f", "t"), ("absent", "present")),
)
_BOOLEANS = {"0": "false", "1": "true", "false": "0", "true": "1"}
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of all files.

    Attributes:
      names: one for each, in the order of the first file that has names.
      columns: for each source where each class's column is in it; None where they are in order, or
        there are none. Of a single column only the place of the class that it is of counts.
      notes: what was decided, for the report.
    """

    names: tuple[str, ...]
    columns: tuple[np.ndarray | None, ...]
    notes: tuple[str, ...]

    def codes(self, source: Source, what: str, found: Coded) -> np.ndarray:
        """A source's labels or predicted classes as places in `names`, [example] int32.

        Raises:
          UserError: one of them is none of the classes.
        """
        places = _places(self.names, source.class_names or self.names, found.names)
        for place, name in zip(places, found.names, strict=True):
            if place is None:
                raise UserError(f"{source.name}: {_no_class(name, what, self.names)}")
        table = np.array([*places, -1], np.int32)  # the last is where -1, a gap, points
        return table[found.codes]


def unite(sources: Sequence[Source], labels: Source | None) -> Classes:
    """The classes of all sources, and of labels from a file of their own.

    Raises:
      UserError: they have different classes, or it can't be told which column is which.
    """
    wide = [s for s in sources if s.values is not None and s.values.shape[1] > 1]
    single = [s for s in sources if s.values is not None and s.values.shape[1] == 1]
    occurring = _occurring([*sources, *([labels] if labels else [])])
    notes: list[str] = []
    _refuse_other_widths(wide)
    if wide and single and wide[0].values.shape[1] != 2:  # type: ignore[union-attr]
        raise UserError(
            f"{single[0].name}: has one column, for a class of two, and {wide[0].name} has "
            f"{wide[0].values.shape[1]} classes"  # type: ignore[union-attr]
        )
    named = [source for source in wide if source.class_names]
    if named:
        names = tuple(class_name(name) for name in named[0].class_names or ())
        _note_positions(names, occurring, notes)
        _note_unnamed(named[0], [s for s in wide if not s.class_names], notes)
    elif wide:
        names = _of_positions(wide[0], occurring, notes)
    elif single:
        names = _of_two(single, occurring)
    else:
        names = tuple(in_order(occurring.values()))
    columns = [_columns(source, names, named[0] if named else None) for source in sources]
    _note_spellings([*sources, *([labels] if labels else [])], names, notes)
    return Classes(names, tuple(columns), tuple(notes))


def _occurring(sources: Sequence[Source]) -> dict[str, str]:
    """{key: name} of the classes among labels and predicted classes."""
    found: dict[str, str] = {}
    for source in sources:
        for column in (source.labels, source.predicted):
            for name in column.names if column is not None else ():
                found.setdefault(class_key(name), name)
    return found


def _refuse_other_widths(wide: Sequence[Source]) -> None:
    for source in wide[1:]:
        ours, theirs = source.values.shape[1], wide[0].values.shape[1]  # type: ignore[union-attr]
        if ours != theirs:
            raise UserError(
                f"{source.name}: has {ours} classes, {wide[0].name} has {theirs}"
                f"{_other_names(source, wide[0])}"
            )


def _other_names(source: Source, reference: Source) -> str:
    """Which classes one file has and the other lacks, if both have names."""
    if not source.class_names or not reference.class_names:
        return ""
    ours, theirs = (
        {class_key(name): name for name in s.class_names or ()} for s in (source, reference)
    )
    lacking = [name for key, name in theirs.items() if key not in ours]
    extra = [name for key, name in ours.items() if key not in theirs]
    parts = [f"lacks {_listed(lacking)}"] * bool(lacking) + [f"adds {_listed(extra)}"] * bool(extra)
    return f" (it {' and '.join(parts)})" if parts else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _of_positions(source: Source, occurring: dict[str, str], notes: list[str]) -> tuple[str, ...]:
    """Names of columns that have none: their positions, or the classes that occur, in order."""
    width = source.values.shape[1]  # type: ignore[union-attr]
    positions = tuple(map(str, range(width)))
    strangers = [name for key, name in occurring.items() if key not in positions]
    if not strangers:
        return positions
    if width == 2 and occurring.keys() <= _BOOLEANS.keys():
        return ("False", "True")
    ordered = tuple(in_order(occurring.values()))
    if len(ordered) == width and all(is_whole(name) for name in ordered):
        notes.append(
            f"Columns without names are the classes that occur, in ascending order: "
            f"{_first_and_last(ordered)}."
        )
        return ordered
    if all(is_whole(name) for name in strangers):
        raise UserError(
            f"{source.name}: the class {strangers[0]} is outside 0 to {width - 1}, and its columns "
            "have no names; give class_names"
        )
    raise UserError(
        f"{source.name}: its columns have no names, so {strangers[0]!r} is none of them; give "
        f"class_names{', in the order of classes_' if len(ordered) == width else ''}"
    )


def _of_two(single: Sequence[Source], occurring: dict[str, str]) -> tuple[str, str]:
    """The two classes of binary models, of which files have one probability."""
    first = single[0].name
    if len(occurring) > 2:
        raise UserError(
            f"{first}: has one column, the values of one class of two, but there are "
            f"{len(occurring)} classes ({_listed(list(occurring.values()))}); give a column for "
            "every class"
        )
    for source in single:
        (name,) = source.class_names or ("",)
        if class_key(name) in occurring and name:
            others = [found for key, found in occurring.items() if key != class_key(name)]
            return (others[0] if others else _complement(name), occurring[class_key(name)])
    for pair in _BINARY:
        if occurring and occurring.keys() <= set(pair):
            return tuple(occurring.get(key, key) for key in pair)  # type: ignore[return-value]
    if len(occurring) == 2 and all(is_whole(name) for name in occurring.values()):
        low, high = in_order(occurring.values())
        return low, high
    (name,) = single[0].class_names or ("",)
    if not occurring:
        return (_complement(name), class_name(name)) if name else ("0", "1")
    raise UserError(
        f"{first}: has one probability, and it can't be told of which class "
        f"({' or '.join(map(repr, occurring.values()))}); name its column after the class"
    )


def positive_of(names: Sequence[str]) -> int | None:
    """The place of the positive one of two classes: the larger number, true, yes, positive, …

    None where their names don't say.
    """
    keys = [class_key(name) for name in names]
    if all(is_whole(name) for name in names):
        return int(np.argmax([int(name) for name in names]))
    for low, high in _BINARY:
        if set(keys) == {low, high}:
            return keys.index(high)
    return None


def positive_place(names: Sequence[str], given: str | None) -> int:
    """The place of the positive one of two classes, which may be given by its name.

    Raises:
      UserError: it is none of them, or it is not given and their names don't say it.
    """
    if given is not None:
        keys = [class_key(name) for name in names]
        if class_key(given) not in keys:
            near = suggest(given, names)
            raise UserError(f"--positive={given}: is none of the classes{near}")
        return keys.index(class_key(given))
    if (found := positive_of(names)) is None:
        raise UserError(
            f"it can't be told which of the two classes is the positive one: say "
            f"--positive={names[0]} or --positive={names[1]}"
        )
    return found


def _complement(name: str) -> str:
    """What the other of two classes is called."""
    for low, high in _BINARY:
        if class_key(name) == high:
            return low
        if class_key(name) == low:
            return high
    return f"not {name}"


def _columns(source: Source, names: tuple[str, ...], reference: Source | None) -> np.ndarray | None:
    """Where each class's column is in a source."""
    if source.values is None:
        return None
    own = source.class_names
    if source.values.shape[1] == 1:
        return np.array([_of_which(source, names)])
    if own is None:
        if reference is None or not all(is_whole(name) for name in names):
            return None
        order = np.argsort([int(name) for name in names], kind="stable")
        places = np.empty(len(names), np.int64)
        places[order] = np.arange(len(names))
    else:
        of_key = {class_key(name): place for place, name in enumerate(own)}
        missing = [name for name in names if class_key(name) not in of_key]
        if missing:
            assert reference is not None
            raise UserError(
                f"{source.name}: has other classes than {reference.name}"
                f"{_other_names(source, reference)}"
            )
        places = np.array([of_key[class_key(name)] for name in names])
    return None if np.array_equal(places, np.arange(len(names))) else places


def _of_which(source: Source, names: tuple[str, ...]) -> int:
    """Of which of two classes a single column is."""
    keys = [class_key(name) for name in names]
    (own,) = source.class_names or ("",)
    if own and class_key(own) in keys:
        return keys.index(class_key(own))
    if (positive := positive_of(names)) is not None:
        return positive
    if own and names[1] == class_name(own):
        return 1
    raise UserError(
        f"{source.name}: has one probability, and it can't be told of which class "
        f"({' or '.join(map(repr, names))}); name its column after the class"
    )


def _places(names: Sequence[str], own: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Where each of some names is among the classes; None where it is none of them.

    Positions are those of the file's own classes.
    """
    keys = {class_key(name): place for place, name in enumerate(names)}
    found = [keys.get(class_key(name)) for name in wanted]
    if None not in found:
        return found
    if set(keys) <= _BOOLEANS.keys():  # True is 1
        found = [keys.get(key, keys.get(_BOOLEANS.get(key, key))) for key in map(class_key, wanted)]
        if None not in found:
            return found
    if len(own) == len(names) and (positions := _positions(own, wanted)):
        return [keys.get(class_key(own[position])) for position in positions]
    return found


def _positions(names: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Whole numbers as positions of classes that are called by texts: from 0, or from 1 if they
    are exactly 1 to the number of classes."""
    if any(is_whole(name) for name in names) or not all(is_whole(name) for name in wanted):
        return None
    numbers = [int(name) for name in wanted]
    if sorted(numbers) == list(range(1, len(names) + 1)):
        return [number - 1 for number in numbers]
    return numbers if all(0 <= number < len(names) for number in numbers) else None


def _note_positions(names: tuple[str, ...], occurring: dict[str, str], notes: list[str]) -> None:
    whole = [name for key, name in occurring.items() if is_whole(name)]
    if whole and not any(is_whole(name) for name in names):
        first = 1 if sorted(map(int, whole)) == list(range(1, len(names) + 1)) else 0
        notes.append(
            f"Classes given as numbers are positions: {first} is {names[0]!r}, "
            f"{first + len(names) - 1} is {names[-1]!r}."
        )


def _note_unnamed(reference: Source, unnamed: Sequence[Source], notes: list[str]) -> None:
    if unnamed:
        notes.append(
            f"{', '.join(source.name for source in unnamed)}: columns without names are taken in "
            f"the order of {reference.name}."
        )


def _note_spellings(sources: Sequence[Source], names: Sequence[str], notes: list[str]) -> None:
    """Says which spellings were taken for one class."""
    shown = {class_key(name): name for name in names}
    pairs = {
        (name, shown[class_key(name)])
        for source in sources
        for column in (source.labels, source.predicted)
        if column is not None
        for name in (*column.names, *(one for one, _ in column.spellings))
        if shown.get(class_key(name), name) != name
    }
    if pairs:
        listed = ", ".join(f"{one!r} is {other!r}" for one, other in sorted(pairs)[:_SHOWN])
        notes.append(f"Names that differ in case or blanks alone are one class: {listed}.")


def _first_and_last(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]}, {names[1]}, … {names[-1]}"


def _no_class(name: str, what: str, names: Sequence[str]) -> str:
    """Why a label or a prediction is none of the classes."""
    if is_whole(name) and all(is_whole(n) for n in names):
        return f"the {what} {name} is none of the classes ({_first_and_last(names)})"
    return f"the {what} {name!r} is none of the classes{suggest(name, names[:50])}"
