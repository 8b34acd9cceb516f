"""Networks behind two functions, so that nothing else knows which library builds them.

    init(key) -> variables                      {'params': …, 'batch_stats': …}
    apply(variables, images, train) -> logits [example, class] float32, batch_stats

A network is a Flax Linen module, a Flax NNX module or a pair of functions (`models.networks`). Its
state is plain nested dicts, which leading [run, member] axes, NamedSharding, optax and Orbax all
take as they are.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax import nnx

from churn_jax.errors import UserError
from churn_jax.models import activations
from churn_jax.models.lenet import LeNet5
from churn_jax.models.mlp import MLP
from churn_jax.models.model import Model, takes
from churn_jax.models.networks import Functions, Linen, Network, Nnx
from churn_jax.models.resnet import CifarResNet
from churn_jax.models.resnet_v2 import ResNetV2
from churn_jax.models.transformer import TransformerEncoder
from churn_jax.system.registry import Registry

# What makes a module; or a pair of functions (init, apply).
Maker = Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any]]

# What a module takes of `build`'s settings it is given, as its fields or arguments say.
MODELS: Registry[Maker] = Registry(
    "model",
    {
        "mlp": MLP,
        "transformer": TransformerEncoder,
        "lenet5": LeNet5,
        "resnet8": functools.partial(CifarResNet, blocks_per_stage=1),
        "resnet20": functools.partial(CifarResNet, blocks_per_stage=3),
        "resnet32": functools.partial(CifarResNet, blocks_per_stage=5),
        "resnet56": functools.partial(CifarResNet, blocks_per_stage=9),
        "resnet_v2_18": functools.partial(ResNetV2, stage_sizes=(2, 2, 2, 2), bottleneck=False),
        "resnet_v2_50": functools.partial(ResNetV2, stage_sizes=(3, 4, 6, 3), bottleneck=True),
    },
)


# Those that compute by matrix products alone; LeNet5's convolutions are written as such.
OF_PRODUCTS = {"mlp", "transformer", "lenet5"}

# Side length of the smallest images, where not any will do.
SMALLEST = {"lenet5": 4}


def register(name: str, network: Maker) -> Maker:
    """Gives a network of one's own a name for `config.model.name`; returns the network.

    Args:
      name: that no other model has.
      network: makes a Flax Linen module or, where it takes `rngs`, an NNX module: its class, or a
        function; or a pair of functions (init, apply), as `networks.Functions` says. It is given
        what it takes of `build`'s settings.

    Raises:
      UserError: the name is taken, or it is none of these.
    """
    pair = isinstance(network, tuple | list)
    parts = tuple(network) if isinstance(network, tuple | list) else (network,)
    if len(parts) != (2 if pair else 1) or not all(callable(part) for part in parts):
        raise UserError(
            f"churn_jax.models.register: {name!r} is neither a Flax module's class, nor a function "
            "that makes one, nor a pair of functions (init, apply)"
        )
    return MODELS.register(name, network)


def build(
    name: str,
    *,
    num_classes: int,
    image_shape: tuple[int, ...],
    dtype: str = "float32",
    norm_group: int = 0,
    norm_axis: str | None = None,
    columns: int = 1,
    wide_passes: bool = False,
    batch_parts: int = 1,
    activation: str = "relu",
    activation_width: float = 1.0,
    input_dtype: str = "uint8",
    vocabulary: int = 0,
    width: int = 0,
    depth: int = 0,
    dropout: float = 0.0,
    remat: bool = False,
) -> Model:
    """The network called `name`.

    Args:
      name: a key of `MODELS`.
      num_classes: length of the logits.
      image_shape: of one input: (height, width, channels), or whatever the data set has.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
      norm_group: examples a batch-norm group, 0 for the whole batch.
      norm_axis: mesh axis that the batch is split over, when called inside `shard_map`.
      columns: neighbouring pixels that a ResNet-v2 has side by side in the channels while there are
        few of those (`churn_jax.models.packed`): 1 or 2. The network is the same.
      wide_passes: whether convolutions of a ResNet for small images give several neighbouring
        pixels at once where they can (`churn_jax.models.packed_block`). The network is the same.
      batch_parts: how many devices the batch is split over.
      activation: one of `activations.ACTIVATIONS`.
      activation_width: β of SmeLU.
      input_dtype: of the data set's inputs: uint8, float32, or int32 for tokens.
      vocabulary: how many tokens there are.
      width: for who takes it, as are the next two; at 0 the network is left its own.
      depth: how many layers or blocks.
      dropout: the share of values that is left out in training.
      remat: whether the network computes its blocks again in the backward pass, to save memory.

    Raises:
      UserError: no such model, or it does not take what the config asks for.
    """
    network = MODELS.find(name, "config.model.name")
    _refuse_inputs(name, image_shape, input_dtype)
    if min(image_shape[:2]) < SMALLEST.get(name, 1):
        raise UserError(
            f"config.data.image_size: {name} halves images twice, so {image_shape[0]}×"
            f"{image_shape[1]} pixels are too few (config.model.name has others)"
        )
    settings: dict[str, Any] = {
        "num_classes": num_classes,
        "image_shape": image_shape,
        "input_shape": image_shape,
        "dtype": jnp.dtype(dtype),
        "norm_group": norm_group,
        "norm_axis": norm_axis,
        "columns": columns,
        "wide_passes": wide_passes,
        "activation": activations.activation(activation, activation_width),
        "vocabulary": vocabulary,
    }
    chosen = {"width": width, "depth": depth, "dropout": dropout, "remat": remat}
    settings |= {key: value for key, value in chosen.items() if value}
    parts = network if isinstance(network, tuple) else (network,)
    heard = {
        key: value for key, value in settings.items() if any(takes(part, key) for part in parts)
    }
    if dtype != "float32" and "dtype" not in heard:
        raise UserError(f"config.model.dtype: {dtype!r}, but {name} does not take a dtype")
    if activation != "relu" and "activation" not in heard:
        raise UserError(
            f"config.model.activation: {activation!r}, but {name} does not take an activation"
        )
    for key in chosen.keys() & settings.keys() - heard.keys():
        raise UserError(f"config.model.{key}: {chosen[key]!r}, but {name} does not take a {key}")
    needed = {"norm_group": norm_group > 0, "norm_axis": batch_parts > 1}
    unheard = tuple(key for key, wanted in needed.items() if wanted and key not in heard)
    try:
        made = _network(network, heard)
    except TypeError as error:
        offered = ", ".join(settings)
        raise UserError(
            f"config.model.name: {name!r} can't be made ({error}); it can take {offered}"
        ) from error
    if made is None:
        raise UserError(f"config.model.name: what {name!r} makes is no Flax module")
    given = "int32" if input_dtype == "int32" else "float32"
    return Model(name, made, image_shape, num_classes, given, unheard, MODELS.file(name))


def _refuse_inputs(name: str, shape: tuple[int, ...], dtype: str) -> None:
    """Raises a `UserError` where one of the package's networks is not for such inputs."""
    if MODELS.file(name) is not None:
        return
    kinds = {"transformer": "tokens (int32, one axis)", "mlp": "pictures and floats of any shape"}
    fits = {"transformer": dtype == "int32" and len(shape) == 1, "mlp": dtype != "int32"}
    if fits.get(name, dtype != "int32" and len(shape) == 3):
        return
    nearest = "transformer" if dtype == "int32" else "mlp"
    raise UserError(
        f"config.model.name: {name!r} takes {kinds.get(name, 'pictures [height, width, channel]')},"
        f" and the data set holds {dtype} {list(shape)}; {nearest!r} takes {kinds[nearest]}"
    )


def _network(network: Maker, settings: dict[str, Any]) -> Network | None:
    """The network with the settings that it takes; None where nothing useful is made."""
    if isinstance(network, tuple | list):
        init, apply = (
            functools.partial(part, **{k: v for k, v in settings.items() if takes(part, k)})
            for part in network
        )
        return Functions(init, apply)
    if takes(network, "rngs"):

        def make(rngs: nnx.Rngs) -> nnx.Module:
            return network(**settings, rngs=rngs)

        nnx.eval_shape(lambda: make(nnx.Rngs(0)))  # a TypeError now, not while training
        return Nnx(make)
    module = network(**settings)
    return Linen(module) if isinstance(module, nn.Module) else None
