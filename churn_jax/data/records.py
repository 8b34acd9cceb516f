"""A split of a TFDS data set in array_record files, read on demand."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath
from tensorflow_datasets.proto import tf_example_pb2

from churn_jax.data.decoding import EncodedPicture, decode
from churn_jax.data.examples import ArrayExamples, EncodedExample, Example
from churn_jax.errors import UserError

# Records fetched together when a whole split is scanned; array_record reads them in parallel.
_SCAN_CHUNK = 512


@dataclasses.dataclass(frozen=True)
class RecordExamples:
    """Random access into the files; images are decoded when asked for, and only then.

    Attributes:
      folder: with the files and their dataset_info.json.
      split: TFDS's name of it.
      id_feature: which feature names an example.
    """

    folder: epath.Path
    split: str
    id_feature: str
    in_memory: bool = dataclasses.field(default=False, init=False)

    def __post_init__(self):
        if self.split not in self._info.splits or not len(self):
            raise UserError(f"{self.folder} has no examples in split {self.split!r}")
        for path in self._info.splits[self.split].filepaths:
            if not path.exists():
                raise UserError(f"{path} is missing: the data set is not complete")

    def __reduce__(self):
        # Worker processes open the files themselves.
        return RecordExamples, (self.folder, self.split, self.id_feature)

    @functools.cached_property
    def _builder(self) -> tfds.core.DatasetBuilder:
        return tfds.builder_from_directory(self.folder)

    # TFDS logs every look at it, which takes longer than parsing a record.
    @functools.cached_property
    def _info(self) -> tfds.core.DatasetInfo:
        return self._builder.info

    @functools.cached_property
    def _source(self):
        # The records as they are stored: TFDS takes ten times longer to parse one, and would decode
        # with OpenCV where it is installed and with pillow elsewhere.
        return self._builder.as_data_source(split=self.split).data_source

    def __len__(self) -> int:
        return self._info.splits[self.split].num_examples

    def __getitem__(self, index: int) -> Example:
        return self.encoded(index).decoded()

    def encoded(self, index: int) -> EncodedExample:
        """The example, its picture not decoded yet."""
        record = self._read([index])[0]
        return EncodedExample(
            EncodedPicture(record["image"], self._id(record)), self._label(record)
        )

    @property
    def labels(self) -> np.ndarray:
        """int32 [example]; the first use reads the split once, decoding no image."""
        return self._labels_and_ids[0]

    @property
    def ids(self) -> np.ndarray:
        """str [example]; the first use reads the split once, decoding no image."""
        return self._labels_and_ids[1]

    def read_whole(self, image_shape: tuple[int, int, int]) -> ArrayExamples:
        """Decodes the split into memory; every image must be of `image_shape`."""
        images = np.empty((len(self), *image_shape), np.uint8)
        labels, ids = np.empty(len(self), np.int32), []
        for index, record in enumerate(self._scan()):
            name = self._id(record)
            image = decode(record["image"], name)
            if image.shape != image_shape:
                size, expected = ("x".join(map(str, s)) for s in (image.shape, image_shape))
                raise UserError(f"{self.folder}: example {name} is {size}, expected {expected}")
            images[index], labels[index] = image, self._label(record)
            ids.append(name)
        return ArrayExamples(images, labels, np.array(ids))

    @functools.cached_property
    def _labels_and_ids(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(self._label(record), self._id(record)) for record in self._scan()]
        labels, ids = zip(*pairs, strict=True)
        return np.array(labels, np.int32), np.array(ids)

    def _scan(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self), _SCAN_CHUNK):
            yield from self._read(range(start, min(start + _SCAN_CHUNK, len(self))))

    def _read(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        try:
            if len(indices) == 1:  # four times faster than a list of one
                return [self._parse(self._source[indices[0]])]
            return [self._parse(record) for record in self._source.__getitems__(list(indices))]
        except Exception as error:
            _check_shards(self._info.splits[self.split])
            raise UserError(f"{self.folder}: cannot read {self.split!r}: {error}") from error

    def _parse(self, record: bytes) -> dict[str, Any]:
        """The image's bytes, the label and the id of a serialised example."""
        features = tf_example_pb2.Example.FromString(record).features.feature
        return {
            "image": features["image"].bytes_list.value[0],
            "label": features["label"].int64_list.value[0],
            self.id_feature: features[self.id_feature].bytes_list.value[0],
        }

    def _id(self, record: dict[str, Any]) -> str:
        return record[self.id_feature].decode()

    @functools.cached_property
    def _num_classes(self) -> int:
        return self._info.features["label"].num_classes

    def _label(self, record: dict[str, Any]) -> int:
        label, num_classes = record["label"], self._num_classes
        if not 0 <= label < num_classes:
            name = self._id(record)
            raise UserError(f"example {name} has label {label}, outside 0..{num_classes - 1}")
        return label


def _check_shards(split: tfds.core.SplitInfo) -> None:
    """Names the shard that is damaged, where one is."""
    for path, expected in zip(split.filepaths, split.shard_lengths, strict=True):
        try:
            found = array_record_module.ArrayRecordReader(os.fspath(path)).num_records()
        except Exception as error:
            raise UserError(f"{path} is damaged or truncated: {error}") from error
        if found != expected:
            raise UserError(f"{path} is damaged: it holds {found} of {expected} examples")
