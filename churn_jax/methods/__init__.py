"""What is trained: objectives as data, every method by name, schedules of their weights.

What is here gives names to one's own, for a config to say; docs/extending.md shows how.
"""

from collections.abc import Callable

import jax
import optax

from churn_jax.errors import UserError
from churn_jax.methods.catalogue import METHODS, UPDATES
from churn_jax.methods.objectives import DISTANCES, REGULARIZERS, Objective
from churn_jax.methods.optimizers import OPTIMIZERS
from churn_jax.methods.schedules import SCHEDULES, Course

__all__ = [
    "Course",
    "Objective",
    "register",
    "register_agreement",
    "register_optimizer",
    "register_regularizer",
    "register_schedule",
]


def register(name: str, objective: Objective) -> Objective:
    """Gives a method a name that stands after the colon, `--config=FILE:NAME`.

    Raises:
      UserError: the name is taken, or no training can have such an objective.
    """
    if not isinstance(objective, Objective):
        raise UserError(f"churn_jax.methods.register: {name!r} is no Objective")
    if name in UPDATES:
        raise UserError(f"register: the package itself has a method {name!r}; take another name")
    objective.check()
    return METHODS.register(name, objective)


def register_agreement(
    name: str, distance: Callable[[jax.Array, jax.Array], jax.Array]
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Gives an agreement term a name for `Objective.agreement`.

    `distance` takes the logits of two members, [example, class] each, and gives one number an
    example, which JAX can differentiate. It is asked once a pair, so it should be symmetric.
    """
    return DISTANCES.register(name, distance)


def register_regularizer(
    name: str, regularizer: Callable[..., jax.Array]
) -> Callable[..., jax.Array]:
    """Gives a regulariser a name for `Objective.regularizer`.

    It takes logits, [member, example, class], and gives [member, example]; if it wants, also
    `top_k` and `renormalise`.
    """
    return REGULARIZERS.register(name, regularizer)


def register_schedule(
    name: str, schedule: Callable[[Course], optax.Schedule]
) -> Callable[[Course], optax.Schedule]:
    """Gives a schedule of the learning rate a name for `config.optimizer.schedule`.

    It takes a `Course` and gives a function of the steps after warm-up, from 0.
    """
    return SCHEDULES.register(name, schedule)


def register_optimizer(
    name: str, optimizer: Callable[..., optax.GradientTransformation]
) -> Callable[..., optax.GradientTransformation]:
    """Gives an optimiser a name for `config.optimizer.name`.

    It takes a function of the step as its first argument, the learning rate, and what
    `config.optimizer.arguments` may say by name; if it takes `weight_decay`, it is given the
    config's, and decays by itself.
    """
    return OPTIMIZERS.register(name, optimizer)
