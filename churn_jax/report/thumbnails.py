"""Pictures of examples for the report's ledger, where the data set is known and at hand."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from churn_jax.errors import UserError

_LARGEST_SIDE = 96


def pictures(provenance: Mapping[str, Any], ids: Sequence[str]) -> dict[str, str]:
    """A data: URI of the image of each id that the predictions' data set has.

    Args:
      provenance: of a prediction file, whose `config` says which data set the ids are of.
      ids: of the examples wanted.

    Returns:
      Nothing where the data set is not known or its files are not here: a report without pictures
      is still a report.
    """
    described = provenance.get("config", {}).get("data")
    if not described or provenance.get("split") != "test" or not ids:
        return {}
    from churn_jax import data  # brings JAX, which a comparison of files does not need
    from churn_jax.config import DataConfig

    try:
        dataset = data.load(DataConfig(**described))
    except (UserError, OSError, TypeError):
        return {}
    if not dataset.info.pictures or dataset.info.image_shape[2] not in (1, 3):
        return {}
    examples = dataset.test
    places = {str(name): place for place, name in enumerate(examples.ids)}
    return {name: data_uri(examples[places[name]]["image"]) for name in ids if name in places}


def data_uri(image: np.ndarray) -> str:
    """A small picture of an image, uint8 [height, width, 1 or 3]."""
    from PIL import Image

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    stream, kind = io.BytesIO(), "png"
    if max(picture.size) > _LARGEST_SIDE:
        picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
        kind = "jpeg"
    picture.save(stream, kind)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
