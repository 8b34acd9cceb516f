"""Parquet tables as pandas, polars and Spark write them."""

import json

import numpy as np
import pytest

from tests.predictions.readers.exports import (
    IDS,
    LABELS,
    NAMES,
    NEW,
    NEW_PROBS,
    OLD,
    OLD_PROBS,
    POSITIVE,
    RIGHT,
    N,
    found,
    notes,
    refused,
    right,
)

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
BYTES = [name.encode() for name in IDS]
TEXTS = np.array(NAMES)[LABELS].tolist()


def pair(tmp_path, make, **options):
    files = []
    for name, logits, probs in (("old", OLD, OLD_PROBS), ("new", NEW, NEW_PROBS)):
        files.append(tmp_path / f"{name}.parquet")
        parquet.write_table(pa.table(make(logits, probs)), files[-1], **options)
    return files


def columns(values):
    return {name: values[:, j] for j, name in enumerate(NAMES)}


VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, p: {"label": TEXTS} | columns(x) | {"__index_level_0__": np.arange(N) + 7},
        lambda x, p: {"label": pa.array(TEXTS).dictionary_encode(), "id": IDS} | columns(x),
        lambda x, p: {"label": TEXTS} | columns(x.astype(np.float32)),
        lambda x, p: {"id": IDS, "label": LABELS, "probs": p.tolist()},
        lambda x, p: {"label": LABELS, "probs": pa.array(p.tolist(), pa.large_list(pa.float32()))},
        lambda x, p: {"label": LABELS, "logits": pa.array(x.tolist(), pa.list_(pa.float64(), 3))},
        lambda x, p: {
            "label": LABELS.astype(float),
            "probability": pa.array([{"type": 1, "values": row} for row in p.tolist()], VECTOR),
            "prediction": p.argmax(1).astype(float),
        },
        lambda x, p: {"id": IDS, "label": TEXTS, "pred": pa.array(np.array(NAMES)[x.argmax(1)])},
        lambda x, p: {"id": pa.array(IDS, pa.large_string()), "label": LABELS, "p": x.argmax(1)},
        lambda x, p: {"id": pa.array(BYTES), "label": LABELS, "pred": x.argmax(1)},
        lambda x, p: {"id": 2**60 + np.arange(N), "label": LABELS, "pred": x.argmax(1)},
    ],
)  # fmt: skip
def test_usual_types_of_columns(make, tmp_path):
    files = pair(tmp_path, make)
    said = {"prediction": "p"} if "p" in make(OLD, OLD_PROBS) else {}
    assert found(*files, **said) == pytest.approx(RIGHT)


def test_booleans_and_zeros_and_ones_are_the_same_classes(tmp_path):
    files = pair(tmp_path, lambda x, p: {"id": IDS, "label": POSITIVE == 1, "pred": x[:, 0] > 0})
    expected = right(OLD[:, 0] > 0, NEW[:, 0] > 0, POSITIVE == 1)
    assert found(*files) == pytest.approx(expected)
    whole = {"id": IDS, "prob": 1 / (1 + np.exp(-OLD[:, 0]))}
    parquet.write_table(pa.table(whole), files[0])
    assert found(*files) == pytest.approx(expected)


def test_rows_in_blocks(tmp_path):
    files = pair(
        tmp_path,
        lambda x, p: {"id": IDS, "label": LABELS, "probs": p.tolist()} if x is OLD else
        {"id": IDS[::-1]} | {f"prob_{j}": p[::-1, j] for j in range(3)},
        row_group_size=7,
    )  # fmt: skip
    assert found(*files) == pytest.approx(RIGHT)


def test_an_index_that_pandas_shuffled_joins_the_rows(tmp_path):
    order = np.random.default_rng(2).permutation(N)
    metadata = {"pandas": json.dumps({"index_columns": ["__index_level_0__"]})}
    files = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    for file, values, rows in zip(files, (OLD, NEW), (np.arange(N) + 5, order + 5), strict=True):
        table = {"label": np.array(TEXTS)[rows - 5]} | columns(values[rows - 5])
        table = pa.table(table | {"__index_level_0__": rows})
        parquet.write_table(table.replace_schema_metadata(metadata), file)
    assert found(*files) == pytest.approx(RIGHT)
    assert "joins the rows" in notes(*files)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda x, p: {"pred": pa.array([None, *LABELS[1:].tolist()])}, "example 0"),
        (lambda x, p: {"probs": [None, *p[1:].tolist()]}, "example 0"),
        (lambda x, p: {"probs": [[0.5, 0.5], *p[1:].tolist()]}, "different lengths"),
        (lambda x, p: {"probs": [[None, 0.5, 0.5], *p[1:].tolist()]}, "example 0"),
        (lambda x, p: {"label": LABELS, "probs": [{"cat": 1.0}] * N}, "'probs'"),
        (lambda x, p: columns(x) | {"label": TEXTS, "day": np.zeros(N, "datetime64[s]")}, "'day'"),
        (lambda x, p: {"label": LABELS[:0], "pred": LABELS[:0]}, "no examples"),
    ],
)  # fmt: skip
def test_other_tables_are_refused_by_name(make, fault, tmp_path):
    files = pair(tmp_path, make)
    assert fault in refused(*files)
    assert "old.parquet" in refused(*files)
