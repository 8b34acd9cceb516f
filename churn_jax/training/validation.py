"""All that a training can be refused for before anything of it is written.

What one field may hold stands beside the field, and is asked as the config is read
(`config.check`). Here stands what only the data set and the devices can tell.
"""

import math

import jax
from jax.sharding import Mesh

from churn_jax import config as config_lib
from churn_jax.config import Config, DataConfig
from churn_jax.data import DatasetInfo
from churn_jax.data.augmentation import AUGMENTATIONS
from churn_jax.errors import UserError
from churn_jax.methods import views
from churn_jax.parallel import sharding
from churn_jax.training import neighbours
from churn_jax.training.experiment import Experiment
from churn_jax.training.memory_check import refuse_unaffordable

LONGEST = 2**31 - 2  # steps: they are counted by an int32


def validate(
    config: Config, info: DatasetInfo, num_train: int, mesh: Mesh, in_memory: bool
) -> None:
    """Refuses what can't be trained, the cheapest questions first.

    Args:
      config: what to train.
      info: the data set's shape.
      num_train: how many examples it trains on.
      mesh: of this machine's devices, or of a slice that is only planned.
      in_memory: whether the training examples lie in memory; else they are read as needed.

    Raises:
      UserError: names the key and what it may be.
    """
    config_lib.check_values(config)
    _refuse_for_data(config, info, num_train)
    _refuse_pipeline(config.data, in_memory)
    _refuse_for_mesh(config, mesh)
    # A planned slice's devices say nothing of their memory: the compiler does.
    if set(mesh.devices.flat) <= set(jax.devices()):
        refuse_unaffordable(Experiment(config, info, num_train, mesh))


def warnings(config: Config) -> list[str]:
    """What a config can ask for and probably does not mean: what training does not live to see."""
    optimizer, method = config.optimizer, config.method
    asked = {"optimizer.warmup": ("warm-up does not end", True)}
    asked["optimizer.decay"] = ("the rate does not decay there", optimizer.schedule == "stepped")
    for name, used in (
        ("alpha", method.regularizer != "none"),
        ("beta", method.agreement != "none"),
        ("gamma", method.anchored),
    ):
        ramps = used and getattr(method, f"{name}_ramp") != "constant"
        asked[f"method.{name}_ramp"] = (f"{name} does not reach its value", ramps)
    found = []
    if views.mirrors(method.views) and not config.data.flip:
        found.append(
            f"config.method.views: {method.views!r} predicts mirrored pictures, and training sees "
            "none of them (config.data.flip=False); 'shift' only moves them"
        )
    for key, (so, used) in asked.items():
        if not used:
            continue
        for unit, end in (("epochs", config.epochs), ("percent", 100.0)):
            group, field = f"{key}_{unit}".split(".")
            if late := _late(getattr(getattr(config, group), field), end):
                found.append(
                    f"config.{key}_{unit}: {late} not before the end of training ({end:g} {unit}), "
                    f"so {so}; config.{key}_percent follows the length of training"
                )
    return found


def _late(durations: float | tuple[float, ...], end: float) -> str:
    """Which of the durations are not over before the end, and the verb to them; '' if all are."""
    every = durations if isinstance(durations, tuple) else (durations,)
    late = [f"{each:g}" for each in every if each >= end]
    return f"{', '.join(late)} {'is' if len(late) == 1 else 'are'}" if late else ""


def _refuse_for_data(config: Config, info: DatasetInfo, num_train: int) -> None:
    if config.batch_size > num_train:
        raise UserError(
            f"config.batch_size: {config.batch_size} is larger than the training set "
            f"({num_train} examples of {config.data.name})"
        )
    _refuse_augmentation(config.data, info)
    refuse_views(config.data, info, config.method.views)
    if config.data.crop == "pad" and config.data.crop_padding > max(info.image_shape[:2]):
        raise UserError(
            f"config.data.crop_padding: {config.data.crop_padding} is more than the side of "
            f"the images ({info.image_shape[0]}×{info.image_shape[1]}): most crops would be black"
        )
    if config.method.anchor == "neighbours":
        _refuse_neighbours(config.method.anchor_neighbours, num_train)
    if config.method.top_k > info.num_classes:
        raise UserError(
            f"config.method.top_k: {config.method.top_k} is more than the "
            f"{info.num_classes} classes of {config.data.name}"
        )
    steps_per_epoch = num_train / config.batch_size
    if config.profile and config.profile[1] > math.ceil(config.epochs * steps_per_epoch):
        raise UserError(
            f"config.profile: {config.profile} is beyond the end of training, which has "
            f"{math.ceil(config.epochs * steps_per_epoch)} steps"
        )
    for key, epochs in _durations(config).items():
        if epochs * steps_per_epoch > LONGEST:
            raise UserError(
                f"config.{key}: {epochs:g} epochs of {steps_per_epoch:g} steps are more "
                f"than {LONGEST:,} steps"
            )


