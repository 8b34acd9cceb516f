"""Reads a program that the TPU compiler has made: how long it says each instruction takes.

The text of a compiled program holds the compiler's own estimate, `"estimated_cycles"`, for nearly
every instruction that works on arrays. One core runs a program's instructions one after another,
so the estimate of the whole is their sum, with the bodies of loops counted as often as they run.
Copies and collectives that run beside other work have no cycles of their own, and add none.

A few that do take time have none either: pad, select-and-scatter, some reshapes. They are reckoned:
what they read and write, at the rate of the program's own elementwise instructions. So are custom
calls, which may take any time: `Program.unknown` names them. Some are known to be notes to the
compiler, and take none.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

from churn_jax.planner.collectives import COLLECTIVES
from churn_jax.system import private_surfaces

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)")
_DILATION = re.compile(r"\blhs_dilate=([\dx]+)")
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
_CONVOLUTIONS = {"convolution", "dot"}
_COPIES = {"copy", "transpose", "reshape", "bitcast-convert", "pad", "slice", "concatenate"}
_FREE = {  # or not the core's
    *("parameter", "constant", "iota", "tuple", "get-tuple-element", "bitcast", "opt-barrier"),
    *("after-all", "partition-id", "replica-id"),
    *COLLECTIVES,
}
_BESIDE_OTHER_WORK = ("-start", "-update", "-done")
_SLICING = {"dynamic-slice", "gather", "slice"}


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction: `name = shape opcode(operands), attributes`; `rest` follows the bracket."""

    name: str
    shape: str
    opcode: str
    rest: str

    @property
    def operands(self) -> list[str]:
        """Names of what it takes."""
        return re.findall(r"%([\w.\-]+)", self.rest.split(")")[0])

    @property
    def size(self) -> int:
        """Bytes of its result, layout's padding left out."""
        return sum(
            math.ceil(_bits(kind) / 8 * math.prod(int(side) for side in sides.split(",") if side))
            for kind, sides in _ARRAY.findall(re.sub(r"\{[^}]*\}", "", self.shape))
        )

    @property
    def target(self) -> str:
        """What a custom call calls."""
        match = private_surfaces.CUSTOM_CALL.search(self.rest)
        return match[1] if match else ""

    def called(self, role: str) -> list[str]:
        """Names of the computations that it calls as `role`: calls, body, condition, …"""
        match = re.search(rf"\b{role}=(?:%?([\w.\-]+)|\{{([^}}]*)\}})", self.rest)
        if not match:
            return []
        return re.findall(r"[\w.\-]+", match[1] or match[2])


@dataclasses.dataclass(frozen=True)
class Timed:
    """An instruction that takes time, and how often it runs.

    Attributes:
      kind: convolutions (and matrix products, with what is fused to them), copies, or elementwise
        (reductions, gathers and all else); or reckoned.
      source: where in the Python program it came from.
      cycles: of one execution, at least 1.
      bytes: read and written by one execution.
      times: how often it runs a step.
    """

    name: str
    kind: str
    source: str
    shape: str
    cycles: int
    bytes: int
    times: int


