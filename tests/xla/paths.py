"""How many ways lead through a loop that XLA may make of a program.

LLVM's vectorizer, in jaxlib 0.11 and later, follows each of them from every conversion of types on, so programs that have 2⁴⁰ are
never compiled.
"""

from __future__ import annotations

import re
from collections import defaultdict

_OPERATION = re.compile(r'^(%\w+)(?::\d+)? = "?(?:stablehlo|chlo|mhlo)\.(\w+)"?\(([^)]*)\).*: \(([^)]*)\) -> (.*)$')
#: What XLA makes loops or kernels of their own of.
_STORED = {
    "case", "custom_call", "convolution", "dot_general", "fft", "fusion", "if", "optimization_barrier", "reduce", "reduce_window", "scatter",
    "sort", "while",
}  # fmt: skip
#: The halves of a rotation, which is one operation to LLVM, and one of those that it does not look behind.
_ROTATIONS = {"shift_left", "shift_right_logical"}


def paths(text: str) -> int:
    """The largest number of ways from one conversion of types in a StableHLO module to where values are stored."""
    count: defaultdict[str, int] = defaultdict(int)
    most = 0
    for line in reversed(text.splitlines()):
        found = _OPERATION.match(line)
        if found is None:
            continue
        name, op, operands, in_types, out_type = found.groups()
        ways = max(count[name], 1)
        if op == "convert":
            most = max(most, ways)
        joins = op == "bitcast_convert" and in_types.count("x") > out_type.count("x")  # by a reduction
        if op in _STORED or op in _ROTATIONS or joins:
            ways = 1
        for operand in re.findall(r"%\w+", operands):
            count[operand] += ways
    return most
