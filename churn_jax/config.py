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
from typing import Annotated, Any

import ml_collections
from etils import epath

from churn_jax import bounds, random_streams
from churn_jax.bounds import OneOf, Positive, Rising, Within
from churn_jax.errors import UserError, suggest
from churn_jax.methods import averages as averages_lib
from churn_jax.methods.objectives import PREDICTIONS, Objective
from churn_jax.methods.schedules import SCHEDULES
from churn_jax.storage import workdir as workdir_files

MAX_BATCH = 1 << 24
LARGEST = 3e38  # about the largest float32, which numbers become


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which data, from where, and how training images are augmented."""

    name: str = "digits"
    dir: str = ""  # folder; unused by digits
    # Side length to resize to; 0 keeps the data set's own.
    image_size: Annotated[int, Within(0, 4096)] = 0
    # Train on this many examples of a fixed permutation; 0 is all.
    num_train: Annotated[int, Within(0)] = 0
    # Leave out so many at that permutation's start: another version replaces its examples.
    skip_train: Annotated[int, Within(0)] = 0
    # Of training examples, the share that has a wrong label; a larger share contains a smaller one.
    label_noise: Annotated[float, Within(0, 1)] = 0.0
    # Training examples held out, of that permutation's end.
    num_validation: Annotated[int, Within(0)] = 0
    # pad: zero-pad, then crop; resized: random area and aspect ratio.
    crop: Annotated[str, OneOf(("none", "pad", "resized"))] = "pad"
    crop_padding: Annotated[int, Within(0, 1024)] = 4  # pixels a side, for crop = pad
    flip: bool = True  # random left-right flip
    # Side of a square at a random place that is made black, in pixels; 0 is none.
    cutout: Annotated[int, Within(0, 4096)] = 0
    # bootstrap: each run trains on as many examples, drawn with return.
    sample: Annotated[str, OneOf(("all", "bootstrap"))] = "all"
    # auto: resident where the data fits in memory.
    pipeline: Annotated[str, OneOf(("auto", "resident", "streaming"))] = "auto"
    # Processes that read and decode, for the streaming pipeline.
    workers: Annotated[int, Within(0, 256)] = 0
    # What a damaged picture does.
    undecodable: Annotated[str, OneOf(("stop", "blank"))] = "stop"


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Which network, and in which precision it computes (parameters are always float32)."""

    name: str = "lenet5"
    # Of activations.
    dtype: Annotated[str, OneOf(("float32", "bfloat16"))] = "float32"
    # Examples a batch-norm group; 0 normalises over the whole batch.
    norm_group: Annotated[int, Within(0)] = 0
    activation: Annotated[str, OneOf(("relu", "smelu"))] = "relu"  # see `models.activations`
    activation_width: Annotated[float, Positive()] = 1.0  # β of smelu


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """SGD with momentum and the step-wise schedule of Appendix A."""

    learning_rate: Annotated[float, Within(0)] = 0.1  # at the peak
    momentum: Annotated[float, Within(0, 1)] = 0.9
    nesterov: bool = True
    # L2 penalty ½·λ·‖w‖², added to the gradient before momentum.
    weight_decay: Annotated[float, Within(0)] = 1e-4
    clip_norm: Annotated[float, Within(0)] = 0.0  # of each member's gradient; 0 does not clip
    # ρ of sharpness-aware steps, which cost a second gradient; 0 is none. See `methods.sharpness`.
    sam_radius: Annotated[float, Within(0)] = 0.0
    schedule: Annotated[str, OneOf(SCHEDULES)] = "stepped"  # see `methods.schedules`
    warmup_epochs: Annotated[float, Within(0)] = 0.0
    # Of training: every duration is in epochs or in percent.
    warmup_percent: Annotated[float, Within(0, 100)] = 0.0
    decay_epochs: Annotated[tuple[float, ...], Rising()] = ()
    decay_percent: Annotated[tuple[float, ...], Rising()] = ()
    decay_factor: Annotated[float, Within(0)] = 0.1
    cycles: Annotated[int, Within(1, 1000)] = 1  # of schedule = cycles, and of snapshots
    # Of schedule = constant: the last part, which goes to 0.
    tail_percent: Annotated[float, Within(0, 100)] = 0.0


