"""Formulas of the incomplete beta function, its derivatives by the parameters, and of ψ(a) - ψ(a + b), as
those of `lax.incomplete`.

Sources: A. DiDonato, A. Morris, "Algorithm 708: significant digit computation of the incomplete beta
function ratios", ACM TOMS 18 (1992), for the continued fraction; R. Boik, J. Robinson-Cox, "Derivatives
of the incomplete beta function", J. Stat. Software 3 (1998), for differentiating it; DLMF 5.11 and 8.17.
"""

from __future__ import annotations

import math
from typing import Any

from pullback.lax.incomplete import (
    _STIRLING_FROM,
    _log1p,
    _log1p_rest,
    _polynomial,
    _stirling,
    _times,
)
from pullback.lax.taylor import derivative

#: log x - 1/(2x) - ψ(x): coefficients of x^-2, x^-4, ... (DLMF 5.11.2).
_PSI = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760)
#: So many steps of recurrences lead from positive numbers to where these series are exact.
_STEPS = 10


def psi_change(xp: Any, epsilon: float, a: Any, b: Any) -> Any:
    """ψ(a) - ψ(a + b): for large positive arguments by the asymptotic series (DLMF 5.11.2), of which
    only small terms are subtracted; smaller ones are moved there by the recurrence (DLMF 5.5.2)."""
    positive = (a > 0) & (a + b > 0) & (a < 1e100) & (b < 1e100)
    a_, b_ = xp.where(positive, a, 10.0), xp.where(positive, b, 1.0)
    near = (a_ < _STEPS) | (a_ + b_ < _STEPS)
    steps, total = a_ * 0.0, a_ + b_
    for k in range(_STEPS):
        steps = steps - b_ / ((a_ + k) * (total + k))
    a_, total = xp.where(near, a_ + _STEPS, a_), xp.where(near, total + _STEPS, total)

    def tail(x: Any) -> Any:
        y = 1 / (x * x)
        return y * _polynomial(_PSI, y)

    # Where b is close to -a, the quotient has lost its digits.
    little = xp.abs(b_) < a_ * 0.5
    log = xp.where(little, _log1p(xp, xp.where(little, b_ / a_, 0.0)), xp.log(total / a_))
    far = -log - b_ / (2 * a_ * total) - (tail(a_) - tail(total))
    far = xp.where(near, far + steps, far)
    return xp.where(positive, far, xp.digamma(a) - xp.digamma(a + b))


