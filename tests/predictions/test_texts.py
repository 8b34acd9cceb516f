"""What examples say goes from the files to the ledger, and is never taken for a class."""

import json

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError
from churn_jax.predictions.readers import ReadOptions, read
from churn_jax.report import ledger

TABLE = """id,text,label,neg,pos
a,"fine, <b>really</b>",pos,0.2,0.8
b,poor,neg,0.7,0.3
c,odd,pos,0.9,0.1
"""


def written(path, text):
    path.write_text(text)
    return path


def test_a_column_of_texts_is_beside_its_example_in_whatever_order(tmp_path):
    old = written(tmp_path / "old.csv", TABLE)
    changed = TABLE.replace("0.2,0.8", "0.6,0.4").replace("0.9,0.1", "0.1,0.9")
    head, *rows = changed.splitlines()
    found = compare(old, written(tmp_path / "new.csv", "\n".join([head, *rows[::-1]])))
    assert found.texts == {"a": "fine, <b>really</b>", "c": "odd"}
    assert any("texts from 'text'" in note for note in found.report.notes)
    page = found.to_html()
    assert '<td class="text">fine, &lt;b&gt;really&lt;/b&gt;</td>' in page
    assert "<b>really" not in page
    assert "odd" not in found.to_json()


def test_without_texts_there_is_no_column(tmp_path):
    rows = TABLE.replace("text,", "").replace('"fine, <b>really</b>",', "").replace("poor,", "")
    old = written(tmp_path / "old.csv", rows.replace("odd,", ""))
    new = written(tmp_path / "new.csv", old.read_text().replace("0.2,0.8", "0.6,0.4"))
    found = compare(old, new)
    assert found.texts == {}
    assert 'data-column="text"' not in found.to_html()


def test_another_column_of_words_is_refused_as_ever(tmp_path):
    file = written(tmp_path / "old.csv", TABLE.replace(",text,", ",colour,"))
    with pytest.raises(UserError, match="column 'colour' is no class"):
        read(file)


def test_classes_that_are_called_so_are_classes():
    columns = {"text": np.array([0.2, 0.6]), "image": np.array([0.8, 0.4])}
    found = compare(columns, {"text": columns["image"], "image": columns["text"]}, kind="probs")
    assert found.report.num_classes == 2
    assert found.texts == {}


def test_a_lone_column_is_what_is_predicted(tmp_path):
    (source,) = read(written(tmp_path / "old.csv", "id,text\na,x\nb,y\n"))
    assert source.texts is None
    assert source.predicted is not None


def test_columns_that_are_named_leave_texts_out(tmp_path):
    file = written(tmp_path / "old.csv", TABLE)
    (source,) = read(file, ReadOptions(columns=("neg", "pos")))
    assert source.texts is None


RECORDS = {
    "plain": lambda i, right: {"id": f"i{i}", "question": f"why {i}?", "correct": right},
    "lm_eval": lambda i, right: {
        "doc_id": i, "doc": {"question": f"why {i}?", "other": 1}, "target": "4",
        "filtered_resps": ["4" if right else "5"], "filter": "none", "metrics": ["acc"],
        "acc": float(right),
    },
    "inspect": lambda i, right: {
        "id": f"i{i}", "epoch": 1, "target": "4",
        "input": f"why {i}?" if i % 2 else [{"role": "user", "content": f"why {i}?"}],
        "scores": {"match": {"value": "C" if right else "I", "answer": "4" if right else "5"}},
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", RECORDS)
def test_questions_of_harnesses_are_texts(tmp_path, kind):
    files = []
    for name, right in (("old", [True, True, False]), ("new", [True, False, True])):
        lines = [json.dumps(RECORDS[kind](i, each)) for i, each in enumerate(right)]
        files.append(written(tmp_path / f"{name}.jsonl", "\n".join(lines)))
    assert list(compare(*files).texts.values()) == ["why 1?", "why 2?"]


def test_long_texts_are_cut_and_as_many_kept_as_there_is_room_for(monkeypatch):
    old, new = np.zeros(300, int), np.ones(300, int)
    found = ledger.flips(compare(old, new).report)
    rng = np.random.default_rng(0)
    words = {str(i): " ".join(map(str, rng.integers(0, 10**9, 40))) for i in range(300)}
    shown = ledger.texts(found, words | {"7": "two\n lines"})
    assert {len(text) for text in shown if text != "two lines"} == {240}
    assert shown[list(found.rows.ids).index("7")] == "two lines"
    monkeypatch.setattr(ledger, "_MOST_TEXT", 20_000)
    fewer = ledger.texts(found, words)
    assert 100 < len(fewer) < 250
    assert fewer == ledger.texts(found, words)[: len(fewer)]
