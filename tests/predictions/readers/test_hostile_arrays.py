"""Faulty arrays in every format: one line that names the file and the fault, exit code 2.

Every case is made from a good pair of files by one change. None may be accepted silently, leave a
traceback or write anything.
"""

import numpy as np
import pytest

from churn_jax import compare as command
from tests.predictions.readers.hostile import (
    FORMATS,
    GOOD,
    IDS,
    LABELS,
    NAMES,
    PROBS,
    K,
    N,
    arrays_of,
    changed,
    refused,
)

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")

# What is wrong with the arrays, whatever the format: changes to GOOD (None drops the array).
ARRAYS = {
    "nan": {"probs": changed(PROBS, (3, 1), np.nan)},
    "nan in the last row": {"probs": changed(PROBS, (N - 1, 0), np.nan)},
    "all nan": {"probs": np.full((N, K), np.nan, np.float32)},
    "infinite": {"probs": changed(PROBS, (3, 1), np.inf)},
    "minus infinite": {"probs": changed(PROBS, (3, 1), -np.inf)},
    "negative": {"probs": PROBS + np.float32([[0.6, -0.6, 0]])},
    "one negative": {"probs": changed(PROBS, 5, [1.2, -0.2, 0.0])},
    "slightly negative": {"probs": changed(PROBS, 5, [1.001, -0.001, 0.0])},
    "sum 0.9": {"probs": PROBS * np.float32(0.9)},
    "one sums to 0.9": {"probs": changed(PROBS, 7, PROBS[7] * 0.9)},
    "one sums to 2": {"probs": changed(PROBS, 7, PROBS[7] * 2)},
    "one is all zero": {"probs": changed(PROBS, 7, 0)},
    "all zero": {"probs": np.zeros((N, K), np.float32)},
    "percent": {"probs": PROBS * np.float32(100)},
    "log-probabilities called probabilities": {"probs": np.log(PROBS)},
    "probabilities called log-probabilities": {"probs": None, "log_probs": PROBS},
    "logits called log-probabilities": {"probs": None, "log_probs": np.log(PROBS) + 1},
    "nan logits": {"probs": None, "logits": changed(np.log(PROBS), (2, 2), np.nan)},
    "infinite logits": {"probs": None, "logits": changed(np.log(PROBS), (2, 2), np.inf)},
    "all minus infinite logits": {"probs": None, "logits": changed(np.log(PROBS), 2, -np.inf)},
    "integers": {"probs": (PROBS * 10).astype(np.int64)},
    "booleans": {"probs": PROBS > 0.5},
    "complex": {"probs": PROBS.astype(np.complex64)},
    "one class": {"probs": np.ones((N, 1), np.float32), "class_names": NAMES[:1]},
    "no class": {"probs": np.ones((N, 0), np.float32), "class_names": None},
    "no examples": {name: array[:0] for name, array in GOOD.items() if name != "class_names"},
    "three axes": {"probs": PROBS[None]},
    "a number": {"probs": np.float32(0.5)},
    "vector of probabilities": {"probs": PROBS[:, 0]},
    "fewer classes": {"probs": PROBS[:, :2] / PROBS[:, :2].sum(1, keepdims=True),
                      "class_names": NAMES[:2]},
    "more classes": {"probs": np.concatenate([PROBS / 2, PROBS / 2], 1), "class_names": None},
    "fewer classes, no names": {"probs": PROBS[:, :2] / PROBS[:, :2].sum(1, keepdims=True),
                                "class_names": None, "labels": LABELS % 2},
    "classes in another order": {"class_names": NAMES[::-1]},
    "another class": {"class_names": np.array(["cat", "dog", "cow"])},
    "a class twice": {"class_names": np.array(["cat", "dog", "dog"])},
    "too few class names": {"class_names": NAMES[:2]},
    "too many class names": {"class_names": np.array([*NAMES, "cow"])},
    "label too large": {"labels": changed(LABELS, 4, K)},
    "label far too large": {"labels": changed(LABELS, 4, 2**40)},
    "label negative": {"labels": changed(LABELS, 4, -1)},
    "labels of floats": {"labels": LABELS + 0.5},
    "labels one-hot": {"labels": np.eye(K)[LABELS]},
    "other labels": {"labels": (LABELS + 1) % K},
    "one other label": {"labels": changed(LABELS, 4, (LABELS[4] + 1) % K)},
    "too few labels": {"labels": LABELS[:-1]},
    "too many labels": {"labels": np.append(LABELS, 0)},
    "id twice": {"ids": changed(IDS, 4, IDS[3])},
    "all ids equal": {"ids": np.array(["x"] * N)},
    "other id": {"ids": changed(IDS, 4, "y")},
    "all other ids": {"ids": np.array([f"y{i}" for i in range(N)])},
    "ids of floats": {"ids": np.arange(N) / 2},
    "too few ids": {"ids": IDS[:-1]},
    "an empty id": {"ids": changed(IDS, 4, "")},
    "no ids": {"ids": None},
    "fewer examples": {"probs": PROBS[:-1], "labels": LABELS[:-1], "ids": IDS[:-1]},
    "more examples": {"probs": np.repeat(PROBS, 2, 0), "labels": np.repeat(LABELS, 2),
                      "ids": np.array([f"x{i}" for i in range(2 * N)])},
    "no predictions": {"probs": None},
    "two predictions": {"logits": np.log(PROBS)},
    "predictions under another name": {"probs": None, "outputs": PROBS},
    "classes out of range": {"probs": None, "predictions": np.full(N, K)},
    "classes negative": {"probs": None, "predictions": np.full(N, -1)},
    "classes of fractions": {"probs": None, "predictions": (LABELS + 0.5).astype(np.float32)},
    "classes of other names": {"probs": None, "predictions": np.array(["cow"] * N)},
}  # fmt: skip


NOT_IN_CSV = {
    "probabilities called log-probabilities", "logits called log-probabilities", "nan logits",
    "infinite logits", "all minus infinite logits", "two predictions", "booleans", "complex",
    "no class", "three axes", "a number", "vector of probabilities", "labels one-hot",
    "too few labels", "too many labels", "too few ids", "too few class names", "no predictions",
    "too many class names", "predictions under another name", "integers", "ids of floats",
    "more classes", "no ids", "percent", "sum 0.9", "fewer classes, no names",
    "classes of fractions", "log-probabilities called probabilities",
}  # fmt: skip
NOT_IN_SAFETENSORS = {"no examples", "classes of other names", "complex", "no class", "a number"}
CASES = [
    (fault, suffix)
    for fault in ARRAYS
    for suffix in FORMATS
    if not (suffix == "csv" and fault in NOT_IN_CSV)
    and not (suffix == "safetensors" and fault in NOT_IN_SAFETENSORS)
]


@pytest.mark.parametrize(("fault", "suffix"), CASES)
def test_faulty_arrays_are_refused(fault, suffix, tmp_path, capsys):
    np.savez(tmp_path / "good.npz", **GOOD)
    path = tmp_path / f"bad.{suffix}"
    FORMATS[suffix](path, arrays_of(ARRAYS[fault]))
    refused(tmp_path, path, capsys)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_the_cases_are_made_from_is_accepted(suffix, tmp_path):
    np.savez(tmp_path / "good.npz", **GOOD)
    FORMATS[suffix](tmp_path / f"other.{suffix}", GOOD)
    assert command.main([str(tmp_path / "good.npz"), str(tmp_path / f"other.{suffix}")]) == 0


def test_there_are_many_cases():
    assert len(CASES) >= 140
