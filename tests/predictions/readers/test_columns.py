"""What a column is: by its name, never by its place, and refused by name where nobody knows."""

import numpy as np
import pytest

from tests.predictions.readers.exports import (
    IDS,
    LABELS,
    NAMES,
    NEW,
    NEW_P,
    NEW_PROBS,
    OLD,
    OLD_P,
    OLD_PROBS,
    POSITIVE,
    RIGHT,
    RIGHT_BINARY,
    N,
    found,
    notes,
    refused,
    report,
    right,
    table,
    write,
)

COUNT = np.arange(N)


def pair(tmp_path, old, new, **style):
    return write(tmp_path / "old.csv", old, **style), write(tmp_path / "new.csv", new, **style)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ((0, 1, 2), LABELS),
        (NAMES, np.array(NAMES)[LABELS]),
        (("prob_cat", "prob_dog", "prob_owl"), np.array(NAMES)[LABELS]),
        (("P(cat)", "P(dog)", "P(owl)"), np.array(NAMES)[LABELS]),
        (("class_0", "class_1", "class_2"), LABELS),
        (("class_0", "class_1", "class_2"), [f"class_{i}" for i in LABELS]),
        (("p0", "p1", "p2"), LABELS),
        (("1", "2", "3"), LABELS + 1),
        (("-1", "0", "1"), LABELS - 1),
        (("2", "1", "0"), 2 - LABELS),
        (("7", "16000000", "130"), np.array([7, 16000000, 130])[LABELS]),
        (("0", "1", "10"), np.array([0, 1, 10])[LABELS]),
        (("0.0", "1.0", "2.0"), LABELS.astype(float)),
        (("0", "1", "2"), [f"{i}.000000000000000000e+00" for i in LABELS]),
        ((" cat ", "Dog", "OWL"), np.array(["Cat", " dog", "owl"])[LABELS]),
        (("None", "NA", "owl"), np.array(["None", "NA", "owl"])[LABELS]),
        (("bird, small", 'a "dog"', "owl\nnight"),
         np.array(["bird, small", 'a "dog"', "owl night"])[LABELS]),
    ],
)  # fmt: skip
def test_labels_are_looked_up_by_name(names, labels, tmp_path):
    files = pair(tmp_path, table(OLD_PROBS, names, labels), table(NEW_PROBS, names, labels))
    assert found(*files) == pytest.approx(RIGHT)


def test_columns_in_another_order_are_put_in_order(tmp_path):
    new = table(NEW[:, ::-1], NAMES[::-1], np.array(NAMES)[LABELS], order=COUNT[::-1])
    files = pair(tmp_path, table(OLD, NAMES, np.array(NAMES)[LABELS]), new)
    assert found(*files) == pytest.approx(RIGHT)
    schurn = report(*files)["between"][0]["schurn"]["mean"]
    relative = [p / p.max(1, keepdims=True) for p in (OLD_PROBS, NEW_PROBS)]
    assert schurn == pytest.approx(0.5 * np.abs(relative[0] - relative[1]).sum(1).mean(), abs=1e-6)


def test_labels_that_count_positions_of_named_classes(tmp_path):
    """Of the file's own columns: the files may have them in different orders."""
    new = table(NEW[:, ::-1], NAMES[::-1], 2 - LABELS)
    files = pair(tmp_path, table(OLD, NAMES), new)
    assert found(*files) == pytest.approx(RIGHT)
    assert "0 is 'cat'" in notes(*files)


@pytest.mark.parametrize("name", ["id", "Id", "ID", "ImageId", "PassengerId", "example_id"])
@pytest.mark.parametrize("label", ["label", "Target", "y_true", "label_ids", "Ground Truth"])
def test_roles_by_name_in_any_case(name, label, tmp_path):
    order = COUNT[::-1]
    files = pair(
        tmp_path,
        {name: IDS, label: LABELS, "y_pred": OLD.argmax(1)},
        {label: LABELS[order], "Prediction": NEW.argmax(1)[order], name: np.array(IDS)[order]},
    )
    assert found(*files) == pytest.approx(RIGHT)


