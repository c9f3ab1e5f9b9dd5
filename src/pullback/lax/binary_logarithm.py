"""The logarithm to base 2 in compiled programs, which have the natural one only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.types import ShapedArray


def lower_log2(emit: Any, x: Any) -> Any:
    """log x / log 2, rounded to a whole number where `x` is a power of two, because the quotient may
    be off by a unit of the last place. Floats of fewer than 32 bits are computed in float32."""
    if dtypes.is_float(x.dtype) and x.dtype.itemsize < 4:
        return emit.convert(lower_log2(emit, emit.convert(x, dtypes.float32)), x.dtype)
    quotient = emit("divide", emit("log", x), emit.like(math.log(2), x))
    if dtypes.is_complex(x.dtype):
        return quotient
    info = np.finfo(x.dtype)
    bits = emit("bitcast_convert", x, out=ShapedArray(x.shape, np.dtype(f"int{info.bits}")))
    fraction = emit("and", bits, emit.like((1 << info.nmant) - 1, bits))
    is_power = emit.compare("EQ", fraction, emit.like(0, bits))
    return emit.select(is_power, emit("round_nearest_even", quotient), quotient)


__all__ = ["lower_log2"]
