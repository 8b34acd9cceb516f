"""A network for one data set, behind two functions, and what is asked of anybody's network.

Whatever a network gets wrong is refused while its programs are made, which costs nothing: shapes
and types are known before anything is computed.
"""

import contextlib
import dataclasses
import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax.errors
import jax
import jax.numpy as jnp

from churn_jax.errors import UserError
from churn_jax.models.networks import KEPT, Network, Variables


@dataclasses.dataclass(frozen=True)
class Model:
    """A network for one input shape and number of classes.

    Attributes:
      name: what the config calls it.
      network: maps inputs [example, …] to logits.
      image_shape: of one input, whatever it is: (height, width, channels), (features,), (tokens,).
      num_classes: length of the logits.
      input_dtype: of what the network is given: float32, or int32 for tokens.
      unheard: settings that the config or the mesh needs heeded where there is a batch norm, and
        that the network does not take.
      file: that registered it; None for the package's own, whose faults are bugs.
    """

    name: str
    network: Network
    image_shape: tuple[int, ...]
    num_classes: int
    input_dtype: str = "float32"
    unheard: tuple[str, ...] = ()
    file: str | None = None

    def init(self, key: jax.Array) -> Variables:
        """Fresh variables: {'params', 'batch_stats'}, all float32.

        Raises:
          UserError: the network's logits or variables are not what training needs.
        """
        inputs = jnp.zeros((1, *self.image_shape), self.input_dtype)
        with self._named():
            logits, variables = self.network.init(key, inputs)
        self._check_logits(logits, inputs)
        self._check_variables(variables)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    def draws(self, examples: int) -> bool:
        """Whether the network draws random numbers in training, as dropout does.

        `examples` are a device's of each batch. Asked inside `shard_map`, as `apply` is.
        """
        variables = jax.eval_shape(self.init, jax.random.key(0))
        inputs = jax.ShapeDtypeStruct((examples, *self.image_shape), self.input_dtype)
        with self._named():
            return self.network.draws(inputs, variables)

    def apply(
        self,
        variables: Variables,
        images: jax.Array,
        train: bool,
        keys: jax.Array | None = None,
    ) -> tuple[jax.Array, Variables]:
        """Logits, float32 [example, class], and the batch statistics after this batch.

        With `train`, batch norm uses the batch's statistics and updates the running ones; without,
        it uses the running ones, which come back unchanged.

        Args:
          variables: of `init`.
          images: float32 or int32 [example, …], normalised.
          train: whether this is training.
          keys: [example], what each example's random numbers come from, for a network that `draws`.
            So they depend on nothing beside it; but where there are batch statistics, which all
            examples make, all are drawn from the first key.
        """
        stats = variables["batch_stats"]
        with self._named():
            if not train or keys is None:
                logits, updated = self.network.apply(variables, images, train, None)
            elif jax.tree.leaves(stats):
                logits, updated = self.network.apply(variables, images, True, keys[0])
            else:
                alone = functools.partial(self._alone, variables)
                logits, updated = jax.vmap(alone)(images, keys), stats
        return self._check_logits(logits, images), updated

    def _alone(self, variables: Variables, image: jax.Array, key: jax.Array) -> jax.Array:
        logits, _ = self.network.apply(variables, image[None], True, key)
        return self._check_logits(logits, image[None])[0]

    def _check_logits(self, logits: Any, images: jax.Array) -> jax.Array:
        expected = (images.shape[0], self.num_classes)
        if isinstance(logits, jax.Array) and logits.shape == expected:
            if logits.dtype == jnp.float32:
                return logits
            if jnp.issubdtype(logits.dtype, jnp.floating):
                return logits.astype(jnp.float32)
        found = jax.tree.map(lambda leaf: f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}", logits)
        raise self._refusal(
            f"gives {found} for {'images' if images.ndim == 4 else 'inputs'} "
            f"{list(images.shape)}, not logits {list(expected)}, [example, class]"
        )

    def _check_variables(self, variables: Any) -> None:
        if more := sorted(variables.keys() - set(KEPT)):
            raise self._refusal(f"has the variables {more}; only {list(KEPT)} are kept")
        if not jax.tree.leaves(variables.get("params")):
            raise self._refusal("has no parameters to train")
        wrong = {str(jnp.result_type(leaf)) for leaf in jax.tree.leaves(variables)} - {"float32"}
        if wrong:
            raise self._refusal(
                f"has parameters or batch statistics of type {min(wrong)}: they must be float32, "
                "whatever it computes in"
            )
        if jax.tree.leaves(variables.get("batch_stats")) and self.unheard:
            raise self._refusal(
                f"has batch statistics, but does not take {self.unheard[0]}, which this config "
                "needs: take it, and use churn_jax.models.layers.BatchNorm(norm_group, norm_axis)"
            )

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Adds the model's name to what its network is refused for."""
        try:
            yield
        except flax.errors.InvalidRngError:
            raise self._refusal(
                "draws random numbers to predict: it may in training alone (take `train`)"
            ) from None
        except UserError as error:
            if str(error).startswith("config."):
                raise
            raise self._refusal(str(error)) from None
        except Exception as error:
            if self.file is None:
                raise
            raise self._refusal(_of_own_code(error, self.file)) from error

    def _refusal(self, what: str) -> UserError:
        return UserError(f"config.model.name: {self.name!r} {what}")


def _of_own_code(error: Exception, file: str) -> str:
    """What a network of one's own raises, with the line of its file that it comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == Path(file)]
    where = f" ({Path(file).name}, line {lines[-1]})" if lines else ""
    first = (str(error).splitlines() or [""])[0]
    return f"raises {type(error).__name__}: {first}{where}"


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function, or a class when it is made, takes an argument of that name.

    What a `functools.partial` has fixed is taken no more.
    """
    if isinstance(function, functools.partial):
        return name not in function.keywords and takes(function.func, name)
    # Not of the class itself: NNX's metaclass says that it takes anything.
    made_by = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    parameters = inspect.signature(made_by).parameters.values()
    return any(each.name == name or each.kind == each.VAR_KEYWORD for each in parameters)
