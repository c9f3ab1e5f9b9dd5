"""Small loops as kernels of their own.

XLA for CPUs runs each operation that its fusion leaves as a kernel, compiled by itself and called
by an interpreter. In a loop over a few numbers (a step of an integrator, a filter, a recurrence)
the calls take nearly all of the time, and the kernels' number most of the compilation: a gradient
through such a loop stores dozens of numbers each step, by a kernel each. XLA can write a whole loop
into one kernel, as it does with loops that touch but few bytes, and arrays of all steps are many.
So the loops whose *steps* touch but few numbers are written as functions, and their calls say so.

A loop is small if all that it computes is: elementwise operations, reductions, products and
rearrangements of up to `SMALL` elements, and rows read from and written to larger arrays. XLA's
emitter for such kernels knows nothing else: no sorting, scattering, Fourier transforms or calls.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from pullback.xla.text import Value, type_text

#: Elements of the largest array that is computed in a small loop.
SMALL = 1024
#: A loop of more operations takes LLVM long as one function.
_LARGEST = 4096

_ELEMENTWISE = """
abs add and atan2 bitcast_convert cbrt ceil clamp compare complex convert cosine count_leading_zeros divide exponential
exponential_minus_one floor imag is_finite log log_plus_one logistic maximum minimum multiply negate not or popcnt power
real reduce_precision remainder round_nearest_afz round_nearest_even rsqrt select shift_left shift_right_arithmetic
shift_right_logical sign sine sqrt subtract tan tanh xor
"""
_REARRANGING = "broadcast_in_dim concatenate constant iota pad reduce reshape reverse transpose"
_OF_CHLO = "acos acosh asin asinh atanh cosh digamma erf erfc lgamma sinh"
_SMALL = {f"stablehlo.{name}" for name in f"{_ELEMENTWISE} {_REARRANGING}".split()}
_SMALL |= {f"chlo.{name}" for name in _OF_CHLO.split()}
#: Their parts are looked at, and what goes through them unchanged may be large.
_CONTROL = {"stablehlo.while", "stablehlo.case", "stablehlo.if", "stablehlo.return"}
#: Whose first operand may be large.
_READING = {"stablehlo.slice", "stablehlo.dynamic_slice", "stablehlo.gather"}

_ATTRIBUTES = ' {mhlo.frontend_attributes = {inlineable = "false", xla_cpu_small_call = "true"}}'
_BARRIER = re.compile(r'^(%\d+) = "stablehlo.optimization_barrier"', re.MULTILINE)
_NAME = re.compile(r"%(?:arg)?\d+(?:#\d+)?")


def fits(op: str, operands: Sequence[Any], results: Sequence[Any]) -> bool:
    """Whether an operation may be one of a small loop."""
    if op in _CONTROL:
        return True
    if op == "stablehlo.dynamic_update_slice":
        return bool(operands[1].size <= SMALL)
    if op in _READING:
        return bool(results[0].size <= SMALL)
    if op == "stablehlo.dot_general":
        # Of a matrix and a vector. Others XLA makes into fusions with what is added to them, for
        # libraries, which the emitter does not know; and it is quicker with them.
        (x, y), (out,) = operands, results
        if x.size != y.size * out.size and y.size != x.size * out.size:
            return False
    elif op not in _SMALL:
        return False
    return all(x.size <= SMALL for x in (*operands, *results))


class Loop(str):
    """The text of a small loop, one operation, and what it says as a call of a function of its own.

    Where it stands in another small loop, it is a part of that.
    """

    __slots__ = ("call", "function")
    call: str
    function: str


def loop_of(
    lines: Sequence[str], name: str, taken: Sequence[Value], results: Sequence[Value], kept: Collection[str]
) -> Loop | None:
    """The small loop that `lines` say, as the function `name`, which takes all that it uses from
    outside; None if it is too long, or has arrays without elements. What the fusion plan has `kept`
    in it need not be."""
    if len(lines) > _LARGEST or not all(x.size for x in (*taken, *results)):
        return None
    text = without_barriers("\n".join(lines), kept)
    loop = Loop(text)
    # One tuple is what the function takes: of its own arguments each would have to be used, and XLA
    # ends the process if one is not, when all has been simplified.
    of = {x.name: f"%of{i}" for i, x in enumerate(taken)}
    inside = _NAME.sub(lambda name: of.get(name[0], name[0]), text)
    ins, outs = (", ".join(map(type_text, values)) for values in (taken, results))
    parts = "".join(
        [
            f'{of[x.name]} = "stablehlo.get_tuple_element"(%of) <{{index = {i} : i32}}> : (tuple<{ins}>) -> {type_text(x)}\n'
            for i, x in enumerate(taken)
        ]
    )
    names = ", ".join([r.name for r in results])
    loop.function = (
        f"func.func private @{name}(%of: tuple<{ins}>) -> ({outs}) {{\n{parts}{inside}\n"
        f'"func.return"({names}) : ({outs}) -> ()\n}}'
    )
    head = text[: text.index(" = ")]
    operands = ", ".join([x.name for x in taken])
    loop.call = (
        f'%{name} = "stablehlo.tuple"({operands}) : ({ins}) -> tuple<{ins}>\n'
        f"{head} = func.call @{name}(%{name}){_ATTRIBUTES} : (tuple<{ins}>) -> ({outs})"
    )
    return loop


def without_barriers(text: str, names: Collection[str]) -> str:
    """The text in which the values of these names do not stand behind barriers."""

    def idle(barrier: re.Match[str]) -> str:
        return f'{barrier[1]} = "stablehlo.reshape"' if barrier[1] in names else barrier[0]

    return _BARRIER.sub(idle, text)


def without_kernels(text: str) -> str:
    """The text of a module in which small loops are loops like others."""
    return text.replace(_ATTRIBUTES, "")


def has_kernels(text: str) -> bool:
    """Whether a module has small loops that are to be kernels."""
    return _ATTRIBUTES in text
