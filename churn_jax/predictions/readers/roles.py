"""Which column is what, by its name: ids, labels, predictions, values, row names, or none of these.

Names count in any case, with blanks, dashes and underscores alike: `ImageId`, `y-true`, `Y_True`.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from churn_jax.errors import UserError, suggest
from churn_jax.predictions.readers.source import Kind, ReadOptions

# Names under which people save these things; the first is ours.
VALUE_NAMES: dict[str, Kind | None] = {
    **dict.fromkeys(("probs", "probabilities", "probability", "prob", "proba", "probas"), "probs"),
    **dict.fromkeys(("y_prob", "y_proba", "y_probs", "pred_proba", "pred_probs"), "probs"),
    **dict.fromkeys(("predict_proba", "predicted_proba", "softmax"), "probs"),
    **dict.fromkeys(("log_probs", "log_prob", "logprobs", "log_proba"), "log_probs"),
    **dict.fromkeys(("log_probabilities", "predict_log_proba"), "log_probs"),
    **dict.fromkeys(("logits", "logit", "y_logits", "decision_function"), "logits"),
    **dict.fromkeys(("scores", "score", "y_score", "y_scores", "raw_prediction"), None),
}
PREDICTION_NAMES = (
    *("predictions", "prediction", "preds", "pred", "y_pred", "y_preds", "y_hat", "yhat"),
    *("predicted", "predict", "predicted_class", "predicted_label", "pred_class", "pred_label"),
    *("predicted_labels", "predicted_classes"),
)
LABEL_NAMES = (
    *("labels", "label", "targets", "target", "y_true", "y", "label_ids", "label_id", "y_test"),
    *("true_label", "true_labels", "true_class", "ground_truth", "truth", "actual", "gold"),
)
ID_NAMES = ("ids", "id", "example_ids", "example_id")
# What an example says, for people to read.
TEXT_NAMES = (
    *("text", "texts", "sentence", "question", "prompt", "input", "query", "review", "comment"),
    *("message", "title", "document", "content", "problem", "instruction"),
)
CLASS_NAMES = ("class_names", "classes", "classes_")
NO_IDS = frozenset((*LABEL_NAMES, "class_id", "category_id", "input_ids", "run_id", "model_id"))
# Beside logits nothing else could tell these from classes.
NO_CLASSES = (
    *("weight", "weights", "sample_weight", "fold", "split", "epoch", "step", "seed", "loss"),
    *("confidence", "conf", "entropy", "margin", "uncertainty", "max_prob", "timestamp", "time"),
    *("length", "count", "region", "group"),
)
_INDEX = re.compile(r"(unnamed:?_\d+(_level_\d+)?|__index_level_\d+__|level_\d+|index|)$")
_JOINED_IDS = ("imageid", "passengerid", "exampleid", "rowid")
_SOME_ID = re.compile(r".*(_ids?|[a-z0-9]I[dD]s?)$")


@dataclasses.dataclass(frozen=True)
class Roles:
    """The names of columns by what they hold; None where there is none of the kind.

    `indexes` are called as the names of rows are, and `rest` as nothing that is known.
    """

    id: str | None
    label: str | None
    prediction: str | None
    weight: str | None
    values: str | None
    class_names: str | None
    indexes: tuple[str, ...]
    rest: tuple[str, ...]


def assign(name: str, columns: Sequence[str], options: ReadOptions, table: bool) -> Roles:
    """Tells the columns of a file apart.

    Args:
      name: the file.
      columns: their names.
      options: what its owner says of them.
      table: whether a column may be any class's, and so needs a name of its own.

    Raises:
      UserError: two columns claim one role, or a column that was asked for is not there.
    """
    free = [column for column in columns if column not in _named(name, columns, options)]

    def one_of(names: Iterable[str], option: str, given: str | None) -> str | None:
        if given is not None:
            return find_column(name, columns, given, option)
        found = [column for column in free if plain(column) in names]
        if len(found) > 1:
            hint = f"; say which by --{option}=" if option else "; keep the one to compare"
            raise UserError(f"{name}: has {' and '.join(found)}{hint}")
        return found[0] if found else None

    label = one_of(LABEL_NAMES, "label", column_if_there(columns, options.label))
    prediction = one_of(PREDICTION_NAMES, "prediction", options.prediction)
    values = one_of(VALUE_NAMES, "columns", None)
    ids = find_ids(name, free if options.id is None else columns, options.id)
    class_names = None if table else one_of(CLASS_NAMES, "", None)
    weight = None
    if options.weight is not None:
        weight = find_column(name, columns, options.weight, "weights")
        if weight in (ids, label, prediction, *options.columns):
            raise UserError(f"{name}: the column {weight!r} can't be of weights and something else")
    indexes = tuple(column for column in free if table and is_index(column))
    used = (ids, label, prediction, weight, values, class_names, *indexes)
    rest = tuple(column for column in columns if column not in used)
    return Roles(ids, label, prediction, weight, values, class_names, indexes, rest)


def find_ids(name: str, columns: Sequence[str], given: str | None = None) -> str | None:
    """The column of ids: the one that is given, called id, or the only one called some id."""
    if given is not None:
        return find_column(name, columns, given, "id")
    found = [column for column in columns if plain(column) in ID_NAMES]
    if len(found) > 1:
        raise UserError(f"{name}: has {' and '.join(found)}; say which by --id=")
    return found[0] if found else _some_id(columns)


def find_text(columns: Iterable[str]) -> str | None:
    """The column of what examples say, by its name; the first of several in `TEXT_NAMES`."""
    by_name = {plain(column): column for column in columns}
    return next((by_name[name] for name in TEXT_NAMES if name in by_name), None)


def is_index(column: str) -> bool:
    """Whether a column is called as data frames call the names of their rows."""
    return _INDEX.match(plain(column)) is not None


def is_called(column: str, wanted: str | None) -> bool:
    """Whether a column is the one that was asked for, in any case."""
    return wanted is not None and plain(column) == plain(wanted)


def plain(column: str) -> str:
    """A column's name without what does not matter in it."""
    return re.sub(r"[\s\-]+", "_", column.strip()).casefold()


def _named(name: str, columns: Sequence[str], options: ReadOptions) -> set[str]:
    """The columns that the owner says something of, which their names then don't."""
    single = {"id": options.id, "prediction": options.prediction}
    given = [(column, option) for option, column in single.items() if column is not None]
    given += [(column, "columns") for column in options.columns]
    found = {find_column(name, columns, column, option) for column, option in given}
    others = {column_if_there(columns, column) for column in (options.label, options.weight)}
    return found | {column for column in others if column}


def find_column(name: str, columns: Sequence[str], wanted: str, option: str) -> str:
    """The column that an option names.

    Raises:
      UserError: there is none.
    """
    if found := column_if_there(columns, wanted):
        return found
    raise UserError(f"{name}: has no column {wanted!r} (--{option}){suggest(wanted, columns)}")


def column_if_there(columns: Sequence[str], wanted: str | None) -> str | None:
    """A column by its exact name, else by its name in any case."""
    if wanted is None or wanted in columns:
        return wanted
    return next((column for column in columns if is_called(column, wanted)), None)


def _some_id(columns: Iterable[str]) -> str | None:
    """The one column that is called some id: PassengerId, image_id."""
    names = [column for column in columns if plain(column) not in NO_IDS]
    found = [c for c in names if _SOME_ID.match(c.strip()) or plain(c) in _JOINED_IDS]
    return found[0] if len(found) == 1 else None
