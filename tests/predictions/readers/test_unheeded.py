"""What the owner says of files is heeded, or refused: never read past in silence."""

import csv
import json

import numpy as np
import pytest

from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError

RNG = np.random.default_rng(0)
PROBS = [RNG.dirichlet(np.ones(3), 20).astype(np.float32) for _ in range(2)]
LABELS = RNG.integers(0, 3, 20)
NAMES = ("cat", "dog", "bird")


def arrays(folder, place):
    path = folder / f"{place}.npy"
    np.save(path, PROBS[place])
    return str(path)


def archive(folder, place):
    path = folder / f"{place}.npz"
    np.savez(path, probs=PROBS[place], truth=LABELS, class_names=np.array(NAMES))
    return str(path)


def table(folder, place):
    path = folder / f"{place}.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "truth", *NAMES])
        rows.writerows([i, NAMES[LABELS[i]], *PROBS[place][i]] for i in range(20))
    return str(path)


def log(folder, place):
    path = folder / f"{place}.jsonl"
    records = [{"id": i, "correct": bool(LABELS[i] > place), "truth": "yes"} for i in range(20)]
    path.write_text("\n".join(json.dumps(record) for record in records))
    return str(path)


def refusal(folder, written, **options):
    with pytest.raises(UserError) as caught:
        compare(*(written(folder, place) for place in range(2)), **options)
    return str(caught.value)


@pytest.mark.parametrize("written", [arrays, archive, table])
@pytest.mark.parametrize("option", ["score", "filter"])
def test_what_is_for_logs_of_harnesses_is_refused_elsewhere(tmp_path, written, option):
    assert f"--{option}=strict: is in none of the files" in refusal(
        tmp_path, written, **{option: "strict"}
    )


@pytest.mark.parametrize("option", ["id", "label", "prediction", "columns"])
@pytest.mark.parametrize("written", [arrays, archive, table, log])
def test_a_column_that_is_in_no_file_is_refused_by_its_flag(tmp_path, written, option):
    wanted = ["trth"] if option == "columns" else "trth"
    said = refusal(tmp_path, written, **{option: wanted})
    assert f"--{option}" in said
    assert "trth" in said
    if written in (archive, table) or (written is log and option != "columns"):
        assert "did you mean 'truth'?" in said


def test_a_field_of_records_is_found_in_any_case(tmp_path):
    files = [log(tmp_path, place) for place in range(2)]
    notes = compare(*files, label="Truth").report.notes
    assert any("targets from 'truth'" in note for note in notes)


def test_labels_may_be_called_so_in_the_file_of_labels_alone(tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "id,gold_class\n" + "".join(f"{i},{NAMES[c]}\n" for i, c in enumerate(LABELS))
    )
    files = [table(tmp_path, place) for place in range(2)]
    found = compare(*files, labels=labels, label="gold_class").report
    right = np.mean(PROBS[0].argmax(1) == LABELS)
    assert found["groups"][0]["accuracy"]["mean"] == pytest.approx(right)


@pytest.mark.parametrize("option", [{}, {"measures": ["recall"]}])
def test_the_positive_class_is_one_of_two(tmp_path, option):
    said = refusal(tmp_path, table, positive="bird", **option)
    assert "--positive=bird: is for two classes, and there are 3" in said
    assert "recall[bird]" in said
    two = [{"probs": p[:, :2] / p[:, :2].sum(1, keepdims=True)} for p in PROBS]
    with pytest.raises(UserError, match="--positive=2: is none of the classes"):
        compare(*two, positive="2")
