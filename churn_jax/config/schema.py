"""The schema: what a config may say. Durations are in epochs, as the paper writes them.

What one value may be stands beside it (`bounds`); what several may be together is `checking`'s.
"""

import dataclasses
from typing import Annotated, Any

from churn_jax import random_streams
from churn_jax.bounds import FromTo, OneOf, Positive, Rising, Within
from churn_jax.methods import averages as averages_lib
from churn_jax.methods.objectives import PREDICTIONS, Objective
from churn_jax.methods.optimizers import DECAYED, OPTIMIZERS
from churn_jax.methods.schedules import SCHEDULES

MAX_BATCH = 1 << 24
SAMPLES = ("all", "bootstrap", "bootstrap_members")
LOGS = ("tensorboard", "wandb", "mlflow")


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
    # A registered function of a key and one input; none.
    augment: str = "none"
    # Mixup: α of Beta(α, α), from which comes the share of each example in its mix with another,
    # pixels and labels alike; 0 mixes nothing.
    mixup: Annotated[float, Within(0, 1000)] = 0.0
    # bootstrap: each run trains on as many examples, drawn with return; bootstrap_members: each
    # member does, of all examples, and agrees with the others on all of theirs (twin bootstrap).
    sample: Annotated[str, OneOf(SAMPLES)] = "all"
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
    # Of mlp, transformer and one's own: units a layer, layers; 0 is the network's own choice.
    width: Annotated[int, Within(0, 65536)] = 0
    depth: Annotated[int, Within(0, 1000)] = 0
    dropout: Annotated[float, Within(0, 0.99)] = 0.0
    # Whether a ResNet's or transformer's blocks are computed again in the backward pass: less
    # memory, a third more arithmetic, the same numbers.
    remat: bool = False
    # Examples a batch-norm group; 0 normalises over the whole batch.
    norm_group: Annotated[int, Within(0)] = 0
    activation: Annotated[str, OneOf(("relu", "smelu"))] = "relu"  # see `models.activations`
    activation_width: Annotated[float, Positive()] = 1.0  # β of smelu


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """SGD with momentum and the step-wise schedule of Appendix A, or another of optax's."""

    name: Annotated[str, OneOf(OPTIMIZERS, "optimiser")] = "sgd"  # see `methods.optimizers`
    arguments: str = ""  # of optax's own, as b1=0.9,b2=0.98; the rest stays optax's default
    learning_rate: Annotated[float, Within(0)] = 0.1  # at the peak
    momentum: Annotated[float, Within(0, 1)] = 0.9  # of sgd, as is nesterov
    nesterov: bool = True
    # λ: L2 penalty ½·λ·‖w‖², added to the gradient before momentum; or, of adamw, lamb, lion and
    # others that have one, their own decay.
    weight_decay: Annotated[float, Within(0)] = 1e-4
    # Which weights decay: all, or kernels, so neither biases nor what batch norm scales and shifts.
    decayed: Annotated[str, OneOf(DECAYED)] = "all"
    # Parts that each batch is worked off in, one after another, to save memory.
    accumulate: Annotated[int, Within(1, 4096)] = 1
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
    # Which member of each run predicts: the first, or the one that has the fewest negative flips
    # against it on the validation split.
    choose: Annotated[str, OneOf(("first", "fewest_flips"))] = "first"

    @property
    def needs_weights(self) -> bool:
        """Whether its predictions of training examples don't do."""
        shares = (self.start_keep, self.weights_share, self.predictions_share)
        return max(shares) > 0 or self.choose != "first"


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
    # Where metrics go beside metrics.jsonl: tensorboard, wandb, mlflow. See `training.log_sinks`.
    log_to: Annotated[tuple[str, ...], OneOf(LOGS, "log")] = ()
    # The first and the last of the steps that a profiler traces, from 1; none.
    profile: Annotated[tuple[int, ...], FromTo()] = ()
    # Of JAX's profiler server, which XProf asks for traces; 0: none. See `training.profiling`.
    profile_port: Annotated[int, Within(0, 65535)] = 0
    log_distances: bool = False  # log how far the runs' weights are from those of the first run
    eval_batch_size: Annotated[int, Within(1, MAX_BATCH)] = 500
    deterministic: bool = False  # ask the backend for kernels that give the same bits every time

    @property
    def training_cost(self) -> int:
        """Networks trained for one run; with two gradients a step each counts twice."""
        return self.method.training_cost * (2 if self.optimizer.sam_radius else 1)

    @property
    def chooses(self) -> bool:
        """Whether the member of a run that predicts is chosen after training."""
        return self.previous.choose != "first" and not self.method.counts_mean

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


def to_dict(config: Any) -> dict[str, Any]:
    """A config as nested plain dicts, tuples kept."""
    return {
        field.name: to_dict(value) if dataclasses.is_dataclass(value) else value
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    }
