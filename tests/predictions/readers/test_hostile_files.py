"""Damaged and hostile files: one line that names the file and the fault, exit code 2.

None may be accepted silently, leave a traceback, execute anything, write anything or take much
memory.
"""

import io
import json
import pickle
import random
import resource
import struct
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from churn_jax.predictions import prediction_file
from tests.predictions.readers.hostile import (
    GOOD,
    IDS,
    LABELS,
    NAMES,
    PROBS,
    Explodes,
    K,
    N,
    refused,
)
from tests.predictions.test_prediction_file import example

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")


def good_bytes(suffix):
    stream = io.BytesIO()
    if suffix == "npy":
        np.save(stream, PROBS)
    elif suffix in ("npz", "packed.npz"):
        (np.savez if suffix == "npz" else np.savez_compressed)(stream, **GOOD)
    elif suffix == "safetensors":
        return safetensors.numpy.save({"probs": PROBS, "labels": LABELS})
    elif suffix == "csv":
        lines = ["id,label,cat,dog,owl"]
        lines += [f"{IDS[i]},{LABELS[i]}," + ",".join(map(str, PROBS[i])) for i in range(N)]
        return "\n".join(lines).encode()
    else:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = {"id": IDS, "label": LABELS} | {n: PROBS[:, j] for j, n in enumerate(NAMES)}
        parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def npy_header(text, body=b""):
    header = text.encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def safetensors_bytes(header, body=b""):
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + body


def zip_bytes(members, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def npy_bytes(array, allow_pickle=False):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def zip_bomb():
    """A quarter of a megabyte that unpacks to a quarter of a gigabyte of zeros."""
    header = npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (16777216, 4)}")
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("probs.npy", "w", force_zip64=True) as member,
    ):
        member.write(header)
        for _ in range(1 << 8):
            member.write(bytes(1 << 20))
    return stream.getvalue()


def object_array():
    return np.array([Explodes(), Explodes()], dtype=object)


