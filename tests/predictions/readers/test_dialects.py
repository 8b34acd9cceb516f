"""How text tables are written: delimiters, encodings, decimal commas, blank lines, gzip."""

import gzip
import random
import tracemalloc

import numpy as np
import pytest

from churn_jax.predictions.readers import read
from tests.predictions.readers.exports import (
    IDS,
    LABELS,
    NAMES,
    NEW,
    OLD,
    RIGHT,
    N,
    found,
    notes,
    refused,
    report,
    table,
    text,
    write,
)

GOOD = text(table(NEW, NAMES, np.array(NAMES)[LABELS]))


@pytest.fixture
def old(tmp_path):
    return write(tmp_path / "old.csv", table(OLD, NAMES, np.array(NAMES)[LABELS]))


def commas(good):
    return good.replace(",", ";").replace(".", ",")


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda good: good, "utf-8"),
        (lambda good: good, "utf-8-sig"),
        (lambda good: good, "utf-16"),
        (lambda good: good, "utf-16-le"),
        (lambda good: good, "utf-16-be"),
        (lambda good: good, "utf-32"),
        (lambda good: good.replace(",", ";"), "utf-8"),
        (lambda good: good.replace(",", "\t"), "utf-8"),
        (lambda good: good.replace(",", "|"), "utf-8"),
        (lambda good: good.replace(",", ", "), "utf-8"),
        (commas, "utf-8"),
        (lambda good: good.replace("\n", "\r\n"), "utf-8"),
        (lambda good: good.replace("\n", "\r"), "utf-8"),
        (lambda good: good + "\n\n  \n", "utf-8"),
        (lambda good: good + ",,,,\n", "utf-8"),
        (lambda good: good.replace("\n", "\n\n"), "utf-8"),
        (lambda good: "\n" + good, "utf-8"),
        (lambda good: good.replace("\n", ",\n"), "utf-8"),
        (lambda good: good.replace("\n", ",\n").replace(",\n", "\n", 1), "utf-8"),
        (lambda good: good.rstrip("\n"), "utf-8"),
        (lambda good: '"' + good.replace(",", '","').replace("\n", '"\n"')[:-1], "utf-8"),
        (lambda good: good.replace("cat", "  cat "), "utf-8"),
    ],
)
def test_styles_that_mean_the_same(change, encoding, old, tmp_path):
    path = tmp_path / "new.csv"
    path.write_bytes(change(GOOD).encode(encoding))
    assert found(old, path) == pytest.approx(RIGHT)


def test_what_was_found_out_is_said(old, tmp_path):
    (tmp_path / "new.csv").write_bytes(commas(GOOD).encode("utf-16"))
    said = notes(old, tmp_path / "new.csv")
    assert "utf-16" in said
    assert "semicolons" in said
    assert "decimal commas" in said


def test_names_in_the_encoding_of_windows(tmp_path):
    names = np.array(["Käse", "Brød", "crème"])
    files = [tmp_path / "old.csv", tmp_path / "new.csv"]
    for file, values, encoding in zip(files, (OLD, NEW), ("cp1252", "utf-8"), strict=True):
        file.write_bytes(text(table(values, names, names[LABELS])).encode(encoding))
    assert found(*files) == pytest.approx(RIGHT)
    assert "cp1252" in notes(*files)


def test_tables_that_R_writes(old, tmp_path):
    """`write.table` writes no name above the names of the rows."""
    header, *lines = text(table(NEW, NAMES, np.array(NAMES)[LABELS])).splitlines()
    rows = "\n".join(f'"{i + 1}",{line}' for i, line in enumerate(lines))
    (tmp_path / "new.csv").write_text(f"{header}\n{rows}\n")
    assert found(old, tmp_path / "new.csv") == pytest.approx(RIGHT)


@pytest.mark.parametrize("suffix", ["new.csv.gz", "new.tsv", "new.TSV.GZ", "a.b.CSV"])
def test_suffixes(suffix, old, tmp_path):
    path = tmp_path / suffix
    content = GOOD.replace(",", "\t").encode() if "tsv" in suffix.lower() else GOOD.encode()
    path.write_bytes(gzip.compress(content) if suffix.lower().endswith("gz") else content)
    assert found(old, path) == pytest.approx(RIGHT)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("# made by me\n" + GOOD, "comment"),
        (GOOD.replace("\n", "\n# half-way\n", 40).replace("# half-way\n", "", 39), "comment"),
        (GOOD.split("\n", 1)[1], "no header"),
        (GOOD.replace(GOOD.split(",")[6], "1,234.5"), "fields"),
        (GOOD.replace(",", ";").replace(GOOD.split(",")[6], "1.234,5", 1), "thousands"),
        (commas(GOOD).replace(",", ".", 1), "decimal"),
        (GOOD.replace(GOOD.split(",")[6], "1_000"), "'1_000' is no number"),
        (GOOD.replace(GOOD.split(",")[6], "x", 1), "'x' is no number"),
        (GOOD.replace("img005", "img\0"), "zero bytes"),
        (GOOD.replace("img005", "img006", 1), "twice"),
        (GOOD + "img990,cat,1\n", "row 92 has 3 fields"),
        ("", "empty"),
        ("\n\n", "empty"),
        ("id,label,cat,dog,owl\n", "no examples"),
        (GOOD.replace("cat,dog,owl", "cat,dog,dog", 1), "twice"),
    ],
)
def test_other_styles_are_refused_by_name(content, fault, old, tmp_path):
    (tmp_path / "new.csv").write_text(content)
    line = refused(old, tmp_path / "new.csv")
    assert "new.csv" in line
    assert fault in line


