"""One flipped bit anywhere in the data of a container that carries a checksum is found."""

import gzip
import json
import random
import zipfile

import numpy as np
import pytest

from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.predictions.readers import read
from tests.predictions.readers.exports import IDS, LABELS, NAMES, OLD, OLD_PROBS, table, text
from tests.predictions.test_prediction_file import example

PLACES = [pytest.param(20, id="some"), pytest.param(200, id="many", marks=pytest.mark.slow)]
ARRAYS = {"probs": OLD_PROBS, "labels": LABELS, "ids": np.array(IDS)}


def stored(path):
    np.savez(path, **ARRAYS)
    return inside(path)


def packed(path):
    np.savez_compressed(path, **ARRAYS)
    return inside(path)


def inside(path):
    """The bytes of the members of a zip archive, without their headers."""
    places = []
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for entry in archive.infolist():
            file.seek(entry.header_offset + 26)
            lengths = np.frombuffer(file.read(4), "<u2")
            start = entry.header_offset + 30 + int(lengths.sum())
            places += range(start, start + entry.compress_size)
    return places


def gzipped(path):
    path.write_bytes(gzip.compress(text(table(OLD, NAMES)).encode()))
    return range(10, path.stat().st_size)


def ours(path):
    """All arrays but the checksum that only earlier versions look at."""
    prediction_file.write(path, example())
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    begin, end = json.loads(content[8:start])["crc32"]["data_offsets"]
    return [start + place for place in range(len(content) - start) if not begin <= place < end]


def pages(path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"id": IDS, "label": LABELS} | {n: OLD[:, j] for j, n in enumerate(NAMES)}
    parquet.write_table(
        pyarrow.table(columns), path, write_page_checksum=True, use_dictionary=False
    )
    with parquet.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        chunks = [group.column(i) for i in range(group.num_columns)]
    # The data of a chunk's only page are its last bytes, behind a header of at most a hundred.
    ends = [(c.data_page_offset, c.data_page_offset + c.total_compressed_size) for c in chunks]
    return [place for start, end in ends for place in range(min(start + 100, end - 8), end)]


CONTAINERS = {
    "stored.npz": stored,
    "packed.npz": packed,
    "table.csv.gz": gzipped,
    "table.parquet": pages,
    "ours.safetensors": ours,
}


@pytest.mark.parametrize("count", PLACES)
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_flipped_bit_is_found(name, count, tmp_path):
    path = tmp_path / name
    places = CONTAINERS[name](path)
    (whole,) = read(path)
    content = path.read_bytes()
    draw, unseen = random.Random(1), 0
    for _ in range(count):
        damaged = bytearray(content)
        damaged[draw.choice(places)] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        fault = fault_of(path, whole)
        unseen += fault is None
        assert fault is None or (name in fault and "damaged" in fault)
    # The last bits of a packed stream fill up a byte, and say nothing.
    assert unseen <= (count // 50 + 1 if name in ("packed.npz", "table.csv.gz") else 0)


def fault_of(path, whole):
    """The line that refuses a file; None if it is read, and is the same as `whole`."""
    try:
        (found,) = read(path)
    except UserError as error:
        return str(error)
    np.testing.assert_array_equal(found.values, whole.values)
    np.testing.assert_array_equal(found.labels.codes, whole.labels.codes)
    np.testing.assert_array_equal(found.ids, whole.ids)
    return None


@pytest.mark.parametrize("name", ["stored.npz", "packed.npz", "table.csv.gz"])
def test_a_flip_outside_of_the_data_is_found_or_changes_nothing(name, tmp_path):
    path = tmp_path / name
    inner = set(CONTAINERS[name](path))
    (whole,) = read(path)
    content = path.read_bytes()
    outer = [place for place in range(len(content)) if place not in inner]
    for place in outer:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        fault_of(path, whole)
