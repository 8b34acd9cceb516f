"""A good pair of files to damage, and what must become of a damaged one."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from scipy import special

from churn_jax import compare as command
from churn_jax.system.commands import run_command

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


FORMATS = {"npz": write_npz, "safetensors": write_safetensors, "csv": write_csv}


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
