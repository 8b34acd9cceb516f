"""Answers of language models, as evaluation harnesses log them.

    lm-evaluation-harness   samples_TASK_….jsonl: doc_id, target, filtered_resps, filter, metrics
    Inspect                 logs (.eval, .json): samples with id, epoch, target, scores
    anything                records with an id and `correct` (or a score of 0 or 1), and perhaps an
                            answer and a target

An item's class is its target, or `right` where no target is given. An answer that the harness
scored right counts as that class whatever its words, and one that it scored wrong never does: churn
is that of answers where there are any, else that of being right. Repeats of an item (epochs) are
runs of their own.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from churn_jax.errors import UserError, suggest
from churn_jax.predictions.readers.json_records import Record
from churn_jax.predictions.readers.names import MISSING, class_key, tidy
from churn_jax.predictions.readers.roles import (
    LABEL_NAMES,
    PREDICTION_NAMES,
    column_if_there,
    find_column,
    find_ids,
    find_text,
    plain,
)
from churn_jax.predictions.readers.source import Raw, ReadOptions

RIGHT, WRONG = "right", "wrong"
_SHOWN = 60  # characters of an answer
_ONLY_RIGHT = "; no answers, so churn is that of being right"
_SCORES = ("correct", "is_correct", "passed", "right", "score", "exact_match", "acc")
_ANSWERS = (*PREDICTION_NAMES, "answer", "response", "output", "completion", "model_answer")
_TARGETS = (*LABEL_NAMES, "expected", "expected_answer", "reference", "gold_answer")
_WORDS = {"c": True, "i": False, "n": False, "correct": True, "incorrect": False}
_WORDS |= {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


class _Item(NamedTuple):
    """One answer: whose it is, what it says and should say, its score, and what was asked.

    None is what is not given.
    """

    id: str
    answer: str | None
    target: str | None
    score: Any
    question: str | None


class _Log(NamedTuple):
    """The answers of a file, how they were read, by which options, and the names of its fields."""

    items: list[_Item]
    said: str
    heeded: frozenset[str]
    columns: tuple[str, ...] = ()


def are_answers(records: Sequence[Record]) -> bool:
    """Whether records are of a harness, or have a field that says whether each is right."""
    return _reader(records[0]) is not None


def read_answers(name: str, records: Sequence[Record], options: ReadOptions) -> list[Raw]:
    """The answers as predicted classes, one source for each repeat.

    Args:
      name: of the file.
      records: of which `are_answers` is true.
      options: `score` and `filter` say which of several scores and filters counts.

    Raises:
      UserError: scores are neither right nor wrong, there are several and none was chosen, or
        items have other numbers of repeats.
    """
    reader = _reader(records[0])
    assert reader is not None
    log = reader(name, records, options)
    repeats = _repeats(name, log.items)
    if len(repeats) == 1:
        return [_raw(name, repeats[0], log)]
    log = log._replace(said=f"{log.said}; {len(repeats)} repeats of each item are runs")
    return [_raw(f"{name} repeat {i}", each, log) for i, each in enumerate(repeats)]


_Reader = Callable[[str, Sequence[Record], ReadOptions], _Log]


def _reader(record: Record) -> _Reader | None:
    if "doc_id" in record and ("filtered_resps" in record or "resps" in record):
        return _of_lm_eval
    if "scores" in record and isinstance(record["scores"], dict | None):
        return _of_inspect
    columns = [plain(key) for key in record]
    if any(name in columns for name in _SCORES[:4]):
        return _of_anything
    scores = [record[key] for key in record if plain(key) in _SCORES]
    return _of_anything if scores and _truth(scores[0]) is not None else None


def _of_lm_eval(name: str, records: Sequence[Record], options: ReadOptions) -> _Log:
    """lm-evaluation-harness's samples; every filter of a task logs all of them once."""
    filters = list(dict.fromkeys(str(r.get("filter", "none")) for r in records))
    chosen = _choose(name, "filter", filters, options.filter)
    metrics = records[0].get("metrics") or [k for k in ("exact_match", "acc") if k in records[0]]
    score = _choose(name, "score", [str(metric) for metric in metrics], options.score)
    items = []
    for record in records:
        if str(record.get("filter", "none")) != chosen:
            continue
        # The hash tells an item of another version of the task from this one.
        mark = str(record.get("doc_hash") or "")[:8]
        answer, target = _answered(record), _text(record.get("target"))
        item_id = f"{record['doc_id']}{'-' * bool(mark)}{mark}"
        question = _question(record.get("doc"))
        items.append(_Item(item_id, answer, target, record.get(score), question))
    by = f" filter {chosen!r}," if len(filters) > 1 else ""
    said = f"samples of lm-evaluation-harness,{by} right by {score!r}"
    return _Log(items, said, options.given(("filter", "score")))


def _answered(record: Record) -> str | None:
    """The filtered answer; of multiple choice, [[log-likelihood, …], …], the most likely one."""
    found = record.get("filtered_resps", record.get("resps"))
    if not isinstance(found, list) or not found:
        return _text(found)
    if all(isinstance(each, list) and len(each) == 2 for each in found) and len(found) > 1:
        likelihoods = [float(each[0]) for each in found]
        return str(int(np.argmax(likelihoods)))
    return _text(found[0])


def _of_inspect(name: str, records: Sequence[Record], options: ReadOptions) -> _Log:
    scorers = list(dict.fromkeys(key for r in records for key in (r.get("scores") or {})))
    if not scorers:
        raise UserError(f"{name}: its samples have no scores; score the log first")
    chosen = _choose(name, "score", scorers, options.score)
    items = []
    for record in records:
        score = (record.get("scores") or {}).get(chosen) or {}
        if record.get("error") and not score:
            raise UserError(f"{name}: sample {record.get('id')!r} ended in an error, without score")
        answer, target = _text(score.get("answer")), _text(record.get("target"))
        question = _question({"input": _last_message(record.get("input"))})
        item_id = str(record.get("id"))
        items.append(_Item(item_id, answer, target, score.get("value"), question))
    said = f"samples of an Inspect log, right by {chosen!r}"
    return _Log(items, said, options.given(("score",)))


