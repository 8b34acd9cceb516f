"""ImageNet 2012: ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, or what they unpack to.

Training pictures are in one tar file, or folder, per synset (n01440764). Validation pictures are
in one, and their labels in TFDS; a folder that has been sorted into synsets is taken too. The bytes
of a picture stay as they are.
"""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import tensorflow_datasets as tfds
from etils import epath

from churn_jax.data.prepare.archives import TarMember, find, open_inner, open_tar
from churn_jax.data.prepare.original import Original, OriginalSplit, RawExample
from churn_jax.errors import UserError

# A picture: its file name, its synset, and its path or place in a tar file.
Image: TypeAlias = epath.Path | TarMember
Picture = tuple[str, str, Image]

_DATA = epath.Path(tfds.__file__).parent / "datasets/imagenet2012"


def imagenet(source: epath.Path) -> Original:
    """Lists both splits in the folder `source`; pictures are read as they are written."""
    names = (_DATA / "labels.txt").read_text().split()
    features = {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(names=names),
        "file_name": tfds.features.Text(),
    }
    pictures = {"train": list(_train(source)), "validation": list(_validation(source))}
    for split, of_split in pictures.items():
        if unknown := {synset for _, synset, _ in of_split} - set(names):
            raise UserError(f"{source}: {split} has {min(unknown)!r}, which is no ImageNet class")
    return Original(
        "imagenet2012",
        "5.1.0",
        tfds.features.FeaturesDict(features),
        {s: OriginalSplit(len(of_split), _examples(of_split)) for s, of_split in pictures.items()},
    )


def _examples(pictures: list[Picture]) -> Iterator[RawExample]:
    for name, synset, image in pictures:
        yield {"file_name": name, "label": synset, "image": image}


def _train(source: epath.Path) -> Iterator[Picture]:
    if archive := find(source, "ILSVRC2012_img_train.tar"):
        opened = open_tar(archive)
        for of_synset in opened:
            inner = open_inner(TarMember(opened, of_synset))
            for member in inner:
                yield member.name, of_synset.name.removesuffix(".tar"), TarMember(inner, member)
    elif folder := find(source, "train", "ILSVRC/Data/CLS-LOC/train"):
        yield from _by_synset(folder)
    else:
        raise UserError(f"{source} has neither ILSVRC2012_img_train.tar nor a folder train")


def _validation(source: epath.Path) -> Iterator[Picture]:
    if archive := find(source, "ILSVRC2012_img_val.tar"):
        opened = open_tar(archive)
        flat: Mapping[str, Image] = {m.name: TarMember(opened, m) for m in opened if m.isfile()}
    elif folder := find(source, "val", "validation", "ILSVRC/Data/CLS-LOC/val"):
        if not any(path.suffix.lower() == ".jpeg" for path in folder.iterdir()):
            yield from _by_synset(folder)
            return
        flat = {path.name: path for path in folder.iterdir()}
    else:
        raise UserError(f"{source} has neither ILSVRC2012_img_val.tar nor a folder val")
    labels = (_DATA / "validation_labels.txt").read_text().split()
    for name in sorted(flat):
        number = name.removeprefix("ILSVRC2012_val_").removesuffix(".JPEG")
        if not number.isdigit() or not 0 < int(number) <= len(labels):
            raise UserError(f"{source}: {name} is no validation picture of ImageNet 2012")
        yield name, labels[int(number) - 1], flat[name]


def _by_synset(folder: epath.Path) -> Iterator[Picture]:
    for synset in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in sorted(synset.iterdir()):
            yield path.name, synset.name, path
