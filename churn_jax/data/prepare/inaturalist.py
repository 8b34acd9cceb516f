"""iNaturalist 2018: train_val2018.tar.gz or its folder, and three small JSON files.

train2018.json and val2018.json list the pictures and their categories, categories.json the names of
the categories (each may be inside its .tar.gz).
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from churn_jax.data.prepare.archives import find, members, read_members
from churn_jax.data.prepare.original import Original, OriginalSplit, RawExample
from churn_jax.errors import UserError

_DATA = epath.Path(tfds.__file__).parent / "image_classification/i_naturalist2018"
_FILES = {"train": "train2018.json", "validation": "val2018.json"}
_PICTURES = "train_val2018"


def inaturalist(source: epath.Path) -> Original:
    """Lists both splits in the folder `source`; pictures are read as they are written."""
    features = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(),
        "label": tfds.features.ClassLabel(names_file=_DATA / "inaturalist2018_labels.txt"),
        "supercategory": tfds.features.ClassLabel(
            names_file=_DATA / "inaturalist2018_supercategories.txt"
        ),
    }
    categories = {each["id"]: each for each in _read_json(source, "categories.json")}
    splits = {}
    for split, name in _FILES.items():
        labels = _labels(_read_json(source, name), categories)
        splits[split] = OriginalSplit(len(labels), _examples(source, labels))
    return Original("i_naturalist2018", "1.0.0", tfds.features.FeaturesDict(features), splits)


def _labels(listed: dict[str, Any], categories: dict[int, Any]) -> dict[str, RawExample]:
    """By path in the archive: id, label and supercategory."""
    category_of = {each["image_id"]: each["category_id"] for each in listed["annotations"]}
    labels: dict[str, RawExample] = {}
    for image in listed["images"]:
        path, category = image["file_name"], categories[category_of[image["id"]]]
        labels[path] = {
            "id": os.path.basename(path).split(".")[0],
            "label": category["name"],
            "supercategory": category["supercategory"],
        }
    return labels


def _examples(source: epath.Path, labels: dict[str, RawExample]) -> Iterator[RawExample]:
    """In the archive's order, since a packed one can only be read from front to back."""
    if (source / _PICTURES).is_dir():
        for path, label in labels.items():
            yield {**label, "image": source / path}
        return
    archive = find(source, f"{_PICTURES}.tar.gz", f"{_PICTURES}.tar")
    if archive is None:
        raise UserError(f"{source} has neither {_PICTURES}.tar.gz nor a folder {_PICTURES}")
    for path, image in members(archive):
        if path in labels:
            yield {**labels[path], "image": image}


def _read_json(source: epath.Path, name: str) -> Any:
    try:
        if path := find(source, name):
            return json.loads(path.read_text())
        if archive := find(source, f"{name}.tar.gz"):
            return json.loads(read_members(archive, {name})[name])
    except (json.JSONDecodeError, KeyError) as error:
        raise UserError(f"{source}: {name} is damaged: {error}") from error
    raise UserError(f"{source} has neither {name} nor {name}.tar.gz")