def test_a_gap_in_a_single_column_is_no_blank_line(tmp_path):
    for name, values in (("old", OLD), ("new", NEW)):
        lines = ["prediction", *map(str, values.argmax(1))]
        if name == "new":
            lines[5] = ""
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n\n")
    files = tmp_path / "old.csv", tmp_path / "new.csv"
    assert "example 4" in refused(*files)
    kept = np.delete(np.arange(N), 4)
    changed = np.mean(OLD[kept].argmax(1) != NEW[kept].argmax(1))
    assert found(*files, missing="drop")[0] == pytest.approx(changed)


@pytest.mark.parametrize("where", [12, -3, None])
def test_damage_that_gzip_finds(where, old, tmp_path):
    packed = bytearray(gzip.compress(GOOD.encode()))
    if where is None:
        packed = packed[: len(packed) // 2]
    else:
        packed[where] ^= 4
    (tmp_path / "new.csv.gz").write_bytes(packed)
    assert "damaged" in refused(old, tmp_path / "new.csv.gz")


def test_a_bomb_is_refused(old, tmp_path):
    (tmp_path / "new.csv.gz").write_bytes(
        gzip.compress(b"id,cat\n" + (b" " * 99_999 + b"\n") * 900)
    )
    assert "bomb" in refused(old, tmp_path / "new.csv.gz")


def test_one_long_text_costs_its_length_alone(tmp_path):
    """Not its length for every row."""
    draw = random.Random(0)
    ids = [f"{i}-{draw.random()}" for i in range(20_000)]
    ids[7] = "x" * 100_000
    write(tmp_path / "long.csv", {"id": ids, "prediction": [0, 1] * 10_000})
    tracemalloc.start()
    (source,) = read(tmp_path / "long.csv")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert source.size == 20_000
    assert most < 40 * (tmp_path / "long.csv").stat().st_size


def test_ids_keep_zeros_in_front(tmp_path):
    padded = write(tmp_path / "old.csv", {"id": [f"{i:04d}" for i in range(N)], "pred": LABELS})
    whole = write(tmp_path / "new.csv", {"id": range(N), "pred": LABELS})
    assert "zeros in front" in refused(padded, whole)
    floats = write(tmp_path / "floats.csv", {"id": [f"{i}.0" for i in range(N)], "pred": LABELS})
    assert found(whole, floats)[0] == 0


def test_ids_with_blanks_and_other_accents_join(tmp_path):
    ids = [f"été {i}" for i in range(N)]
    other = [f" e\u0301te\u0301 {i} " for i in range(N)]
    files = [
        write(tmp_path / name, {"id": names, "label": LABELS, "pred": values.argmax(1)})
        for name, names, values in (("old.csv", ids, OLD), ("new.csv", other, NEW))
    ]
    assert found(*files) == pytest.approx(RIGHT)


def test_only_common_examples_are_compared_if_asked(tmp_path):
    columns = [{"id": IDS, "label": LABELS, "pred": x.argmax(1)} for x in (OLD, NEW)]
    columns[0] = {name: np.array(values)[:80] for name, values in columns[0].items()}
    columns[1] = {name: np.array(values)[:4:-1] for name, values in columns[1].items()}
    files = [
        write(tmp_path / f"{name}.csv", c) for name, c in zip(("old", "new"), columns, strict=True)
    ]
    assert "--on=common" in refused(*files)
    both = slice(5, 80)
    expected = (
        np.mean(OLD[both].argmax(1) != NEW[both].argmax(1)),
        np.mean(OLD[both].argmax(1) == LABELS[both]),
        np.mean(NEW[both].argmax(1) == LABELS[both]),
    )
    assert found(*files, on="common") == pytest.approx(expected)
    assert "75 examples" in notes(*files, on="common")
    assert "old.csv 5 of 80" in notes(*files, on="common")
    assert "new.csv 10 of 85" in notes(*files, on="common")


def test_labels_and_slices_may_be_of_more_examples(tmp_path):
    files = [
        write(tmp_path / f"{name}.csv", {"id": IDS[:60], "pred": x[:60].argmax(1)})
        for name, x in (("old", OLD), ("new", NEW))
    ]
    labels = write(tmp_path / "labels.csv", {"id": IDS[::-1], "truth": LABELS[::-1]})
    slices = write(
        tmp_path / "slices.csv", {"id": IDS[::-1], "half": ["b"] * 60 + ["a"] * 30, "label": LABELS}
    )
    expected = tuple(np.mean(x[:60].argmax(1) == LABELS[:60]) for x in (OLD, NEW))
    assert found(*files, labels)[1:] == pytest.approx(expected)
    parts = report(*files, labels, slices=slices)["slices"]
    first = next(part for part in parts if (part["by"], part["name"]) == ("half", "a"))
    churn = np.mean(OLD[:30].argmax(1) != NEW[:30].argmax(1))
    assert first["between"][0]["churn"]["mean"] == pytest.approx(churn)
