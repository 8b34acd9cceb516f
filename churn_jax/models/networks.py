"""The forms that anybody's network may have, each behind the same two functions.

    init(key, inputs) -> logits, variables
    apply(variables, inputs, train, key) -> logits, batch statistics

Variables are {'params', 'batch_stats'} and nothing else. `key` is what the network may draw from in
training, None where it is given nothing to draw from.
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import flax.errors
import flax.linen as nn
import jax
from flax import nnx

from churn_jax.errors import UserError

Variables = dict[str, Any]
KEPT = ("params", "batch_stats")


class Network(Protocol):
    """What `Model` asks of a network, whichever library it is of."""

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[Any, Variables]:
        """Logits of `inputs` and fresh variables."""

    def apply(
        self, variables: Variables, inputs: jax.Array, train: bool, key: jax.Array | None
    ) -> tuple[Any, Any]:
        """Logits, and the batch statistics after this batch."""

    def draws(self, inputs: jax.ShapeDtypeStruct, variables: Variables) -> bool:
        """Whether it draws random numbers in training, as dropout does."""


@dataclasses.dataclass(frozen=True)
class Linen:
    """A Flax Linen module, called with inputs and, if it takes it, `train`."""

    module: nn.Module

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[Any, Variables]:
        logits, variables = self.module.init_with_output(key, inputs, **self._mode(False))
        return logits, dict(variables)

    def apply(
        self, variables: Variables, inputs: jax.Array, train: bool, key: jax.Array | None
    ) -> tuple[Any, Any]:
        if not train:
            return self.module.apply(variables, inputs, **self._mode(False)), variables[
                "batch_stats"
            ]
        # Whatever it calls its streams: one that is not named draws from that of the parameters.
        rngs = {} if key is None else {"params": jax.random.fold_in(key, 1), "dropout": key}
        logits, updated = self.module.apply(
            variables, inputs, **self._mode(True), mutable=["batch_stats"], rngs=rngs
        )
        return logits, updated.get("batch_stats", {})

    def draws(self, inputs: jax.ShapeDtypeStruct, variables: Variables) -> bool:
        def train(variables: Variables, inputs: jax.Array) -> Any:
            return self.apply(variables, inputs, True, None)

        try:
            jax.eval_shape(train, variables, inputs)
        except flax.errors.InvalidRngError:
            return True
        return False

    def _mode(self, train: bool) -> dict[str, Any]:
        return _mode(type(self.module).__call__, train, skip=2)


@dataclasses.dataclass(frozen=True)
class Nnx:
    """A Flax NNX module, made by a function of its random numbers.

    It is made anew in every program and its parameters and batch statistics are put in, so that
    what is trained is plain nested dicts, as Linen's are.
    """

    make: Callable[[nnx.Rngs], nnx.Module]

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[Any, Variables]:
        module = self.make(nnx.Rngs(key))
        variables = _parts(module)
        module.eval()
        return self._call(module, inputs, False), variables

    def apply(
        self, variables: Variables, inputs: jax.Array, train: bool, key: jax.Array | None
    ) -> tuple[Any, Any]:
        module = self.make(nnx.Rngs(jax.random.key(0) if key is None else key))
        nnx.update(module, variables["params"])
        if variables["batch_stats"]:
            nnx.update(module, variables["batch_stats"])
        (module.train if train else module.eval)()
        logits = self._call(module, inputs, train)
        return logits, _parts(module)["batch_stats"] if train else variables["batch_stats"]

    def draws(self, inputs: jax.ShapeDtypeStruct, variables: Variables) -> bool:
        del inputs, variables
        found = nnx.eval_shape(lambda: nnx.state(self.make(nnx.Rngs(0)), nnx.RngState))
        return bool(jax.tree.leaves(found))

    def _call(self, module: nnx.Module, inputs: jax.Array, train: bool) -> Any:
        return module(inputs, **_mode(type(module).__call__, train, skip=2))  # type: ignore[operator]


@dataclasses.dataclass(frozen=True)
class Functions:
    """A pair of plain functions.

    init(key) gives the parameters, any tree of float32 arrays; or {'params', 'batch_stats'}.
    apply(of init, inputs) gives logits and, where there are batch statistics and `train`, those
    after this batch beside them. It may take `train` and `key`.
    """

    make: Callable[[jax.Array], Any]
    call: Callable[..., Any]

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[Any, Variables]:
        variables = self._variables(self.make(key))
        return self.apply(variables, inputs, False, None)[0], variables

    def apply(
        self, variables: Variables, inputs: jax.Array, train: bool, key: jax.Array | None
    ) -> tuple[Any, Any]:
        before = variables["batch_stats"]
        options = _mode(self.call, train, skip=2, also=("key",))
        if "key" in inspect.signature(self.call).parameters:
            options["key"] = key
        made = self.call(variables if before else variables["params"], inputs, **options)
        if before and train:
            if not (isinstance(made, tuple) and len(made) == 2):
                raise UserError("gives no (logits, batch statistics) in training")
            return made
        return made, before

    def draws(self, inputs: jax.ShapeDtypeStruct, variables: Variables) -> bool:
        del inputs, variables
        return "key" in inspect.signature(self.call).parameters

    def _variables(self, made: Any) -> Variables:
        if isinstance(made, dict) and made.keys() == set(KEPT):
            return made
        return {"params": made, "batch_stats": {}}


def _parts(module: nnx.Module) -> Variables:
    """An NNX module's parameters and batch statistics, as nested dicts of arrays."""
    parts: Any = nnx.split(module, nnx.Param, nnx.BatchStat, nnx.RngState, ...)
    params, stats, _, other = parts[1:]
    if leaves := nnx.to_flat_state(other):
        kinds = sorted({type(leaf).__name__ for _, leaf in leaves})
        raise UserError(f"has variables of type {kinds[0]}; only Param and BatchStat are kept")
    return {"params": nnx.to_pure_dict(params), "batch_stats": nnx.to_pure_dict(stats)}


def _mode(
    call: Callable[..., Any], train: bool, skip: int, also: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What a call takes beside its first `skip` arguments: `train`, or nothing.

    Raises:
      UserError: it wants something else. The line has yet to say which model.
    """
    more = list(inspect.signature(call).parameters.values())[skip:]
    for each in more:
        optional = (
            each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) or each.default is not each.empty
        )
        if each.name not in ("train", *also) and not optional:
            raise UserError(
                f"wants {each.name!r} beside images: it may take "
                f"{', '.join(f'`{name}`' for name in ('train', *also))}, no more"
            )
    return {"train": train} if "train" in [each.name for each in more] else {}
