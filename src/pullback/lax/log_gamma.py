"""Primitives of log Γ of complex numbers, on its principal branch, and of its derivatives ψ, ψ', ...

Sources: DLMF 5.11.1 and 5.15.8 (Stirling's series and its derivatives), 5.5.1 and 5.15.5 (recurrences),
5.5.3 and 5.15.6 (reflection); D. Hare, "Computing the principal branch of log-Gamma", J. Algorithms
25 (1997), for the branch; DLMF 5.7.3 about the zeros at 1 and 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pullback.lax import incomplete
from pullback.lax.approximations import Special, by_scipy
from pullback.lax.family import COMPLEX

#: B_2k for k = 1, 2, ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
#: From this real or imaginary part on Stirling's series are used.
_FROM = 14
#: Where the imaginary part is larger than this, they are used whatever the real part is.
_HIGH = 10.0


class Pair:
    """A complex number as two real ones, values of programs being compiled or NumPy's."""

    __slots__ = ("imag", "real")

    def __init__(self, real: Any, imag: Any) -> None:
        self.real, self.imag = real, imag

    def __add__(self, y: Any) -> Pair:
        return Pair(self.real + y.real, self.imag + y.imag) if isinstance(y, Pair) else Pair(self.real + y, self.imag)

    def __neg__(self) -> Pair:
        return Pair(-self.real, -self.imag)

    def __sub__(self, y: Any) -> Pair:
        return self + (-y)

    def __mul__(self, y: Any) -> Pair:
        if isinstance(y, Pair):
            return Pair(self.real * y.real - self.imag * y.imag, self.real * y.imag + self.imag * y.real)
        return Pair(self.real * y, self.imag * y)

    def inverse(self) -> Pair:
        scale = 1 / (self.real * self.real + self.imag * self.imag)
        return Pair(self.real * scale, -self.imag * scale)

    def where(self, xp: Any, condition: Any, y: Pair) -> Pair:
        """Itself where the condition holds, `y` elsewhere."""
        return Pair(xp.where(condition, self.real, y.real), xp.where(condition, self.imag, y.imag))


def _log(xp: Any, z: Pair) -> Pair:
    # Of parts so large that their squares are infinite, too.
    a, b = xp.abs(z.real), xp.abs(z.imag)
    larger, smaller = xp.where(a > b, a, b), xp.where(a > b, b, a)
    quotient = smaller / larger
    return Pair(xp.log(larger) + 0.5 * incomplete._log1p(xp, quotient * quotient), xp.arctan2(z.imag, z.real))


def _trigonometric(xp: Any, z: Pair) -> tuple[Pair, Pair]:
    """sin πz and cos πz, of a moderate imaginary part."""
    turns = z.real - 2 * xp.rint(z.real * 0.5)
    sin, cos = xp.sin(turns * math.pi), xp.cos(turns * math.pi)
    e = xp.expm1(xp.abs(z.imag) * math.pi)
    sinh, cosh = 0.5 * (e + e / (1 + e)), 0.5 * (1 + e + 1 / (1 + e))
    sinh = xp.where(z.imag < 0, -sinh, sinh)
    return Pair(sin * cosh, cos * sinh), Pair(cos * cosh, -(sin * sinh))


def _moved(xp: Any, x: Any, y: Any) -> tuple[Any, Pair, Any, Pair]:
    """Whether z is reflected to 1 - z, what it is then, whether the series needs a larger real part,
    and what that is."""
    low = xp.abs(y) <= _HIGH
    reflected = low & (x < 0.5)
    z = Pair(1 - x, -y).where(xp, reflected, Pair(x, y))
    small = low & (z.real < _FROM)
    return reflected, z, small, (z + _FROM).where(xp, small, z)


