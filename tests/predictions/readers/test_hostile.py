"""Hundreds of damaged and hostile files: one line that names the file and the fault, exit code 2.

Every case is made from a good pair of files by one change. None may be accepted silently, leave a
traceback, execute anything, write anything or take much memory.
"""

import io
import json
import pickle
import random
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from scipy import special

from churn_jax import compare as command
from churn_jax.predictions import prediction_file
from churn_jax.system.commands import run_command
from tests.predictions.test_prediction_file import example

# A warning would be a second line on the terminal.
pytestmark = pytest.mark.filterwarnings("error")

N, K = 12, 3
RNG = np.random.default_rng(0)
PROBS = special.softmax(RNG.normal(size=(N, K)), axis=1).astype(np.float32)
LABELS = np.arange(N) % K
IDS = np.array([f"x{i}" for i in range(N)])
NAMES = np.array(["cat", "dog", "owl"])
GOOD = {"probs": PROBS, "labels": LABELS, "ids": IDS, "class_names": NAMES}


def changed(array, place, value):
    result = np.array(array)
    result[place] = value
    return result


class Explodes:
    """Whoever unpickles this leaves a file behind."""

    def __reduce__(self):
        return (Path.touch, (Path(EXPLODED),))


EXPLODED = "/tmp/churn_jax_test_executed_a_pickle"

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
    "classes of floats": {"probs": None, "predictions": LABELS.astype(np.float32)},
    "classes of other names": {"probs": None, "predictions": np.array(["cow"] * N)},
}  # fmt: skip


def arrays_of(change):
    arrays = GOOD | change
    return {name: array for name, array in arrays.items() if array is not None}


def write_npz(path, arrays, **options):
    save = np.savez_compressed if options.get("compressed") else np.savez
    save(path, **arrays)


def write_safetensors(path, arrays):
    tensors, metadata = {}, {}
    for name, array in arrays.items():
        array = np.asarray(array)
        if name == "class_names":
            metadata["class_names"] = json.dumps(array.tolist())
            continue
        if array.dtype.kind == "U":
            array = np.char.encode(array, "utf-8")
            array = array.view(np.uint8).reshape(len(array), -1)
        tensors[name] = np.ascontiguousarray(array)
    safetensors.numpy.save_file(tensors, path, metadata)


def write_csv(path, arrays):
    columns = {}
    for name in ("ids", "labels", "predictions"):
        if name in arrays:
            columns[name.removesuffix("s")] = np.asarray(arrays[name]).tolist()
    values = next((arrays[name] for name in ("probs", "outputs") if name in arrays), None)
    if values is not None:
        names = arrays.get("class_names", np.arange(values.shape[1]))
        for j, name in enumerate(names.tolist()):
            columns[f"{name}" if j < 3 else f"{name}{j}"] = values[:, j].tolist()
    rows = list(zip(*columns.values(), strict=False))
    text = "\n".join(",".join(map(str, row)) for row in [columns, *rows])
    path.write_text(text + "\n")


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
FORMATS = {"npz": write_npz, "safetensors": write_safetensors, "csv": write_csv}
NOT_IN_CSV = {
    "probabilities called log-probabilities", "logits called log-probabilities", "nan logits",
    "infinite logits", "all minus infinite logits", "two predictions", "booleans", "complex",
    "no class", "three axes", "a number", "vector of probabilities", "labels one-hot",
    "too few labels", "too many labels", "too few ids", "too few class names", "no predictions",
    "too many class names", "predictions under another name", "integers", "ids of floats",
    "more classes", "no ids", "percent", "sum 0.9", "fewer classes, no names", "classes of floats",
    "log-probabilities called probabilities",
}  # fmt: skip
NOT_IN_SAFETENSORS = {"no examples", "classes of other names", "complex", "no class", "a number"}
CASES = [
    (fault, suffix)
    for fault in ARRAYS
    for suffix in FORMATS
    if not (suffix == "csv" and fault in NOT_IN_CSV)
    and not (suffix == "safetensors" and fault in NOT_IN_SAFETENSORS)
]


def refused(folder, path, capsys, good="good.npz"):
    """Runs the command on a good file and the bad one; returns its one line."""
    out = folder / "out"
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: command.main([str(folder / good), str(path), f"--out={out}"]))
    line = capsys.readouterr().err
    assert caught.value.code == 2
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert path.name in line
    assert not out.exists()
    assert not Path(EXPLODED).exists()
    return line


def test_there_are_at_least_two_hundred():
    assert len(CASES) + len(FILES) >= 200


@pytest.mark.parametrize(("fault", "suffix"), CASES)
def test_faulty_arrays_are_refused(fault, suffix, tmp_path, capsys):
    np.savez(tmp_path / "good.npz", **GOOD)
    path = tmp_path / f"bad.{suffix}"
    FORMATS[suffix](path, arrays_of(ARRAYS[fault]))
    refused(tmp_path, path, capsys)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused(name, tmp_path, capsys):
    np.savez(tmp_path / "good.npz", **GOOD)
    path = tmp_path / name
    if name == "a folder.npz":
        path.mkdir()
    elif FILES[name] is not None:
        path.write_bytes(FILES[name])
    refused(tmp_path, path, capsys)


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_the_cases_are_made_from_is_accepted(suffix, tmp_path):
    np.savez(tmp_path / "good.npz", **GOOD)
    FORMATS[suffix](tmp_path / f"other.{suffix}", GOOD)
    assert command.main([str(tmp_path / "good.npz"), str(tmp_path / f"other.{suffix}")]) == 0


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
