"""Primitives of the hypergeometric functions ₁F₁ and ₂F₁, and their derivatives by parameters.

Compiled by power series, to which Kummer's and Pfaff's transformations take negative arguments (DLMF
13.2.39, 15.8.1); near 1 and for large arguments by DLMF 15.8.4 and the asymptotic series 13.7.1 and
13.7.2. Derivatives by parameters are the series differentiated term by term (see `lax.taylor`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.lax import incomplete
from pullback.lax.approximations import INFINITY, Special, by_scipy
from pullback.lax.elementwise import div_p
from pullback.lax.family import add_p, like, mul_p
from pullback.lax.taylor import derivative


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


def _series(xp: Any, upper: Sequence[Any], lower: Any, z: Any, active: Any) -> Any:
    """Σ (a)_n (b)_n/((c)_n n!) zⁿ for `upper` parameters a (and b) and a `lower` one c."""
    epsilon = 1e-10 if xp.single else 1e-17

    def step(n: Any, term: Any, total: Any) -> Any:
        k = n - 1
        term = term * (z / ((lower + k) * n))
        for a in upper:
            term = term * (a + k)
        total = total + term
        return (term, total), active & xp.matters(term, total, epsilon)

    one = z * 0.0 + 1.0
    return xp.iterate(step, (one, one), active)[1]


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
    series = _series(xp, [first], lower, z, near)
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


def hyp1f1_by(xp: Any, a: Any, b: Any, x: Any, *, orders: tuple[int, int]) -> Any:
    """The derivative of ₁F₁ by a and b, as often as `orders` says."""
    negative = x < 0
    # Beyond 700 the series overflows.
    defined = ((b > 0) | ~_is_whole(xp, b)) & (xp.abs(x) <= 700) & xp.is_number(a) & xp.is_number(b)
    a, b, z = xp.where(defined, a, 1.0), xp.where(defined, b, 1.0), xp.where(defined, xp.abs(x), 0.0)

    def formula(xp: Any, a: Any, b: Any, z: Any) -> Any:
        return _series(xp, [xp.where(negative, b - a, a)], b, z, defined)

    out = derivative(xp, formula, [a, b, z], [*orders, 0])
    return xp.where(defined, xp.where(negative, xp.exp(-z), 1.0) * out, math.nan)


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
    direct = _series(xp, [p1, q1], c1, xp.where(near, z, 0.0), near)
    p2, q2, c2 = xp.where(far, p, 0.25), xp.where(far, q, 0.25), xp.where(far, c, 1.0)
    s2, rest = c2 - p2 - q2, xp.where(far, rest, 0.05)
    one = _gamma_quotient(xp, [c2, s2], [c2 - p2, c2 - q2]) * _series(xp, [p2, q2], 1 - s2, rest, far)
    other = _gamma_quotient(xp, [c2, -s2], [p2, q2]) * _series(xp, [c2 - p2, c2 - q2], 1 + s2, rest, far)
    by_rest = one + other * xp.exp(s2 * xp.log(rest))
    ends = at_one & (s > 0)
    p3, q3, c3 = xp.where(ends, p, 0.25), xp.where(ends, q, 0.25), xp.where(ends, c, 1.0)
    gauss = xp.where(ends, _gamma_quotient(xp, [c3, c3 - p3 - q3], [c3 - p3, c3 - q3]), INFINITY)
    out = factor * xp.where(far, by_rest, xp.where(at_one, gauss, direct))
    return xp.where(defined, out, xp.where(known & finite, INFINITY, math.nan))


def hyp2f1_by(xp: Any, a: Any, b: Any, c: Any, x: Any, *, orders: tuple[int, int, int]) -> Any:
    """The derivative of ₂F₁ by a, b and c, as often as `orders` says, for x < 1."""
    moved = x < 0
    low = xp.where(moved, x, 0.0)
    z = xp.where(moved, low / (low - 1), x)
    # The series takes 40/(1 - z) terms, of which there is a limit.
    known = xp.is_number(a) & xp.is_number(b) & xp.is_number(c)
    defined = ((c > 0) | ~_is_whole(xp, c)) & (z < 0.998) & known
    a, b, c, z = (xp.where(defined, v, w) for v, w in ((a, 1.0), (b, 1.0), (c, 1.0), (z, 0.0)))
    log_rest = xp.where(defined, incomplete._log1p(xp, -low), 0.0)

    def formula(xp: Any, a: Any, b: Any, c: Any, z: Any, log_rest: Any) -> Any:
        # Pfaff's transformation changes b, or a, whichever is not differentiated by.
        p, q = (a, b) if orders[0] else (b, a)
        return xp.exp(-p * log_rest) * _series(xp, [p, xp.where(moved, c - q, q)], c, z, defined)

    return xp.where(defined, derivative(xp, formula, [a, b, c, z, log_rest], [*orders, 0, 0]), math.nan)


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


def _slope_1f1(a: Any, b: Any, x: Any, out: Any) -> Any:
    return mul_p.bind(div_p.bind(a, b), hyp1f1_p.bind(_plus(a), _plus(b), x))


def _slope_2f1(a: Any, b: Any, c: Any, x: Any, out: Any) -> Any:
    return mul_p.bind(div_p.bind(mul_p.bind(a, b), c), hyp2f1_p.bind(_plus(a), _plus(b), _plus(c), x))


def _by(primitive: Callable[[], Any], k: int, count: int) -> Callable[..., Any]:
    """The derivative by parameter `k` of `count`, of the function or of one of its derivatives."""

    def partial(*values: Any, orders: tuple[int, ...] = (0,) * count) -> Any:
        return primitive().bind(*values[:-1], orders=tuple(n + (i == k) for i, n in enumerate(orders)))

    return partial


def _lower(parameter: Any, order: int) -> list[Any]:
    """1/c, and its derivatives up to `order`."""
    out = [div_p.bind(like(1, parameter), parameter)]
    for n in range(1, order + 1):
        out.append(mul_p.bind(out[-1], mul_p.bind(like(-n, parameter), out[0])))
    return out


def _slope_by(function: Any, primitive: Callable[[], Any]) -> Callable[..., Any]:
    """The derivative by x of a derivative by parameters, by Leibniz's rule: of a/b M(a + 1, b + 1, x) or
    ab/c F(a + 1, b + 1; c + 1; x)."""

    def partial(*values: Any, orders: tuple[int, ...]) -> Any:
        *parameters, x = values[:-1]
        following = [*map(_plus, parameters), x]
        factors = [[p, like(1, p)][: n + 1] for p, n in zip(parameters[:-1], orders)]
        factors.append(_lower(parameters[-1], orders[-1]))
        total = None
        for ks in itertools.product(*(range(len(f)) for f in factors)):
            rest = tuple(n - k for n, k in zip(orders, ks))
            term = primitive().bind(*following, orders=rest) if any(rest) else function().bind(*following)
            for f, k, n in zip(factors, ks, orders):
                term = mul_p.bind(term, f[k])
                if math.comb(n, k) > 1:
                    term = mul_p.bind(like(math.comb(n, k), term), term)
            total = term if total is None else add_p.bind(total, term)
        return total

    return partial


hyp1f1_by_p = Special(
    "hyp1f1_by",
    _eagerly(hyp1f1_by),
    hyp1f1_by,
    *(_by(lambda: hyp1f1_by_p, k, 2) for k in range(2)),
    _slope_by(lambda: hyp1f1_p, lambda: hyp1f1_by_p),
    wide=True,
)
hyp2f1_by_p = Special(
    "hyp2f1_by",
    _eagerly(hyp2f1_by),
    hyp2f1_by,
    *(_by(lambda: hyp2f1_by_p, k, 3) for k in range(3)),
    _slope_by(lambda: hyp2f1_p, lambda: hyp2f1_by_p),
    wide=True,
)
hyp1f1_p = Special(
    "hyp1f1", _finite("hyp1f1"), hyp1f1, *(_by(lambda: hyp1f1_by_p, k, 2) for k in range(2)), _slope_1f1, wide=True
)
hyp2f1_p = Special(
    "hyp2f1", _finite("hyp2f1"), hyp2f1, *(_by(lambda: hyp2f1_by_p, k, 3) for k in range(3)), _slope_2f1, wide=True
)
