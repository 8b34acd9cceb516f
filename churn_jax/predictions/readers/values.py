"""Settling what a file's values are, and refusing what cannot be predictions."""

import dataclasses

import numpy as np

from churn_jax.errors import UserError
from churn_jax.predictions.readers import census
from churn_jax.predictions.readers.multilabel import as_sets
from churn_jax.predictions.readers.names import Coded, as_numbers, class_key, coded, id_texts
from churn_jax.predictions.readers.source import KIND_NAMES, Kind, Raw, ReadOptions, Source
from churn_jax.predictions.readers.spill import Spill
from churn_jax.predictions.readers.weights import as_weights

_PEEK = 1 << 16  # values that are looked at where a name says what all are
_BLOCK_ELEMENTS = 1 << 18


def settle(raw: Raw, options: ReadOptions) -> Source:
    """Checks arrays against each other and settles the kind of the values.

    Declared by the caller, or by the array's name in the file, or detected from all rows, which
    the source's notes then say.

    Raises:
      UserError: the arrays do not fit together, something is missing, or the values are none of
        the kinds.
    """
    if options.kind == "multilabel":
        raw, options = as_sets(raw, options), dataclasses.replace(options, kind="classes")
    name, values, predicted = raw.name, raw.values, raw.predicted
    if options.kind == "classes" and predicted is not None:
        values = None  # what else the file has was not asked for
    if values is not None and values.ndim == 1 and predicted is None:
        values, predicted = _one_axis(raw, options)
    said = list(raw.roles)
    names = raw.class_names
    if values is not None:
        values = _checked_values(raw, values)
    size = len(values) if values is not None else len(_one_dimensional(name, predicted))
    _refuse_lengths(raw, size, predicted)
    ids, index = _ids(name, raw.ids), _ids(name, raw.index)
    if options.weight is not None and raw.weights is None:
        raise UserError(
            f"{name}: has no columns, so none of weights: give a file of them "
            f"(--weights={options.weight})"
        )
    weights = raw.weights
    if weights is not None:
        weights = as_weights(name, weights, None if ids is None else ids.tolist())
    gaps = np.zeros(size, bool)
    kind: Kind = "classes"
    if values is not None:
        kind, missing, how = _kind(raw, values, options)
        gaps = gaps if missing is None else gaps | missing
        said += [how] if how else []
    found: dict[str, Coded | None] = {}
    for what, array in (("predicted", predicted), ("labels", raw.labels)):
        found[what] = None if array is None else coded_or_refused(name, what, array, names or ())
    if values is None and not said:
        said.append("read as predicted classes")
    source = Source(
        name=name,
        size=size,
        values=values,
        kind=kind,
        predicted=found["predicted"],
        labels=found["labels"],
        ids=ids,
        index=index if index is not None and len(set(index.tolist())) == len(index) else None,
        weights=weights,
        class_names=names,
        group=raw.group,
        notes=tuple(said),
        provenance=raw.provenance,
        open_ended=raw.open_ended,
        texts=None if raw.texts is None or len(raw.texts) != size else raw.texts,
        label_names=raw.label_names,
        sets=raw.sets,
        columns=raw.columns,
        heeded=raw.heeded,
    )
    _check_names(source)
    return with_gaps(source, gaps, options)


def coded_or_refused(name: str, what: str, array: np.ndarray, classes: tuple[str, ...]) -> Coded:
    """`coded`, whose faults name the file."""
    try:
        return coded(array, classes)
    except ValueError as error:
        of = "predicted classes" if what == "predicted" else what
        raise UserError(f"{name}: {of} {error}") from None


