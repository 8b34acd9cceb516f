"""The schema: what a config may say, checked before anything is compiled.

A config file hands over an `ml_collections.ConfigDict`; `check` turns it into the frozen, typed
`Config` that the rest of the package reads. A wrong key or value is refused in one line that names
it and the nearest right thing. Durations are in epochs, as the paper writes them.
"""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

import ml_collections

from churn_jax import random_streams
from churn_jax.errors import UserError, suggest
from churn_jax.methods.objectives import Objective

MAX_BATCH = 1 << 24
LARGEST = 3e38  # about the largest float32, which numbers become


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, from where, and how training images are augmented."""

    name: str = "digits"
    dir: str = ""  # folder or gs:// path; unused by digits
    image_size: int = 0  # side length to resize to; 0 keeps the data set's own
    num_train: int = 0  # train on this many examples of a fixed permutation; 0 is all
    num_validation: int = 0  # training examples held out, of that permutation's end
    crop: str = "pad"  # none | pad (zero-pad, then crop) | resized (random area and aspect ratio)
    crop_padding: int = 4  # pixels a side, for crop = pad
    flip: bool = True  # random left-right flip
    pipeline: str = "auto"  # resident | streaming | auto: resident where the data fits in memory
    workers: int = 0  # processes that read and decode, for the streaming pipeline
    undecodable: str = "stop"  # stop | blank: what a damaged picture does


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which network, and in which precision it computes (parameters are always float32)."""

    name: str = "lenet5"
    dtype: str = "float32"  # float32 | bfloat16, of activations
    norm_group: int = 0  # examples a batch-norm group; 0 normalises over the whole batch


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """SGD with momentum and the step-wise schedule of Appendix A."""

    learning_rate: float = 0.1  # at the peak
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4  # L2 penalty ½·λ·‖w‖², added to the gradient before momentum
    clip_norm: float = 0.0  # of each member's gradient; 0 does not clip
    warmup_epochs: float = 0.0
    decay_epochs: tuple[float, ...] = ()
    decay_factor: float = 0.1