@dataclasses.dataclass(frozen=True)
class AveragesConfig:
    """How weights are averaged, where `method.prediction` asks for it: see `methods.averages`."""

    decay: Annotated[float, Within(0, 1)] = 0.999  # of ema
    every: Annotated[int, Within(1)] = 1  # steps between updates of ema and swa
    # Of training, after which swa begins.
    start_percent: Annotated[float, Within(0, 100)] = 75.0


@dataclasses.dataclass(frozen=True)
class PreviousConfig:
    """The model that is updated: run r learns from its run r and no other.

    What learns from it how is `method.anchor`; here is what it is, and where training starts.
    """

    # Its workdir, or files of its predictions of the training examples: one, or one a run.
    source: str = ""
    # Which model of the workdir counts, where not the one that its own config says.
    prediction: Annotated[str, OneOf(("", *PREDICTIONS))] = ""
    # Training starts from start_keep · its weights + start_fresh · new ones.
    start_keep: Annotated[float, Within(0, 1)] = 0.0
    start_fresh: Annotated[float, Within(0, 1)] = 1.0
    # Its share in the weights that predict after training.
    weights_share: Annotated[float, Within(0, 1)] = 0.0
    # Its share in the probabilities that are predicted after training.
    predictions_share: Annotated[float, Within(0, 1)] = 0.0

    @property
    def needs_weights(self) -> bool:
        """Whether its predictions of training examples don't do."""
        return self.start_keep > 0 or self.weights_share > 0 or self.predictions_share > 0


@dataclasses.dataclass(frozen=True)
class RandomnessConfig:
    """Which random streams differ between runs; the others are held at run 0's."""

    vary: Annotated[tuple[str, ...], OneOf(tuple(random_streams.STREAMS), "stream")] = tuple(
        random_streams.STREAMS
    )
    # one_ulp: moves one weight of every run but run 0 by one ulp.
    perturb: Annotated[str, OneOf(("none", "one_ulp"))] = "none"


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Devices along each axis of the mesh; 0 leaves the choice to `sharding.choose_mesh_shape`."""

    run: Annotated[int, Within(0)] = 0
    member: Annotated[int, Within(0)] = 0
    data: Annotated[int, Within(0)] = 0


@dataclasses.dataclass(frozen=True)
class Config:
    """One experiment: `runs` independent trainings of one method."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    method: Objective = dataclasses.field(default_factory=Objective)
    optimizer: OptimizerConfig = OptimizerConfig()
    averages: AveragesConfig = AveragesConfig()
    previous: PreviousConfig = PreviousConfig()
    randomness: RandomnessConfig = RandomnessConfig()
    mesh: MeshConfig = MeshConfig()
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    runs: Annotated[int, Within(1)] = 10
    # Index of the first run, so that runs can be spread over machines.
    first_run: Annotated[int, Within(0, 2**31 - 1)] = 0
    batch_size: Annotated[int, Within(1, MAX_BATCH)] = 128
    epochs: Annotated[float, Positive()] = 10.0
    # Epochs between evaluations; 0 evaluates at the end only.
    eval_every: Annotated[float, Within(0)] = 0.0
    # Epochs between checkpoints; 0 writes the last only.
    checkpoint_every: Annotated[float, Within(0)] = 0.0
    keep_checkpoints: Annotated[int, Within(1)] = 3
    log_every: Annotated[int, Within(1)] = 50  # steps between log lines
    # Continue | stop: the other runs, when one isn't finite.
    on_failed_run: Annotated[str, OneOf(("continue", "stop"))] = "continue"
    log_distances: bool = False  # log how far the runs' weights are from those of the first run
    eval_batch_size: Annotated[int, Within(1, MAX_BATCH)] = 500
    deterministic: bool = False  # ask the backend for kernels that give the same bits every time

    @property
    def training_cost(self) -> int:
        """Networks trained for one run; with two gradients a step each counts twice."""
        return self.method.training_cost * (2 if self.optimizer.sam_radius else 1)

    @property
    def inference_cost(self) -> int:
        """Networks that a prediction asks: of the members that count, each of their snapshots.

        Where the previous model's probabilities have a share, it is asked too.
        """
        copies = averages_lib.count(self.method.averages, self.optimizer.cycles)
        previous = 1 if self.previous.predictions_share else 0
        return self.method.inference_cost * max(copies, 1) + previous