def _one_axis(raw: Raw, options: ReadOptions) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(values, predicted classes) from an array of one axis: numbers for one class of two, or
    predicted classes."""
    assert raw.values is not None
    kind = options.kind or raw.kind
    if kind in ("probs", "log_probs", "logits"):
        if raw.values.dtype.kind != "f":
            raise UserError(
                f"{raw.name}: {kind} must be floating-point numbers, not {raw.values.dtype}"
            )
        return raw.values[:, None], None
    if kind is None and (numbers := as_numbers(raw.values)) is not None:
        return numbers[:, None], None
    return None, raw.values


def _one_dimensional(name: str, predicted: np.ndarray | None) -> np.ndarray:
    if predicted is None:
        raise UserError(f"{name}: has no predictions")
    if predicted.ndim != 1 or len(predicted) == 0:
        raise UserError(
            f"{name}: values must be [example, class] or [example], not {list(predicted.shape)}"
        )
    return predicted


def _checked_values(raw: Raw, values: np.ndarray) -> np.ndarray:
    """Values of a form and type that can be compared."""
    name = raw.name
    if values.ndim != 2 or len(values) == 0:
        raise UserError(
            f"{name}: values must be [example, class] or [example], not {list(values.shape)}"
        )
    if values.shape[1] == 0:
        raise UserError(f"{name}: has no class")
    if values.dtype.kind in "iub":
        hint = {1: ": values from 0 to 255? divide by 255"}.get(values.dtype.itemsize, "")
        raise UserError(f"{name}: values must be floating-point numbers, not {values.dtype}{hint}")
    if values.dtype.kind == "V":
        return _widened(name, values)
    if values.dtype.kind != "f":
        raise UserError(f"{name}: values must be floating-point numbers, not {values.dtype}")
    return values


def _widened(name: str, values: np.ndarray) -> np.ndarray:
    """bfloat16 and other short floats, which NumPy does not have, as float32 on disk.

    JAX saves bfloat16 by `numpy.save` as two bytes without a type.
    """
    try:
        import ml_dtypes
    except ImportError:
        raise UserError(
            f"{name}: reading {values.dtype} needs ml_dtypes (pip install ml_dtypes)"
        ) from None
    if values.dtype == np.dtype("V2"):
        values = values.view(ml_dtypes.bfloat16)
    if values.dtype.fields is not None or "float" not in values.dtype.name:
        raise UserError(
            f"{name}: values of {values.dtype.itemsize} bytes without a type: save float32"
        )
    most = max(1, _BLOCK_ELEMENTS // values.shape[1])
    with Spill() as spill:
        for start in range(0, len(values), most):
            spill.write(np.ascontiguousarray(values[start : start + most].astype(np.float32)))
        return spill.array(np.dtype(np.float32), values.shape)


def _refuse_lengths(raw: Raw, size: int, predicted: np.ndarray | None) -> None:
    arrays = {"labels": raw.labels, "ids": raw.ids, "predictions": predicted, "index": raw.index}
    arrays["weights"] = raw.weights
    for what, array in arrays.items():
        if array is not None and array.shape != (size,):
            hint = ""
            if what == "labels" and array.ndim == 2 and len(array) == size:
                hint = ": one-hot? save their argmax"
            raise UserError(
                f"{raw.name}: {what} of shape {list(array.shape)} for {size} examples{hint}"
            )


def _ids(name: str, ids: np.ndarray | None) -> np.ndarray | None:
    if ids is None:
        return None
    try:
        return id_texts(ids)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None


def _check_names(source: Source) -> None:
    """Raises UserError for names that don't fit: of classes, or of examples."""
    name, names = source.name, source.class_names
    if names is not None and source.values is not None:
        if len(names) != source.values.shape[1]:
            raise UserError(
                f"{name}: {len(names)} class names for {source.values.shape[1]} classes"
            )
        seen: dict[str, str] = {}
        for class_ in names:
            other = seen.setdefault(class_key(class_), class_)
            if other is not class_:
                raise UserError(f"{name}: the classes {other!r} and {class_!r} are one name")
    for coded_ in (source.predicted, source.labels):
        for one, other in coded_.spellings if coded_ is not None else ():
            if len(one) == 1 and len(other) == 1:
                raise UserError(
                    f"{name}: the classes {other!r} and {one!r} differ in case alone, which is no "
                    "difference here: write out what they are"
                )


def _kind(
    raw: Raw, values: np.ndarray, options: ReadOptions
) -> tuple[Kind, np.ndarray | None, str]:
    """(the kind, which examples lack values, how it is known)."""
    name, one = raw.name, values.shape[1] == 1
    declared = options.kind or raw.kind
    if declared == "classes":
        raise UserError(f"{name}: predicted classes must be [example], not {list(values.shape)}")
    everything = declared is None or raw.table or options.missing == "drop" or one
    looked_at = values if everything else values[: 1 + _PEEK // values.shape[1]]
    found = census.count(looked_at)
    if declared is not None:
        if found.probs < found.rows:
            census.refuse_other(name, declared, found if everything else census.count(values))
        return declared, found.missing if everything else None, ""
    if not found.rows:
        raise UserError(f"{name}: example 0 has no value (NaN), nor has any other")
    kind, how = census.detect(name, found, one)
    return kind, found.missing, f"values detected as {KIND_NAMES[kind]} ({how})"


def with_gaps(source: Source, gaps: np.ndarray, options: ReadOptions) -> Source:
    """The source with what is missing marked, or refused."""
    name = source.name
    what = np.full(source.size, "", object)
    what[gaps] = "has no value (NaN or empty)"
    if source.predicted is not None:
        what[source.predicted.missing] = "has no prediction"
    if source.labels is not None:
        what[source.labels.missing] = "has no label"
    if source.weights is not None:
        what[np.isnan(source.weights)] = "has no weight (NaN or empty)"
    ids = source.ids
    if ids is not None:
        what[ids == ""] = "has no id"
        _refuse_repeated(name, ids)
    missing = what != ""
    if not missing.any():
        return source
    if options.missing == "refuse":
        row, count = int(np.argmax(missing)), int(np.count_nonzero(missing))
        more = f", nor have {count - 1:,} others" if count > 1 else ""
        raise UserError(
            f"{name}: example {source.example(row) if ids is None or ids[row] else row} "
            f"{what[row]}{more} (--missing=drop leaves such examples out)"
        )
    return source.replace(missing=missing)


def _refuse_repeated(name: str, ids: np.ndarray) -> None:
    ordered = np.sort(ids[ids != ""])
    twice = ordered[1:] == ordered[:-1]
    if twice.any():
        raise UserError(f"{name}: the id {str(ordered[int(np.argmax(twice))])!r} is there twice")
