"""Optimisers by name, as optax has them, with arguments as text and weight decay said once.

A config names one of `OPTIMIZERS`, gives the arguments that are optax's own as `b1=0.9,b2=0.99`,
and says weight decay as λ, whichever kind the optimiser has:

- those that take `weight_decay` are given λ, and decay as their paper has it: AdamW and Lion apart
  from the gradient, w ← w − η·λ·w beside their step (Loshchilov and Hutter 2019), LAMB and LARS
  before a layer's step is scaled by the norm of its weights;
- to the gradient of all others λ·w is added before anything else: the L2 penalty ½·λ·‖w‖².
"""

import ast
import inspect
from collections.abc import Callable, Collection
from typing import Any

import jax
import optax

from churn_jax.errors import UserError, suggest
from churn_jax.system.registry import Registry

# Each takes the learning rate first, and arguments of its own by name. An older optax has not all.
OPTIMIZERS: Registry[Callable[..., optax.GradientTransformation]] = Registry(
    "optimiser",
    {
        name: getattr(optax, name)
        for name in (
            *("sgd", "adam", "adamw", "nadam", "nadamw", "amsgrad", "adamax", "adamaxw"),
            *("adabelief", "radam", "yogi", "novograd", "adan", "lamb", "lars", "lion"),
            *("rmsprop", "adagrad", "signum"),
        )
        if hasattr(optax, name)
    },
)
DECAYED = ("all", "kernels")  # which weights decay

_KEY = "config.optimizer.arguments"
# Arguments that a key of the config says; `sgd` has two more.
_SAID = {
    "weight_decay": "weight_decay",
    "mask": "decayed",
    "weight_decay_mask": "decayed",
}
_SAID_OF_SGD = {"momentum": "momentum", "nesterov": "nesterov"}


def parse(text: str) -> dict[str, Any]:
    """'b1=0.9,nesterov=True' as {'b1': 0.9, 'nesterov': True}: numbers and truth values.

    Raises:
      UserError: it is not of that form.
    """
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            number = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            number = None
        if not equals or not isinstance(number, bool | int | float):
            raise UserError(f"{_KEY}: {part!r} is not NAME=NUMBER, as in 'b1=0.9,b2=0.99'")
        if name in found:
            raise UserError(f"{_KEY}: {name!r} is there twice")
        found[name] = number
    return found


def check(name: str, arguments: str, decayed: str = "all") -> None:
    """Raises a `UserError` unless the optimiser called `name` takes all this; as of `steps`."""
    taken = inspect.signature(OPTIMIZERS.find(name, "config.optimizer.name")).parameters
    said = {next(iter(taken)): "learning_rate"} | _SAID | (_SAID_OF_SGD if name == "sgd" else {})
    offered = [key for key in taken if key not in said and "dtype" not in key]
    for given in parse(arguments):
        if given in said:
            raise UserError(f"{_KEY}: {given!r} is what config.optimizer.{said[given]} says")
        if given not in offered:
            none = f"; {name!r} takes none" if not offered else suggest(given, offered)
            raise UserError(f"{_KEY}: {name!r} takes no {given!r}{none}")
    if decayed != "all" and "weight_decay" in taken and not _mask_of(taken):
        raise UserError(
            f"config.optimizer.decayed: {decayed!r}, but {name!r} decays all weights alike"
        )


def steps(
    name: str,
    learning_rate: optax.Schedule,
    arguments: str = "",
    *,
    momentum: float = 0.9,
    nesterov: bool = True,
    weight_decay: float = 0.0,
    decayed: str = "all",
) -> tuple[optax.GradientTransformation, ...]:
    """The optimiser of one model's parameters, as transformations of its gradient one by one.

    Args:
      name: one of `OPTIMIZERS`.
      learning_rate: a function of the step.
      arguments: of `parse`; what is not said is optax's default.
      momentum, nesterov: of `sgd`; of others they are among the `arguments`.
      weight_decay: λ, as above.
      decayed: `all` weights, or only `kernels`: arrays of two axes and more, so neither biases nor
        what scales and shifts in a normalisation.

    Raises:
      UserError: there is no such optimiser, or it takes no such argument.
    """
    check(name, arguments, decayed)
    given: dict[str, Any] = parse(arguments)
    if name == "sgd":
        given |= {"momentum": momentum, "nesterov": nesterov}
    mask, made_by = (kernels if decayed == "kernels" else None), OPTIMIZERS[name]
    taken = inspect.signature(made_by).parameters
    if "weight_decay" not in taken:
        return optax.add_decayed_weights(weight_decay, mask), made_by(learning_rate, **given)
    given["weight_decay"] = weight_decay
    if mask:
        given[_mask_of(taken)] = mask
    return (made_by(learning_rate, **given),)


def kernels(params: Any) -> Any:
    """Whether each array of one model's parameters is a kernel: it has two axes or more."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _mask_of(taken: Collection[str]) -> str:
    """What the argument is called that says which weights decay; '' where there is none."""
    return next((key for key in ("mask", "weight_decay_mask") if key in taken), "")
