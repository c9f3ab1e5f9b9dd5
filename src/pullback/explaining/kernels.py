"""What XLA makes of a program: its kernels, each a loop or a call of a library, and which operations each fuses.

Read from the text of the optimized module, whose instructions keep the names and places of the operations
that they come from.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Kernel(NamedTuple):
    """A kernel: its kind ("loop", "reduction", "product", "library call", ...), its result's type, and the
    operations in it, each with the user's line ("" where XLA does not know it)."""

    kind: str
    type: str
    operations: list[tuple[str, str]]

    @property
    def fused(self) -> int:
        """How many operations are computed in it together."""
        return len(self.operations)


#: Instructions that are no kernels: they name, pack or reinterpret.
_NO_WORK = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "call", "after-all", "copy-done",
    "opt-barrier", "partition-id", "domain", "add-dependency",
}  # fmt: skip
_KINDS = {
    "dot": "product", "convolution": "convolution", "custom-call": "library call", "reduce": "reduction", "sort": "sort",
    "fft": "Fourier transform", "copy": "copy", "scatter": "scatter", "gather": "gather", "reduce-window": "reduction",
}  # fmt: skip

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^  (?:ROOT )?%?[\w.\-]+ = (\([^)]*\)|\S+?)(?:\{[^}]*\})? ([\w\-]+)\(")
_NAME = re.compile(r'op_name="([^"]*)"')
_FRAME = re.compile(r"stack_frame_id=(\d+)")
_SOURCE = re.compile(r'source_file="([^"]*)" source_line=(\d+)')
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|branch_computations)=\{?(%?[\w.\-]+(?:, %?[\w.\-]+)*)")


class _Instruction(NamedTuple):
    type: str
    opcode: str
    name: str
    line: str
    called: list[str]


def kernels(text: str) -> list[Kernel]:
    """The kernels of an optimized module, in the order in which they stand."""
    places = _places(text)
    computations: dict[str, list[_Instruction]] = {}
    entry, current = "", ""
    for line in text.splitlines():
        head = _COMPUTATION.match(line)
        if head:
            current = head[2]
            computations[current] = []
            entry = current if head[1] else entry
        elif current and (found := _INSTRUCTION.match(line)):
            computations[current].append(_instruction(found, line, places))
    # Those that stand in kernels are no kernels themselves.
    inside = {
        c
        for body in computations.values()
        for i in body
        if i.opcode not in ("while", "conditional", "call")
        for c in i.called
    }
    order = [*(n for n in computations if n != entry and n not in inside), entry]
    instructions = [i for name in order for i in computations.get(name, ())]
    return [_kernel(i, computations) for i in instructions if i.opcode not in _NO_WORK]


def _instruction(found: re.Match[str], line: str, places: dict[str, str]) -> _Instruction:
    name = _NAME.search(line)
    frame, source = _FRAME.search(line), _SOURCE.search(line)
    place = places.get(frame[1], "") if frame else f"{source[1]}:{source[2]}" if source else ""
    called = [c.strip().lstrip("%") for m in _CALLED.finditer(line) for c in m[1].split(",")]
    return _Instruction(found[1], found[2], name[1].rsplit("/", 1)[-1] if name else "", place, called)


def _kernel(i: _Instruction, computations: dict[str, list[_Instruction]]) -> Kernel:
    if i.opcode != "fusion":
        return Kernel(_KINDS.get(i.opcode, "loop"), i.type, [(i.name or i.opcode, i.line)])
    body = [
        j for c in i.called for j in computations.get(c, ()) if j.opcode not in _NO_WORK and j.opcode != "broadcast"
    ]
    opcodes = {j.opcode for j in body}
    kind = next((_KINDS[o] for o in ("dot", "convolution", "reduce", "scatter", "gather") if o in opcodes), "loop")
    # Several instructions of one operation at one line are one.
    operations = list(dict.fromkeys((j.name or j.opcode, j.line) for j in body))
    return Kernel(kind, i.type, operations or [("broadcast", i.line)])


def _places(text: str) -> dict[str, str]:
    """The user's lines by the number of the stack frame."""
    files = dict(re.findall(r'^(\d+) "(.*)"$', _section(text, "FileNames"), re.MULTILINE))
    locations = {
        number: f"{files.get(file, '?')}:{line}"
        for number, file, line in re.findall(
            r"^(\d+) \{file_name_id=(\d+) .*?line=(\d+)", _section(text, "FileLocations"), re.MULTILINE
        )
    }
    frames = re.findall(r"^(\d+) \{file_location_id=(\d+)", _section(text, "StackFrames"), re.MULTILINE)
    return {number: locations.get(location, "") for number, location in frames}


def _section(text: str, title: str) -> str:
    _, there, rest = text.partition(f"\n{title}\n")
    return rest.partition("\n\n")[0] if there else ""