F4 = "'descr': '<f4', 'fortran_order': False"
TENSOR = {"dtype": "F32", "shape": [N, K], "data_offsets": [0, 4 * N * K]}
RAW = {
    "a folder.npz": None,
    "missing.npz": None,
    "empty.npy": b"",
    "empty.npz": b"",
    "empty.safetensors": b"",
    "empty.csv": b"",
    "empty.parquet": b"",
    "pickle.npy": pickle.dumps(Explodes()),
    "pickle.npz": pickle.dumps(Explodes()),
    "objects.npy": npy_bytes(object_array(), allow_pickle=True),
    "objects.npz": zip_bytes([("probs.npy", npy_bytes(object_array(), allow_pickle=True))]),
    "object ids.npz": zip_bytes([("probs.npy", npy_bytes(PROBS)),
                                 ("ids.npy", npy_bytes(IDS.astype(object), True))]),
    "pickle.pkl": pickle.dumps(Explodes()),
    "pickle.pt": pickle.dumps(Explodes()),
    "no suffix": npy_bytes(PROBS),
    "other suffix.json": b"[]",
    "huge shape.npy": npy_header(f"{{{F4}, 'shape': (1000000000000, 1000)}}", bytes(100)),
    "overflowing shape.npy": npy_header(f"{{{F4}, 'shape': (4611686018427387904, 16)}}", bytes(9)),
    "negative shape.npy": npy_header(f"{{{F4}, 'shape': (-5, 3)}}", bytes(100)),
    "text shape.npy": npy_header(f"{{{F4}, 'shape': ('a', 3)}}", bytes(100)),
    "no shape.npy": npy_header(f"{{{F4}}}", bytes(100)),
    "code in header.npy": npy_header("__import__('os').system('true')", bytes(100)),
    "no dict.npy": npy_header("[1, 2]", bytes(100)),
    "deep header.npy": npy_header("(" * 9000, bytes(100)),
    "structured.npy": npy_bytes(np.zeros(5, [("a", "f4"), ("b", "f4")])),
    "dates.npy": npy_bytes(np.zeros((5, 3), "datetime64[s]")),
    "version.npy": b"\x93NUMPY\x09\x00" + bytes(100),
    "bomb.npz": zip_bomb(),
    "not npy inside.npz": zip_bytes([("probs.npy", b"hello")]),
    "empty archive.npz": zip_bytes([]),
    "shape does not fit.npz": zip_bytes(
        [("probs.npy", npy_header(f"{{{F4}, 'shape': (99, 3)}}", bytes(12)))]
    ),
    "huge shape.npz": zip_bytes(
        [("probs.npy", npy_header(f"{{{F4}, 'shape': (10000000000, 1000)}}", bytes(12)))]
    ),
    "path outside.npz": zip_bytes([("../../etc/passwd.npy", npy_bytes(PROBS))]),
    "header too long.safetensors": struct.pack("<Q", 1 << 60) + b"{}",
    "no header.safetensors": struct.pack("<Q", 0),
    "header is a list.safetensors": safetensors_bytes([1, 2]),
    "header is a number.safetensors": safetensors_bytes(b"7"),
    "header is no text.safetensors": safetensors_bytes(b"\xff\xfe{}"),
    "deep header.safetensors": safetensors_bytes(b"[" * 100000),
    "tensor is a list.safetensors": safetensors_bytes({"probs": [1]}),
    "no dtype.safetensors": safetensors_bytes({"probs": {"shape": [1], "data_offsets": [0, 4]}}),
    "unknown dtype.safetensors": safetensors_bytes({"probs": TENSOR | {"dtype": "F8"}}, bytes(999)),
    "offsets outside.safetensors": safetensors_bytes({"probs": TENSOR}, bytes(10)),
    "offsets negative.safetensors": safetensors_bytes(
        {"probs": TENSOR | {"data_offsets": [-144, 0]}}, bytes(144)
    ),
    "offsets reversed.safetensors": safetensors_bytes(
        {"probs": TENSOR | {"data_offsets": [144, 0]}}, bytes(144)
    ),
    "three offsets.safetensors": safetensors_bytes(
        {"probs": TENSOR | {"data_offsets": [0, 1, 2]}}, bytes(144)
    ),
    "shape of text.safetensors": safetensors_bytes(
        {"probs": TENSOR | {"shape": ["a", 3]}}, bytes(144)
    ),
    "shape of floats.safetensors": safetensors_bytes(
        {"probs": TENSOR | {"shape": [12.0, 3.0]}}, bytes(144)
    ),
    "huge shape.safetensors": safetensors_bytes(
        {"probs": TENSOR | {"shape": [1 << 40, 1 << 40]}}, bytes(144)
    ),
    "names are no list.safetensors": safetensors_bytes(
        {"probs": TENSOR, "__metadata__": {"class_names": "{"}}, PROBS.tobytes()
    ),
    "metadata is a list.safetensors": safetensors_bytes(
        {"probs": TENSOR, "__metadata__": [1]}, PROBS.tobytes()
    ),
    "false provenance.safetensors": safetensors_bytes(
        {"probs": TENSOR, "__metadata__": {"provenance": "{}"}}, PROBS.tobytes()
    ),
    "header only.csv": b"id,label,cat,dog,owl\n",
    "ragged.csv": b"id,cat,dog,owl\nx0,1,0,0\nx1,0.5,0.5\n",
    "too wide.csv": b"id,cat,dog,owl\nx0,1,0,0,0\n",
    "text values.csv": b"id,cat,dog,owl\nx0,one,0,0\n",
    "missing value.csv": b"id,cat,dog,owl\nx0,,0,1\n",
    "column twice.csv": b"id,cat,cat,owl\nx0,1,0,0\n",
    "nul.csv": b"id,cat,dog,owl\nx0,1,0,\x00\n",
    "latin1.csv": "id,cat,dog,owl\nxé,1,0,0\n".encode("latin1"),
    "open quote.csv": b'id,cat,dog,owl\n"x0,1,0,0\n',
    "long field.csv": b"id,cat,dog,owl\n" + b"x" * 200_000 + b",1,0,0\n",
    "semicolons.csv": b"id;cat;dog;owl\nx0;1;0;0\n",
    "one class.csv": b"id,cat\nx0,1\n",
    "no classes.csv": b"id\nx0\n",
    "binary.csv": bytes(range(256)) * 4,
    "no header.csv": b"0.2,0.3,0.5\n0.1,0.1,0.8\n",
    "not parquet.parquet": b"PAR1" + bytes(200) + b"PAR1",
    "text.parquet": b"id,cat,dog,owl\n",
}  # fmt: skip


def truncations():
    for suffix in ("npy", "npz", "packed.npz", "safetensors", "parquet"):
        content = good_bytes(suffix)
        for part in range(1, 12):
            yield f"cut {part}.{suffix}", content[: len(content) * part // 12]


def flipped_bits():
    """Damaged in the parts that checksums and headers guard."""
    draw = random.Random(0)
    content = good_bytes("packed.npz")
    for i in range(8):
        damaged = bytearray(content)
        start = content.index(b"probs.npy") + 60 if i < 4 else len(content) - 22
        place = start + draw.randrange(20 if i < 4 else 4)
        damaged[place] ^= 0xFF
        yield f"flipped {i}.npz", bytes(damaged)


FILES = {**RAW, **dict(truncations()), **dict(flipped_bits())}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused(name, tmp_path, capsys):
    np.savez(tmp_path / "good.npz", **GOOD)
    path = tmp_path / name
    if name == "a folder.npz":
        path.mkdir()
    elif FILES[name] is not None:
        path.write_bytes(FILES[name])
    refused(tmp_path, path, capsys)


@pytest.mark.parametrize("change", [{"schema": 9}, {"schema": "1"}])
def test_prediction_files_of_another_version_are_refused(change, tmp_path, capsys):
    np.savez(tmp_path / "good.npz", **GOOD)
    path = tmp_path / "ours.safetensors"
    prediction_file.write(path, example(**change))
    refused(tmp_path, path, capsys)


def test_a_bomb_takes_little_memory(tmp_path, capsys):
    np.savez(tmp_path / "good.npz", **GOOD)
    path = tmp_path / "bomb.npz"
    path.write_bytes(RAW["bomb.npz"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "bomb" in refused(tmp_path, path, capsys)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_there_are_many_files():
    assert len(FILES) >= 120