def log_gamma(xp: Any, x: Any, y: Any) -> tuple[Any, Any]:
    reflected, z, small, w = _moved(xp, x, y)
    inverse = w.inverse()
    square, series = inverse * inverse, Pair(0.0 * x, 0.0 * x)
    for k in range(len(_BERNOULLI), 0, -1):
        series = series * square + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    out = (w - 0.5) * _log(xp, w) - w + 0.5 * math.log(2 * math.pi) + series * inverse
    product, angle = z, xp.arctan2(z.imag, z.real)
    for k in range(1, _FROM):
        product, angle = product * (z + k), angle + xp.arctan2(z.imag, z.real + k)
    product = product.where(xp, small, Pair(x * 0.0 + 1.0, x * 0.0))
    out = (out - Pair(_log(xp, product).real, angle)).where(xp, small, out)
    # About the zeros at 2 and 1: u (1 - γ) + u² Σ, and for the latter less log(1 + u).
    at_one = z.real < 1.5
    u = Pair(xp.where(at_one, z.real - 1, z.real - 2), z.imag)
    near = u.real * u.real + u.imag * u.imag < 0.27
    u = u.where(xp, near, Pair(x * 0.0, x * 0.0))
    total = Pair(x * 0.0, x * 0.0)
    for c in reversed(incomplete._LOG_GAMMA):
        total = total * u + c
    total = u * (u * total + incomplete._ONE_MINUS_EULER)
    log1p = Pair(0.5 * incomplete._log1p(xp, u.real * (2 + u.real) + u.imag * u.imag), xp.arctan2(u.imag, 1 + u.real))
    out = (total - log1p).where(xp, at_one, total).where(xp, near, out)
    sine = _trigonometric(xp, Pair(x, y).where(xp, reflected, Pair(x * 0.0 + 0.5, x * 0.0)))[0]
    turns = 2 * math.pi * xp.floor(x * 0.5 + 0.25)
    branch = Pair(x * 0.0 + math.log(math.pi), xp.where(y < 0, -turns, turns))
    out = (branch - _log(xp, sine) - out).where(xp, reflected, out)
    return out.real, out.imag


def polygamma(xp: Any, x: Any, y: Any, *, order: int) -> tuple[Any, Any]:
    """The derivative of order `order` of ψ."""
    m = order
    reflected, z, small, w = _moved(xp, x, y)
    inverse = w.inverse()
    square, series = inverse * inverse, Pair(0.0 * x, 0.0 * x)
    for k in range(len(_BERNOULLI), 0, -1):
        series = series * square + _BERNOULLI[k - 1] * math.factorial(2 * k + m - 1) / math.factorial(2 * k)
    # Σ B_2k (2k + m - 1)!/(2k)! w^-2k + m!/(2w) + (m - 1)!, times (-1)^(m + 1) w^-m.
    out = series * square + inverse * (0.5 * math.factorial(m))
    power = Pair(x * 0.0 + 1.0, x * 0.0)
    for _ in range(m):
        power = power * inverse
    out = _log(xp, w) - out if m == 0 else (out + math.factorial(m - 1)) * power * (-1.0) ** (m + 1)
    total = Pair(x * 0.0, x * 0.0)
    for k in range(_FROM):
        factor = (z + k).inverse()
        term = factor
        for _ in range(m):
            term = term * factor
        total = total + term
    out = (out - total * ((-1.0) ** m * math.factorial(m))).where(xp, small, out)
    # π dᵐ/dzᵐ cot πz is a polynomial of the cotangent c, as c' = -π(1 + c²).
    coefficients = [0.0, math.pi]
    for _ in range(m):
        slope = [k * c * -math.pi for k, c in enumerate(coefficients)][1:]
        coefficients = [
            (slope[k] if k < len(slope) else 0.0) + (slope[k - 2] if k >= 2 else 0.0) for k in range(len(slope) + 2)
        ]
    sine, cosine = _trigonometric(xp, Pair(x, y).where(xp, reflected, Pair(x * 0.0 + 0.5, x * 0.0)))
    cosecant = sine.inverse()
    cotangent, value = cosine * cosecant, Pair(x * 0.0, x * 0.0)
    if m > 0:  # divided by 1 + c² = 1/sin² πz, which would cancel far from the axis
        for k in range(len(coefficients) - 3, -1, -1):
            coefficients[k] -= coefficients[k + 2]
        coefficients = coefficients[2:]
    for c in reversed(coefficients):
        value = value * cotangent + c
    if m > 0:
        value = value * cosecant * cosecant
    out = (out * (-1.0) ** m - value).where(xp, reflected, out)
    return out.real, out.imag


class _Eager(incomplete.Eager):
    arctan2, rint, sin, cos = np.arctan2, np.rint, np.sin, np.cos


_psi = by_scipy("psi")


def _polygamma_eager(z: Any, order: int) -> Any:
    if order == 0:
        return _psi(z)
    wide = np.asarray(z, np.complex128)
    real, imag = polygamma(_Eager, wide.real, wide.imag, order=order)
    return (real + 1j * imag).astype(z.dtype)


def _slope(z: Any, out: Any) -> Any:
    return complex_polygamma_p.bind(z, order=0)


def _next(z: Any, out: Any, order: int) -> Any:
    return complex_polygamma_p.bind(z, order=order + 1)


log_gamma_p = Special("log_gamma", "loggamma", log_gamma, _slope, wide=True, kinds=COMPLEX)
complex_polygamma_p = Special("complex_polygamma", _polygamma_eager, polygamma, _next, wide=True, kinds=COMPLEX)
