"""Data sets of TensorFlow Datasets, read from array_record files without TensorFlow.

CIFAR-10 and CIFAR-100 (A. Krizhevsky, "Learning multiple layers of features from tiny images",
2009), SVHN cropped (Y. Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature
Learning", 2011; non-commercial use), ImageNet (O. Russakovsky et al., "ImageNet Large Scale Visual
Recognition Challenge", IJCV 2015; non-commercial research, from image-net.org) and iNaturalist 2018
(G. Van Horn et al., CVPR 2018; non-commercial use).
"""

import dataclasses
import os

import tensorflow_datasets as tfds
from etils import epath

from churn_jax.config import DataConfig
from churn_jax.data.examples import Dataset, DatasetInfo, Examples
from churn_jax.data.preprocessing import DEFAULT_SIZE
from churn_jax.data.records import RecordExamples
from churn_jax.errors import UserError

IMAGENET_STATISTICS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """How one data set of TFDS is read.

    Attributes:
      name: the config's name of it.
      tfds_name: TFDS's.
      num_classes: refused if the files on disk say otherwise.
      id_feature: which feature names an example.
      image_shape: (height, width, channels) stored, or, for varied sizes, that models see.
      mean: per channel, of pixel values in [0, 1].
      std: likewise.
      test_split: the split that churn is measured on (the test split of ImageNet has no labels).
      in_memory: small images of one size are read whole.
    """

    name: str
    tfds_name: str
    num_classes: int
    id_feature: str
    image_shape: tuple[int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    test_split: str
    in_memory: bool

    def __call__(self, data: DataConfig) -> Dataset:
        """Opens `data.dir`: a version folder, or a data_dir above it (default: TFDS's own)."""
        folder = _find(data.dir, self.name, self.tfds_name)
        tfds_info = _read_info(folder)
        self._check(tfds_info, folder)
        info = DatasetInfo(
            name=self.name,
            class_names=tuple(tfds_info.features["label"].names),
            image_shape=self.image_shape,
            mean=self.mean,
            std=self.std,
        )
        return Dataset(info, self._read(folder, "train"), self._read(folder, self.test_split))

    def _read(self, folder: epath.Path, split: str) -> Examples:
        examples = RecordExamples(folder, split, self.id_feature)
        return examples.read_whole(self.image_shape) if self.in_memory else examples

    def _check(self, info: tfds.core.DatasetInfo, folder: epath.Path) -> None:
        if info.name != self.tfds_name:
            raise UserError(f"{folder} holds {info.name!r}, but {self.name} is {self.tfds_name!r}")
        if info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
            file_format = info.file_format.value if info.file_format else "an unknown"
            raise UserError(
                f"{folder} is in {file_format} form, which has no random access: convert it with "
                f"`python launch/prepare_data.py {self.name} --source={folder} --out=FOLDER` and "
                "pass --config.data.dir=FOLDER"
            )
        missing = {"image", "label", self.id_feature} - set(info.features or {})
        if missing:
            raise UserError(f"{folder}: examples have no feature {' or '.join(sorted(missing))}")
        num_classes = info.features["label"].num_classes
        if num_classes != self.num_classes:
            raise UserError(
                f"{folder} has {num_classes} classes, but {self.tfds_name} has {self.num_classes}"
            )


def _read_info(folder: epath.Path) -> tfds.core.DatasetInfo:
    try:
        return tfds.builder_from_directory(folder).info
    except Exception as error:
        raise UserError(f"{folder}: TFDS cannot read its dataset_info.json: {error}") from error


def _find(named: str, name: str, tfds_name: str) -> epath.Path:
    """The folder with dataset_info.json: `named`, or the newest version of the data set below."""
    top = epath.Path(named or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"))
    top = top.expanduser()
    if not top.is_dir():
        raise UserError(
            f"no data folder {top}: pass --config.data.dir=FOLDER that holds {tfds_name}, made by "
            f"`python launch/prepare_data.py {name} --source=ARCHIVES --out=FOLDER`"
        )
    if (top / "dataset_info.json").exists():
        return top
    patterns = (f"{tfds_name}/*", f"{tfds_name}/*/*", "*")
    found = [
        path.parent for pattern in patterns for path in top.glob(f"{pattern}/dataset_info.json")
    ]
    found = [folder for folder in found if tfds.core.Version.is_valid(folder.name)]
    if not found:
        raise UserError(
            f"no {tfds_name}/VERSION/dataset_info.json below {top}: make it with "
            f"`python launch/prepare_data.py {name} --source=ARCHIVES --out={top}`"
        )
    return max(found, key=lambda folder: tfds.core.Version(folder.name))


cifar10 = TfdsSource(
    name="cifar10",
    tfds_name="cifar10",
    num_classes=10,
    id_feature="id",
    image_shape=(32, 32, 3),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    test_split="test",
    in_memory=True,
)
cifar100 = dataclasses.replace(
    cifar10,
    name="cifar100",
    tfds_name="cifar100",
    num_classes=100,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)
svhn = dataclasses.replace(
    cifar10,
    name="svhn",
    tfds_name="svhn_cropped",
    mean=(0.4377, 0.4438, 0.4728),
    std=(0.1980, 0.2010, 0.1970),
)
imagenet = TfdsSource(
    name="imagenet",
    tfds_name="imagenet2012",
    num_classes=1000,
    id_feature="file_name",
    image_shape=(DEFAULT_SIZE, DEFAULT_SIZE, 3),
    **IMAGENET_STATISTICS,
    test_split="validation",
    in_memory=False,
)
inaturalist = dataclasses.replace(
    imagenet,
    name="inaturalist",
    tfds_name="i_naturalist2018",
    num_classes=8142,
    id_feature="id",
)
