"""What XLA's operations do not mean, or mean only while the program runs.

XLA evaluates operations on what it finds to be constant itself, at any stage of its simplification,
with code of its own. What that code does not survive (a division of integers by zero, an order of
complex numbers) must not be written, whatever the operands are. `Emitter` asks `MEANT` before it
writes an operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.core import dtypes
from pullback.core.types import ShapedArray
from pullback.xla.text import Value


def _integer_division(emit: Any, op: str, x: Value, y: Value) -> Value | None:
    """By zero: the quotient is -1 (all bits set), the remainder the dividend. Without `select`,
    which given fusions cannot have."""
    if y.name in emit.without_zeros or not dtypes.is_integer(x.dtype):
        return None
    is_zero = emit.convert(emit.compare("EQ", y, emit.like(0, y)), y.dtype)
    safe, mask = emit("or", y, is_zero), emit("negate", is_zero)
    emit.without_zeros.add(safe.name)
    return emit("or", emit(op, x, safe), mask if op == "divide" else emit("and", x, mask))


def _complex_extremum(emit: Any, op: str, x: Value, y: Value) -> Value | None:
    """By real, then imaginary parts; an operand with a NaN wins, the first of two."""
    if not dtypes.is_complex(x.dtype):
        return None
    x_nan, y_nan = emit.compare("NE", x, x), emit.compare("NE", y, y)
    first = emit.compare("GE" if op == "maximum" else "LE", x, y)
    return emit.select(emit("or", x_nan, emit("and", first, emit("not", y_nan))), x, y)


def _complex_clamp(emit: Any, op: str, low: Value, x: Value, high: Value) -> Value | None:
    if not dtypes.is_complex(x.dtype):
        return None
    low, high = emit.broadcast(low, x.shape), emit.broadcast(high, x.shape)
    return emit("minimum", emit("maximum", x, low), high)


def _complex_is_finite(emit: Any, op: str, x: Value) -> Value | None:
    if not dtypes.is_complex(x.dtype):
        return None
    return emit("and", *[emit("is_finite", part, out=ShapedArray(x.shape, dtypes.bool_)) for part in emit.parts(x)])


def _logical(emit: Any, op: str, x: Value, y: Value) -> Value | None:
    """Sums and products of booleans: XLA takes sums of constants modulo 2."""
    return emit("or" if op == "add" else "and", x, y) if x.dtype == dtypes.bool_ else None


def _count_of_bits(emit: Any, op: str, x: Value) -> Value | None:
    """Of unsigned integers: XLA counts those of negative constants in a wider type."""
    if dtypes.kind(x.dtype) != "i":
        return None
    unsigned = ShapedArray(x.shape, getattr(dtypes, f"uint{dtypes.itemsize_bits(x.dtype)}"))
    return emit("bitcast_convert", emit(op, emit("bitcast_convert", x, out=unsigned)), out=x)


#: By operation, what is written in its place; None where it means what it says.
MEANT: dict[str, Callable[..., Value | None]] = {
    "add": _logical,
    "multiply": _logical,
    "count_leading_zeros": _count_of_bits,
    "popcnt": _count_of_bits,
    "divide": _integer_division,
    "remainder": _integer_division,
    "maximum": _complex_extremum,
    "minimum": _complex_extremum,
    "clamp": _complex_clamp,
    "is_finite": _complex_is_finite,
}
