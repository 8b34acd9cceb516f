"""Logs of evaluation harnesses, written here as they write them; right values by hand."""

import gzip
import json
import zipfile

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError
from churn_jax.predictions.readers import ReadOptions, read

TARGETS = ["18", "3", "70000", "540", "20"]


def lm_eval(path, answers, right, filters=("strict-match",), hashes=None, **more):
    """What lm-evaluation-harness's --log_samples writes for generated answers."""
    lines = [
        {
            "doc_id": place, "doc": {"question": f"q{place}"}, "target": TARGETS[place],
            "arguments": {}, "resps": [[f"The answer is {answer}."]], "filtered_resps": [answer],
            "filter": name, "metrics": ["exact_match"],
            "doc_hash": (hashes or "abcde")[place] * 64, "exact_match": float(ok), **more,
        }
        for name in filters
        for place, (answer, ok) in enumerate(zip(answers, right, strict=True))
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def inspect(path, values, answers, epochs=1, status="success", scorers=("match",)):
    """An Inspect log, in either of its formats; `values` and `answers` are [epoch][sample]."""
    samples = [
        {
            "id": place + 1, "epoch": epoch + 1, "input": "…", "target": TARGETS[place],
            "scores": {
                name: {"value": values[epoch][place], "answer": answers[epoch][place]}
                for name in scorers
            },
        }
        for epoch in range(epochs)
        for place in range(len(values[0]))
    ]  # fmt: skip
    header = {"version": 2, "status": status, "eval": {"task": "gsm8k"}}
    if path.suffix == ".json":
        path.write_text(json.dumps({**header, "samples": samples}))
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(header))
        for sample in samples:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, json.dumps(sample))
        archive.writestr("summaries.json", "[]")
    return path


def test_answers_and_their_scores_of_lm_evaluation_harness(tmp_path):
    old = lm_eval(tmp_path / "old.jsonl", ["18", "3", "7", "540", "9"], [1, 1, 0, 1, 0])
    new = lm_eval(tmp_path / "new.jsonl", ["18", "4", "8", "$540", "9"], [1, 0, 0, 1, 0])
    found = compare(old, new).report
    accuracy = [group["accuracy"]["mean"] for group in found["groups"]]
    assert accuracy == [pytest.approx(3 / 5), pytest.approx(2 / 5)]
    change = found["between"][0]
    # 3 → 4 and 7 → 8; "$540" was scored right, and is the same answer as "540".
    assert change["churn"]["mean"] == pytest.approx(2 / 5)
    assert change["negative_flip_rate"]["mean"] == pytest.approx(1 / 5)
    assert change["positive_flip_rate"]["mean"] == 0
    assert not any(group["never_learned"] for group in found["groups"])  # 2 of 5 is no guessing
    assert any("lm-evaluation-harness, right by 'exact_match'" in note for note in found["notes"])


def test_an_answer_that_was_scored_wrong_is_never_the_right_one(tmp_path):
    path = lm_eval(tmp_path / "a.jsonl", TARGETS, [1, 0, 1, 1, 1])
    (source,) = read(path)
    right = np.array(source.predicted.names)[source.predicted.codes] == np.array(TARGETS)
    assert right.tolist() == [True, False, True, True, True]
    assert "3 (scored wrong)" in source.predicted.names


def test_one_of_several_filters_is_chosen(tmp_path):
    two = ("strict-match", "flexible-extract")
    path = lm_eval(tmp_path / "a.jsonl", TARGETS, [1] * 5, filters=two)
    with pytest.raises(UserError, match=r"has 2 filters \(strict-match, flexible-extract\); say"):
        read(path)
    (source,) = read(path, ReadOptions(filter="flexible-extract"))
    assert source.size == 5
    with pytest.raises(UserError, match="did you mean 'strict-match'"):
        read(path, ReadOptions(filter="strict_match"))


def test_multiple_choice_is_the_most_likely_answer(tmp_path):
    lines = [
        {"doc_id": 0, "target": 1, "resps": [[["-4.0", "False"]], [["-1.5", "False"]]],
         "filtered_resps": [["-4.0", "False"], ["-1.5", "False"]], "filter": "none",
         "metrics": ["acc", "acc_norm"], "acc": 1.0, "acc_norm": 0.0},
        {"doc_id": 1, "target": 0, "resps": [[["-2.0", "False"]], [["-1.0", "True"]]],
         "filtered_resps": [["-2.0", "False"], ["-1.0", "True"]], "filter": "none",
         "metrics": ["acc", "acc_norm"], "acc": 0.0, "acc_norm": 0.0},
    ]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(UserError, match=r"has 2 scores \(acc, acc_norm\); say which by --score="):
        read(path)
    (source,) = read(path, ReadOptions(score="acc"))
    assert np.array(source.predicted.names)[source.predicted.codes].tolist() == ["1", "1"]
    assert np.array(source.labels.names)[source.labels.codes].tolist() == ["1", "0"]


def test_items_of_another_version_of_a_task_are_not_paired(tmp_path):
    old = lm_eval(tmp_path / "old.jsonl", TARGETS, [1] * 5)
    new = lm_eval(tmp_path / "new.jsonl", TARGETS, [1] * 5, hashes="abXde")
    with pytest.raises(UserError, match=r"new\.jsonl: lacks the example '2-cccccccc'"):
        compare(old, new)


