"""What every reader of original files gives: the examples, and how they are to be stored."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow_datasets as tfds

# One value per feature; an image may be a path or an object with `read()`, read when it is written.
RawExample = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class OriginalSplit:
    """A split: how many examples, and the examples, once."""

    count: int
    examples: Iterable[RawExample]


@dataclasses.dataclass(frozen=True)
class Original:
    """A data set as its authors publish it.

    Attributes:
      tfds_name: TFDS's name of it.
      version: TFDS's version whose features these are.
      features: how an example is stored.
      splits: by TFDS's name.
    """

    tfds_name: str
    version: str
    features: tfds.features.FeaturesDict
    splits: dict[str, OriginalSplit]
