""".safetensors files: our own prediction files, or arrays under the usual names."""

import json

import numpy as np
from etils import epath

from churn_jax.errors import UserError
from churn_jax.predictions import prediction_file
from churn_jax.predictions.mapped_safetensors import read_tensors
from churn_jax.predictions.readers.run_folders import from_predictions
from churn_jax.predictions.readers.source import Source, from_named_arrays


def read_safetensors(path: epath.Path) -> Source:
    """Named arrays, or one run's prediction file."""
    tensors, metadata = read_tensors(path)
    if "provenance" in metadata:
        return from_predictions(str(path), prediction_file.read(path))
    names = metadata.get("class_names")
    source = from_named_arrays(path, tensors)
    if source.ids is not None and source.ids.dtype == np.uint8 and source.ids.ndim == 2:
        # The format has no strings: they are bytes [example, width], padded with zeros.
        width = max(source.ids.shape[1], 1)
        encoded = np.ascontiguousarray(source.ids).view(f"S{width}")
        source = source.replace(ids=encoded.reshape(-1))
    if names is None:
        return source
    try:
        return source.replace(class_names=tuple(str(name) for name in json.loads(names)))
    except (TypeError, ValueError):
        raise UserError(f"{path}: class_names in the metadata is not a JSON list") from None