@pytest.mark.parametrize("ending", ["eval", "json"])
def test_epochs_of_inspect_are_runs(tmp_path, ending):
    old = inspect(
        tmp_path / f"old.{ending}",
        [["C", "C", "I"], ["C", "I", "I"]], [["18", "3", "1"], ["18", "5", "2"]], epochs=2,
    )  # fmt: skip
    new = inspect(
        tmp_path / f"new.{ending}",
        [["C", "C", "C"], ["C", "C", "I"]], [["18", "3", "70000"], ["18", "3", "2"]], epochs=2,
    )  # fmt: skip
    result = compare(old, new)
    found = result.report
    assert [group["num_runs"] for group in found["groups"]] == [2, 2]
    assert "Repeating alone changes" in result.verdict()
    assert found["groups"][0]["churn"]["mean"] == pytest.approx(2 / 3)  # 3/5, and 1/2
    assert found["groups"][0]["accuracy"]["mean"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    # Pairs of an old and a new epoch, over the items: 1 | 2 | 1 | 1 differ of 3.
    assert found["between"][0]["churn"]["mean"] == pytest.approx((1 + 1 + 2 + 1) / 12)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json"])
def test_plain_records_with_a_score(tmp_path, ending):
    rights = ([True, True, False, False], [True, False, True, False])
    for name, right in zip(("old", "new"), rights, strict=True):
        records = [{"question_id": f"q{i}", "correct": ok} for i, ok in enumerate(right)]
        text = "\n".join(map(json.dumps, records))
        path = tmp_path / f"{name}.{ending}"
        if ending == "json":
            path.write_text(json.dumps(records))
        elif ending == "jsonl":
            path.write_text(text)
        else:
            path.write_bytes(gzip.compress(text.encode()))
    result = compare(tmp_path / f"old.{ending}", tmp_path / f"new.{ending}", fail_if="nfr>20%")
    change = result.report["between"][0]
    assert change["churn"]["mean"] == pytest.approx(1 / 2)
    assert change["negative_flip_rate"]["mean"] == pytest.approx(1 / 4)
    assert result.outcome == "failed"
    assert any("churn is that of being right" in note for note in result.report["notes"])


def test_answers_of_any_words_are_answers(tmp_path):
    said = ["", "NaN", "x" * 200, "x" * 199 + "y"]
    records = [{"id": i, "answer": text, "target": "t", "score": 0} for i, text in enumerate(said)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    (source,) = read(path)
    assert len(set(source.predicted.codes.tolist())) == 4
    assert source.predicted.codes.min() >= 0
    assert max(map(len, source.predicted.names)) < 80


def test_records_of_a_classifier_are_a_table(tmp_path):
    path = tmp_path / "a.jsonl"
    records = [
        {"id": "a", "label": "cat", "prediction": "dog"},
        {"id": "b", "label": "dog", "prediction": "dog"},
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    (source,) = read(path)
    assert source.predicted.names == ("dog",)
    lists = [
        {"id": "a", "label": 1, "probs": [0.2, 0.8]},
        {"id": "b", "label": 0, "probs": [0.9, 0.1]},
    ]
    path.write_text("\n".join(map(json.dumps, lists)))
    (source,) = read(path)
    np.testing.assert_allclose(source.values, [[0.2, 0.8], [0.9, 0.1]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no records"),
        ("{", "line 1: no JSON"),
        ("[1, 2]", "line 1 is list, not a record"),
        ('{"correct": true}', "its records have no id; say which field it is by --id"),
        ('{"id": 1, "correct": 0.4}', "item '1' has the score 0.4, which is neither"),
        ('{"id": 1, "correct": null}', "item '1' has the score None"),
        ('{"id": 1, "correct": 1}\n{"id": 2, "correct": 1}\n{"id": 1, "correct": 0}',
         "item '2' is there 1 times, others 2 times"),
        ('{"id": 1, "correct": 1, "is_correct": 0}', r"has 2 scores \(correct, is_correct\); say"),
        ('{"id": 1, "correct": 1, "answer": "a", "response": "b", "target": "c"}',
         "has answer and response; say which by --prediction="),
        ("[" * 100_000, "no JSON|nested too deeply"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert "a.jsonl" in str(caught.value)


def test_faults_of_inspect_logs(tmp_path):
    values, answers = [["C", "I"]], [["18", "1"]]
    cut = inspect(tmp_path / "cut.eval", values, answers, status="error")
    with pytest.raises(UserError, match="the evaluation's status is 'error'"):
        read(cut)
    partial = inspect(tmp_path / "partial.json", [["C", "P"]], answers)
    with pytest.raises(UserError, match="has the score 'P', which is neither right nor wrong"):
        read(partial)
    two = inspect(tmp_path / "two.json", values, answers, scorers=("match", "judge"))
    with pytest.raises(UserError, match=r"has 2 scores \(match, judge\); say which by --score="):
        read(two)
    whole = inspect(tmp_path / "whole.eval", values, answers)
    content = whole.read_bytes()
    for place in range(40, len(content) - 200, 97):
        flipped = bytearray(content)
        flipped[place] ^= 16
        (tmp_path / "flipped.eval").write_bytes(flipped)
        try:
            (source,) = read(tmp_path / "flipped.eval")
        except UserError:
            continue
        # What nothing checks is the local headers that the directory at the end repeats.
        assert source.predicted.codes.tolist() == read(whole)[0].predicted.codes.tolist()