def _refuse_neighbours(count: int, num_train: int) -> None:
    if count >= num_train:
        raise UserError(
            f"config.method.anchor_neighbours: {count} is not below the {num_train} training "
            "examples"
        )
    if num_train > neighbours.MOST:
        raise UserError(
            f"config.method.anchor: 'neighbours' looks for them among {neighbours.MOST:,} examples "
            f"at most, not {num_train:,}; config.data.num_train trains on fewer"
        )


def refuse_views(data: DataConfig, info: DatasetInfo, kind: str) -> None:
    """Raises a `UserError` for several views of what is no picture."""
    if kind != "one" and not info.pictures:
        raise UserError(
            f"config.method.views: {kind!r} is of pictures, and {data.name} holds {info.dtype} "
            f"{list(info.image_shape)}: set it to 'one'"
        )


def _refuse_augmentation(data: DataConfig, info: DatasetInfo) -> None:
    """Refuses what is for pictures where there are none, and augmentations that nobody has."""
    if data.augment != "none":
        AUGMENTATIONS.find(data.augment, "config.data.augment")
    if data.mixup and info.dtype == "int32":
        raise UserError(
            f"config.data.mixup: {data.mixup:g} mixes numbers, and {data.name} holds tokens: there "
            "is nothing between two of them; set it to 0"
        )
    if info.pictures:
        return
    asked = {"crop": data.crop != "none", "flip": data.flip, "cutout": data.cutout > 0}
    for key, asks in asked.items():
        if asks:
            raise UserError(
                f"config.data.{key}: {getattr(data, key)!r} is for pictures, and {data.name} holds "
                f"{info.dtype} {list(info.image_shape)}: set crop='none', flip=False and cutout=0, "
                "as recipes.start(NAME, pictures=False) does"
            )


def _durations(config: Config) -> dict[str, float]:
    """What the config counts in epochs and the programs in steps."""
    optimizer, method = config.optimizer, config.method
    return {
        "epochs": config.epochs,
        "optimizer.warmup_epochs": optimizer.warmup_epochs,
        "optimizer.decay_epochs": max(optimizer.decay_epochs, default=0.0),
        "method.alpha_ramp_epochs": method.alpha_ramp_epochs,
        "method.beta_ramp_epochs": method.beta_ramp_epochs,
        "method.gamma_ramp_epochs": method.gamma_ramp_epochs,
    }


def _refuse_pipeline(data: DataConfig, in_memory: bool) -> None:
    if data.pipeline == "resident" and not in_memory:
        raise UserError(
            f"config.data.pipeline: 'resident', but {data.name} is read from files as it is "
            "needed; use 'streaming'"
        )
    if data.crop == "resized" and in_memory and data.pipeline != "streaming":
        raise UserError(
            "config.data.crop: 'resized' needs config.data.pipeline='streaming'; 'pad' and 'none' "
            "work in both"
        )


def _refuse_for_mesh(config: Config, mesh: Mesh) -> None:
    share, group = config.batch_size // mesh.shape["data"], config.model.norm_group
    if share % (parts := config.optimizer.accumulate):
        raise UserError(
            f"config.optimizer.accumulate: {parts} parts do not divide the {share} examples that a "
            "device holds of each batch"
        )
    share //= parts
    if group and config.batch_size % group:
        raise UserError(
            f"config.model.norm_group: {group} does not divide the {config.batch_size} "
            "examples of a batch"
        )
    if not sharding.groups_fit(group, share):
        raise UserError(
            f"config.model.norm_group: {group} is neither a part nor a multiple of the {share} "
            f"examples that a device holds of each {'batch' if parts == 1 else 'part of a batch'}"
        )
    method, split = config.method, mesh.shape["member"]
    if method.taught and method.num_teachers % split:
        raise UserError(
            f"config.mesh.member: {split} does not divide {method.num_teachers} teachers"
        )