def _log_power(xp: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """log(x^a y^b / (a B(a, b))) for x + y = 1, without the cancellation of large logarithms."""
    first = a < b
    small, large = xp.where(first, a, b), xp.where(first, b, a)
    # Γ(a + b)/Γ(large) by Stirling's series; of small numbers, that of numbers larger by 16, and
    # Π (large + k)/(a + b + k), which may be close to 1: above - below is summed by itself. (A quotient
    # for each factor would be a kernel for each.)
    moved = large < _STIRLING_FROM
    big = xp.where(moved, large + _STIRLING_FROM, large)
    start = xp.where(moved, large, 1.0)
    difference, above, below = -small, start, start + small
    for k in range(1, int(_STIRLING_FROM)):
        difference = difference * (start + k) - below * small
        above, below = above * (start + k), below * (start + small + k)
    change, ratio = difference / below, above / below
    close = change > -0.5
    steps = xp.where(close, _log1p(xp, xp.where(close, change, 0.0)), xp.log(xp.where(close, 1.0, ratio)))
    total = big + small
    quotient = (big - 0.5) * _log1p(xp, small / big) + small * (xp.log(total) - 1)
    quotient = quotient + (_stirling(total) - _stirling(big))
    quotient = xp.where(moved, quotient + steps, quotient)
    by_a = xp.where(first, 0.0, xp.log(xp.where(first, 1.0, b / a)))
    plain = a * xp.log(x) + b * _log1p(xp, -x) + quotient - xp.lgamma(small + 1) + by_a
    # Both large: around the mean a/(a + b) the linear terms cancel.
    both = small >= _STIRLING_FROM
    a_, b_ = xp.where(both, a, _STIRLING_FROM), xp.where(both, b, _STIRLING_FROM)
    total = a_ + b_
    distance = x * b_ - y * a_
    exponent = a_ * _log1p_rest(xp, distance / a_) + b_ * _log1p_rest(xp, -distance / b_)
    corrections = _stirling(total) - _stirling(a_) - _stirling(b_)
    both_large = exponent + corrections + 0.5 * (xp.log(b_ / (total * a_)) - math.log(2 * math.pi))
    return xp.where(both, both_large, plain)


def _regular(xp: Any, a: Any, b: Any, x: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Where the arguments are inside of their domains, and `a`, `b`, `x` and 1 - x there."""
    regular = (a > 0) & (b > 0) & (x > 0) & (x < 1) & (a < math.inf) & (b < math.inf)
    a, b, x = (xp.where(regular, v, w) for v, w in ((a, 1.0), (b, 1.0), (x, 0.25)))
    return regular, a, b, x, 1 - x


def _smaller(xp: Any, epsilon: float, a: Any, b: Any, x: Any, y: Any, regular: Any) -> tuple[Any, Any, Any]:
    """Whether x is above the mean a/(a + b); the logarithm of a power, and a continued fraction: the
    power divided by the fraction is the probability of what is farther from the mean than x."""
    distance = a * y - b * x  # (a + b) (mean - x)
    swap = distance < 0
    p, q = xp.where(swap, b, a), xp.where(swap, a, b)
    z, rest, distance = xp.where(swap, y, x), xp.where(swap, x, y), xp.where(swap, -distance, distance)

    # The fraction of DiDonato and Morris, whose terms do not cancel, divided by p, which it vanishes
    # with.
    def step(n: Any, d: Any, c: Any, h: Any) -> Any:
        first = n <= 1
        inverse = 1 / (p + (2 * n - 1))
        other = (q - n) * n * z * inverse
        numerator = xp.where(first, 1.0, p + (n - 1)) * inverse * ((p + q + (n - 1)) * z) * other
        term = other + n + (p + n) * (distance + 1 + (rest + 1) * n) / (p + (2 * n + 1))
        d = 1 / (numerator * d + term)
        c = term + numerator / c
        h, unfinished = _times(xp, h, c, d, epsilon)
        return (d, c, h), regular & unfinished

    start = (distance + 1) / (p + 1)
    fraction = xp.iterate(step, (p * 0.0, start, start), regular)[2]
    return swap, _log_power(xp, p, q, z, rest), fraction


def beta_below(xp: Any, epsilon: float, a: Any, b: Any, x: Any) -> Any:
    """I_x(a, b), the regularized incomplete beta function: by a continued fraction, on the side of
    the mean where it converges."""
    regular, a_, b_, x_, y_ = _regular(xp, a, b, x)
    swap, log, fraction = _smaller(xp, epsilon, a_, b_, x_, y_, regular)
    below = xp.exp(log) / fraction
    out = xp.where(swap, 1 - below, below)
    # Of the limits of the parameters: all of the mass at 0, or all of it at 1.
    at_zero, at_one = (a <= 0) | (b >= math.inf), (b <= 0) | (a >= math.inf)
    out = xp.where((x <= 0) | (at_one & (x < 1)), 0.0, xp.where((x >= 1) | at_zero, 1.0, out))
    parameters = (a >= 0) & (b >= 0) & ((a > 0) | (b > 0)) & ((a < math.inf) | (b < math.inf))
    defined = parameters & (x >= 0) & (x <= 1)
    return xp.where(defined, out, math.nan)


def beta_below_by(xp: Any, epsilon: float, a: Any, b: Any, x: Any, *, orders: tuple[int, int]) -> Any:
    """The derivative of I_x(a, b) by its parameters, as often as `orders` says, at least once: the
    continued fraction is differentiated."""
    regular, a_, b_, x_, y_ = _regular(xp, a, b, x)

    def formula(xp: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
        swap, log, fraction = _smaller(xp, epsilon, a, b, x, y, regular)
        below = xp.exp(log) / fraction
        return xp.where(swap, -below, below)

    out = derivative(xp, formula, [a_, b_, x_, y_], [*orders, 0, 0])
    # Constant at both ends, for all parameters.
    constant = (a > 0) & (b > 0) & (a < math.inf) & (b < math.inf) & ((x <= 0) & (x >= 0) | (x <= 1) & (x >= 1))
    return xp.where(regular, out, xp.where(constant, 0.0, math.nan))


__all__ = ["beta_below", "beta_below_by", "psi_change"]
