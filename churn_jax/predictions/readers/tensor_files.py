""".safetensors files: our own prediction files, or arrays under the usual names."""

import json

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.predictions.mapped_safetensors import read_tensors
from churn_jax.predictions.readers.columns import Columns
from churn_jax.predictions.readers.roles import CLASS_NAMES, ID_NAMES, plain
from churn_jax.predictions.readers.run_folders import from_predictions
from churn_jax.predictions.readers.source import Raw


def read_safetensors(path: epath.Path) -> Columns | Raw:
    """Named arrays, or one run's prediction file."""
    tensors, metadata = read_tensors(path)
    if "provenance" in metadata:
        return from_predictions(str(path), prediction_file.read(path))
    arrays = {name: _texts(name, tensor) for name, tensor in tensors.items()}
    if (names := metadata.get("class_names")) is not None:
        try:
            arrays[CLASS_NAMES[0]] = np.array([str(name) for name in json.loads(names)])
        except (TypeError, ValueError):
            raise UserError(f"{path}: class_names in the metadata is not a JSON list") from None
    return Columns(str(path), tuple(arrays), arrays, table=False)


def _texts(name: str, tensor: np.ndarray) -> np.ndarray:
    """The format has no strings: ids are bytes [example, width], padded with zeros."""
    if plain(name) not in ID_NAMES or tensor.dtype != np.uint8 or tensor.ndim != 2:
        return tensor
    return np.ascontiguousarray(tensor).view(f"S{max(tensor.shape[1], 1)}").reshape(-1)
