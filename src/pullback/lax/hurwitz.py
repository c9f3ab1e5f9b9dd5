"""The formula of Hurwitz's zeta function and its derivatives by the exponent: Euler's and Maclaurin's sum
(DLMF 25.11.5), as in F. Johansson, "Rigorous high-precision computation of the Hurwitz zeta function and
its derivatives", Numer. Algorithms 69 (2015)."""

from __future__ import annotations

import math
from typing import Any

from pullback.lax.taylor import derivative

#: So many terms are added one by one.
_TERMS = 10
#: B_2k/(2k)! for k = 1, 2, ...
_BERNOULLI = [
    b / math.factorial(2 * k)
    for k, b in enumerate(
        (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330), 1
    )
]


def _hurwitz(xp: Any, s: Any, q: Any) -> Any:
    """Σ (n + q)^-s for s > 1 and q > 0."""
    total = s * 0.0
    for n in range(_TERMS):
        total = total + xp.exp(-s * xp.log(q + n))
    end = q + _TERMS
    power = xp.exp(-s * xp.log(end))
    inverse = 1 / end
    factor, rest = s * inverse, 0.5 + end / (s - 1)
    for k, b in enumerate(_BERNOULLI, 1):
        rest = rest + factor * b
        factor = factor * (s + (2 * k - 1)) * (s + 2 * k) * (inverse * inverse)
    return total + power * rest


def zeta_by_exponent(xp: Any, epsilon: float, s: Any, q: Any, *, order: int) -> Any:
    """The derivative of order `order` of Hurwitz's zeta function by its exponent: NaN for s < 1, and for
    negative `q`, of whose powers the exponents are whole."""
    inside = (s > 1) & (q > 0) & (s < math.inf) & (q < 1e300)
    s_, q_ = xp.where(inside, s, 2.0), xp.where(inside, q, 1.0)
    out = derivative(xp, _hurwitz, [s_, q_], [order, 0])
    pole = (s <= 1) & (s >= 1) & (q > 0)
    out = xp.where(inside, out, xp.where(pole, (-1.0) ** order * math.inf, math.nan))
    return xp.where((s > 1) & (s < math.inf) & (q >= 1e300), 0.0, out)


__all__ = ["zeta_by_exponent"]
