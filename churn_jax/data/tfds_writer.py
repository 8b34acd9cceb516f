"""Writes data sets in TFDS's on-disk format (array_record shards) without TensorFlow.

`tfds build` needs TensorFlow, even for data sets that are already on disk. TFDS's own feature
encoders do not, as long as images come as encoded bytes or pillow images; what is written here is
read by `tfds.builder_from_directory` like anything that `tfds build` made.
"""

import collections
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds
from array_record.python import array_record_module
from etils import epath

# Serialised examples to as many, in the same order.
Rewrite = Callable[[Iterable[bytes]], Iterable[bytes]]

# One record a group: any example can be read without unpacking its neighbours.
_ARRAY_RECORD_OPTIONS = "group_size:1"


def write_dataset(
    folder: epath.PathLike,
    *,
    name: str,
    version: str,
    features: tfds.features.FeaturesDict,
    splits: Mapping[str, tuple[int, Iterable[Mapping[str, Any]]]],
    examples_per_shard: int = 10_000,
    rewrite: Rewrite = iter,
) -> epath.Path:
    """Writes one data set and its metadata; shards that are there and whole are kept.

    Args:
      folder: a data_dir; the data set goes to `folder/name/version`.
      name: TFDS's name of the data set.
      version: such as '3.0.2'.
      features: how an example is stored.
      splits: by name, the number of examples and the examples, one value per feature each.
      examples_per_shard: at most.
      rewrite: what the serialised examples of a shard go through before they are written.

    Returns:
      The version folder.

    Raises:
      ValueError: a split has fewer or more examples than it says.
    """
    target = epath.Path(folder) / name / version
    target.mkdir(parents=True, exist_ok=True)
    infos = []
    for split, (count, examples) in splits.items():
        template = tfds.core.ShardedFileTemplate(
            dataset_name=name, data_dir=target, split=split, filetype_suffix="array_record"
        )
        infos.append(
            _write_split(template, features, count, iter(examples), examples_per_shard, rewrite)
        )
    tfds.folder_dataset.write_metadata(
        data_dir=target,
        features=features,
        split_infos=infos,
        version=version,
        filename_template=infos[0].filename_template,
        check_data=False,  # its check goes through tf.data
    )
    return target


def _write_split(
    template: tfds.core.ShardedFileTemplate,
    features: tfds.features.FeaturesDict,
    count: int,
    examples: Iterator[Mapping[str, Any]],
    examples_per_shard: int,
    rewrite: Rewrite,
) -> tfds.core.SplitInfo:
    num_shards = max(1, -(-count // examples_per_shard))
    bounds = [count * shard // num_shards for shard in range(num_shards + 1)]
    lengths = [end - start for start, end in itertools.pairwise(bounds)]
    num_bytes = 0
    for shard, length in enumerate(lengths):
        path = template.sharded_filepath(shard_index=shard, num_shards=num_shards)
        of_shard = itertools.islice(examples, length)
        if is_whole(path, length):
            collections.deque(of_shard, maxlen=0)  # on to the next shard's
        else:
            records = (features.serialize_example(features.encode_example(e)) for e in of_shard)
            write_shard(path, rewrite(records), length)
        num_bytes += path.stat().length
    if next(examples, None) is not None:
        raise ValueError(f"split {template.split!r} has more than the {count} examples promised")
    return tfds.core.SplitInfo(
        name=template.split,
        shard_lengths=lengths,
        num_bytes=num_bytes,
        filename_template=template,
    )


def write_shard(path: epath.Path, records: Iterable[bytes], length: int) -> None:
    """Writes `length` records beside `path`, then renames: a shard that exists is whole.

    Raises:
      ValueError: there are more or fewer.
    """
    partial = path.parent / f".{path.name}.partial"
    writer = array_record_module.ArrayRecordWriter(os.fspath(partial), _ARRAY_RECORD_OPTIONS)
    written = 0
    for record in records:
        writer.write(record)
        written += 1
    writer.close()
    if written != length:
        raise ValueError(f"{path.name} has {written} examples, {length} were promised")
    partial.replace(path)


def is_whole(path: epath.Path, length: int) -> bool:
    """Whether a shard of `length` examples is there and readable."""
    if not path.exists():
        return False
    try:
        return array_record_module.ArrayRecordReader(os.fspath(path)).num_records() == length
    except Exception:  # of whatever kind: it is written anew
        return False
