"""Division of floats with remainder, rounded down: what `//` and `%` are in Python.

The remainder is exact, and has the divisor's sign, also where it is zero; the quotient is built
from it, and a quotient of zero has the sign of x / y. Both are NaN for infinite x and for y = 0,
where the quotient is x / y. Sources: IEEE 754 (fmod); the array API standard, version 2024.12,
special cases of `remainder` and `floor_divide`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.lax.family import FLOAT, ONE, ZERO, Elementwise, neg_p


def _parts(emit: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """C's remainder, whether it is not zero, and whether the one rounded down is another."""
    remainder = emit("remainder", x, y)
    zero = emit.like(0, x)
    some = emit.compare("NE", remainder, zero)
    other_side = emit("xor", emit.compare("LT", remainder, zero), emit.compare("LT", y, zero))
    return remainder, some, emit("and", some, other_side)


def _in_float32(lower: Any) -> Any:
    """`lower`, computed in float32 of narrower floats: their quotients are rounded once."""

    def lowered(emit: Any, x: Any, y: Any) -> Any:
        if x.dtype.itemsize >= 4:
            return lower(emit, x, y)
        return emit.convert(lower(emit, *(emit.convert(v, dtypes.float32) for v in (x, y))), x.dtype)

    return lowered


@_in_float32
def _lower_mod(emit: Any, x: Any, y: Any) -> Any:
    remainder, some, wrong = _parts(emit, x, y)
    negative = emit.compare("LT", y, emit.like(0, y))
    nothing = emit.select(negative, emit.like(-0.0, y), emit.like(0.0, y))
    return emit.select(some, emit.select(wrong, emit("add", remainder, y), remainder), nothing)


@_in_float32
def _lower_floor_div(emit: Any, x: Any, y: Any) -> Any:
    remainder, _, wrong = _parts(emit, x, y)
    zero, plain = emit.like(0, x), emit("divide", x, y)
    quotient = emit("divide", emit("subtract", x, remainder), y)
    quotient = emit.select(wrong, emit("subtract", quotient, emit.like(1, x)), quotient)
    whole = emit("round_nearest_afz", quotient)  # it is whole up to rounding
    signed = emit.select(emit.compare("EQ", whole, zero), emit("multiply", plain, zero), whole)
    return emit.select(emit.compare("EQ", y, zero), plain, signed)


floor_div_p = Elementwise("floor_div", FLOAT, np.floor_divide, ZERO, ZERO, hlo=_lower_floor_div, cost=20)
mod_p = Elementwise(
    "mod", FLOAT, np.remainder, ONE, lambda x, y, out: neg_p.bind(floor_div_p.bind(x, y)), hlo=_lower_mod, cost=12
)

__all__: list[str] = []