@dataclasses.dataclass(frozen=True)
class RandomnessConfig:
    """Which random streams differ between runs; the others are held at run 0's."""

    vary: tuple[str, ...] = tuple(random_streams.STREAMS)
    perturb: str = "none"  # none | one_ulp: moves one weight of every run but run 0 by one ulp


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Devices along each axis of the mesh; 0 leaves the choice to `sharding.choose_mesh_shape`."""

    run: int = 0
    member: int = 0
    data: int = 0


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment: `runs` independent trainings of one method."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    method: Objective = dataclasses.field(default_factory=Objective)
    optimizer: OptimizerConfig = OptimizerConfig()
    randomness: RandomnessConfig = RandomnessConfig()
    mesh: MeshConfig = MeshConfig()
    seed: int = 0
    runs: int = 10
    first_run: int = 0  # index of the first run, so that runs can be spread over machines
    batch_size: int = 128
    epochs: float = 10.0
    eval_every: float = 0.0  # epochs between evaluations; 0 evaluates at the end only
    checkpoint_every: float = 0.0  # epochs between checkpoints; 0 writes the last only
    keep_checkpoints: int = 3
    log_every: int = 50  # steps between log lines
    on_failed_run: str = "continue"  # continue | stop: the other runs, when one isn't finite
    log_distances: bool = False  # log how far the runs' weights are from those of the first run
    eval_batch_size: int = 500
    deterministic: bool = False  # ask the backend for kernels that give the same bits every time


# What does not change the mathematics of a run: left out of the hash that makes runs one group.
NOT_HASHED = {
    "mesh", "runs", "first_run", "eval_every", "checkpoint_every", "keep_checkpoints", "log_every",
    "log_distances", "on_failed_run", "eval_batch_size",
    "data.dir", "data.pipeline", "data.workers", "data.undecodable",
    "method.teachers",  # a place; `teachers.load` sees to it that the config decides what is there
}  # fmt: skip

# Came after the first results, whose hashes stay what they are: hashed unless at these values.
HASHED_UNLESS = {"randomness.perturb": "none", "deterministic": False}

CHOICES = {
    "data.crop": ("none", "pad", "resized"),
    "data.pipeline": ("auto", "resident", "streaming"),
    "data.undecodable": ("stop", "blank"),
    "model.dtype": ("float32", "bfloat16"),
    "on_failed_run": ("continue", "stop"),
    "randomness.perturb": ("none", "one_ulp"),
}

# Inclusive bounds; None is open. Everything numeric must be finite as well.
BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "data.image_size": (0, 4096),
    "data.num_train": (0, None),
    "data.num_validation": (0, None),
    "data.crop_padding": (0, 1024),
    "data.workers": (0, 256),
    "model.norm_group": (0, None),
    "optimizer.learning_rate": (0, None),
    "optimizer.momentum": (0, 1),
    "optimizer.weight_decay": (0, None),
    "optimizer.clip_norm": (0, None),
    "optimizer.warmup_epochs": (0, None),
    "optimizer.decay_factor": (0, None),
    "mesh.run": (0, None),
    "mesh.member": (0, None),
    "mesh.data": (0, None),
    "seed": (0, 2**32 - 1),
    "runs": (1, None),
    "first_run": (0, 2**31 - 1),
    "batch_size": (1, MAX_BATCH),
    "eval_every": (0, None),
    "checkpoint_every": (0, None),
    "keep_checkpoints": (1, None),
    "method.members": (1, 128),
    "method.num_teachers": (1, 128),
    "log_every": (1, None),
    "eval_batch_size": (1, MAX_BATCH),
}


def default() -> ml_collections.ConfigDict:
    """Every key with its default, as the ConfigDict that config files start from."""
    return ml_collections.ConfigDict(to_dict(Config()))


def check(config: Mapping[str, Any] | ml_collections.ConfigDict) -> Config:
    """The typed config, or a `UserError` that names the first wrong key or value."""
    if isinstance(config, ml_collections.ConfigDict):
        config = config.to_dict()
    checked = _build(Config, config, "")
    for path, choices in CHOICES.items():
        value = _get(checked, path)
        if value not in choices:
            raise UserError(f"config.{path}: unknown value {value!r}{suggest(str(value), choices)}")
    for path, (low, high) in BOUNDS.items():
        value = _get(checked, path)
        if (low is not None and value < low) or (high is not None and value > high):
            raise UserError(f"config.{path}: {value} is outside [{low}, {high if high else '…'}]")
    for stream in checked.randomness.vary:
        if stream not in random_streams.STREAMS:
            raise UserError(
                f"config.randomness.vary: unknown stream {stream!r}"
                f"{suggest(stream, random_streams.STREAMS)}"
            )
    if checked.epochs <= 0:
        raise UserError(f"config.epochs: {checked.epochs} is not positive")
    if checked.first_run + checked.runs > 2**31:
        raise UserError(
            f"config.runs: runs {checked.first_run} to {checked.first_run + checked.runs - 1} have "
            "indices beyond 2³¹ − 1"
        )
    decays = checked.optimizer.decay_epochs
    if any(epoch < 0 for epoch in decays) or list(decays) != sorted(set(decays)):
        raise UserError(
            f"config.optimizer.decay_epochs: {decays} is not a rising sequence of epochs from 0 on"
        )
    _check_texts(checked)
    checked.method.check()
    return checked


def _check_texts(config: Config) -> None:
    """Refuses text that no path or table can hold."""
    for path, value in flatten(config).items():
        if isinstance(value, str) and "\0" in value:
            raise UserError(f"config.{path}: {value!r} holds a zero byte")
    label = config.method.label
    if not label or len(label) > 100 or not label.isprintable() or "/" in label:
        raise UserError(
            f"config.method.label: {label[:110]!r} is not a name: 1 to 100 characters on one line, "
            "none of them a slash"
        )


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested plain dicts, tuples kept."""
    return {
        field.name: to_dict(value) if dataclasses.is_dataclass(value) else value
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    }


def flatten(config: Config) -> dict[str, Any]:
    """A config as {dotted key: value}."""
    flat: dict[str, Any] = {}

    def visit(tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                visit(value, f"{prefix}{key}.")
            else:
                flat[prefix + key] = value

    visit(to_dict(config), "")
    return flat


def config_hash(config: Config) -> str:
    """16 hex digits over all that decides a run's mathematics; equal for runs of one group."""
    relevant = {
        key: value
        for key, value in flatten(config).items()
        if key not in NOT_HASHED and key.split(".")[0] not in NOT_HASHED
        if key not in HASHED_UNLESS or value != HASHED_UNLESS[key]
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def differences(ours: Config, theirs: Config) -> str:
    """`key: theirs -> ours` for what changes the runs, joined by commas; empty if equal."""
    a, b = flatten(theirs), flatten(ours)
    return ", ".join(
        f"{key}: {a[key]!r} -> {b[key]!r}"
        for key in b
        if a[key] != b[key] and key not in NOT_HASHED - {"runs", "first_run"}
        and key.split(".")[0] not in NOT_HASHED - {"runs", "first_run"}
    )  # fmt: skip


def _get(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


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
    if hint is float and abs(value) > LARGEST:
        raise UserError(f"config.{path}: {value} is too large for 32 bits")
    return value