def _of_anything(name: str, records: Sequence[Record], options: ReadOptions) -> _Log:
    columns = list(dict.fromkeys(key for record in records for key in record))
    ids = find_ids(name, columns, options.id)
    if ids is None:
        raise UserError(f"{name}: its records have no id; say which field it is by --id")
    label = column_if_there(columns, options.label)  # of several files it may be in one
    given = (label, options.prediction)
    found = [column for column in columns if plain(column) in _SCORES and column not in given]
    score = _choose(name, "score", found, options.score)
    others = [column for column in columns if column not in (ids, score)]
    if options.prediction is not None:
        answer: str | None = find_column(name, columns, options.prediction, "prediction")
    else:
        answer = _one(name, "prediction", others, _ANSWERS)
    target = label or _one(name, "label", others, _TARGETS)
    items = [
        _Item(
            str(record.get(ids)),
            _text(record.get(answer)) if answer else None,
            _text(record.get(target)) if target else None,
            record.get(score),
            _question({column: record.get(column) for column in others}),
        )
        for record in records
    ]
    parts = [f"{what} from {c!r}" for what, c in (("answers", answer), ("targets", target)) if c]
    heeded = options.given(("id", "prediction", "score", *(("label",) if label else ())))
    said = ", ".join([f"answers of a model, right by {score!r}", *parts])
    return _Log(items, said, heeded, tuple(columns))


def _question(fields: Any) -> str | None:
    """What an item asks, where one of its fields is called so."""
    name = find_text(fields) if isinstance(fields, dict) else None
    found = None if name is None else fields[name]
    return found if isinstance(found, str) else None


def _last_message(asked: Any) -> Any:
    """What an Inspect sample asks: its text, or that of a conversation's last message."""
    if isinstance(asked, list) and asked and isinstance(asked[-1], dict):
        return asked[-1].get("content")
    return asked


def _one(name: str, option: str, columns: Sequence[str], names: Sequence[str]) -> str | None:
    found = [column for column in columns if plain(column) in names]
    if len(found) > 1:
        raise UserError(f"{name}: has {' and '.join(found)}; say which by --{option}=")
    return found[0] if found else None


def _choose(name: str, what: str, there: Sequence[str], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in there:
            raise UserError(f"{name}: has no {what} {wanted!r}{suggest(wanted, there)}")
        return wanted
    if len(there) != 1:
        listed = ", ".join(there) or "none"
        raise UserError(f"{name}: has {len(there)} {what}s ({listed}); say which by --{what}=")
    return there[0]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0])
    return json.dumps(value, sort_keys=True)


def _truth(score: Any) -> bool | None:
    """Whether a score says right; None where it says neither right nor wrong."""
    if isinstance(score, str):
        return _WORDS.get(score.strip().casefold())
    if isinstance(score, bool | int | float) and score in (0, 1):
        return bool(score)
    return None


def _repeats(name: str, items: Sequence[_Item]) -> list[list[_Item]]:
    """The items of each repeat, in the order of their first appearance."""
    by_id: dict[str, list[_Item]] = {}
    for item in items:
        by_id.setdefault(item.id, []).append(item)
    counts = {key: len(found) for key, found in by_id.items()}
    most = max(counts.values(), default=0)
    if uneven := next((key for key, count in counts.items() if count != most), None):
        raise UserError(
            f"{name}: item {uneven!r} is there {counts[uneven]} times, others {most} times; each "
            "needs as many repeats"
        )
    return [[found[i] for found in by_id.values()] for i in range(most)]


def _questions(items: Sequence[_Item]) -> np.ndarray | None:
    """[item] of text, '' where an item has none; None where no item has any."""
    if all(item.question is None for item in items):
        return None
    return np.array([item.question or "" for item in items], object)


def _raw(name: str, items: Sequence[_Item], log: _Log) -> Raw:
    answered = all(item.answer is not None and item.target is not None for item in items)
    predicted, labels = [], []
    for item in items:
        right = _truth(item.score)
        if right is None:
            raise UserError(
                f"{name}: item {item.id!r} has the score {item.score!r}, which is neither right "
                "nor wrong; give scores of 0 and 1"
            )
        labels.append(_class(item.target) if answered else RIGHT)
        wrong = _wrong(item, labels[-1]) if answered else WRONG
        predicted.append(labels[-1] if right else wrong)
    return Raw(
        name,
        None,
        predicted=np.array(predicted, object),
        labels=np.array(labels, object),
        ids=np.array([item.id for item in items], object),
        texts=_questions(items),
        open_ended=True,
        roles=(f"{log.said}{'' if answered else _ONLY_RIGHT}",),
        columns=log.columns,
        heeded=log.heeded,
    )


def _wrong(item: _Item, label: str) -> str:
    """The class of an answer that was scored wrong, though it may say the same in another form."""
    answer = _class(item.answer)
    return f"{answer} (scored wrong)" if class_key(answer) == class_key(label) else answer


def _class(text: str | None) -> str:
    """An answer as the name of a class: one that is empty, or says NaN, is an answer too.

    Of a long one its beginning is shown; a hash of all of it tells it from others.
    """
    name = tidy(text or "")
    if name in MISSING:
        return repr(name)
    if len(name) <= _SHOWN:
        return name
    return f"{name[:_SHOWN]}… #{zlib.crc32(name.encode()):08x}"
