"""Time, memory and hours of a compiled step."""

import collections
import dataclasses
from typing import Any

import jax

from churn_jax.planner import collectives
from churn_jax.planner.chips import Chip
from churn_jax.planner.compiling import Compiled
from churn_jax.planner.program import Instruction, Program, Timed
from churn_jax.system import private_surfaces

# Hours of one run on TPUv3, as the paper has them: "within an hour", and "6 to 8".
PAPER_HOURS = {"cifar10": (0, 1), "cifar100": (0, 1), "imagenet": (6, 8)}

LEFT_OUT = (
    "The step time is the TPU compiler's own estimate, not a measurement; the few instructions it "
    "gives no time for are reckoned by their bytes. It leaves out the time of collectives (beside "
    "them stands what they would take alone, in one ring of the slice's links), the input "
    "pipeline, evaluation and checkpoints."
)


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes on one device while it trains: its share of state and data, and what a step needs."""

    state_and_data: int
    temporary: int
    program: int
    available: int

    @property
    def total(self) -> int:
        return self.state_and_data + self.temporary + self.program


@dataclasses.dataclass(frozen=True)
class CollectiveGroup:
    """Equal collectives of one step; `bytes` are of one result on one device.

    `seconds` are those of all of them, reckoned: the compiler gives none.
    """

    kind: str
    axes: tuple[str, ...]
    bytes: int
    count: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One step on one device, by the compiler; and all of training.

    Attributes:
      flops: that the mathematics needs.
      bytes: that the program's instructions read and write.
      step_seconds: the compiler's cycles at the chip's clock, and what is reckoned beside them.
      compute_seconds: `flops` at the peak.
      memory_seconds: `bytes` at the full bandwidth.
      seconds_by_kind: of the step: convolutions, elementwise, copies, reckoned.
      unknown: {custom call: how often a step runs it} of those whose time nobody knows.
      chip: what the figures of the chip are, for a person.
      hours: of the whole schedule of all runs of the config.
    """

    devices: int
    chips: int
    mesh: dict[str, int]
    pipeline: str
    memory: Memory
    flops: int
    bytes: int
    collectives: tuple[CollectiveGroup, ...]
    step_seconds: float
    compute_seconds: float
    memory_seconds: float
    seconds_by_kind: dict[str, float]
    unknown: dict[str, int]
    chip: str
    slowest: tuple[tuple[str, float], ...]
    total_steps: int
    hours: float

    @property
    def fraction_of_peak(self) -> float:
        return self.compute_seconds / self.step_seconds

    @property
    def limit_seconds(self) -> float:
        """The larger of the two limits."""
        return max(self.compute_seconds, self.memory_seconds)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON: seconds, bytes, hours, and fractions in [0, 1]."""
        return dataclasses.asdict(self) | {
            "memory": dataclasses.asdict(self.memory) | {"total": self.memory.total},
            "fraction_of_peak": self.fraction_of_peak,
            "limit_seconds": self.limit_seconds,
            "step_over_limit": self.step_seconds / self.limit_seconds,
            "left_out": LEFT_OUT,
        }


def estimate(compiled: Compiled, chip: Chip) -> Estimate:
    """What the compiler says of a step, beside what the chip could do."""
    experiment = compiled.experiment
    devices = list(experiment.mesh.devices.flat)
    cores = 1 + max(device.core_on_chip for device in devices)  # devices a chip
    program = Program(compiled.program.as_text() or "")
    timeline = program.timeline()
    seconds_by_kind: dict[str, float] = collections.defaultdict(float)
    for timed in timeline:
        seconds_by_kind[timed.kind] += timed.cycles * timed.times / chip.clock
    step_seconds = sum(seconds_by_kind.values())
    moved = sum(timed.bytes * timed.times for timed in timeline)
    return Estimate(
        devices=len(devices),
        chips=len({tuple(device.coords) for device in devices}),
        mesh=dict(experiment.mesh.shape),
        pipeline="resident" if compiled.resident else "streaming",
        memory=memory(compiled.program, chip.memory // cores),
        flops=compiled.flops,
        bytes=moved,
        # A chip's cores share its links.
        collectives=_collectives(program, experiment.mesh, chip.link / cores),
        step_seconds=step_seconds,
        compute_seconds=compiled.flops * cores / chip.flops,
        memory_seconds=moved * cores / chip.bandwidth,
        seconds_by_kind=dict(seconds_by_kind),
        unknown=program.unknown(),
        chip=_describe(chip, cores),
        slowest=_slowest(timeline, chip.clock),
        total_steps=experiment.total_steps,
        hours=experiment.total_steps * step_seconds / 3600,
    )


def memory(program: jax.stages.Compiled, available: int) -> Memory:
    """What a compiled step needs of `available` bytes; the donated state counts once."""
    stats: Any = program.memory_analysis()
    kept = stats.argument_size_in_bytes + stats.output_size_in_bytes - stats.alias_size_in_bytes
    return Memory(kept, stats.temp_size_in_bytes, stats.generated_code_size_in_bytes, available)


def _describe(chip: Chip, cores: int) -> str:
    clock = "" if chip.clock_is_published else ", which is what makes its peak: none is published"
    return (
        f"{cores} core{'s' if cores > 1 else ''}, {chip.flops / 1e12:.4g} TFLOP/s, "
        f"{chip.bandwidth / 1e9:.4g} GB/s to {chip.memory / 2**30:.4g} GiB, {chip.link / 1e9:.3g} "
        f"GB/s a link each way, {chip.clock / 1e9:.3g} GHz{clock}"
    )


def _collectives(
    program: Program, mesh: jax.sharding.Mesh, link: float
) -> tuple[CollectiveGroup, ...]:
    counts: collections.Counter[collectives.Collective] = collections.Counter()
    for instruction, times in program.executed():
        for found in collectives.collectives(_as_line(instruction), mesh):
            counts[found] += times
    groups = [
        CollectiveGroup(c.kind, c.axes, c.bytes, n, n * c.seconds(link)) for c, n in counts.items()
    ]
    return tuple(sorted(groups, key=lambda group: -group.bytes * group.count))


def _as_line(instruction: Instruction) -> str:
    return f"{instruction.name} = {instruction.shape} {instruction.opcode}({instruction.rest}"


def _slowest(timeline: list[Timed], clock: float, count: int = 10) -> tuple[tuple[str, float], ...]:
    """Where most of the time goes: (place in the program, seconds a step)."""
    seconds: dict[str, float] = collections.defaultdict(float)
    for timed in timeline:
        place = private_surfaces.CALLS.split(timed.source)[-1] or timed.name
        backward = "backward of " if "transpose(" in timed.source else ""
        seconds[f"{backward}{place} ({timed.kind})"] += timed.cycles * timed.times / clock
    return tuple(sorted(seconds.items(), key=lambda item: -item[1])[:count])
