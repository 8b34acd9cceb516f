"""Anybody's own pictures: a folder with one folder a class, or a CSV file of paths and labels.

    FOLDER/CLASS/picture.jpg                 split by a hash of the path: 80 % train, 20 % test
    FOLDER/train/CLASS/…, FOLDER/test/CLASS/…    (or val, validation) split as it is
    FILE.csv                                 columns path,label and, if wished, split

Paths in a CSV file are relative to its folder. An example's id is its path.
"""

import csv
import dataclasses
import os
from collections.abc import Iterator

import numpy as np
from etils import epath

from churn_jax.config import DataConfig
from churn_jax.data.decoding import EncodedPicture
from churn_jax.data.examples import Dataset, DatasetInfo, EncodedExample, Example, draw_split
from churn_jax.data.preprocessing import DEFAULT_SIZE
from churn_jax.data.sources.tfds_sets import IMAGENET_STATISTICS
from churn_jax.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
TEST_NAMES = ("test", "val", "validation")


@dataclasses.dataclass(frozen=True)
class FileExamples:
    """Pictures in files, decoded when they are asked for.

    Attributes:
      root: what `ids` are relative to.
      labels: int32 [example].
      ids: str [example], the paths.
    """

    root: epath.Path
    labels: np.ndarray
    ids: np.ndarray
    in_memory: bool = dataclasses.field(default=False, init=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        return self.encoded(index).decoded()

    def encoded(self, index: int) -> EncodedExample:
        """The example, its picture not decoded yet."""
        name = str(self.ids[index])
        try:
            content = (self.root / name).read_bytes()
        except OSError as error:
            raise UserError(f"the picture {self.root / name} can't be read: {error}") from error
        return EncodedExample(EncodedPicture(content, name), int(self.labels[index]))


# A picture before its class has a number: path, class, and split where that is given.
_Row = tuple[str, str, str]


def load(data: DataConfig) -> Dataset:
    """Lists the pictures of the folder or CSV file `data.dir`.

    Raises:
      UserError: nothing there, no pictures, fewer than two classes, or an empty split.
    """
    if not data.dir:
        raise UserError("config.data.dir: name your folder of pictures, or a CSV file of paths")
    path = epath.Path(data.dir).expanduser()
    if not path.exists():
        raise UserError(f"config.data.dir: there is no {path}")
    if path.suffix != ".csv" and not path.is_dir():
        raise UserError(f"config.data.dir: {path} is neither a folder nor a .csv file")
    root, rows = (path.parent, _read_csv(path)) if path.suffix == ".csv" else (path, _walk(path))
    classes = sorted({label for _, label, _ in rows})
    if len(classes) < 2:
        raise UserError(f"{path}: {len(classes)} classes found, at least 2 are needed")
    size = data.image_size or DEFAULT_SIZE
    info = DatasetInfo(
        "image_folder",
        tuple(classes),
        (size, size, 3),
        IMAGENET_STATISTICS["mean"],
        IMAGENET_STATISTICS["std"],
    )
    number = {name: index for index, name in enumerate(classes)}
    splits = {}
    for split in ("train", "test"):
        chosen = sorted(row for row in rows if (row[2] or draw_split(row[0])) == split)
        if not chosen:
            raise UserError(f"{path}: no pictures to {split} on")
        labels = np.array([number[label] for _, label, _ in chosen], np.int32)
        splits[split] = FileExamples(root, labels, np.array([name for name, _, _ in chosen]))
    return Dataset(info, splits["train"], splits["test"])


def _walk(folder: epath.Path) -> list[_Row]:
    """The pictures of a folder of class folders, or of folders train and test of such."""
    train = folder / "train"
    if not train.is_dir():
        return _class_folders(folder, folder, "")
    test = next((folder / name for name in TEST_NAMES if (folder / name).is_dir()), None)
    if test is None:
        raise UserError(f"{folder} has a folder train but none of {', '.join(TEST_NAMES)}")
    return _class_folders(train, folder, "train") + _class_folders(test, folder, "test")


def _class_folders(folder: epath.Path, root: epath.Path, split: str) -> list[_Row]:
    return [
        (picture.relative_to(root).as_posix(), of_class.name, split)
        for of_class in folder.iterdir()
        if of_class.is_dir()
        for picture in _pictures(of_class)
    ]


def _pictures(folder: epath.Path, above: tuple[str, ...] = ()) -> Iterator[epath.Path]:
    """All pictures below a folder; a link back to a folder above is not followed."""
    real = os.path.realpath(folder)
    if real in above:
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from _pictures(path, (*above, real))
        elif path.suffix.lower() in SUFFIXES:
            yield path


def _read_csv(path: epath.Path) -> list[_Row]:
    try:
        with path.open("r") as file:
            reader = csv.DictReader(file, strict=True)
            if missing := {"path", "label"} - set(reader.fieldnames or ()):
                raise UserError(f"{path}: the first line names no column {min(missing)!r}")
            table = list(reader)
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as .csv: {error}") from error
    for number, row in enumerate(table, 2):
        if None in row or None in row.values():
            raise UserError(f"{path}, line {number}: not as many fields as the first line has")
        if not row["path"] or not row["label"]:
            raise UserError(f"{path}, line {number}: no path or no label")
        if "\0" in row["path"]:
            raise UserError(f"{path}, line {number}: {row['path']!r} holds a zero byte")
    rows = [(row["path"], row["label"], row.get("split") or "") for row in table]
    names = dict.fromkeys(TEST_NAMES, "test") | {"train": "train", "": ""}
    seen: set[str] = set()
    for number, (name, _, split) in enumerate(rows, 2):
        if split not in names:
            raise UserError(f"{path}, line {number}: split {split!r} is neither train nor test")
        if name in seen:
            raise UserError(f"{path}, line {number}: {name} is there twice")
        seen.add(name)
    return [(name, label, names[split]) for name, label, split in rows]
