"""What config files share: the argument after the colon, methods, and tiny variants.

--config=configs/cifar10.py:codistill_skl        the paper's recipe
--config=configs/cifar10.py:codistill_skl,tiny   the same, small enough for any laptop
"""

import dataclasses
from collections.abc import Mapping

import ml_collections

from churn_jax import config as config_lib
from churn_jax.errors import UserError, suggest
from churn_jax.methods import catalogue

_FOR_PICTURES = ("lenet", "resnet")
OPTIONS = ("tiny",)


def start(name: str, *, pictures: bool = True) -> ml_collections.ConfigDict:
    """The defaults, for a data set; config files change what their recipe needs.

    Without `pictures` nothing is cropped or flipped, and the network is an MLP.
    """
    config = config_lib.default()
    config.data.name = name
    if not pictures:
        config.data.crop, config.data.flip, config.model.name = "none", False, "mlp"
    return config


def finish(
    config: ml_collections.ConfigDict,
    arg: str,
    hyperparameters: Mapping[str, Mapping[str, float]],
    top_k: int = 0,
) -> ml_collections.ConfigDict:
    """The config with the method and options of `arg`, `METHOD[,tiny]`.

    Args:
      config: the data set's recipe.
      arg: what stood after the colon.
      hyperparameters: {method: {alpha, beta, temperature, …}}; one that is missing keeps zeros.
      top_k: for the regularisers.

    Raises:
      UserError: unknown method or option.
    """
    name, *options = (part.strip() for part in arg.split(","))
    chosen = catalogue.method(name, hyperparameters.get(name, {}), config.epochs, top_k)
    config.method.update(dataclasses.asdict(chosen))
    if chosen.taught:
        config.seed += 1  # a student starts from other weights than any teacher; see `teachers`
    for option in options:
        if option not in OPTIONS:
            raise UserError(
                f"--config=…:{arg}: unknown option {option!r}{suggest(option, OPTIONS)}"
            )
        make_tiny(config)
    return config


def make_tiny(config: ml_collections.ConfigDict) -> None:
    """Shrinks any config to two runs of a small network for few steps.

    They are enough to learn what small pictures or features show, so that nothing about the report
    looks broken.
    """
    if config.model.name.startswith(_FOR_PICTURES):
        config.model.name = "resnet_v2_18" if config.data.image_size else "lenet5"
    config.model.dtype = "float32"
    config.model.norm_group = 0
    if config.data.image_size:
        config.data.image_size = 32
    config.runs = 2
    config.batch_size = 8
    config.eval_batch_size = 64
    config.log_every = 5
    config.data.num_train = min(config.data.num_train or 64, 64)  # which every data set has
    config.optimizer.learning_rate *= 8 / 256
    if config.optimizer.name == "sgd":
        config.optimizer.learning_rate = 0.02  # at the default rate so few steps learn nothing
    # Enough for small pictures, features and texts to be learnt, and too few to know them by heart;
    # large pictures would take minutes.
    scale_epochs(config, 2.0 if config.data.image_size else 8.0)
    config.checkpoint_every = config.epochs / 2


def scale_epochs(config: ml_collections.ConfigDict, epochs: float) -> None:
    """Trains for `epochs`, with every other duration scaled alike."""
    factor = epochs / config.epochs
    config.epochs = epochs
    config.optimizer.warmup_epochs *= factor
    config.optimizer.decay_epochs = tuple(e * factor for e in config.optimizer.decay_epochs)
    config.method.alpha_ramp_epochs *= factor
    config.method.beta_ramp_epochs *= factor
    config.method.gamma_ramp_epochs *= factor


def preset(method: str, arg: str) -> str:
    """The argument of a preset whose method is fixed: `arg` holds options alone."""
    return f"{method},{arg}" if arg else method
