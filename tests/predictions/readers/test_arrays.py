"""Named and plain arrays: archives, tensors and what is in memory, in every type and order."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

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
    right,
)


def pair(tmp_path, old, new, suffix="npz"):
    files = tmp_path / f"old.{suffix}", tmp_path / f"new.{suffix}"
    for file, arrays in zip(files, (old, new), strict=True):
        if suffix == "npz":
            np.savez(file, **arrays)
        elif suffix == "npy":
            np.save(file, arrays)
        else:
            safetensors.numpy.save_file(arrays, file)
    return files


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ("predictions", "label_ids"),  # the trainer of Hugging Face
        ("y_prob", "y_true"),
        ("Probabilities", "Labels"),
        ("scores", "target"),
        ("logits", "y"),
        ("pred", "gold"),
    ],
)
def test_usual_names_of_arrays(values, labels, tmp_path):
    pair_ = [
        {values: x, labels: LABELS, "epoch": np.array(3), "features": np.zeros((N, 5))}
        for x in ((OLD, NEW) if values != "Probabilities" and "prob" not in values else
                  (OLD_PROBS, NEW_PROBS))
    ]  # fmt: skip
    files = pair(tmp_path, *pair_)
    assert found(*files) == pytest.approx(RIGHT)
    assert "'features'" in notes(*files)


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f2", "<f4", "longdouble"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_types_and_orders(dtype, order, tmp_path):
    arrays = [np.asarray(x.astype(dtype), order=order) for x in (OLD, NEW)]
    expected = right(*arrays)
    assert found(*pair(tmp_path, *arrays, suffix="npy"), LABELS) == pytest.approx(expected)


@pytest.mark.parametrize("labels", [LABELS.astype(">i4"), LABELS.astype(np.uint8),
                                    LABELS.astype(float), LABELS.astype(str),
                                    LABELS.astype("S2")])  # fmt: skip
@pytest.mark.parametrize("ids", [None, np.arange(N)[::-1], np.array(IDS), np.array(IDS, "S9"),
                                 np.arange(N) * 1.0])  # fmt: skip
def test_types_of_labels_and_ids(labels, ids, tmp_path):
    order = np.arange(N) if ids is None else np.random.default_rng(0).permutation(N)
    old, new = {"logits": OLD, "labels": labels}, {"logits": NEW[order], "labels": labels[order]}
    if ids is not None:
        old["ids"], new["ids"] = ids, ids[order]
    assert found(*pair(tmp_path, old, new)) == pytest.approx(RIGHT)


@pytest.mark.parametrize("suffix", ["npz", "npy", "safetensors"])
def test_bfloat16_in_every_container(suffix, tmp_path):
    """NumPy saves it as two bytes without a type."""
    arrays = [x.astype(ml_dtypes.bfloat16) for x in (OLD, NEW)]
    expected = right(*(x.astype(np.float32) for x in arrays))
    given = arrays if suffix == "npy" else [{"logits": x} for x in arrays]
    assert found(*pair(tmp_path, *given, suffix=suffix), LABELS) == pytest.approx(expected)


def test_eight_bits_without_a_type_are_refused(tmp_path):
    arrays = [x.astype(ml_dtypes.float8_e4m3fn) for x in (OLD, NEW)]
    assert "save float32" in refused(*pair(tmp_path, *arrays, suffix="npy"))
    given = [{"logits": x} for x in arrays]
    expected = right(*(x.astype(np.float32) for x in arrays))
    files = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    for file, tensors in zip(files, given, strict=True):
        raw = tensors["logits"].view(np.uint8)
        header = json.dumps(
            {"logits": {"dtype": "F8_E4M3", "shape": [N, 3], "data_offsets": [0, raw.size]}}
        ).encode()
        file.write_bytes(len(header).to_bytes(8, "little") + header + raw.tobytes())
    assert found(*files, LABELS) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
@pytest.mark.parametrize("name", ["y_prob", "probs", "predictions"])
def test_one_probability(shape, name, tmp_path):
    arrays = [{name: p.reshape(shape), "labels": POSITIVE} for p in (OLD_P, NEW_P)]
    assert found(*pair(tmp_path, *arrays)) == pytest.approx(RIGHT_BINARY)
    plain = [p.reshape(shape) for p in (OLD_P, NEW_P)]
    labels = np.array([False, True])[POSITIVE]
    assert found(*pair(tmp_path, *plain, suffix="npy"), labels) == pytest.approx(RIGHT_BINARY)


def test_one_logit_needs_its_kind(tmp_path):
    arrays = [np.log(p / (1 - p)) for p in (OLD_P, NEW_P)]
    files = pair(tmp_path, *arrays, suffix="npy")
    assert "--kind=logits" in refused(*files, POSITIVE)
    assert found(*files, POSITIVE, kind="logits") == pytest.approx(RIGHT_BINARY)


def test_predictions_beside_logits(tmp_path):
    """Another rule than the largest logit: half of the examples say cat."""
    own = np.where(np.arange(N) % 2, 0, OLD.argmax(1))
    arrays = [{"logits": OLD, "y_pred": own, "labels": LABELS}, {"logits": NEW, "labels": LABELS}]
    assert found(*pair(tmp_path, *arrays)) == pytest.approx(right(own, NEW.argmax(1)))


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"probs": OLD_PROBS, "logits": OLD}, "logits"),
        ({"outputs": OLD}, "--columns"),
        ({"probs": OLD_PROBS, "labels": np.eye(3)[LABELS]}, "one-hot"),
        ({"probs": OLD_PROBS[None]}, "[1, 90, 3]"),
        ({"probs": np.float64(0.5)}, "[]"),
        ({"probs": OLD_PROBS, "labels": LABELS[:-1]}, "labels of shape [89]"),
        ({"probs": OLD_PROBS, "ids": np.array(IDS[:-1] + IDS[:1])}, "'img000' is there twice"),
        ({"probs": OLD_PROBS, "ids": np.arange(N) / 2}, "fractions"),
        ({"probs": OLD_PROBS, "labels": LABELS + 0.5}, "2.5"),
        ({"probs": OLD_PROBS, "labels": LABELS.astype(complex)}, "complex"),
        ({"probs": OLD_PROBS, "labels": np.where(LABELS == 2, 5, LABELS)[:N] * 1 + 0 *
          (LABELS == 5) + 7 * (np.arange(N) == 3)}, "class"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_predictions(arrays, fault, tmp_path):
    files = pair(tmp_path, arrays, {"probs": NEW_PROBS})
    assert fault in refused(*files)


def test_an_array_of_another_name_can_be_named(tmp_path):
    arrays = [{"outputs": x, "truth": LABELS, "names": np.array(IDS)} for x in (OLD, NEW)]
    files = pair(tmp_path, *arrays)
    said = {"columns": ("outputs",), "label": "truth", "id": "names"}
    assert found(*files, **said) == pytest.approx(RIGHT)


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "old.npy", np.array(NAMES, object)[LABELS], allow_pickle=True)
    np.save(tmp_path / "new.npy", LABELS)
    assert "never loaded" in refused(tmp_path / "old.npy", tmp_path / "new.npy")


def test_a_dictionary_of_arrays_is_read_as_a_file_is():
    order = np.random.default_rng(0).permutation(N)
    old = {"probs": OLD_PROBS.tolist(), "ids": IDS, "labels": LABELS.tolist()}
    new = {"logits": NEW[order], "ids": np.array(IDS)[order]}
    assert found(old, new) == pytest.approx(RIGHT)
    columns = {"cat": OLD[:, 0], "dog": OLD[:, 1], "owl": OLD[:, 2]}
    labels = np.array(NAMES)[LABELS]
    assert found(columns | {"label": labels}, NEW) == pytest.approx(RIGHT)
    assert "'weight'" in refused(columns | {"label": labels, "weight": np.ones(N)}, NEW)


class Index:
    """What the index of a pandas frame shows."""

    names = (None,)

    def __init__(self, values):
        self._values = values

    def get_level_values(self, level):
        return self._values


class Frame:
    """What a data frame shows: `columns`, items, and the names of its rows."""

    def __init__(self, columns, index=None):
        self._columns = columns
        self.columns = list(columns)
        if index is not None:
            self.index = Index(index)

    def __getitem__(self, name):
        return self._columns[name]


def test_a_data_frame_is_read_as_a_table_is():
    names = np.array(NAMES, object)
    lists = np.empty(N, object)
    lists[:] = OLD_PROBS.tolist()
    old = Frame(
        {"id": np.array(IDS, object), "label": names[LABELS], "prediction": names[OLD.argmax(1)]}
    )
    new = Frame({0: NEW[:, 0], 1: NEW[:, 1], 2: NEW[:, 2]})
    assert found(old, Frame({"id": IDS, "pred": NEW.argmax(1)}))[0] == 1  # cat is not 0
    assert found(Frame({"probs": lists, "label": LABELS}), new) == pytest.approx(RIGHT)
    gap = np.array([None, *LABELS[1:]], object)
    assert "example 0 has no label" in refused(Frame({"probs": lists, "label": gap}), new)


@pytest.mark.parametrize("step", [1, 3])
def test_the_rows_of_a_data_frame_may_have_names(step):
    order = np.random.default_rng(0).permutation(N)
    columns = ({"cat": x[:, 0], "dog": x[:, 1], "owl": x[:, 2]} for x in (OLD, NEW[order]))
    old, new = (
        Frame(c, index)
        for c, index in zip(columns, (np.arange(N) * step, order * step), strict=True)
    )
    labels = np.array(NAMES)[LABELS]
    assert found(old, new, labels) == pytest.approx(RIGHT)
