"""Primitives of the hypergeometric functions ₁F₁ and ₂F₁, and their first derivatives by parameters.

Compiled by power series, to which Kummer's and Pfaff's transformations take negative arguments (DLMF
13.2.39, 15.8.1); near 1 and for large arguments by DLMF 15.8.4 and the asymptotic series 13.7.1 and
13.7.2. Derivatives by parameters are the series differentiated term by term; they have no derivatives
by parameters again, as those are no functions of the family.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.errors import user_line
from pullback.lax import incomplete
from pullback.lax.approximations import INFINITY, Special, by_scipy
from pullback.lax.elementwise import div_p
from pullback.lax.family import add_p, like, mul_p, neg_p


class _Eager(incomplete.Eager):
    """NumPy, for the derivatives by parameters, which SciPy does not have."""

    single = False

    @staticmethod
    def is_number(x: Any) -> Any:
        return ~np.isnan(x)


def _eagerly(formula: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(*operands: Any, **params: Any) -> Any:
        wide = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in operands))
        out = formula(_Eager, *(x.ravel() for x in wide), **params)
        return out.reshape(wide[0].shape).astype(operands[0].dtype)

    return evaluate


def _series(xp: Any, upper: Sequence[Any], lower: Any, z: Any, active: Any, by: int | None = None) -> tuple[Any, Any]:
    """Σ (a)_n (b)_n/((c)_n n!) zⁿ for `upper` parameters a (and b) and a `lower` one c, and its
    derivative by parameter number `by`, the lower one being the last."""
    epsilon = 1e-10 if xp.single else 1e-17
    zero = z * 0.0

    def step(n: Any, term: Any, slope: Any, total: Any, total_slope: Any) -> Any:
        k = n - 1
        shared = z / ((lower + k) * n)
        ratio = shared
        for a in upper:
            ratio = ratio * (a + k)
        slope = slope * ratio
        if by is not None and by < len(upper):
            others = shared
            for i, a in enumerate(upper):
                if i != by:
                    others = others * (a + k)
            slope = slope + term * others
        elif by is not None:
            slope = slope - term * ratio / (lower + k)
        term = term * ratio
        total, total_slope = total + term, total_slope + slope
        going = xp.abs(term) > xp.abs(total) * epsilon
        if by is not None:
            going = going | (xp.abs(slope) > xp.abs(total_slope) * epsilon)
        return (term, slope, total, total_slope), active & going

    found = xp.iterate(step, (zero + 1.0, zero, zero + 1.0, zero), active)
    return found[2], found[3]


def _is_whole(xp: Any, x: Any) -> Any:
    return xp.floor(x) >= x


def _without_pole(xp: Any, upper: Sequence[Any], lower: Any) -> Any:
    """Whether no term has a zero in its denominator: the lower parameter is no whole number ≤ 0, or
    the series ends before."""
    out = (lower > 0) | ~_is_whole(xp, lower)
    for a in upper:
        out = out | ((a <= 0) & _is_whole(xp, a) & (a >= lower))
    return out


def _gamma_quotient(xp: Any, above: Sequence[Any], below: Sequence[Any]) -> Any:
    """Π Γ(above) / Π Γ(below), with signs; 0 at the poles of those below."""
    log, sign = above[0] * 0.0, above[0] * 0.0 + 1.0
    zero = above[0] < -INFINITY
    for which, xs in ((1, above), (-1, below)):
        for x in xs:
            pole = (x <= 0) & _is_whole(xp, x)
            y = xp.where(pole, 1.0, x)
            log = log + xp.lgamma(y) * which
            half = xp.floor(y) * 0.5
            sign = xp.where((y < 0) & (half > xp.floor(half)), -sign, sign)
            zero = (zero | pole) if which < 0 else zero
    return xp.where(zero, 0.0, sign * xp.exp(log))


# ---- ₁F₁ -----------------------------------------------------------------------------------------


def hyp1f1(xp: Any, a: Any, b: Any, x: Any) -> Any:
    negative = x < 0
    p, y = xp.where(negative, b - a, a), xp.abs(x)
    known = xp.is_number(a) & xp.is_number(b) & xp.is_number(x)
    defined = _without_pole(xp, [a], b) & known & (y < INFINITY)
    polynomial = (a <= 0) & _is_whole(xp, a)
    # In the asymptotic series, terms fall until n is about y.
    far = defined & ~polynomial & (y > 50) & (y > 2 * (xp.abs(p - 1) + 1) * (xp.abs(b - p) + 1))
    near = defined & ~far
    z = xp.where(near, xp.where(polynomial, x, y), 0.0)
    first, lower = xp.where(near, xp.where(polynomial, a, p), 1.0), xp.where(near, b, 1.0)
    series = _series(xp, [first], lower, z, near)[0]
    series = xp.where(negative & ~polynomial, xp.exp(-z) * series, series)

    # e^y y^(p-b) Γ(b)/Γ(p) Σ (1 - p)_n (b - p)_n / n! y^-n, without e^y for negative x.
    w, q, d = xp.where(far, y, 100.0), xp.where(far, p, 1.0), xp.where(far, b, 1.0)

    def step(n: Any, term: Any, total: Any) -> Any:
        new = term * (n - q) * (d - q + (n - 1)) / (n * w)
        going = (xp.abs(new) < xp.abs(term)) & (xp.abs(new) > xp.abs(total) * 1e-17)
        return (xp.where(going, new, 0.0), xp.where(going, total + new, total)), far & going

    one = w * 0.0 + 1.0
    total = xp.iterate(step, (one, one), far)[1]
    exponent = xp.where(negative, 0.0, xp.where(far, y, 0.0)) + (q - d) * xp.log(w)
    asymptotic = _gamma_quotient(xp, [d], [q]) * xp.exp(exponent) * total
    out = xp.where((a >= 0) & (a <= 0), 1.0, xp.where(far, asymptotic, series))
    infinite = xp.where(known & (y < INFINITY), INFINITY, math.nan)  # a pole, or no limit
    return xp.where(defined, out, infinite)


def hyp1f1_by(xp: Any, a: Any, b: Any, x: Any, *, parameter: int) -> Any:
    """The derivative of ₁F₁ by a (0) or b (1)."""
    negative = x < 0
    p, y = xp.where(negative, b - a, a), xp.abs(x)
    # Beyond 700 the series overflows.
    defined = ((b > 0) | ~_is_whole(xp, b)) & (y <= 700) & xp.is_number(a) & xp.is_number(b)
    z, p, b = xp.where(defined, y, 0.0), xp.where(defined, p, 1.0), xp.where(defined, b, 1.0)
    by_p = _series(xp, [p], b, z, defined, 0)[1]
    if parameter == 0:
        out = xp.where(negative, -by_p, by_p)
    else:
        by_b = _series(xp, [p], b, z, defined, 1)[1]
        out = xp.where(negative, by_p + by_b, by_b)
    return xp.where(defined, xp.where(negative, xp.exp(-z), 1.0 + z * 0.0) * out, math.nan)


# ---- ₂F₁ -----------------------------------------------------------------------------------------


def hyp2f1(xp: Any, a: Any, b: Any, c: Any, x: Any) -> Any:
    known = xp.is_number(a) & xp.is_number(b) & xp.is_number(c) & xp.is_number(x)
    without_pole = _without_pole(xp, [a, b], c)
    polynomial = ((a <= 0) & _is_whole(xp, a)) | ((b <= 0) & _is_whole(xp, b))
    finite = (x > -INFINITY) & (x < INFINITY)
    defined = known & without_pole & finite & ((x <= 1) | polynomial)
    # Pfaff's transformation, with the parameter of which the power grows the less.
    moved = defined & (x < 0) & ~polynomial
    first = a <= b
    p, q = xp.where(first, a, b), xp.where(first, b, a)
    low = xp.where(moved, x, 0.0)
    z, rest = xp.where(moved, low / (low - 1), x), xp.where(moved, 1 / (1 - low), 1 - x)
    factor = xp.exp(-p * incomplete._log1p(xp, -low))
    factor = xp.where(moved, factor, 1.0)
    q = xp.where(moved, c - q, q)
    s = c - p - q
    at_one = defined & (z >= 1) & ~polynomial
    # 15.8.4 needs c - a - b that is no whole number, and loses digits close to one.
    apart = xp.abs(s - xp.floor(s + 0.5)) > 0.05
    far = defined & (z > 0.9) & (z < 1) & apart & ~polynomial
    near = defined & ~far & ~at_one
    p1, q1, c1 = (xp.where(near, v, 1.0) for v in (p, q, c))
    direct = _series(xp, [p1, q1], c1, xp.where(near, z, 0.0), near)[0]
    p2, q2, c2 = xp.where(far, p, 0.25), xp.where(far, q, 0.25), xp.where(far, c, 1.0)
    s2, rest = c2 - p2 - q2, xp.where(far, rest, 0.05)
    one = _gamma_quotient(xp, [c2, s2], [c2 - p2, c2 - q2]) * _series(xp, [p2, q2], 1 - s2, rest, far)[0]
    other = _gamma_quotient(xp, [c2, -s2], [p2, q2]) * _series(xp, [c2 - p2, c2 - q2], 1 + s2, rest, far)[0]
    by_rest = one + other * xp.exp(s2 * xp.log(rest))
    ends = at_one & (s > 0)
    p3, q3, c3 = xp.where(ends, p, 0.25), xp.where(ends, q, 0.25), xp.where(ends, c, 1.0)
    gauss = xp.where(ends, _gamma_quotient(xp, [c3, c3 - p3 - q3], [c3 - p3, c3 - q3]), INFINITY)
    out = factor * xp.where(far, by_rest, xp.where(at_one, gauss, direct))
    return xp.where(defined, out, xp.where(known & finite, INFINITY, math.nan))


def hyp2f1_by(xp: Any, a: Any, b: Any, c: Any, x: Any, *, parameter: int) -> Any:
    """The derivative of ₂F₁ by a (0), b (1) or c (2), for x < 1."""
    if parameter == 1:
        return hyp2f1_by(xp, b, a, c, x, parameter=0)
    moved = x < 0
    low = xp.where(moved, x, 0.0)
    z, q = xp.where(moved, low / (low - 1), x), xp.where(moved, c - b, b)
    # The series takes 40/(1 - z) terms, of which there is a limit.
    known = xp.is_number(a) & xp.is_number(b) & xp.is_number(c)
    defined = ((c > 0) | ~_is_whole(xp, c)) & (z < 0.998) & known
    p, q, c, z = (xp.where(defined, v, w) for v, w in ((a, 1.0), (q, 1.0), (c, 1.0), (z, 0.0)))
    log_rest = xp.where(defined, incomplete._log1p(xp, -low), 0.0)
    if parameter == 0:
        value, slope = _series(xp, [p, q], c, z, defined, 0)
        out = slope - log_rest * value
    else:
        slope = _series(xp, [p, q], c, z, defined, 2)[1]
        out = xp.where(moved, slope + _series(xp, [p, q], c, z, defined, 1)[1], slope)
    return xp.where(defined, xp.exp(-p * log_rest) * out, math.nan)


# ---- eager values and derivatives ----------------------------------------------------------------


def _finite(name: str) -> Callable[..., Any]:
    """SciPy's function where all operands are finite, NaN elsewhere: it does not come back from
    infinite arguments."""
    function = by_scipy(name)

    def evaluate(*operands: Any) -> Any:
        finite = np.isfinite(operands[0])
        for x in operands[1:]:
            finite = finite & np.isfinite(x)
        if finite.all():
            return function(*operands)
        out = function(*(np.where(finite, x, np.ones_like(x) * x.dtype.type(0.5)) for x in operands))
        return np.where(finite, out, np.full_like(out, np.nan))

    return evaluate


def _plus(x: Any) -> Any:
    return add_p.bind(x, like(1, x))


def _twice(name: str) -> Callable[..., Any]:
    def partial(*values: Any, parameter: int) -> Any:
        raise NotImplementedError(
            f"{name} has no second derivatives with respect to its parameters, at {user_line()}: they are no "
            "hypergeometric functions. It has those with respect to its argument"
        )

    return partial


def _slope_1f1(a: Any, b: Any, x: Any, out: Any) -> Any:
    return mul_p.bind(div_p.bind(a, b), hyp1f1_p.bind(_plus(a), _plus(b), x))


def _slope_1f1_by(a: Any, b: Any, x: Any, out: Any, *, parameter: int) -> Any:
    # Of a/b M(a + 1, b + 1, x).
    value = hyp1f1_p.bind(_plus(a), _plus(b), x)
    further = mul_p.bind(div_p.bind(a, b), hyp1f1_by_p.bind(_plus(a), _plus(b), x, parameter=parameter))
    inverse = div_p.bind(like(1, b), b)
    factor = inverse if parameter == 0 else neg_p.bind(mul_p.bind(a, mul_p.bind(inverse, inverse)))
    return add_p.bind(mul_p.bind(factor, value), further)


def _slope_2f1(a: Any, b: Any, c: Any, x: Any, out: Any) -> Any:
    return mul_p.bind(div_p.bind(mul_p.bind(a, b), c), hyp2f1_p.bind(_plus(a), _plus(b), _plus(c), x))


def _slope_2f1_by(a: Any, b: Any, c: Any, x: Any, out: Any, *, parameter: int) -> Any:
    # Of ab/c F(a + 1, b + 1; c + 1; x).
    following = _plus(a), _plus(b), _plus(c), x
    product = div_p.bind(mul_p.bind(a, b), c)
    further = mul_p.bind(product, hyp2f1_by_p.bind(*following, parameter=parameter))
    factor = div_p.bind((b, a)[parameter], c) if parameter < 2 else neg_p.bind(div_p.bind(product, c))
    return add_p.bind(mul_p.bind(factor, hyp2f1_p.bind(*following)), further)


def _by_1f1(parameter: int) -> Callable[..., Any]:
    return lambda *values: hyp1f1_by_p.bind(*values[:-1], parameter=parameter)


def _by_2f1(parameter: int) -> Callable[..., Any]:
    return lambda *values: hyp2f1_by_p.bind(*values[:-1], parameter=parameter)


_none_1f1, _none_2f1 = _twice("hyp1f1"), _twice("hyp2f1")
hyp1f1_by_p = Special("hyp1f1_by", _eagerly(hyp1f1_by), hyp1f1_by, _none_1f1, _none_1f1, _slope_1f1_by, wide=True)
hyp2f1_by_p = Special(
    "hyp2f1_by", _eagerly(hyp2f1_by), hyp2f1_by, _none_2f1, _none_2f1, _none_2f1, _slope_2f1_by, wide=True
)
hyp1f1_p = Special("hyp1f1", _finite("hyp1f1"), hyp1f1, _by_1f1(0), _by_1f1(1), _slope_1f1, wide=True)
hyp2f1_p = Special("hyp2f1", _finite("hyp2f1"), hyp2f1, _by_2f1(0), _by_2f1(1), _by_2f1(2), _slope_2f1, wide=True)
