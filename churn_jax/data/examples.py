"""What every data set looks like once loaded, whichever form it is stored in."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Protocol, TypedDict

import numpy as np

from churn_jax.data.decoding import EncodedPicture

SPLITS = ("train", "test")
# Of 100 examples without a split of their own, as many are for testing.
TEST_PERCENT = 20


class Example(TypedDict):
    """One example: `image` uint8 [height, width, channel], `label` in [0, classes), stable `id`."""

    image: np.ndarray
    label: int
    id: str


class Examples(Protocol):
    """A split: random access by index, with labels and ids that need no image to be decoded."""

    @property
    def in_memory(self) -> bool:
        """Whether this is an `ArrayExamples`; otherwise every access reads from storage."""

    @property
    def labels(self) -> np.ndarray:
        """int32 [example]."""

    @property
    def ids(self) -> np.ndarray:
        """str [example], unique, the same in every program that reads this split."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


@dataclasses.dataclass(frozen=True)
class EncodedExample:
    """One example as it is stored: its picture is not decoded yet."""

    picture: EncodedPicture
    label: int

    def decoded(self) -> Example:
        """The example with its pixels."""
        return {"image": self.picture.pixels(), "label": self.label, "id": self.picture.name}


class EncodedExamples(Examples, Protocol):
    """A split that is read from storage, one example at a time."""

    def encoded(self, index: int) -> EncodedExample:
        """An example whose picture can still be decoded in part."""


@dataclasses.dataclass(frozen=True)
class ArrayExamples:
    """A split held in memory.

    Attributes:
      images: uint8 [example, height, width, channel]; or other inputs, as the data set's
        `DatasetInfo.dtype` says: float32 or int32 [example, …].
      labels: int32 [example].
      ids: str [example].
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    in_memory: bool = dataclasses.field(default=True, init=False)

    def __post_init__(self):
        if not len(self.images) == len(self.labels) == len(self.ids):
            counts = f"{len(self.images)}, {len(self.labels)} and {len(self.ids)}"
            raise ValueError(f"images, labels and ids must be equally many, got {counts}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Example:
        return {
            "image": self.images[index],
            "label": int(self.labels[index]),
            "id": str(self.ids[index]),
        }

    def take(self, indices: np.ndarray) -> "ArrayExamples":
        """The examples at `indices`, in that order."""
        return ArrayExamples(self.images[indices], self.labels[indices], self.ids[indices])


@dataclasses.dataclass(frozen=True)
class Subset:
    """The examples at `indices` of a split that is read lazily."""

    examples: EncodedExamples
    indices: np.ndarray
    in_memory: bool = dataclasses.field(default=False, init=False)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        return self.examples.labels[self.indices]

    @functools.cached_property
    def ids(self) -> np.ndarray:
        return self.examples.ids[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.encoded(index).decoded()

    def encoded(self, index: int) -> EncodedExample:
        """The example, its picture not decoded yet."""
        return self.examples.encoded(int(self.indices[index]))


@dataclasses.dataclass(frozen=True)
class Relabelled:
    """A split that is read lazily, with other labels: int32 [example]."""

    examples: EncodedExamples
    labels: np.ndarray
    in_memory: bool = dataclasses.field(default=False, init=False)

    @property
    def ids(self) -> np.ndarray:
        return self.examples.ids

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.encoded(index).decoded()

    def encoded(self, index: int) -> EncodedExample:
        """The example, its picture not decoded yet."""
        return dataclasses.replace(self.examples.encoded(index), label=int(self.labels[index]))


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """What a model and a report need to know of a data set.

    Attributes:
      name: the config's name of it.
      class_names: one per class, in label order.
      image_shape: of one input that the model sees: (height, width, channels) of pictures, or any.
      mean: per channel, of pixel values scaled to [0, 1]; of float inputs per entry of the last
        axis, and fitted on the training split where it is left out. Tokens have none.
      std: likewise.
      dtype: of the inputs: uint8 (pictures), float32 or int32 (tokens).
      vocabulary: of tokens, how many there are; 0 is the one that is padding.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    dtype: str = "uint8"
    vocabulary: int = 0

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def pictures(self) -> bool:
        """Whether the inputs are pictures, which can be resized, cropped and shown."""
        return self.dtype == "uint8" and len(self.image_shape) == 3


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set: a training split and the test split that churn is measured on.

    `validation`, where one is asked for, is held out from training for choices to be made on.
    """

    info: DatasetInfo
    train: Examples
    test: Examples
    validation: Examples | None = None


def draw_split(name: str) -> str:
    """train or test, the same for the same name, whatever other examples there are."""
    drawn = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 100
    return "test" if drawn < TEST_PERCENT else "train"


def position_ids(split: str, count: int) -> np.ndarray:
    """Ids for examples that are named by nothing but their place: `test/00012`."""
    width = max(5, len(str(count - 1)))
    return np.array([f"{split}/{i:0{width}d}" for i in range(count)])


def fingerprint(info: DatasetInfo, examples: Examples) -> str:
    """A short hash of ids, labels and preprocessing; predictions pair only where it agrees."""
    digest = hashlib.sha256(json.dumps(_described(info), sort_keys=True).encode())
    digest.update(json.dumps(_strings(examples.ids)).encode())
    digest.update(np.ascontiguousarray(examples.labels, dtype="<i4").tobytes())
    return digest.hexdigest()[:16]


def training_fingerprint(info: DatasetInfo, examples: Examples) -> str:
    """A short hash of what is trained on: pixels too, where the split is in memory.

    A split that is read from storage as it is needed is known by its length and preprocessing
    alone: its ids and labels would take a pass over all of it.
    """
    if isinstance(examples, ArrayExamples):
        digest = hashlib.sha256(fingerprint(info, examples).encode())
        digest.update(np.ascontiguousarray(examples.images).data)
    else:
        described = [_described(info), len(examples)]
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def _described(info: DatasetInfo) -> dict[str, object]:
    """What tells data sets apart; what pictures have no need of came later, and is left out.

    So is how floats are normalised: it is fitted on the training split, and versions of that are
    compared on the same test split.
    """
    left_out = {"uint8": ("dtype", "vocabulary"), "float32": ("mean", "std")}
    fields = dataclasses.asdict(info)
    return {k: v for k, v in fields.items() if k not in left_out.get(info.dtype, ())}


def _strings(ids: np.ndarray) -> Sequence[str]:
    return [str(i) for i in ids]
