"""The principal branch of the logarithm of the gamma function."""

from __future__ import annotations

import math
from typing import Any

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.lax.elementwise import lt_p
from pullback.lax.family import like
from pullback.lax.log_gamma import log_gamma_p
from pullback.lax.selection import select
from pullback.lax.special import lgamma_p
from pullback.numpy.planned import planned
from pullback.scipy.special.operands import apply, operand


@planned
def loggamma(x: Any) -> Array:
    """log Γ(x), elementwise: of complex `x` the branch that is real for positive `x`, and analytic but on
    the negative axis (DLMF 5.10); of real `x` NaN where that is negative.

    Integers become floats. The derivatives are those of the digamma function, holomorphic, to any
    order. Compiled by Stirling's series and reflection (D. Hare, J. Algorithms 25, 1997).

    >>> loggamma(10.0)
    Array(12.801827, dtype=float32, weak_type=True)
    >>> loggamma(-0.5 + 1j)
    Array(-0.7643624-2.9894516j, dtype=complex64, weak_type=True)
    """
    x = operand("loggamma", x, kinds="fc", weak=True)
    if dtypes.is_complex(x.dtype):
        return apply(log_gamma_p, x)
    return apply(lgamma_p, select(lt_p.bind(x, like(0, x)), like(math.nan, x), x))


__all__ = ["loggamma"]
