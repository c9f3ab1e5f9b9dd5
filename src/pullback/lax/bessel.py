"""Primitives of Bessel functions: J₀, ..., J_v together, and I_n, scaled and not, of whole order.

Sources: DLMF 10.6.1 (recurrences and derivatives), 10.17.3 (large arguments), 10.2.2 and 10.25.2
(power series), 3.6(iii) (Miller's algorithm, by which J_n for x < n is normalized with DLMF 10.12.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.types import ShapedArray
from pullback.lax.approximations import INFINITY, Special, by_scipy, computed
from pullback.lax.elementwise import abs_p, div_p, gt_p, rsqrt_p, sign_p
from pullback.lax.family import FLOAT, Broadcasting, add_p, like, mul_p, sub_p
from pullback.lax.selection import select

# ---- J -------------------------------------------------------------------------------------------

_NEAR = (  # where it ends, and the first zero with what rounding it leaves
    (4.0, 2.404825557695773, -1.176691651530894e-16),
    (5.0, 3.8317059702075125, -1.5269184090088067e-16),
)


def _j(xp: Any, n: int, x: Any) -> Any:
    """J₀ or J₁ of x ≥ 0, finite."""
    end, zero, rest = _NEAR[n]
    low = xp.between(x, 0.0, end)
    factor = (low - zero) * (low + zero) - 2 * zero * rest
    near = xp.linear(f"j{n}_near", low * low, 0.0, end * end) * factor
    if n == 1:
        near = near * low
    y = xp.where(x < 4, 4.0, x)
    square = y * y
    p, q = (
        xp.where(
            square < 64,
            xp.reciprocal(f"j{n}_{name}_0", xp.between(square, 16.0, 64.0), 16.0, 64.0),
            xp.reciprocal(f"j{n}_{name}_1", xp.where(square > 64, square, 64.0), 64.0),
        )
        for name in "pq"
    )
    sin, cos = xp.sin(y), xp.cos(y)
    along, across = (cos + sin, sin - cos) if n == 0 else (sin - cos, -(sin + cos))
    return xp.where(x < end, near, (p * along - q / y * across) / xp.sqrt(y * math.pi))


def bessel_jn(xp: Any, x: Any, v: int) -> list[Any]:
    """J₀(x), ..., J_v(x)."""
    size = xp.abs(x)
    finite = size < INFINITY
    size = xp.where(finite, size, 0.0)
    ahead = [xp.kept(_j(xp, n, size)) for n in range(min(v, 1) + 1)]
    positive = xp.where(size > 1e-300, size, 1.0)
    for n in range(1, v):
        ahead.append(ahead[n] * (2 * n) / positive - ahead[n - 1])
    outs = ahead[:2]
    back = _backward(xp, xp.where(size < 0.5, 0.5, size), v) if v > 1 else []
    square = size * size * -0.25
    for n in range(2, v + 1):
        low = size < n / 4
        y = xp.where(low, square, 0.0)
        series = y * 0.0 + 1.0
        for k in range(14 + n // 4, 0, -1):
            series = 1 + series * y / (k * (n + k))
        half, power = xp.where(low, size, 0.0) * 0.5, 1.0
        for k in range(1, n + 1):
            power = half * power * (1 / k)
        outs.append(xp.where(low, power * series, xp.where(size < n, back[n], ahead[n])))
    negative = x < 0
    outs = [xp.where(negative, -out, out) if n % 2 else out for n, out in enumerate(outs)]
    return [xp.where(finite, out, xp.where(xp.is_number(x), 0.0, math.nan)) for out in outs]


def _backward(xp: Any, x: Any, v: int) -> list[Any]:
    """J₀(x), ..., J_v(x) by the recurrence from a large order down, exact for orders above x."""
    start = v + 20 + int(8 * v ** (1 / 3))
    inverse = 2 / xp.where(x > v + 1, v + 1.0, x)
    above, now, total = x * 0.0, x * 0.0 + 1e-290, x * 0.0
    found: list[Any] = [None] * (start + 1)
    for k in range(start, 0, -1):
        found[k] = now if k <= v else None
        if k % 2 == 0:
            total = total + 2 * now
        above, now = now, now * inverse * k - above
        if k % 32 == 0 and start > 90:  # before anything overflows
            scale = xp.where(xp.abs(now) > 1e150, 1e-150, 1.0)
            above, now, total = above * scale, now * scale, total * scale
            found = [f if f is None else f * scale for f in found]
    total = total + now
    found[0] = now
    return [f / total for f in found[: v + 1]]


class BesselJN(Broadcasting):
    """J₀, ..., J_v: v + 1 results.

    >>> bessel_jn_p.type_of(ShapedArray((2,), dtypes.float32), v=2)
    [ShapedArray(float32[2]), ShapedArray(float32[2]), ShapedArray(float32[2])]
    """

    name = "bessel_jn"
    multiple_results = True
    kinds = FLOAT

    def type_of(self, x: ShapedArray, *, v: int) -> Any:
        if dtypes.kind(x.dtype) not in FLOAT:
            raise TypeError(f"{self.name} does not accept dtype {dtypes.name(x.dtype)}")
        return [x] * (v + 1)

    def evaluate(self, x: Any, *, v: int) -> Any:
        outs = [_scipy_j[n](x) if n < 2 else _scipy_j[2](x.dtype.type(n), x) for n in range(v + 1)]
        infinite = np.isinf(x)  # where SciPy has no limits
        return [np.where(infinite, np.zeros_like(out), out) for out in outs] if infinite.any() else outs

    _lower = staticmethod(computed(bessel_jn, True))

    def lower(self, emit: Any, x: Any, *, v: int) -> Any:
        return self._lower(emit, x, v=v)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, v: int) -> Any:
        (x,), (t,) = primals, tangents
        outs = self.bind(x, v=v + 1)
        if t is None:
            return outs[:-1], [None] * (v + 1)
        half = mul_p.bind(like(0.5, x), t)
        slopes = [-(outs[1] * t)]
        slopes += [mul_p.bind(sub_p.bind(outs[n - 1], outs[n + 1]), half) for n in range(1, v + 1)]
        return outs[:-1], slopes

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], *, v: int) -> Any:
        return self.bind(*args, v=v), [axes[0]] * (v + 1)


_scipy_j = by_scipy("j0"), by_scipy("j1"), by_scipy("jv")
bessel_jn_p = BesselJN()

# ---- I -------------------------------------------------------------------------------------------


def _i(xp: Any, n: int, x: Any) -> tuple[Any, Any, Any]:
    """For n = 0 or 1 and x ≥ 0, I_n(x) for x < 3, e^-x I_n(x) beyond, and whether x < 3."""
    low = xp.between(x, 0.0, 3.0)
    square = low * low
    near = xp.linear(f"i{n}_near", square, 0.0, 9.0)
    near = 1 + square * near if n == 0 else low * near
    y = xp.where(x < 3, 3.0, x)
    middle = xp.reciprocal(f"i{n}e_middle", xp.between(y, 3.0, 8.0), 3.0, 8.0)
    far = xp.reciprocal(f"i{n}e_far", xp.where(y > 8, y, 8.0), 8.0)
    return near, xp.where(y < 8, middle, far) / xp.sqrt(y), x < 3


def _series_end(n: int) -> float:
    return float(n * n + 8)


def _i_of_order(xp: Any, n: int, x: Any) -> tuple[Any, Any, Any]:
    """As `_i` for n ≥ 2: by the power series up to n² + 8, beyond by the recurrence from I₀ and I₁,
    which loses at most a digit there."""
    end = _series_end(n)
    low = xp.between(x, 0.0, end)
    square = low * low * 0.25
    series = square * 0.0 + 1.0
    for k in range(24 + int(end * 0.9), 0, -1):
        series = 1 + series * square / (k * (n + k))
    for k in range(1, n + 1):
        series = series * (low * (0.5 / k))
    y = xp.where(x < end, end, x)
    before, now = _i(xp, 0, y)[1], _i(xp, 1, y)[1]
    for k in range(1, n):
        before, now = now, before - now * (2 * k) / y
    return series, now, x < end


def bessel_i(xp: Any, x: Any, order: int) -> Any:
    size = xp.abs(x)
    near, far, is_near = (_i if order < 2 else _i_of_order)(xp, order, size)
    largest = 80.0 if xp.width == dtypes.float32 else 700.0
    # Where the exponential is infinite, the result need not be.
    beyond = size > largest
    growth = xp.exp(xp.where(beyond, size - 20.0, size))
    out = xp.where(is_near, near, xp.where(beyond, far * growth * math.exp(20.0), far * growth))
    out = xp.where(size >= INFINITY, INFINITY, out)
    return xp.where(x < 0, -out, out) if order % 2 else out


def bessel_ie(xp: Any, x: Any, order: int) -> Any:
    size = xp.abs(x)
    near, far, is_near = (_i if order < 2 else _i_of_order)(xp, order, size)
    out = xp.where(is_near, near * xp.exp(-xp.where(is_near, size, 0.0)), far)
    return xp.where(x < 0, -out, out) if order % 2 else out


def _by_order(first: str, second: str, general: str, at_infinity: float) -> Any:
    functions = by_scipy(first), by_scipy(second), by_scipy(general)

    def evaluate(x: Any, order: int) -> Any:
        if order > 1:
            return functions[2](x.dtype.type(order), x)
        out = functions[order](x)
        infinite = np.isinf(x)  # where SciPy has no limits
        if not np.count_nonzero(infinite):
            return out
        limit = np.copysign(at_infinity, x) if order else np.full_like(x, at_infinity)
        return np.where(infinite, limit.astype(x.dtype), out)

    return evaluate


def _slope(x: Any, out: Any, order: int) -> Any:
    # I_n' = (I_(n - 1) + I_(n + 1))/2
    if order == 0:
        return bessel_i_p.bind(x, order=1)
    total = add_p.bind(bessel_i_p.bind(x, order=order - 1), bessel_i_p.bind(x, order=order + 1))
    return mul_p.bind(like(0.5, x), total)


#: From here on, what e^-x I₀(x) is more than e^-x I₁(x) is its asymptotic series, to rounding.
_GAP_FROM, _GAP_TERMS = 20.0, 26


def _coefficients(n: int) -> list[float]:
    """Those of (-1/x)ᵏ in √(2πx) e^-x I_n(x) (DLMF 10.40.1)."""
    out = [1.0]
    for k in range(1, _GAP_TERMS):
        out.append(out[-1] * (4 * n * n - (2 * k - 1) ** 2) / (8 * k))
    return out


_GAP = [(-1) ** k * (a - b) for k, (a, b) in enumerate(zip(_coefficients(0), _coefficients(1)))]


def _scaled_slope(x: Any, out: Any, order: int) -> Any:
    side = sign_p.bind(x)
    if order == 0:
        total, weight = mul_p.bind(like(2, x), bessel_ie_p.bind(x, order=1)), -1
    else:
        total, weight = add_p.bind(bessel_ie_p.bind(x, order=order - 1), bessel_ie_p.bind(x, order=order + 1)), 1
    near = sub_p.bind(mul_p.bind(like(0.5, x), total), mul_p.bind(side, out))
    if order > 1:
        return near
    # For large x this cancels. Of I₀ it is -(I₀ - I₁), of I₁ it is I₀ - I₁ - I₁/x.
    size = abs_p.bind(x)
    far = gt_p.bind(size, like(_GAP_FROM, x))
    y = select(far, size, like(_GAP_FROM, x))
    inverse = div_p.bind(like(1, y), y)
    count = 12 if y.dtype.itemsize < 8 else _GAP_TERMS
    series = like(weight * _GAP[count - 1], y)
    for c in reversed(_GAP[: count - 1]):
        series = add_p.bind(mul_p.bind(series, inverse), like(weight * c, y))
    gap = mul_p.bind(rsqrt_p.bind(mul_p.bind(like(2 * math.pi, y), y)), series)
    if order == 0:
        return select(far, mul_p.bind(side, gap), near)
    return select(far, sub_p.bind(gap, mul_p.bind(mul_p.bind(side, out), inverse)), near)


def _wide(order: int) -> bool:
    return order > 1


bessel_i_p = Special("bessel_i", _by_order("i0", "i1", "iv", INFINITY), bessel_i, _slope, wide=_wide)
bessel_ie_p = Special("bessel_ie", _by_order("i0e", "i1e", "ive", 0.0), bessel_ie, _scaled_slope, wide=_wide)
