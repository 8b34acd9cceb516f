"""CIFAR-10 and CIFAR-100: the "python" or the "binary" archive, packed or unpacked.

Binary: records of the labels (CIFAR-100: coarse, then fine), one byte each, and 3,072 bytes of
pixels, channel by channel. Python: pickled dictionaries of the same arrays; only NumPy arrays and
plain values are unpickled, so that a forged archive can't run code.
"""

import dataclasses
import io
import os
import pickle
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image

from churn_jax.data.prepare.archives import find, read_members
from churn_jax.data.prepare.original import Original, OriginalSplit, RawExample
from churn_jax.errors import UserError

_PIXELS = 3 * 32 * 32
_PICKLED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


@dataclasses.dataclass(frozen=True)
class Cifar:
    """One of the two data sets.

    Attributes:
      tfds_name: 'cifar10' or 'cifar100'.
      prefix: of the archives' names.
      binary_files: by split.
      python_files: by split.
      labels: the features that are labels, in the order of the binary records.
      python_keys: of the same labels in the pickled dictionaries.
      names_files: of the binary archive, with the names of the same labels.
      names_keys: of the same names in the python archive's `meta_file`.
      meta_file: where the python archive has its names.
    """

    tfds_name: str
    prefix: str
    binary_files: dict[str, tuple[str, ...]]
    python_files: dict[str, tuple[str, ...]]
    labels: tuple[str, ...]
    python_keys: tuple[bytes, ...]
    names_files: tuple[str, ...]
    names_keys: tuple[bytes, ...]
    meta_file: str

    def __call__(self, source: epath.Path) -> Original:
        """Reads the archive, or its unpacked folder, at or in `source`."""
        files = self._read(source)
        if self.meta_file in files:
            meta = _unpickle(files[self.meta_file], self.meta_file)
            names = [[name.decode() for name in meta[key]] for key in self.names_keys]
            splits = {s: self._python(files, fs) for s, fs in self.python_files.items()}
        else:
            names = [files[name].decode().split() for name in self.names_files]
            splits = {s: self._binary(files, fs) for s, fs in self.binary_files.items()}
        features = {"id": tfds.features.Text(), "image": tfds.features.Image(shape=(32, 32, 3))}
        features |= {
            label: tfds.features.ClassLabel(names=of_label)
            for label, of_label in zip(self.labels, names, strict=True)
        }
        return Original(
            self.tfds_name,
            "3.0.2",
            tfds.features.FeaturesDict(features),
            {
                split: OriginalSplit(len(images), self._examples(split, images, labels))
                for split, (images, labels) in splits.items()
            },
        )

    def _read(self, source: epath.Path) -> dict[str, bytes]:
        """The content of all files by name, of whichever form is there."""
        forms = {
            "binary": [*self.names_files, *sum(self.binary_files.values(), ())],
            "python": [self.meta_file, *sum(self.python_files.values(), ())],
        }
        folders = {"binary": "batches-bin" if self.tfds_name == "cifar10" else "binary"}
        folders["python"] = "batches-py" if self.tfds_name == "cifar10" else "python"
        for form, wanted in forms.items():
            if archive := find(source, f"{self.prefix}-{form}.tar.gz"):
                return self._complete(read_members(archive, set(wanted)), wanted, archive)
            for folder in (source, source / f"{self.prefix}-{folders[form]}"):
                if (folder / wanted[-1]).exists():
                    there = {n: (folder / n).read_bytes() for n in wanted if (folder / n).exists()}
                    return self._complete(there, wanted, folder)
        raise UserError(
            f"{source} has neither {self.prefix}-python.tar.gz nor {self.prefix}-binary.tar.gz, "
            "nor what they unpack to"
        )

    @staticmethod
    def _complete(
        files: dict[str, bytes], wanted: list[str], source: epath.Path
    ) -> dict[str, bytes]:
        if missing := [name for name in wanted if name not in files]:
            raise UserError(f"{source} is not complete: {missing[0]} is missing")
        return files

    def _binary(
        self, files: dict[str, bytes], names: tuple[str, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        width = len(self.labels)
        for name in names:
            if len(files[name]) % (width + _PIXELS):
                raise UserError(f"{name} is truncated: it ends within an example")
        content = b"".join(files[name] for name in names)
        records = np.frombuffer(content, np.uint8).reshape(-1, width + _PIXELS)
        return _pixels(records[:, width:]), records[:, :width]

    def _python(
        self, files: dict[str, bytes], names: tuple[str, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        batches = [_unpickle(files[name], name) for name in names]
        images = np.concatenate([np.asarray(batch[b"data"], np.uint8) for batch in batches])
        labels = np.concatenate(
            [np.stack([batch[key] for key in self.python_keys], axis=1) for batch in batches]
        )
        return _pixels(images), labels

    def _examples(self, split: str, images: np.ndarray, labels: np.ndarray) -> Iterator[RawExample]:
        for index, (image, of_image) in enumerate(zip(images, labels, strict=True)):
            yield {
                "id": f"{split}_{index:05d}",
                "image": Image.fromarray(image),
                **dict(zip(self.labels, map(int, of_image), strict=True)),
            }


def _pixels(rows: np.ndarray) -> np.ndarray:
    """Rows of 3,072 bytes as images, uint8 [example, 32, 32, 3]."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _PICKLED:
            raise pickle.UnpicklingError(f"it holds a {module}.{name}")
        return super().find_class(module, name)


def _unpickle(content: bytes, name: str) -> dict[bytes, list]:
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{os.path.basename(name)} is damaged: {error}") from error


cifar10 = Cifar(
    tfds_name="cifar10",
    prefix="cifar-10",
    binary_files={
        "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test": ("test_batch.bin",),
    },
    python_files={
        "train": tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test": ("test_batch",),
    },
    labels=("label",),
    python_keys=(b"labels",),
    names_files=("batches.meta.txt",),
    names_keys=(b"label_names",),
    meta_file="batches.meta",
)
cifar100 = Cifar(
    tfds_name="cifar100",
    prefix="cifar-100",
    binary_files={"train": ("train.bin",), "test": ("test.bin",)},
    python_files={"train": ("train",), "test": ("test",)},
    labels=("coarse_label", "label"),
    python_keys=(b"coarse_labels", b"fine_labels"),
    names_files=("coarse_label_names.txt", "fine_label_names.txt"),
    names_keys=(b"coarse_label_names", b"fine_label_names"),
    meta_file="meta",
)