@pytest.mark.parametrize("index", ["", "Unnamed: 0", "__index_level_0__", "index", "row", "n"])
@pytest.mark.parametrize("first", [0, 1, 1000])
def test_a_column_that_counts_rows_is_left_out(index, first, tmp_path):
    files = pair(
        tmp_path,
        {index: COUNT + first} | table(OLD, ids=None),
        {index: COUNT} | table(NEW, ids=None),
    )
    assert found(*files) == pytest.approx(RIGHT)
    assert "left out" in notes(*files)


@pytest.mark.parametrize("names", [IDS, [str(3 * i + 5) for i in range(N)]])
def test_names_of_rows_join_where_they_are_no_count(names, tmp_path):
    """As after scikit-learn's train_test_split of a data frame."""
    order = np.random.default_rng(3).permutation(N)
    shuffled = {"": np.array(names)[order]} | table(NEW, ids=None, order=order)
    files = pair(tmp_path, {"": names} | table(OLD, ids=None), shuffled)
    assert found(*files) == pytest.approx(RIGHT)
    assert "index column joins" in notes(*files)


def test_other_names_of_rows_are_refused(tmp_path):
    files = pair(
        tmp_path,
        {"": [3 * i for i in range(N)]} | table(OLD, ids=None),
        {"": [3 * i + 1 for i in range(N)]} | table(NEW, ids=None),
    )
    assert "--id" in refused(*files)


