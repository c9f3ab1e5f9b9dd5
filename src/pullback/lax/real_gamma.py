"""What compiled programs have for log |Γ|, ψ and ψ' of real numbers, each exact to a few units of the
last place: also around the zeros at 1 and 2, and that of ψ, and beside poles.

Between 1 and 3, or thereabouts, they are polynomials, which know the zeros; below, recurrences lead
there (DLMF 5.5.1, 5.5.2, 5.15.5); beyond, they are what the asymptotic expansions (DLMF 5.11.1,
5.11.2, 5.15.8) start with, and a polynomial of 1/x; and negative numbers are reflected (DLMF 5.5.3,
5.5.4, 5.15.6).
"""

from __future__ import annotations

import math
from typing import Any

#: The positive zero of ψ: a number of float64, and the rest.
_PSI_ZERO, _PSI_ZERO_REST = 1.4616321449683622, 9.549995429965697e-17


def _apart(xp: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """|x| (not 0, which divides), whether `x` is negative, the distance of |x| from a whole number with
    its sign, and whether that is a pole."""
    size = xp.abs(x)
    rest = size - xp.rint(size)
    pole = (x <= 0) & (rest <= 0) & (rest >= 0)
    return size, x < 0, xp.where(pole, 0.25, rest), pole


def log_gamma(xp: Any, x: Any) -> Any:
    """log |Γ(x)|"""
    xp = xp.precise()  # for the zeros between the negative poles
    size, negative, rest, pole = _apart(xp, x)
    # log Γ(2 + u) = u P(u), for u in [-1/2, 1].
    steps_up, at_two, steps_down = size < 0.5, size >= 1.5, size >= 3
    u = xp.where(steps_up, size, xp.where(steps_down, size - 3, xp.where(at_two, size - 2, size - 1)))
    far = size >= 4
    near = u * xp.linear("log_gamma_near", xp.where(far, 0.0, u), -0.5, 1.0)
    middle = xp.where(steps_down, size - 1, size)
    log = xp.log(xp.where(far, size, xp.where(steps_up, size * (size + 1), middle)))
    near = xp.where(steps_down, near + log, xp.where(at_two, near, near - log))
    large = xp.where(far, size, 4.0)
    beyond = (large - 0.5) * (log - 1) + (
        (math.log(2 * math.pi) - 1) / 2 + xp.reciprocal("log_gamma_far", large, 4) / large
    )
    out = xp.where(far, beyond, near)
    # Γ(-x) Γ(x) x sin πx = -π
    sine = xp.abs(rest) * xp.linear("sin_pi", rest * rest, 0, 0.25)
    reflected = -xp.log(size * sine * (1 / math.pi)) - out
    out = xp.where(negative & (size > 1e-20), reflected, out)
    return xp.where(pole | (size >= math.inf), math.inf, out)


def _recurring(xp: Any, x: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """For ψ and ψ': as `_apart`; then y in [1, 3] at which the polynomial is to be taken, and whether
    it is 1 more than the argument: that is |x| for positive and |x| + 1 for negative ones."""
    size, negative, rest, pole = _apart(xp, x)
    argument = xp.where(negative, size + 1, size)
    return argument, negative, rest, pole, xp.where(argument < 1, argument + 1, argument), argument < 1


def digamma(xp: Any, x: Any) -> Any:
    """ψ(x), NaN at the poles."""
    xp = xp.precise()  # for the zeros between the negative poles
    argument, negative, rest, pole, y, below = _recurring(xp, x)
    far = argument >= 3
    inside, large = xp.where(far, 1.0, y), xp.where(far, argument, 3.0)
    slope = xp.linear("digamma_near", inside, 1, 3)
    # Not (y - zero - rest) slope, of which XLA adds the two constants.
    near = (inside - _PSI_ZERO) * slope - slope * _PSI_ZERO_REST
    near = xp.where(below, near - 1 / argument, near)
    out = xp.where(far, xp.log(large) - xp.reciprocal("digamma_far", large, 3) / large, near)
    # π cot πr, which vanishes at r = ±1/2
    cotangent = (0.5 - rest) * (0.5 + rest) * xp.linear("cot_pi", rest * rest, 0, 0.25) / rest
    out = xp.where(negative, out + cotangent, out)
    return xp.where(pole | (x <= -math.inf), math.nan, out)


def trigamma(xp: Any, x: Any) -> Any:
    """ψ'(x), infinite at the poles."""
    argument, negative, rest, pole, y, below = _recurring(xp, x)
    far = argument >= 3
    inside, large = xp.where(far, 1.0, y), xp.where(far, argument, 3.0)
    near = xp.linear("trigamma_near", inside, 1, 3) / (inside * inside)
    near = xp.where(below, near + 1 / (argument * argument), near)
    out = xp.where(far, xp.reciprocal("trigamma_far", large, 3) / large, near)
    cosecant = math.pi / (rest * xp.linear("sin_pi", rest * rest, 0, 0.25))
    out = xp.where(negative, cosecant * cosecant - out, out)
    return xp.where(pole | (x <= -math.inf), math.inf, out)
