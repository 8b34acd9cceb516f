"""What a workdir has come to: every byte that training, prediction and evaluation decide."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

# Parameters and all else of a checkpoint, read without JAX, in a process of its own: threads of the
# library would not survive the forks of this one.
_READ_STATE = """
import hashlib, json, sys
import numpy as np, tensorstore
folder, digests = sys.argv[1], {}
listed = json.load(open(f"{folder}/_METADATA"))["tree_metadata"]
for entry in listed.values():
    name = ".".join(key["key"] for key in entry["key_metadata"])
    store = {"driver": "ocdbt", "base": f"file://{folder}/", "path": f"{name}/"}
    array = tensorstore.open({"driver": "zarr", "kvstore": store}).result().read().result()
    digests[name] = hashlib.sha256(np.asarray(array).tobytes()).hexdigest()
print(json.dumps(digests))
"""


def of_training(workdir: Path) -> dict[str, object]:
    """The last checkpoint's arrays, the predictions and the log."""
    newest = max(int(path.name) for path in (workdir / "checkpoints").glob("[0-9]*"))
    found: dict[str, object] = {"step": newest, "log": _digest(workdir / "metrics.jsonl")}
    found |= of_predictions(workdir)
    found["state"] = _state(workdir / "checkpoints" / str(newest) / "state")
    return found


def of_predictions(workdir: Path) -> dict[str, object]:
    """Digests of the prediction files below a workdir."""
    files = sorted(workdir.glob("**/predictions/*/*.safetensors"))
    return {str(path.relative_to(workdir)): _digest(path) for path in files}


def of_report(out: Path) -> str:
    """Digest of a report or a study's tables."""
    return _digest(out)


def _state(folder: Path) -> dict[str, str]:
    command = [sys.executable, "-c", _READ_STATE, str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
