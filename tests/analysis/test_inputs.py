"""`compare` as a library: files in a row, dictionaries of arrays, and data frames of any kind."""

import numpy as np
import pytest

from churn_jax import metrics
from churn_jax.analysis.comparison import compare
from churn_jax.errors import UserError

NAMES = ("cat", "dog", "owl")
RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(80, 3)) * 2
LABELS = SHARED.argmax(1)
IDS = np.array([f"x{i}" for i in range(80)])
ORDER = RNG.permutation(80)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


OLD, NEW = (softmax(SHARED + RNG.normal(size=SHARED.shape)) for _ in range(2))
CHURN, NFR = metrics.churn(OLD, NEW), metrics.negative_flip_rate(OLD, NEW, LABELS)


class Frame:
    """What data frames of all libraries have in common: names of columns, and their values."""

    def __init__(self, **columns):
        self._columns = columns
        self.columns = list(columns)

    def to_numpy(self):
        return np.array(list(self._columns.values()), dtype=object).T


class PickableFrame(Frame):
    """One whose columns can be taken by name, as those of pandas and polars."""

    def __getitem__(self, name):
        return self._columns[name]


def columns(probs, order):
    """A table in that order, labels as names."""
    return {
        "id": IDS[order],
        "label": np.array(NAMES)[LABELS[order]],
        **{name: probs[order, place] for place, name in enumerate(NAMES)},
    }


def assert_right(result, names=("old", "new"), labels=True):
    (change,) = result.report.between
    assert (change.a, change.b) == names
    assert change.measures["churn"].mean == pytest.approx(CHURN)
    if labels:
        assert change.measures["negative_flip_rate"].mean == pytest.approx(NFR)


def test_files_in_a_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("v1.0.npz", probs=OLD, labels=LABELS, ids=IDS)
    np.savez("v2.0.npz", probs=NEW[ORDER], labels=LABELS[ORDER], ids=IDS[ORDER])
    assert_right(compare("v1.0.npz", "v2.0.npz"), ("v1.0", "v2.0"))
    assert_right(compare(tmp_path / "v1.0.npz", tmp_path / "v2.0.npz"), ("v1.0", "v2.0"))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "probs.npy", OLD if folder == "a" else NEW)
    found = compare("a/probs.npy", "b/probs.npy", labels=LABELS)
    assert_right(found, ("a/probs.npy", "b/probs.npy"))
    np.save("new.npy", NEW)
    assert_right(compare(OLD, "new.npy", labels=LABELS))


def test_three_files_in_a_row_are_three_groups(tmp_path):
    paths = []
    for name, probs in (("a", OLD), ("b", NEW), ("c", OLD)):
        paths.append(tmp_path / f"{name}.npy")
        np.save(paths[-1], probs)
    report = compare(*paths).report
    assert [group.name for group in report.groups] == ["a", "b", "c"]
    assert len(report.between) == 3


def test_arrays_in_a_row():
    assert_right(compare(OLD, NEW, labels=LABELS))
    assert_right(compare(OLD.argmax(1), NEW.argmax(1), labels=LABELS))
    several = compare([OLD, NEW], [NEW, OLD], labels=LABELS).report
    assert [(group.name, group.num_runs) for group in several.groups] == [("old", 2), ("new", 2)]
    assert [group.name for group in compare(OLD, NEW, OLD).report.groups] == [
        "model 1",
        "model 2",
        "model 3",
    ]


def test_dictionaries_of_arrays_are_joined_by_their_ids():
    old = {"probs": OLD, "labels": LABELS, "ids": IDS, "class_names": NAMES}
    new = {
        "logits": np.log(NEW[ORDER]) + 5,
        "labels": LABELS[ORDER],
        "ids": IDS[ORDER],
        "class_names": list(NAMES),
    }
    assert_right(compare(old, new))
    assert_right(compare({"v1": old, "v2": new}), ("v1", "v2"))
    assert_right(compare({"v1": [old], "v2": [new]}), ("v1", "v2"))
    report = compare(old, new).report
    assert report.breakdowns.ledger[0].label in NAMES
    assert {flip.id for flip in report.breakdowns.ledger} == set(
        IDS[OLD.argmax(1) != NEW.argmax(1)]
    )


def test_groups_and_labels_as_before():
    assert_right(compare({"old": OLD, "new": NEW}, LABELS))
    assert_right(compare({"old": OLD, "new": NEW}, labels=LABELS.tolist()))


@pytest.mark.parametrize("kind", [Frame, PickableFrame])
def test_frames_are_read_by_their_columns(kind):
    old, new = kind(**columns(OLD, np.arange(80))), kind(**columns(NEW, ORDER))
    assert_right(compare(old, new))
    assert_right(compare({"old": old, "new": new}))
    slices = kind(part=np.where(np.arange(80) < 30, "first", "rest"))
    first = compare(old, new, slices=slices).report.breakdowns.slices[3]
    assert (first.name, first.num_examples) == ("first", 30)
    assert first.between[0].measures["churn"].mean == metrics.churn(OLD[:30], NEW[:30])


def test_a_column_of_python_numbers_is_one_of_numbers():
    table = {name: np.array(cells.tolist(), object) for name, cells in columns(OLD, ORDER).items()}
    assert_right(compare(PickableFrame(**table), PickableFrame(**columns(NEW, ORDER))))
    table["cat"][7] = None
    with pytest.raises(UserError, match=r"old\[0\]: .*cat.*missing|old\[0\]: .*missing"):
        compare(PickableFrame(**table), PickableFrame(**columns(NEW, ORDER)))


def test_frames_of_pandas():
    pandas = pytest.importorskip("pandas")
    old = pandas.DataFrame(columns(OLD, np.arange(80)))
    new = pandas.DataFrame(columns(NEW, ORDER))
    assert_right(compare(old, new))
    assert_right(compare(old.set_index("id"), new.set_index("id")))
    shuffled = old.drop(columns="id").sample(frac=1, random_state=0)
    assert_right(
        compare(shuffled, new.drop(columns="id").iloc[np.argsort(ORDER)].set_index(old.index))
    )
    frame = compare(old, new).to_pandas()
    churn = frame[(frame.measure == "churn") & (frame.table == "change")]
    assert churn["mean"].item() == pytest.approx(CHURN)


def test_frames_of_polars():
    polars = pytest.importorskip("polars")
    old = polars.DataFrame(columns(OLD, np.arange(80)))
    assert_right(compare(old, polars.DataFrame(columns(NEW, ORDER))))


def test_tables_of_pyarrow():
    pyarrow = pytest.importorskip("pyarrow")
    old = pyarrow.table(columns(OLD, np.arange(80)))
    assert_right(compare(old, pyarrow.table(columns(NEW, ORDER))))


@pytest.mark.parametrize(
    ("models", "fault"),
    [
        ((), "at least two models"),
        ((OLD,), "at least 2 runs"),
        ((OLD, NEW, LABELS), "if it is the true classes, say labels="),
        (({"old": OLD},), "at least 2 runs"),
        (("a.npz", "a.npz"), "a.npz: is given twice"),
        ((PickableFrame(a=[1.0], A=[0.0]), OLD), "old"),
    ],
)
def test_what_can_not_be_told_apart_is_refused(models, fault):
    with pytest.raises(UserError, match=fault) as caught:
        compare(*models)
    assert "\n" not in str(caught.value)


def test_columns_of_one_name_are_refused():
    frame = Frame(cat=OLD[:, 0], dog=OLD[:, 1])
    frame.columns = ["cat", "cat"]
    with pytest.raises(UserError, match=r"old\[0\]: the column 'cat' is there twice"):
        compare(frame, frame)
