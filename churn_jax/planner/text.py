"""An estimate for a person."""

import math

from churn_jax.config import Config
from churn_jax.planner.chips import GIB
from churn_jax.planner.estimate import LEFT_OUT, PAPER_HOURS, CollectiveGroup, Estimate


def describe(estimate: Estimate, config: Config, topology: str) -> str:
    """A table of one figure a line, and a sentence on what it leaves out."""
    models = f"{config.runs} runs × {config.method.members} members of {config.model.name}"
    rows = [
        ("config", f"{config.method.label}: {models} on {config.data.name}"),
        ("slice", f"{topology}: {estimate.chips} chips, {estimate.devices} cores"),
        ("chip", estimate.chip),
        ("mesh", " × ".join(f"{name} {size}" for name, size in estimate.mesh.items())),
        ("data", f"{estimate.pipeline} pipeline, batches of {config.batch_size}"),
        ("memory a core", _memory(estimate)),
        ("arithmetic a core", f"{estimate.flops / 1e12:.3g} TFLOP a step"),
        ("traffic a core", f"{estimate.bytes / 1e9:.3g} GB a step"),
        *[("collectives" if i == 0 else "", line) for i, line in enumerate(_collectives(estimate))],
        ("step", f"{_ms(estimate.step_seconds)} estimated: {_kinds(estimate)}"),
        ("peak", f"{estimate.fraction_of_peak:.0%} of the arithmetic peak"),
        ("limits", _limits(estimate)),
        ("training", _training(estimate, config)),
    ]
    if config.data.name in PAPER_HOURS:
        rows.append(("the paper", _paper(config)))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name.ljust(width)}  {value}" for name, value in rows]
    slowest = [f"  {_ms(seconds):>9}  {place}" for place, seconds in estimate.slowest]
    ending = ["Slowest, a step:", *slowest, "", LEFT_OUT, *_unknown(estimate)]
    return "\n".join([*lines, "", *ending])


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms"


def _memory(estimate: Estimate) -> str:
    memory = estimate.memory
    return (
        f"{memory.total / GIB:.2f} of {memory.available / GIB:.1f} GiB "
        f"({memory.total / memory.available:.0%}): state and data "
        f"{memory.state_and_data / GIB:.2f}, temporary {memory.temporary / GIB:.2f}, "
        f"program {memory.program / GIB:.2f}"
    )


def _collectives(estimate: Estimate) -> list[str]:
    """One line a kind and axis."""
    groups: dict[tuple[str, tuple[str, ...]], list[CollectiveGroup]] = {}
    for group in estimate.collectives:
        groups.setdefault((group.kind, group.axes), []).append(group)
    lines = []
    for (kind, axes), members in groups.items():
        count = sum(group.count for group in members)
        size = sum(group.count * group.bytes for group in members)
        seconds = sum(group.seconds for group in members)
        alone = _ms(seconds) if seconds > 1e-6 else "under a microsecond"
        where = " and ".join(axes)
        lines.append(f"{count} {kind} over {where}, {_size(size)} a step: {alone} alone in a ring")
    return lines or ["none"]


def _unknown(estimate: Estimate) -> list[str]:
    """A warning of custom calls, whose time is in no figure."""
    if not estimate.unknown:
        return []
    named = ", ".join(f"{target} ({times} a step)" for target, times in estimate.unknown.items())
    return [
        f"warning: the compiler says no time of custom calls: {named}. They are reckoned by their "
        "bytes alone, and the step may take longer."
    ]


def _size(size: int) -> str:
    power = min(int(math.log(max(size, 1), 1000)), 3)
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB')[power]}"


def _kinds(estimate: Estimate) -> str:
    ordered = sorted(estimate.seconds_by_kind.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {_ms(seconds)}" for kind, seconds in ordered)


def _limits(estimate: Estimate) -> str:
    larger = "arithmetic" if estimate.compute_seconds > estimate.memory_seconds else "traffic"
    return (
        f"arithmetic {_ms(estimate.compute_seconds)}, traffic {_ms(estimate.memory_seconds)}; "
        f"the step takes {estimate.step_seconds / estimate.limit_seconds:.2f} × the larger "
        f"({larger})"
    )


def _training(estimate: Estimate, config: Config) -> str:
    runs = "1 run" if config.runs == 1 else f"all {config.runs} runs"
    return (
        f"{estimate.hours:.2f} h for {runs}: {estimate.total_steps:,} steps of "
        f"{config.epochs:g} epochs"
    )


def _paper(config: Config) -> str:
    low, high = PAPER_HOURS[config.data.name]
    hours = f"{low} to {high} h" if low else f"within {high} h"
    return f"{hours} a run on TPUv3"