class Program:
    """A compiled program, from `compiled.as_text()`."""

    def __init__(self, hlo: str):
        self._computations: dict[str, dict[str, Instruction]] = {}
        self._entry = ""
        current: dict[str, Instruction] = {}
        for line in hlo.splitlines():
            if match := _COMPUTATION.match(line):
                current = self._computations.setdefault(match[2], {})
                self._entry = match[2] if match[1] else self._entry
            elif match := _INSTRUCTION.match(line):
                current[match[1]] = Instruction(*match.groups())

    def executed(self) -> Iterator[tuple[Instruction, int]]:
        """Every instruction that is run by itself, in order, and how often it runs a step.

        Also those that other units run beside a core's, such as collectives on sparse cores.
        """
        for instruction, _, times in self._walk(self._entry, 1):
            if instruction.opcode.endswith("-start"):
                for name in (*instruction.called("to_apply"), *instruction.called("calls")):
                    yield from ((inner, n) for inner, _, n in self._walk(name, times))
            yield instruction, times

    def unknown(self) -> dict[str, int]:
        """How often a step runs custom calls whose time nobody knows, by what they call."""
        found: collections.Counter[str] = collections.Counter()
        for instruction, times in self.executed():
            if instruction.opcode == "custom-call" and _moves_arrays(instruction):
                found[instruction.target] += 0 if _cycles(instruction) else times
        return {target: times for target, times in found.items() if times}

    def timeline(self) -> list[Timed]:
        """What takes time, in the order of the program."""
        timed = [
            self._timed(instruction, computation, times)
            for instruction, computation, times in self._walk(self._entry, 1)
            if private_surfaces.ESTIMATED_CYCLES.search(instruction.rest)
            or _moves_arrays(instruction)
        ]
        bytes_a_cycle = _elementwise_rate(timed)
        complete = [each if each.cycles else _reckoned(each, bytes_a_cycle) for each in timed]
        return [each for each in complete if each.cycles]

    def largest_convolution(self) -> int:
        """Bytes of both operands of the convolution that has most, its input's holes filled in.

        XLA's CPU backend copies them so, which its count of memory leaves out.
        """
        return max(
            (
                sum(beside[name].size for name in each.operands if name in beside)
                + _holes(each, beside)
                for beside in self._computations.values()
                for each in beside.values()
                if each.opcode == "convolution"
            ),
            default=0,
        )

    def _walk(self, computation: str, times: int) -> Iterator[tuple[Instruction, str, int]]:
        for instruction in self._computations[computation].values():
            if instruction.opcode == "while":
                (condition,) = instruction.called("condition")
                trips = times * self._trips(instruction, condition)
                for part in (condition, *instruction.called("body")):
                    yield from self._walk(part, trips)
            elif instruction.opcode == "call":
                (callee,) = instruction.called("to_apply")
                yield from self._walk(callee, times)
            elif instruction.opcode == "conditional":
                yield from self._dearest(instruction, times)
            else:
                yield instruction, computation, times

    def _timed(self, instruction: Instruction, computation: str, times: int) -> Timed:
        source = private_surfaces.SOURCE.search(instruction.rest)
        return Timed(
            name=instruction.name,
            kind=self._kind(instruction),
            source=source[1] if source else "",
            shape=instruction.shape,
            cycles=_cycles(instruction),
            bytes=self._bytes(instruction, self._computations[computation]),
            times=times,
        )

    def _dearest(self, choice: Instruction, times: int) -> list[tuple[Instruction, str, int]]:
        """Of a choice, the branch that takes longest."""
        roles = ("branch_computations", "true_computation", "false_computation")
        branches = [name for role in roles for name in choice.called(role)]
        walks = [list(self._walk(name, times)) for name in branches]
        return max(walks, key=lambda walk: sum(_cycles(each) * n for each, _, n in walk))

    def _trips(self, loop: Instruction, condition: str) -> int:
        """How often a loop runs: the compiler's own count, or the bound of the loop's counter."""
        if match := private_surfaces.TRIP_COUNT.search(loop.rest):
            return int(match[1])
        bounds = [
            int(instruction.rest.split(")")[0])
            for instruction in self._computations[condition].values()
            if instruction.opcode == "constant" and instruction.shape.startswith("s32[]")
        ]
        return max(bounds, default=1)

    def _kind(self, instruction: Instruction) -> str:
        inside = {instruction.opcode} | {
            inner.opcode
            for name in instruction.called("calls")
            for inner in self._computations[name].values()
        }
        if inside & _CONVOLUTIONS:
            return "convolutions"
        return "copies" if instruction.opcode in _COPIES else "elementwise"

    def _bytes(self, instruction: Instruction, beside: dict[str, Instruction]) -> int:
        """Bytes read and written; of what is only sliced, the slices, and of what is updated in
        place, the updates."""
        body = [
            inner
            for name in instruction.called("calls")
            for inner in self._computations[name].values()
        ] or [instruction]
        total = _written(instruction, body)
        parameters = {
            int(inner.rest.split(")")[0]): inner.name
            for inner in body
            if inner.opcode == "parameter"
        }
        for position, name in enumerate(instruction.operands):
            size = beside[name].size if name in beside else 0
            inner_name = parameters.get(position, name)
            users = [inner for inner in body if inner_name in inner.operands]
            if users and all(user.opcode in _SLICING for user in users):
                size = min(size, sum(user.size for user in users))
            elif users and all(
                user.opcode == "dynamic-update-slice" and user.operands[0] == inner_name
                for user in users
            ):
                size = 0
            total += size
        return total


def _moves_arrays(instruction: Instruction) -> bool:
    """Whether it takes time, for all that its name and result tell."""
    has_arrays = any(sides for _, sides in _ARRAY.findall(instruction.shape))
    free = instruction.opcode in _FREE or instruction.opcode.endswith(_BESIDE_OTHER_WORK)
    note = instruction.opcode == "custom-call" and instruction.target in private_surfaces.NOTES
    return has_arrays and not free and not note


def _reckoned(timed: Timed, bytes_a_cycle: float) -> Timed:
    return dataclasses.replace(timed, kind="reckoned", cycles=round(timed.bytes / bytes_a_cycle))


def _elementwise_rate(timed: list[Timed]) -> float:
    """Bytes a cycle, by the compiler; infinite where it estimates no elementwise instruction."""
    elementwise = [each for each in timed if each.cycles and each.kind == "elementwise"]
    cycles = sum(each.cycles * each.times for each in elementwise)
    return sum(each.bytes * each.times for each in elementwise) / cycles if cycles else math.inf


def _holes(convolution: Instruction, beside: dict[str, Instruction]) -> int:
    """Bytes of the zeros that lie between the pixels of an input that is dilated."""
    match = _DILATION.search(convolution.rest)
    times = math.prod(map(int, match[1].split("x"))) if match else 1
    image = beside.get(convolution.operands[0])
    return (times - 1) * image.size if image else 0


def _written(instruction: Instruction, body: list[Instruction]) -> int:
    """Bytes of the result; where arrays are updated in place, of the updates alone."""
    sizes = {inner.name: inner.size for inner in body}
    total = instruction.size
    for inner in body:
        if inner.opcode == "dynamic-update-slice":
            update = sizes.get(inner.operands[1], inner.size)
            total -= max(inner.size - update, 0)
    return max(total, 0)


def _cycles(instruction: Instruction) -> int:
    match = private_surfaces.ESTIMATED_CYCLES.search(instruction.rest)
    return int(match[1]) if match else 0


def _bits(kind: str) -> int:
    """Bits of one element: 8 for pred, 32 for f32, 16 for bf16, …"""
    digits = re.search(r"\d+", kind)
    return int(digits[0]) if digits else 8
