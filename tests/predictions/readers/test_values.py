"""What a value is: missing or there, a list, a probability or a logit; all rows decide."""

import numpy as np
import pytest
from scipy import special

from tests.predictions.readers.exports import (
    IDS,
    LABELS,
    NAMES,
    NEW,
    NEW_PROBS,
    OLD,
    OLD_P,
    OLD_PROBS,
    POSITIVE,
    RIGHT,
    N,
    found,
    notes,
    refused,
    report,
    right,
    table,
    write,
)


def pair(tmp_path, old, new, **style):
    return write(tmp_path / "old.csv", old, **style), write(tmp_path / "new.csv", new, **style)


def hard(values, **changes):
    return {"id": IDS, "label": LABELS, "prediction": values.argmax(1)} | changes


@pytest.mark.parametrize(
    "gap", ["", "NaN", "nan", "None", "NA", "null", "NULL", "<NA>", "#N/A", " "]
)
@pytest.mark.parametrize("column", ["prediction", "label", "id", "1"])
def test_a_missing_value_is_refused_or_dropped(gap, column, tmp_path):
    """Named by file and example; with --missing=drop left out of both files, and counted."""
    new = table(NEW) if column == "1" else hard(NEW)
    values = np.array(new[column]).astype(object)
    values[[4, 40]] = gap
    files = pair(tmp_path, table(OLD) if column == "1" else hard(OLD), new | {column: values})
    line = refused(*files)
    assert "new.csv" in line
    assert "lacks" in line or "example 4" in line or "'img004'" in line
    kept = np.delete(np.arange(N), [4, 40])
    if column == "id":
        return  # which examples they are in the other file can't be known
    expected = right(OLD[kept], NEW[kept], LABELS[kept])
    assert found(*files, missing="drop") == pytest.approx(expected)
    assert f"2 of {N} examples: " in notes(*files, missing="drop")


def test_gaps_of_both_files_are_dropped_from_both(tmp_path):
    old, new = OLD_PROBS.copy(), NEW_PROBS.copy()
    old[3, 1], new[[3, 8], 0] = np.nan, np.nan
    np.savez(tmp_path / "old.npz", probs=old, labels=LABELS)
    np.savez(tmp_path / "new.npz", probs=new, labels=LABELS)
    files = tmp_path / "old.npz", tmp_path / "new.npz"
    assert "example 3" in refused(*files)
    kept = np.delete(np.arange(N), [3, 8])
    assert found(*files, missing="drop") == pytest.approx(right(OLD[kept], NEW[kept], LABELS[kept]))
    assert "old.npz 1" in notes(*files, missing="drop")
    assert "new.npz 2" in notes(*files, missing="drop")


@pytest.mark.parametrize(
    "style",
    [
        lambda row: str(row.tolist()),
        lambda row: str(tuple(row.tolist())),
        lambda row: " ".join(str(np.array(row.tolist())).split()),
        lambda row: "[{!r}\n {!r}   {!r}]".format(*row.tolist()),
        lambda row: f"tensor({row.tolist()}, device='cuda:0')",
        lambda row: f"array({row.tolist()})",
        lambda row: f"DenseVector({row.tolist()})",
    ],
)
def test_lists_in_cells_are_read(style, tmp_path):
    columns = [
        {"id": IDS, "label": LABELS, "probabilities": [style(row) for row in probs]}
        for probs in (OLD_PROBS, NEW_PROBS)
    ]
    assert found(*pair(tmp_path, *columns)) == pytest.approx(RIGHT)


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("[0.5, 0.5]", "has 2 numbers"),
        ("{'cat': 0.2}", "no list"),
        ("[0.1, x, 0.2]", "no list"),
        ("[0.1 ... 0.2]", "no list"),
        ("", "example 'img005'"),
    ],
)
def test_other_cells_among_lists_are_refused(cell, fault, tmp_path):
    cells = [str(row.tolist()) for row in NEW_PROBS]
    cells[5] = cell
    old = {"id": IDS, "probs": [str(row.tolist()) for row in OLD_PROBS]}
    assert fault in refused(*pair(tmp_path, old, {"id": IDS, "probs": cells}))