@pytest.mark.parametrize(
    ("column", "values", "option"),
    [
        ("weight", np.full(N, 12.5), "--columns=cat,dog,owl"),
        ("filename", [f"{i}.png" for i in range(N)], "--id"),
        ("region", ["eu", "us", "eu"] * (N // 3), "--columns"),
        ("confidence", OLD_P, "--columns=cat,dog,owl"),
    ],
)
def test_a_column_that_is_no_class_is_refused_by_name(column, values, option, tmp_path):
    labels = np.array(NAMES)[LABELS]
    old = table(OLD, NAMES, labels) | {column: values}
    files = pair(tmp_path, old, table(NEW, NAMES, labels))
    assert repr(column) in refused(*files)
    assert option in refused(*files)
    assert found(*files, columns=NAMES) == pytest.approx(RIGHT)


def test_columns_can_be_named_what_they_are(tmp_path):
    columns = [
        {"file": IDS, "fold": [1] * N, "truth value": LABELS, "guess": x.argmax(1), "a,b": x[:, 0],
         "b": x[:, 1], "c": x[:, 2]}
        for x in (OLD, NEW)
    ]  # fmt: skip
    files = pair(tmp_path, *columns)
    said = {"id": "file", "label": "truth value"}
    assert found(*files, **said, columns=("a,b", "b", "c")) == pytest.approx(RIGHT)
    assert "'fold'" in notes(*files, **said, columns=("a,b", "b", "c"))
    plain = [{k: v for k, v in c.items() if k not in ("fold", "a,b", "b", "c")} for c in columns]
    files = pair(tmp_path, *plain)
    assert found(*files, **said, prediction="guess") == pytest.approx(RIGHT)
    assert "did you mean 'guess'" in refused(*files, **said, prediction="gues")


def test_a_class_that_no_label_has_is_one_if_probabilities_need_it(tmp_path):
    """And in logits, where nothing shows it, it is refused by name."""
    names, labels = (*NAMES, "emu"), np.array(NAMES)[LABELS]
    for scale, values in (("probs", (OLD_PROBS, NEW_PROBS)), ("logits", (OLD, NEW))):
        wide = [np.concatenate([x, x[:, :1] - 9], 1) for x in values]
        if scale == "probs":
            wide = [np.concatenate([x * 0.9, np.full((N, 1), 0.1)], 1) for x in values]
        files = pair(tmp_path, *(table(x, names, labels) for x in wide))
        if scale == "probs":
            assert found(*files) == pytest.approx(right(*wide))
        else:
            assert "'emu'" in refused(*files)
            assert found(*files, columns=names) == pytest.approx(right(*wide))


@pytest.mark.parametrize(
    ("names", "fault"),
    [(("cat", "Cat", "owl"), "'Cat'"), (("0", "0.0", "1"), "'0.0'"), (("a", "a", "b"), "twice")],
)
def test_two_columns_of_one_class_are_refused(names, fault, tmp_path):
    lines = [",".join(names), *(",".join(map(repr, row)) for row in OLD_PROBS.tolist())]
    for name in ("old", "new"):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    assert fault in refused(tmp_path / "old.csv", tmp_path / "new.csv")


def test_two_columns_of_one_role_are_refused(tmp_path):
    old = {"id": IDS, "ID": IDS} | table(OLD, ids=None)
    files = pair(tmp_path, old, table(NEW))
    assert "--id=" in refused(*files)
    old = table(OLD) | {"target": LABELS}
    files = pair(tmp_path, old, table(NEW))
    assert "--label=" in refused(*files)
    assert found(*files, label="label", columns=("0", "1", "2")) == pytest.approx(RIGHT)


@pytest.mark.parametrize("name", ["Survived", "Label", "target", "Class", "y_hat", "Transported"])
def test_a_submission_to_kaggle(name, tmp_path):
    files = pair(
        tmp_path,
        {"PassengerId": COUNT + 892, name: OLD.argmax(1)},
        {"PassengerId": COUNT + 892, name: NEW.argmax(1)},
    )
    assert found(*files) == (pytest.approx(RIGHT[0]), None, None)
    truth = write(tmp_path / "truth.csv", {"PassengerId": COUNT + 892, name: LABELS})
    assert found(*files, truth) == pytest.approx(RIGHT)


@pytest.mark.parametrize("name", ["prediction", "prob", "score", "y_prob", "1", "prob_1", "p1"])
@pytest.mark.parametrize("ids", [True, False])
def test_one_probability_is_of_the_positive_class(name, ids, tmp_path):
    columns = [({"id": IDS} if ids else {}) | {"label": POSITIVE, name: p} for p in (OLD_P, NEW_P)]
    assert found(*pair(tmp_path, *columns)) == pytest.approx(RIGHT_BINARY)


@pytest.mark.parametrize(
    ("labels", "column", "of"),
    [
        (np.array(["ham", "spam"])[POSITIVE], "spam", 1),
        (np.array(["ham", "spam"])[POSITIVE], "prob_ham", 0),
        (np.array(["no", "yes"])[POSITIVE], "probability", 1),
        (np.array([False, True])[POSITIVE], "prediction", 1),
        (2 * POSITIVE - 1, "prediction", 1),
        (POSITIVE + 1, "y_prob", 1),
        (POSITIVE, "0", 0),
        (POSITIVE, "Survived", 1),
    ],
)
def test_of_which_class_one_probability_is(labels, column, of, tmp_path):
    columns = [{"id": IDS, "label": labels, column: p if of else 1 - p} for p in (OLD_P, NEW_P)]
    assert found(*pair(tmp_path, *columns)) == pytest.approx(RIGHT_BINARY)


def test_one_probability_of_nobody_knows_which_class_is_refused(tmp_path):
    labels = np.array(["ham", "spam"])[POSITIVE]
    columns = [{"label": labels, "prediction": p} for p in (OLD_P, NEW_P)]
    assert "'ham' or 'spam'" in refused(*pair(tmp_path, *columns))
    columns = [{"label": LABELS, "prediction": p} for p in (OLD_P, NEW_P)]
    assert "3 classes" in refused(*pair(tmp_path, *columns))


def test_one_logit_and_both_probabilities_agree(tmp_path):
    one = {"label": POSITIVE, "logit": np.log(OLD_P / (1 - OLD_P))}
    both = {"label": POSITIVE, "0": 1 - NEW_P, "1": NEW_P}
    files = pair(tmp_path, one, both)
    assert found(*files) == pytest.approx(RIGHT_BINARY)
    nll = -np.log(np.where(POSITIVE, OLD_P, 1 - OLD_P)).mean()
    assert report(*files)["groups"][0]["nll"]["mean"] == pytest.approx(nll, rel=1e-6)
