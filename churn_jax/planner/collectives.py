"""Reads collectives out of a compiled program: what is moved, how much, along which mesh axes."""

import dataclasses
import math
import re

import numpy as np
from jax.sharding import Mesh

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "f64": 8}
_INSTRUCTION = re.compile(
    rf"= (?P<shape>.*?) (?P<kind>{'|'.join(COLLECTIVES)})(?:-start)?\((?P<rest>.*)"
)
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
_EXPLICIT_GROUPS = re.compile(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{}]*\})\}")
_IOTA_GROUPS = re.compile(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?")

# Newer versions of XLA name the axes: replica_groups=mesh['run'=1,'data'=4] {'data'}
_NAMED_AXES = re.compile(r"replica_groups=mesh\[[^\]]*\] \{([^}]*)\}")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective instruction.

    Attributes:
      kind: all-reduce, all-gather, …
      axes: the mesh axes along which it moves data.
      bytes: size of its result on one device.
      devices: how many exchange data with each other.
    """

    kind: str
    axes: tuple[str, ...]
    bytes: int
    devices: int

    def seconds(self, link: float) -> float:
        """In a ring whose links carry `link` bytes a second each way, with nothing else on them.

        Data goes both ways round. "How to Scale Your Model" (2025), "Sharded matrices and how to
        multiply them", derives it; the time from chip to chip, about a microsecond, is left out.
        """
        others, both = self.devices - 1, 2 * link
        whole = {
            "all-reduce": 2 * others / self.devices,
            "all-gather": others / self.devices,
            "reduce-scatter": others,
            "all-to-all": self.devices / 4,
            "collective-permute": 2,  # to one neighbour, one way
        }
        return self.bytes * whole[self.kind] / both


def collectives(hlo: str, mesh: Mesh) -> list[Collective]:
    """The collectives of a compiled program that move data between devices of `mesh`.

    Args:
      hlo: `compiled.as_text()`.
      mesh: the mesh whose devices, in order, are the program's partitions.
    """
    found = []
    for line in hlo.splitlines():
        if (match := _INSTRUCTION.search(line)) and (axes := _axes(match["rest"], mesh)):
            size, devices = _size(match["shape"]), _devices(match["rest"], axes, mesh)
            found.append(Collective(match["kind"], axes, size, devices))
    return found


def _size(shape: str) -> int:
    arrays = _ARRAY.findall(shape)
    return sum(_BYTES[kind] * int(np.prod(_integers(sizes) or [1])) for kind, sizes in arrays)


def _groups(attributes: str, num_devices: int) -> list[list[int]]:
    """The groups of devices that exchange data; all of them where none are named."""
    if match := _EXPLICIT_GROUPS.search(attributes):
        return [_integers(group) for group in re.findall(r"\{([\d,]*)\}", match[1])]
    if match := _IOTA_GROUPS.search(attributes):
        ids = np.arange(num_devices).reshape(_integers(match[2]))
        if match[3]:
            ids = ids.transpose(_integers(match[3]))
        return ids.reshape(_integers(match[1])).tolist()
    return [list(range(num_devices))]


def _axes(attributes: str, mesh: Mesh) -> tuple[str, ...]:
    """The axes along which the devices of some group differ."""
    if match := _NAMED_AXES.search(attributes):
        named = re.findall(r"'(\w+)'", match[1])
        return tuple(name for name in mesh.shape if name in named and mesh.shape[name] > 1)
    shape = tuple(mesh.shape.values())
    differing: set[str] = set()
    for group in _groups(attributes, mesh.size):
        coordinates = np.array(np.unravel_index(np.array(group, int), shape))
        spread = coordinates.max(axis=1) > coordinates.min(axis=1)
        differing |= {name for name, wide in zip(mesh.shape, spread, strict=True) if wide}
    return tuple(name for name in mesh.shape if name in differing)


def _devices(attributes: str, axes: tuple[str, ...], mesh: Mesh) -> int:
    if _NAMED_AXES.search(attributes):
        return math.prod(mesh.shape[name] for name in axes)
    return max(map(len, _groups(attributes, mesh.size)))


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]