@pytest.mark.parametrize("name", ["prediction", "predicted_class", "y_pred"])
def test_predictions_beside_probabilities_both_count(name, tmp_path):
    """Predictions of another threshold: the classes are theirs, the loss the probabilities'."""
    threshold = (OLD_P > 0.3).astype(int)
    columns = {"label": POSITIVE, "0": 1 - OLD_P, "1": OLD_P}
    files = pair(tmp_path, columns | {name: threshold}, columns)
    differ = np.mean(threshold != (OLD_P > 0.5))
    assert found(*files)[:2] == pytest.approx((differ, np.mean(threshold == POSITIVE)))
    assert f"in {round(differ * N)} of {N}" in notes(*files)
    nll = -np.log(np.where(POSITIVE, OLD_P, 1 - OLD_P)).mean()
    assert report(*files)["groups"][0]["nll"]["mean"] == pytest.approx(nll, rel=1e-6)


def test_the_probability_of_the_predicted_class_is_no_probability_of_one_class(tmp_path):
    columns = {"label": POSITIVE, "prediction": (OLD_P > 0.5).astype(int)}
    columns["prob"] = np.maximum(OLD_P, 1 - OLD_P)
    files = pair(tmp_path, columns, columns | {"prediction": POSITIVE})
    assert "of the predicted class" in refused(*files)
    assert found(*files, kind="classes")[2] == 1


@pytest.mark.parametrize("kind", ["probs", "log_probs", "logits"])
def test_all_rows_decide_what_values_are(kind, tmp_path):
    make = {"probs": special.softmax, "log_probs": special.log_softmax}.get(kind)
    old, new = (x.copy() if make is None else make(x, axis=1) for x in (OLD, NEW))
    if kind == "logits":
        old[7], new[9] = special.softmax(OLD[7]), special.log_softmax(NEW[9])  # lucky rows
    np.save(tmp_path / "old.npy", old)
    np.save(tmp_path / "new.npy", new)
    files = tmp_path / "old.npy", tmp_path / "new.npy"
    assert found(*files, LABELS) == pytest.approx(right(old, new))
    nll = -special.log_softmax(np.log(old) if kind == "probs" else old, 1)[np.arange(N), LABELS]
    assert report(*files, LABELS)["groups"][0]["nll"]["mean"] == pytest.approx(nll.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (100 * OLD_PROBS, "divide by 100"),
        ((255 * OLD_PROBS).astype(np.uint8), "255"),
        (special.expit(OLD), "exclude each other"),
        (np.abs(OLD) + 1, "--kind=logits"),
        (-np.abs(OLD) - 3, "--kind=logits"),
        (np.where(np.arange(N)[:, None] < 60, OLD_PROBS, OLD), "60 of 90"),
        (np.where(np.arange(N)[:, None] == 60, 0.0, OLD_PROBS), "89 of 90"),
        (np.where(np.arange(N)[:, None] == 60, np.inf, OLD_PROBS), "89 of 90"),
        (OLD_PROBS.astype(complex), "floating-point"),
        (OLD_PROBS.astype(str), "floating-point"),
    ],
)
def test_values_that_are_nothing_known_name_the_nearest_right_thing(values, hint, tmp_path):
    np.save(tmp_path / "old.npy", OLD_PROBS)
    np.save(tmp_path / "new.npy", values)
    assert hint in refused(tmp_path / "old.npy", tmp_path / "new.npy")
    if values.dtype.kind == "f":
        np.savez(tmp_path / "new.npz", probs=values)
        assert "new.npz" in refused(tmp_path / "old.npy", tmp_path / "new.npz")


@pytest.mark.parametrize("labels", [[-1, 1], [1, 2], [False, True], [3, 9], [0, 1]])
def test_plain_arrays_have_the_classes_that_occur(labels, tmp_path):
    """As scikit-learn orders `classes_`."""
    both = np.stack([1 - OLD_P, OLD_P], 1)
    np.savez(tmp_path / "old.npz", probs=both, labels=np.array(labels)[POSITIVE])
    np.savez(tmp_path / "new.npz", predictions=np.array(labels)[POSITIVE])
    expected = right(OLD_P > 0.5, POSITIVE == 1, POSITIVE == 1)
    assert found(tmp_path / "old.npz", tmp_path / "new.npz") == pytest.approx(expected)


@pytest.mark.parametrize("labels", [LABELS + 1, LABELS * 5, LABELS - 1])
def test_labels_of_plain_arrays_in_ascending_order(labels, tmp_path):
    np.savez(tmp_path / "old.npz", logits=OLD, labels=labels)
    np.savez(tmp_path / "new.npz", logits=NEW, labels=labels)
    assert found(tmp_path / "old.npz", tmp_path / "new.npz") == pytest.approx(RIGHT)
    assert "ascending order" in notes(tmp_path / "old.npz", tmp_path / "new.npz")


