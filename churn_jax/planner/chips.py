"""Facts about TPU chips, each with where it is from.

Peak, memory and bandwidth are per chip and in bfloat16, from Cloud TPU's documentation, the pages
"TPU v2", "TPU v3", "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e" and "TPU7x (Ironwood)". Links between
chips: of v5e, v5p, v6e and TPU7x a chip's bandwidth on the same pages, over 4 ports (v5e, v6e) or
6; of v3 and v4 from N. Jouppi et al., "TPU v4: An Optically Reconfigurable Supercomputer", ISCA
2023, table 4; of v2 from T. Norrie et al., "The Design Process for Google's Training Chips: TPUv2
and TPUv3", IEEE Micro 2021.

The clock is that at which the matrix units reach the peak, two operations a cell and cycle: 2 cores
× 1 unit (v2), 2 × 2 (v3), 2 × 4 (v4, v5p) or 1 × 4 (v5e) of 128×128 cells. It agrees with those
that are published: v2 700 MHz, v3 940, v4 1050 (ISCA 2023) and v5e 1.5 GHz (J. Austin et al., "How
to Scale Your Model", 2025). None was found for v5p, v6e and TPU7x. Of the last two, 1.75 and 2.2
GHz make the peak of units of 256×256 cells that work like 4 a core; JAX's own table
(`get_tpu_info` of jax.experimental.pallas.tpu) counts 2.
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
      clock_is_published: else it is what makes the peak.
      flops: bfloat16 operations a second.
      memory: bytes.
      bandwidth: bytes a second between memory and cores.
      link: bytes a second to a neighbouring chip, each way.
      slices: {name under which slices are ordered: topology} of usual ones.
    """

    clock: float
    flops: float
    memory: int
    bandwidth: float
    link: float
    slices: dict[str, str]
    clock_is_published: bool = True


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
    "v2": Chip(0.7e9, 46e12, 16 * GIB, 700e9, 62.5e9, _slices("v2", 2, "v2", _FLAT)),
    "v3": Chip(0.94e9, 123e12, 32 * GIB, 900e9, 70e9, _slices("v3", 2, "v3", _FLAT)),
    "v4": Chip(1.05e9, 275e12, 32 * GIB, 1228e9, 50e9, _slices("v4", 2, "v4", _CUBES)),
    "v5e": Chip(1.5e9, 197e12, 16 * GIB, 819e9, 50e9, _slices("v5litepod", 1, "v5e", _SQUARES)),
    "v5p": Chip(1.75e9, 459e12, 95 * GIB, 2765e9, 100e9, _slices("v5p", 2, "v5p", _CUBES), False),
    "v6e": Chip(1.75e9, 918e12, 32 * GIB, 1638e9, 100e9, _slices("v6e", 1, "v6e", _SQUARES), False),
    # Ordered by its topology.
    "tpu7x": Chip(
        *(2.2e9, 2307e12, 192 * GIB, 7380e9, 100e9),
        {f"tpu7x:{shape}": f"tpu7x:{shape}" for shape in _CUBES},
        False,
    ),
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
    match = re.fullmatch(r"((?:v|tpu)\w+):\d+(x\d+)+", name)
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
