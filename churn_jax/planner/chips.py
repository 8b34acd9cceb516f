"""Facts about TPU chips.

Peak, memory and bandwidth are those of Google's pages "TPU v2", "TPU v3", "TPU v4", "TPU v5e",
"TPU v5p" and "Trillium (v6e)" (cloud.google.com/tpu/docs), per chip and in bfloat16. The clock is
that at which the matrix units reach the peak, two operations a cell and cycle: 2 cores × 1 unit
(v2), 2 × 2 (v3), 2 × 4 (v4, v5p) or 1 × 4 (v5e) of 128×128 cells, and 1 × 4 of 256×256 (v6e); it
agrees with the clocks published for v2 (700 MHz), v3 (940) and v4 (1050; N. Jouppi et al., "TPU v4:
An Optically Reconfigurable Supercomputer", ISCA 2023).
"""

import dataclasses
import re

from churn_jax.errors import UserError, suggest

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip; JAX sees its cores as one device or as two.

    Attributes:
      clock: cycles a second.
      flops: bfloat16 operations a second.
      memory: bytes.
      bandwidth: bytes a second between memory and cores.
      slices: {name under which slices are ordered: topology} of usual ones.
    """

    clock: float
    flops: float
    memory: int
    bandwidth: float
    slices: dict[str, str]


def _slices(prefix: str, per_chip: int, kind: str, shapes: tuple[str, ...]) -> dict[str, str]:
    """{'v3-32': 'v3:4x4x1', …}: slices are named by their cores, or by chips (`per_chip` 1)."""
    named = {}
    for shape in shapes:
        chips = 1
        for side in shape.split("x"):
            chips *= int(side)
        named[f"{prefix}-{chips * per_chip}"] = f"{kind}:{shape}"
    return named


_FLAT = ("2x2x1", "4x4x1", "4x8x1", "8x8x1", "8x16x1", "16x16x1")
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8")
_SQUARES = ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16")

CHIPS = {
    "v2": Chip(0.7e9, 46e12, 16 * GIB, 700e9, _slices("v2", 2, "v2", _FLAT)),
    "v3": Chip(0.94e9, 123e12, 32 * GIB, 900e9, _slices("v3", 2, "v3", _FLAT)),
    "v4": Chip(1.05e9, 275e12, 32 * GIB, 1228e9, _slices("v4", 2, "v4", _CUBES)),
    "v5e": Chip(1.5e9, 197e12, 16 * GIB, 819e9, _slices("v5litepod", 1, "v5e", _SQUARES)),
    "v5p": Chip(1.75e9, 459e12, 95 * GIB, 2765e9, _slices("v5p", 2, "v5p", _CUBES)),
    "v6e": Chip(1.75e9, 918e12, 32 * GIB, 1640e9, _slices("v6e", 1, "v6e", _SQUARES)),
}

SLICES = {name: topology for chip in CHIPS.values() for name, topology in chip.slices.items()}


def find(topology: str) -> tuple[Chip, str]:
    """The chip of a topology, and the topology as libtpu names it.

    Args:
      topology: as libtpu names it (v3:4x4x1) or as slices are ordered (v3-32).

    Raises:
      UserError: it is neither.
    """
    name = SLICES.get(topology, topology)
    match = re.fullmatch(r"(v\w+):\d+(x\d+)+", name)
    if not match:
        choices = [*SLICES.values(), *SLICES]
        raise UserError(f"--topology={topology}: no such slice{nearest(topology, choices)}")
    if match[1] not in CHIPS:
        raise UserError(f"--topology={topology}: no such chip{suggest(match[1], CHIPS)}")
    return CHIPS[match[1]], name


def nearest(topology: str, choices: list[str] | None = None) -> str:
    """` (did you mean …?)` for a slice that can't be: of the same chip, where that is known."""
    if choices is None:
        choices = list(CHIPS[topology.split(":")[0]].slices.values())
    hint = suggest(topology, choices)
    return hint if "did you mean" in hint else " (for example v3:4x4x1, v5e:4x4 or v6e-16)"