# What lasts so many epochs or so many percent of training: (group, name without the unit).
DURATIONS = (
    *(("optimizer", "warmup"), ("optimizer", "decay")),
    *(("method", "alpha_ramp"), ("method", "beta_ramp"), ("method", "gamma_ramp")),
)

# What does not change the mathematics of a run: left out of the hash that makes runs one group.
NOT_HASHED = {
    "mesh", "runs", "first_run", "eval_every", "checkpoint_every", "keep_checkpoints", "log_every",
    "log_distances", "on_failed_run", "eval_batch_size",
    "data.dir", "data.pipeline", "data.workers", "data.undecodable",
    "method.teachers",  # a place; `teachers.load` sees to it that the config decides what is there
    "previous.source",  # a place; its fingerprint is in the provenance
}  # fmt: skip

# Came after the first results, whose hashes stay what they are: hashed unless at these values.
HASHED_UNLESS: dict[str, Any] = {
    "randomness.perturb": "none",
    "deterministic": False,
    "model.activation": "relu",
    "model.activation_width": 1.0,
    "data.sample": "all",
    "data.cutout": 0,
    "data.skip_train": 0,
    "data.label_noise": 0.0,
    "optimizer.sam_radius": 0.0,
    "optimizer.schedule": "stepped",
    "optimizer.warmup_percent": 0.0,
    "optimizer.decay_percent": (),
    "optimizer.cycles": 1,
    "optimizer.tail_percent": 0.0,
    "averages.decay": 0.999,
    "averages.every": 1,
    "averages.start_percent": 75.0,
    "method.label_smoothing": 0.0,
    "method.agree_with": "pairs",
    "method.alpha_ramp_percent": 0.0,
    "method.beta_ramp_percent": 0.0,
    "previous.prediction": "",
    "previous.start_keep": 0.0,
    "previous.start_fresh": 1.0,
    "previous.weights_share": 0.0,
    "previous.predictions_share": 0.0,
    "method.anchor": "none",
    "method.gamma": 0.0,
    "method.gamma_ramp": "constant",
    "method.gamma_ramp_epochs": 0.0,
    "method.gamma_ramp_percent": 0.0,
    "method.anchor_temperature": 1.0,
    "method.anchor_focus": 5.0,
    "method.anchor_wrong": 1.0,
    "method.anchor_margin": 0.5,
    "method.anchor_power": 2.0,
    "method.anchor_top_k": 10,
}


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
    config.method.check()
    _check_previous(config)


def _check_previous(config: Config) -> None:
    """Refuses what needs a previous model where none is named."""
    previous = config.previous
    if previous.source:
        return
    asking = {"method.anchor": config.method.anchored}
    asking |= {
        f"previous.{key}": getattr(previous, key) > 0
        for key in ("start_keep", "weights_share", "predictions_share")
    }
    for key, asks in asking.items():
        if asks:
            raise UserError(
                f"config.{key}: needs the model that is updated: set config.previous.source to its "
                "workdir or to its predictions of the training examples"
            )


def _check_units(config: Config) -> None:
    """Refuses a duration that is given in epochs and in percent of training."""
    for group, name in DURATIONS:
        settings = getattr(config, group)
        if getattr(settings, f"{name}_epochs") and getattr(settings, f"{name}_percent"):
            raise UserError(
                f"config.{group}.{name}_percent: config.{group}.{name}_epochs says it too; set one "
                "of them to nothing"
            )


def read(workdir: epath.PathLike) -> Config:
    """The config that a workdir was made by.

    Raises:
      UserError: there is none, or it is damaged.
    """
    return check(workdir_files.read_config(workdir))


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested plain dicts, tuples kept."""
    return {
        field.name: to_dict(value) if dataclasses.is_dataclass(value) else value
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    }


def varied(config: Config) -> tuple[str, ...]:
    """The streams that differ between runs: without `sample` where all train on all examples."""
    drawn = set(config.randomness.vary) - ({"sample"} if config.data.sample == "all" else set())
    return tuple(stream for stream in config.randomness.vary if stream in drawn)


def flatten(config: Config) -> dict[str, Any]:
    """A config as {dotted key: value}, of which `randomness.vary` names only what is drawn."""
    flat: dict[str, Any] = {}

    def visit(tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                visit(value, f"{prefix}{key}.")
            else:
                flat[prefix + key] = value

    visit(to_dict(config), "")
    return flat | {"randomness.vary": varied(config)}


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
