"""From a `ConfigDict` or plain dicts to the frozen, typed `Config`, everything checked."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

import ml_collections

from churn_jax import bounds
from churn_jax.config.schema import DURATIONS, Config, to_dict
from churn_jax.errors import UserError, suggest
from churn_jax.methods import optimizers

_LARGEST = 3e38  # about the largest float32, which numbers become


def default() -> ml_collections.ConfigDict:
    """Every key with its default, as the ConfigDict that config files start from."""
    return ml_collections.ConfigDict(to_dict(Config()))


def check(config: Mapping[str, Any] | ml_collections.ConfigDict) -> Config:
    """The typed config, or a `UserError` that names the first wrong key or value."""
    if isinstance(config, ml_collections.ConfigDict):
        config = config.to_dict()
    checked = _build(Config, config, "")
    check_values(checked)
    return checked


def check_values(config: Config) -> None:
    """Raises a `UserError` that names the first value that no config can have."""
    bounds.check(config)
    if config.first_run + config.runs > 2**31:
        raise UserError(
            f"config.runs: runs {config.first_run} to {config.first_run + config.runs - 1} have "
            "indices beyond 2³¹ − 1"
        )
    _check_units(config)
    if config.data.cutout and config.data.crop == "resized":
        raise UserError(
            "config.data.cutout: works with config.data.crop='pad' and 'none', not with 'resized'"
        )
    if config.data.mixup and config.method.anchored:
        raise UserError(
            "config.data.mixup: the previous model has no prediction of a mix, to which "
            f"config.method.anchor={config.method.anchor!r} would hold it; do without one of them"
        )
    if config.data.sample == "bootstrap_members":
        _check_member_samples(config)
    if config.data.sample != "all" and config.method.anchor == "neighbours":
        raise UserError(
            f"config.method.anchor: 'neighbours' would tell labels that are not in the sample of "
            f"config.data.sample={config.data.sample!r}; set it to 'all'"
        )
    config.method.check()
    optimizers.check(config.optimizer.name, config.optimizer.arguments, config.optimizer.decayed)
    _check_previous(config)


def _check_member_samples(config: Config) -> None:
    """Refuses samples of members where there is one, and mixes of what not all of them have."""
    if config.method.members < 2:
        raise UserError(
            "config.data.sample: 'bootstrap_members' is for config.method.members of 2 or more; "
            "'bootstrap' draws one sample a run"
        )
    if config.data.mixup:
        raise UserError(
            "config.data.mixup: would show a member of config.data.sample='bootstrap_members' "
            "examples that are not in its sample; 'bootstrap', one sample a run, mixes its own"
        )


def _check_previous(config: Config) -> None:
    """Refuses what needs a previous model where none is named, and choices without a choice."""
    previous = config.previous
    if previous.choose != "first":
        _check_choice(config)
    if previous.source:
        return
    asking = {"method.anchor": config.method.anchored}
    asking |= {
        f"previous.{key}": getattr(previous, key) > 0
        for key in ("start_keep", "weights_share", "predictions_share")
    }
    asking["previous.choose"] = previous.choose != "first"
    for key, asks in asking.items():
        if asks:
            raise UserError(
                f"config.{key}: needs the model that is updated: set config.previous.source to its "
                "workdir or to its predictions of the training examples"
            )


def _check_choice(config: Config) -> None:
    """Refuses a choice among members where there are none, or nothing to choose by."""
    key, method = f"config.previous.choose={config.previous.choose!r}", config.method
    if method.members < 2:
        raise UserError(f"{key}: there is one member to choose from; set config.method.members")
    if method.counts_mean:
        raise UserError(
            f"{key}: config.method.prediction={method.prediction!r} counts all members; "
            "'first' counts the chosen one"
        )
    if config.previous.predictions_share:
        raise UserError(
            f"{key}: it is made among networks, and config.previous.predictions_share mixes what "
            "they predict; set one of the two"
        )
    if not config.data.num_validation:
        raise UserError(f"{key}: it is made on a validation split; set config.data.num_validation")


def _check_units(config: Config) -> None:
    """Refuses a duration that is given in epochs and in percent of training."""
    for group, name in DURATIONS:
        settings = getattr(config, group)
        if getattr(settings, f"{name}_epochs") and getattr(settings, f"{name}_percent"):
            raise UserError(
                f"config.{group}.{name}_percent: config.{group}.{name}_epochs says it too; set one "
                "of them to nothing"
            )


def _build(cls: type, values: Mapping[str, Any], prefix: str) -> Any:
    """An instance of the dataclass `cls` from `values`, every key and type checked."""
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise UserError(f"config.{prefix}{key}: no such key{suggest(key, hints)}")
    built = {}
    for key, value in values.items():
        hint, path = hints[key], f"{prefix}{key}"
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise UserError(f"config.{path}: {value!r} is not a group of keys")
            built[key] = _build(typing.cast(type, hint), value, f"{path}.")
        else:
            built[key] = _convert(hint, value, path)
    return cls(**built)


def _convert(hint: Any, value: Any, path: str) -> Any:
    """`value` as the type `hint`; JSON's lists become tuples and whole numbers floats."""
    if isinstance(hint, types.GenericAlias):  # tuple[X, ...]
        if not isinstance(value, list | tuple):
            raise UserError(f"config.{path}: {value!r} is not a tuple")
        return tuple(_convert(hint.__args__[0], item, path) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else math.inf
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"config.{path}: {value!r} is not of type {hint.__name__}")
    if hint is float and not math.isfinite(value):
        raise UserError(f"config.{path}: {value} is not finite")
    if hint is float and abs(value) > _LARGEST:
        raise UserError(f"config.{path}: {value} is too large for 32 bits")
    return value