def test_text_labels_of_plain_arrays_need_class_names(tmp_path):
    labels = np.array(NAMES)[LABELS]
    for name, values in (("old", OLD), ("new", NEW)):
        np.savez(tmp_path / f"{name}.npz", logits=values, labels=labels)
    files = tmp_path / "old.npz", tmp_path / "new.npz"
    assert "class_names" in refused(*files)
    np.savez(files[0], logits=OLD, labels=labels, class_names=np.array(NAMES))
    assert found(*files) == pytest.approx(RIGHT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([0, 1, 2], ["0", "1", "2"]),
        ([0, 1, 2], ["0.0", "1.0", "2.0"]),
        (["cat", "dog", "owl"], [" Cat", "DOG ", "owl"]),
        (["é", "b", "c"], ["e\u0301", "b", "c"]),
        (["True", "False", "x"], ["TRUE", "false", "X"]),
        ([-1, 0, 1], ["-1", "0", "+1"]),
        (["3", "three", "10"], ["3", "Three", "10"]),
        ([7, 2_000_000_000, 16_000_000], ["7", "2000000000", "16000000.0"]),
    ],
)
def test_spellings_of_one_class(old, new, tmp_path):
    old, new = (np.array(names, dtype=object) for names in (old, new))
    files = pair(
        tmp_path,
        {"id": IDS, "label": old[LABELS], "prediction": old[OLD.argmax(1)]},
        {"id": IDS, "prediction": new[NEW.argmax(1)]},
    )
    assert found(*files) == pytest.approx(RIGHT)


def test_zeros_in_front_are_another_class(tmp_path):
    files = pair(tmp_path, hard(OLD), {"id": IDS, "prediction": [f"0{i}" for i in NEW.argmax(1)]})
    assert found(*files)[0] == 1


def test_letters_that_differ_in_case_alone_are_refused(tmp_path):
    """In handwriting they are classes of their own."""
    letters = np.array(["a", "A", "b"])
    files = pair(
        tmp_path,
        {"label": letters[LABELS], "prediction": letters[OLD.argmax(1)]},
        {"prediction": letters[NEW.argmax(1)]},
    )
    assert "differ in case" in refused(*files)


def test_ids_of_classes_in_the_billions_take_little_memory(tmp_path):
    ids = np.array([5, 2**31 + 7, 2**40])
    files = pair(tmp_path, hard(OLD), hard(NEW))
    for file, values in zip(files, (OLD, NEW), strict=True):
        write(file, hard(values, prediction=ids[values.argmax(1)], label=ids[LABELS]))
    assert found(*files) == pytest.approx(RIGHT)
    assert report(*files)["num_classes"] == 3


def test_labels_that_contradict_each_other_are_refused(tmp_path):
    files = pair(tmp_path, hard(OLD), hard(NEW, label=(LABELS + (np.arange(N) == 7)) % 3))
    assert "'img007'" in refused(*files)
    assert "1 of 90" in refused(*files)


def test_labels_beside_one_file_are_enough(tmp_path):
    files = pair(tmp_path, {"id": IDS, "prediction": OLD.argmax(1)}, hard(NEW))
    assert found(*files) == pytest.approx(RIGHT)


def test_classes_and_probabilities_mix(tmp_path):
    names = np.array(NAMES)
    old = table(OLD_PROBS, NAMES[::-1], names[LABELS])
    new = {"id": IDS, "prediction": names[::-1][NEW.argmax(1)]}
    expected = right(2 - OLD.argmax(1), 2 - NEW.argmax(1))
    assert found(*pair(tmp_path, old, new)) == pytest.approx(expected)


def test_tables_keep_float64(tmp_path):
    """Two logits that float32 can't tell apart."""
    close = np.array([[1000.0, 1000.00001], [1000.00001, 1000.0]] * (N // 2))
    files = [tmp_path / "old.csv", tmp_path / "new.csv"]
    for file, values in zip(files, (close, close[::-1]), strict=True):
        write(file, table(values, (0, 1), np.arange(N) % 2) | {"id": IDS})
    changed = np.mean(close.argmax(1) != close[::-1].argmax(1))
    assert found(*files, kind="logits", columns=("0", "1"))[0] == changed
