"""A network for one data set, behind two functions, and what is asked of anybody's Flax module.

Whatever a module gets wrong is refused while its programs are made, which costs nothing: shapes and
types are known before anything is computed.
"""

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp

from churn_jax.errors import UserError

Variables = dict[str, Any]

_KEPT = ("params", "batch_stats")


@dataclasses.dataclass(frozen=True)
class Model:
    """A network for one input shape and number of classes.

    Attributes:
      name: what the config calls it.
      module: maps images [example, height, width, channel] to logits; may take `train` beside them.
      image_shape: (height, width, channels).
      num_classes: length of the logits.
      unheard: settings that the config or the mesh needs heeded where there is a batch norm, and
        that the module does not take.
    """

    name: str
    module: nn.Module
    image_shape: tuple[int, int, int]
    num_classes: int
    unheard: tuple[str, ...] = ()

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables: {'params', 'batch_stats'}, all float32.

        Raises:
          UserError: the module's logits or variables are not what training needs.
        """
        images = jnp.zeros((1, *self.image_shape))
        with self._drawing_nothing():
            logits, variables = self.module.init_with_output(key, images, **self._mode(False))
        self._check_logits(logits, images)
        self._check_variables(variables)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    def apply(
        self, variables: Variables, images: jax.Array, train: bool
    ) -> tuple[jax.Array, Variables]:
        """Logits, float32 [example, class], and the batch statistics after this batch.

        With `train`, batch norm uses the batch's statistics and updates the running ones; without,
        it uses the running ones, which come back unchanged.
        """
        if not train:
            logits = self.module.apply(variables, images, **self._mode(False))
            return self._check_logits(logits, images), variables["batch_stats"]
        with self._drawing_nothing():
            logits, updated = self.module.apply(
                variables, images, **self._mode(True), mutable=["batch_stats"]
            )
        return self._check_logits(logits, images), updated.get("batch_stats", {})

    def _mode(self, train: bool) -> dict[str, Any]:
        """What `__call__` takes beside images: `train`, or nothing."""
        more = list(inspect.signature(type(self.module).__call__).parameters.values())[2:]
        for each in more:
            optional = (
                each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
                or each.default is not each.empty
            )
            if each.name != "train" and not optional:
                raise self._refusal(
                    f"wants {each.name!r} beside images: it may take `train`, no more"
                )
        return {"train": train} if "train" in [each.name for each in more] else {}

    def _check_logits(self, logits: Any, images: jax.Array) -> jax.Array:
        expected = (images.shape[0], self.num_classes)
        if isinstance(logits, jax.Array) and logits.shape == expected:
            if logits.dtype == jnp.float32:
                return logits
            if jnp.issubdtype(logits.dtype, jnp.floating):
                return logits.astype(jnp.float32)
        found = jax.tree.map(lambda leaf: f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}", logits)
        raise self._refusal(
            f"gives {found} for images {list(images.shape)}, not logits {list(expected)}, "
            "[example, class]"
        )

    def _check_variables(self, variables: Any) -> None:
        if more := sorted(variables.keys() - set(_KEPT)):
            raise self._refusal(f"has the variables {more}; only {list(_KEPT)} are kept")
        if not variables.get("params"):
            raise self._refusal("has no parameters to train")
        wrong = {str(leaf.dtype) for leaf in jax.tree.leaves(variables)} - {"float32"}
        if wrong:
            raise self._refusal(
                f"has parameters or batch statistics of type {min(wrong)}: they must be float32, "
                "whatever it computes in"
            )
        if "batch_stats" in variables and self.unheard:
            raise self._refusal(
                f"has batch statistics, but does not take {self.unheard[0]}, which this config "
                "needs: take it, and use churn_jax.models.layers.BatchNorm(norm_group, norm_axis)"
            )

    @contextlib.contextmanager
    def _drawing_nothing(self) -> Iterator[None]:
        """One line for a module that wants random numbers, as dropout does."""
        try:
            yield
        except flax.errors.InvalidRngError:
            raise self._refusal("draws random numbers (dropout?): a step gives it none") from None

    def _refusal(self, what: str) -> UserError:
        return UserError(f"config.model.name: {self.name!r} {what}")


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function, or a class when it is made, takes an argument of that name.

    What a `functools.partial` has fixed is taken no more.
    """
    if isinstance(function, functools.partial) and name in function.keywords:
        return False
    parameters = inspect.signature(function).parameters.values()
    return any(each.name == name or each.kind == each.VAR_KEYWORD for each in parameters)
