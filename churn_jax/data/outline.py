"""What is known of a data set without its files: enough to compile a step that trains on it."""

import dataclasses

from churn_jax.config import DataConfig
from churn_jax.data.examples import DatasetInfo
from churn_jax.data.loading import load
from churn_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Outline:
    """A data set's shape; the names of classes may be numbers.

    Attributes:
      info: as the loaded data set's.
      num_train: training examples that the config keeps.
      in_memory: whether they would be held in memory.
    """

    info: DatasetInfo
    num_train: int
    in_memory: bool


def outline(data: DataConfig) -> Outline:
    """The outline of the data set that `data` names.

    Public data sets need no files; a folder is looked through.
    """
    found = published(data.name)
    if found is None:
        dataset = load(data)
        return Outline(dataset.info, len(dataset.train), dataset.train.in_memory)
    left = found.num_train - data.skip_train - data.num_validation
    kept = data.num_train or left
    if not 0 < kept <= left:
        raise UserError(
            f"data.num_train={kept}, but {data.name} has {found.num_train} training examples"
        )
    info = found.info
    if data.image_size:
        shape = (data.image_size, data.image_size, info.image_shape[2])
        info = dataclasses.replace(info, image_shape=shape)
    return dataclasses.replace(found, info=info, num_train=kept)


def published(name: str) -> Outline | None:
    """The outline of a whole public data set, without its files; None if `name` is not one."""
    # Imported here: they bring libraries that read files.
    if name == "digits":
        from churn_jax.data.sources import digits

        return Outline(digits.INFO, digits.NUM_TRAIN, in_memory=True)
    if name == "fashion_mnist":
        from churn_jax.data.sources import fashion_mnist

        return Outline(fashion_mnist.INFO, fashion_mnist.NUM_TRAIN, in_memory=True)
    from churn_jax.data.prepare.preparing import COUNTS
    from churn_jax.data.sources import tfds_sets

    if name not in COUNTS:
        return None
    source = getattr(tfds_sets, name)
    classes = tuple(str(label) for label in range(source.num_classes))
    info = DatasetInfo(name, classes, source.image_shape, source.mean, source.std)
    return Outline(info, COUNTS[name]["train"], source.in_memory)
