"""Networks behind two functions, so that nothing else knows which library builds them.

    init(key) -> variables                      {'params': …, 'batch_stats': …}
    apply(variables, images, train) -> logits [example, class] float32, batch_stats

Flax Linen stands behind them for now: its state is plain nested dicts, which leading [run, member]
axes, NamedSharding, optax and Orbax all take as they are. NNX can move in here without anyone else
noticing.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from churn_jax.errors import UserError, suggest
from churn_jax.models import activations
from churn_jax.models.lenet import LeNet5
from churn_jax.models.model import Model, takes
from churn_jax.models.resnet import CifarResNet
from churn_jax.models.resnet_v2 import ResNetV2

# What a module takes of `build`'s settings it is given, as its fields or arguments say.
MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet5": LeNet5,
    "resnet8": functools.partial(CifarResNet, blocks_per_stage=1),
    "resnet20": functools.partial(CifarResNet, blocks_per_stage=3),
    "resnet32": functools.partial(CifarResNet, blocks_per_stage=5),
    "resnet56": functools.partial(CifarResNet, blocks_per_stage=9),
    "resnet_v2_18": functools.partial(ResNetV2, stage_sizes=(2, 2, 2, 2), bottleneck=False),
    "resnet_v2_50": functools.partial(ResNetV2, stage_sizes=(3, 4, 6, 3), bottleneck=True),
}


# Side length of the smallest images, where not any will do.
SMALLEST = {"lenet5": 4}


def build(
    name: str,
    *,
    num_classes: int,
    image_shape: tuple[int, int, int],
    dtype: str = "float32",
    norm_group: int = 0,
    norm_axis: str | None = None,
    columns: int = 1,
    batch_parts: int = 1,
    activation: str = "relu",
    activation_width: float = 1.0,
) -> Model:
    """The network called `name`.

    Args:
      name: a key of `MODELS`.
      num_classes: length of the logits.
      image_shape: (height, width, channels).
      dtype: of the computation; parameters, batch statistics and logits stay float32.
      norm_group: examples a batch-norm group, 0 for the whole batch.
      norm_axis: mesh axis that the batch is split over, when called inside `shard_map`.
      columns: neighbouring pixels that a ResNet-v2 has side by side in the channels while there are
        few of those (`churn_jax.models.packed`): 1 or 2. The network is the same.
      batch_parts: how many devices the batch is split over.
      activation: one of `activations.ACTIVATIONS`.
      activation_width: β of SmeLU.

    Raises:
      UserError: no such model, or it does not take what the config asks for.
    """
    if name not in MODELS:
        raise UserError(f"config.model.name: unknown model {name!r}{suggest(name, MODELS)}")
    if min(image_shape[:2]) < SMALLEST.get(name, 1):
        raise UserError(
            f"config.data.image_size: {name} halves images twice, so {image_shape[0]}×"
            f"{image_shape[1]} pixels are too few (config.model.name has others)"
        )
    settings: dict[str, Any] = {
        "num_classes": num_classes,
        "image_shape": image_shape,
        "dtype": jnp.dtype(dtype),
        "norm_group": norm_group,
        "norm_axis": norm_axis,
        "columns": columns,
        "activation": activations.activation(activation, activation_width),
    }
    heard = {key: value for key, value in settings.items() if takes(MODELS[name], key)}
    if dtype != "float32" and "dtype" not in heard:
        raise UserError(f"config.model.dtype: {dtype!r}, but {name} does not take a dtype")
    if activation != "relu" and "activation" not in heard:
        raise UserError(
            f"config.model.activation: {activation!r}, but {name} does not take an activation"
        )
    needed = {"norm_group": norm_group > 0, "norm_axis": batch_parts > 1}
    unheard = tuple(key for key, wanted in needed.items() if wanted and key not in heard)
    try:
        module = MODELS[name](**heard)
    except TypeError as error:
        offered = ", ".join(settings)
        raise UserError(
            f"config.model.name: {name!r} can't be made ({error}); it can take {offered}"
        ) from error
    return Model(name, module, image_shape, num_classes, unheard)
