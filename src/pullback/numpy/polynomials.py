"""Polynomials as arrays of coefficients, highest degree first."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.types import broadcast_shapes, integer
from pullback.lax.arrangement import pad
from pullback.lax.selection import select
from pullback.lax.shape import convert, reshape_p, strong
from pullback.numpy import linalg, ufuncs
from pullback.numpy.arithmetic import mod, power
from pullback.numpy.contraction import dot
from pullback.numpy.conversion import array
from pullback.numpy.creation import diag, ones, zeros
from pullback.numpy.joining import concatenate
from pullback.numpy.manipulation import broadcast_to
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, inexact, promote, promote_inexact, value_of
from pullback.numpy.reductions import cumsum, sum
from pullback.numpy.selecting import take
from pullback.numpy.signal import convolve
from pullback.numpy.sorting import argsort


def _padded(p: Array, before: int, after: int) -> Array:
    rest = [(0, 0, 0)] * (p.ndim - 1)
    return pad(p, concrete(np.zeros((), p.dtype)), [(before, after, 0), *rest]) if before or after else p


def _coefficients(name: str, *ps: Array) -> None:
    """Raises TypeError for scalars, ValueError for what has several axes."""
    if any(p.ndim != 1 for p in ps):
        shapes = ", ".join(str(p.shape) for p in ps)
        kind = ValueError if any(p.ndim > 1 for p in ps) else TypeError
        raise here(kind, f"{name} takes 1-d arrays of coefficients, got shape {shapes}")


def _leading_zeros(name: str, p: Array, option: str) -> int:
    """How many of the first coefficients are zero; they must be known."""
    nonzero = np.flatnonzero(value_of(p, f"{name} leaves out zero coefficients, which must be known: use {option}."))
    return int(nonzero[0]) if nonzero.size else p.shape[0]


@planned
def polyval(p: Any, x: Any, *, unroll: int = 16) -> Array:
    """The polynomial with coefficients `p` (along its first axis) at `x`, by Horner's rule.

    Coefficients that have more axes broadcast with `x`. Dtypes are promoted together. `unroll` is
    accepted and changes nothing. Raises ValueError for shapes that do not broadcast.

    >>> import pullback.numpy as jnp
    >>> jnp.polyval(jnp.array([1, 2, 3]), jnp.array([0, 2, 10]))
    Array([  3,  11, 123], dtype=int32)
    """
    del unroll
    p, x = promote("polyval", p, x)
    value = zeros(broadcast_shapes(p.shape[1:], x.shape), x.dtype)
    for i in range(p.shape[0]):
        value = value * x + p[i]
    return value


def _aligned(name: str, a: Any, b: Any) -> tuple[Array, Array]:
    a, b = promote(name, a, b)
    if not (a.ndim and b.ndim):
        raise here(TypeError, f"{name} takes arrays of coefficients, got shapes {a.shape} and {b.shape}")
    return (_lengthened(name, a, b.shape), b) if a.shape[0] < b.shape[0] else (a, _lengthened(name, b, a.shape))


def _lengthened(name: str, p: Array, shape: tuple[int, ...]) -> Array:
    # The coefficients take the shape of the last ones of the longer polynomial before zeros come in
    # front of them.
    try:
        p = broadcast_to(p, (p.shape[0], *shape[1:]))
    except ValueError as error:
        raise ValueError(
            f"{name}: coefficients {p.shape} do not fit the last {p.shape[0]} of {shape}: {error}"
        ) from None
    return _padded(p, shape[0] - p.shape[0], 0)


def polyadd(a1: Any, a2: Any) -> Array:
    """The sum of two polynomials; the shorter one gets zeros in front. Dtypes are promoted
    together.

    Raises TypeError for scalars, ValueError for coefficients whose shapes do not broadcast.

    >>> import pullback.numpy as jnp
    >>> jnp.polyadd(jnp.array([1, 2]), jnp.array([9, 5, 4]))
    Array([9, 6, 6], dtype=int32)
    """
    return ufuncs.add(*_aligned("polyadd", a1, a2))


def polysub(a1: Any, a2: Any) -> Array:
    """The difference of two polynomials; the shorter one gets zeros in front. Dtypes are promoted
    together.

    Raises TypeError for scalars, ValueError for coefficients whose shapes do not broadcast.

    >>> import pullback.numpy as jnp
    >>> jnp.polysub(jnp.array([1, 2]), jnp.array([9, 5, 4]))
    Array([-9, -4, -2], dtype=int32)
    """
    return ufuncs.subtract(*_aligned("polysub", a1, a2))


def polymul(a1: Any, a2: Any, *, trim_leading_zeros: bool = False) -> Array:
    """The product of two polynomials of n and m coefficients, which has n + m - 1, in floating
    point; with `trim_leading_zeros`, the zeros in front of the factors are left out first, which
    needs their values.

    Raises TypeError for scalars, ValueError for several axes.

    >>> import pullback.numpy as jnp
    >>> jnp.polymul(jnp.array([1, 2]), jnp.array([1, 3]))
    Array([1., 5., 6.], dtype=float32)
    """
    a, b = promote_inexact("polymul", a1, a2)
    _coefficients("polymul", a, b)
    a, b = (p if p.shape[0] else zeros(1, p.dtype) for p in (a, b))  # no coefficients are the polynomial 0
    if trim_leading_zeros:
        a, b = (p[min(_leading_zeros("polymul", p, "trim_leading_zeros=False"), p.shape[0] - 1) :] for p in (a, b))
    return convolve(a, b)


def polydiv(u: Any, v: Any, *, trim_leading_zeros: bool = False) -> tuple[Array, Array]:
    """Quotient and remainder of polynomials, in floating point; the remainder is as long as `u`,
    unless `trim_leading_zeros`, which needs its values.

    Raises TypeError for scalars, ValueError for several axes, and for a divisor without
    coefficients.

    >>> import pullback.numpy as jnp
    >>> quotient, remainder = jnp.polydiv(jnp.array([1, 5, 7]), jnp.array([1, 3]))
    >>> quotient, remainder
    (Array([1., 2.], dtype=float32), Array([0., 0., 1.], dtype=float32))
    """
    u, v = promote_inexact("polydiv", u, v)
    _coefficients("polydiv", u, v)
    if not v.shape[0]:
        raise here(ValueError, "polydiv: the divisor has no coefficients")
    m, n = u.shape[0] - 1, v.shape[0] - 1
    if m < n:
        quotient, remainder = zeros(1, u.dtype), u
    else:
        rest, quotients = u, []
        for k in range(m - n + 1):
            factor = rest[k] / v[0]
            quotients.append(reshape_p.bind(factor, new_sizes=(1,)))
            rest = rest - _padded(factor * v, k, m - n - k)
        quotient, remainder = strong(concatenate(quotients)), rest
    if trim_leading_zeros:
        remainder = remainder[_leading_zeros("polydiv", remainder, "trim_leading_zeros=False") :]
    return quotient, remainder


def polyder(p: Any, m: int = 1) -> Array:
    """The `m`-th derivative of a polynomial of n coefficients, which has n - m, in floating point.

    Raises ValueError for negative `m`, TypeError for scalars.

    >>> import pullback.numpy as jnp
    >>> jnp.polyder(jnp.array([1, 5, 7, 9])), jnp.polyder(jnp.array([1, 5, 7, 9]), 2)
    (Array([ 3., 10.,  7.], dtype=float32), Array([ 6., 10.], dtype=float32))
    """
    p, m = inexact(p, "polyder"), integer(m, "polyder: m")
    if not p.ndim:
        _coefficients("polyder", p)
    if m < 0:
        raise ValueError("Order of derivative must be positive")
    if m == 0:
        return p
    degrees = np.arange(p.shape[0] - 1, m - 1, -1, dtype=np.float64)
    factors = np.prod(degrees[:, None] - np.arange(m), axis=1)
    return p[: max(p.shape[0] - m, 0)] * concrete(factors.astype(p.dtype))


def polyint(p: Any, m: int = 1, k: Any = None) -> Array:
    """The `m`-th antiderivative of a polynomial of n coefficients, which has n + m, in floating
    point, with the constants of integration `k` (one for all, or one each; 0 by default).

    Raises ValueError for negative `m` and for as many constants as do not fit, TypeError for
    scalars.

    >>> import pullback.numpy as jnp
    >>> jnp.polyint(jnp.array([6, 2]), k=5), jnp.polyint(jnp.array([6, 2]), 2)
    (Array([3., 2., 5.], dtype=float32), Array([1., 1., 0., 0.], dtype=float32))
    """
    p, constants = promote_inexact("polyint", p, 0 if k is None else k)
    m = integer(m, "polyint: m")
    if not p.ndim:
        _coefficients("polyint", p)
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    if constants.size not in (1, m) or len(constants.shape) > 1:
        raise here(
            ValueError, f"k must be a scalar or a rank-1 array of length 1 or m={m}; got shape {constants.shape}"
        )
    if m == 0:
        return p
    coefficients = concatenate([p, broadcast_to(constants, (m,))])
    # The coefficient of x^d is integrated until it has degree d + m; the constants start in the
    # places they end in.
    n = p.shape[0]
    degrees = np.concatenate([np.arange(n - 1, -1, -1) + m, np.arange(m - 1, -1, -1)]).astype(np.float64)
    times = np.concatenate([np.full(n, m), np.arange(m - 1, -1, -1)])
    divisors = np.array([np.prod(d - np.arange(t)) for d, t in zip(degrees, times)])
    return coefficients / concrete(divisors.astype(p.dtype))


def poly(seq_of_zeros: Any) -> Array:
    """The monic polynomial with the given zeros, or the characteristic polynomial of a square
    matrix: one coefficient more than there are zeros.

    It is floating, and complex for matrices. Raises ValueError for other shapes.

    >>> import pullback.numpy as jnp
    >>> jnp.poly(jnp.array([1, 2]))
    Array([ 1., -3.,  2.], dtype=float32)
    >>> jnp.poly(jnp.array([[2.0, 1.0], [1.0, 2.0]])).real.round(3)
    Array([ 1., -4.,  3.], dtype=float32)
    """
    zeros_ = inexact(seq_of_zeros, "poly")
    shape = zeros_.shape
    if len(shape) == 2 and shape[0] == shape[1] and shape[0]:
        zeros_ = linalg.eigvals(zeros_)
    elif len(shape) > 1:
        raise here(ValueError, f"input must be 1d or non-empty square 2d array, got shape {shape}")
    zeros_ = reshape_p.bind(zeros_, new_sizes=(zeros_.size,))
    if not zeros_.shape[0]:
        return ones((), zeros_.dtype)
    p = ones(1, zeros_.dtype)
    for i in range(zeros_.shape[0]):
        p = _padded(p, 0, 1) - zeros_[i] * _padded(p, 1, 0)
    return p


def roots(p: Any, *, strip_zeros: bool = True) -> Array:
    """The complex roots of a polynomial, as many as its degree: the eigenvalues of its companion
    matrix.

    Zero coefficients at the ends are left out first, which needs their values; traced polynomials
    need `strip_zeros=False` (ConcretizationTypeError without), and get NaN roots for each zero at
    the front. Raises ValueError for several axes.

    Source: R. Horn and C. Johnson, "Matrix Analysis" (companion matrices).

    >>> import pullback.numpy as jnp
    >>> jnp.sort(jnp.roots(jnp.array([1.0, -3.0, 2.0]))).round(3)
    Array([1.+0.j, 2.+0.j], dtype=complex64)
    >>> jnp.roots(jnp.array([1.0, 0.0, 4.0])).imag.round(3)
    Array([ 2., -2.], dtype=float32)
    """
    (p,) = promote_inexact("roots", array(p))
    if len(p.shape) > 1:
        raise here(ValueError, f"Input must be a rank-1 array, got shape {p.shape}")
    p = reshape_p.bind(p, new_sizes=(p.size,))
    if not strip_zeros:
        return _traced_roots(p)
    front = _leading_zeros("roots", p, "strip_zeros=False")
    if front == p.shape[0]:
        return zeros(0, dtypes.to_complex(p.dtype))
    back = _leading_zeros("roots", p[::-1], "strip_zeros=False")
    found = _companion_roots(p[front : p.shape[0] - back])
    return concatenate([found, zeros(back, found.dtype)]) if back else found


def _traced_roots(p: Array) -> Array:
    # Leading zeros go to the end, where each adds a root 0. Those, the last ones by size, are then
    # made NaN.
    n = p.shape[0]
    if n < 2:
        return _companion_roots(p)
    front = sum(convert(cumsum(ufuncs.not_equal(p, 0)) == 0, dtypes.int32))
    places = concrete(np.arange(n, dtype=np.int32))
    found = _companion_roots(take(p, mod(ufuncs.add(places, front), n)))
    found = take(found, argsort(-ufuncs.absolute(found)))
    missing = concrete(np.array(complex(np.nan, np.nan), found.dtype))
    return select(ufuncs.less(places[: n - 1], ufuncs.subtract(n - 1, front)), found, missing)


def _companion_roots(p: Array) -> Array:
    degree = p.shape[0] - 1
    if degree < 1:
        return zeros(0, dtypes.to_complex(p.dtype))
    below = diag(ones(degree - 1, p.dtype), -1)
    first_row = -p[1:] / p[0]
    return linalg.eigvals(concatenate([first_row[None], below[1:]]))


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Array:
    """The Vandermonde matrix of `x`, of shape (len(x), N): the columns are its powers, from N - 1
    (by default its length less 1) down to 0, or up, if `increasing`.

    Raises ValueError unless `x` has one axis, and for negative `N`.

    >>> import pullback.numpy as jnp
    >>> jnp.vander(jnp.array([2, 3]), 3)
    Array([[4, 2, 1],
           [9, 3, 1]], dtype=int32)
    >>> jnp.vander(jnp.array([2, 3]), 3, increasing=True)
    Array([[1, 2, 4],
           [1, 3, 9]], dtype=int32)
    """
    x = array_like(x, "vander")
    if len(x.shape) != 1:
        raise here(ValueError, f"x must be a one-dimensional array, got shape {x.shape}")
    n = x.shape[0] if N is None else integer(N, "vander: N")
    if n < 0:
        raise ValueError(f"N must be nonnegative, got {N}")
    exponents = np.arange(n) if increasing else np.arange(n - 1, -1, -1)
    return power(x[:, None], concrete(exponents.astype(x.dtype)))


def polyfit(
    x: Any, y: Any, deg: int, rcond: float | None = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """The polynomial of degree `deg` that fits the points (x, y) best in the least squares sense,
    weighted by `w`.

    `x` has shape (m,), `y` (m,) or (m, k), one column for each of k polynomials; the coefficients
    have shape (deg + 1,) or (deg + 1, k). With `full`, the result is (coefficients, residuals,
    rank, singular values, rcond); with `cov` (True or "unscaled"), (coefficients, covariance
    matrix). Singular values up to `rcond` times the largest are taken as zero. Raises TypeError for
    other shapes and lengths that differ, ValueError for a negative degree, and too few points for
    `cov`.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([0.0, 1.0, 2.0, 3.0])
    >>> jnp.polyfit(x, 3 * x + 1, 1).round(3)
    Array([3., 1.], dtype=float32)
    """
    x, y = promote_inexact("polyfit", inexact(x, "polyfit", weak=False), y)
    deg = integer(deg, "polyfit: deg")
    order = deg + 1
    if deg < 0:
        raise ValueError("expected deg >= 0")
    if len(x.shape) != 1:
        raise TypeError(f"expected 1D vector for x, got shape {x.shape}")
    if not x.size:
        raise TypeError("expected non-empty vector for x")
    if not 1 <= len(y.shape) <= 2:
        raise TypeError(f"expected 1D or 2D array for y, got shape {y.shape}")
    if x.shape[0] != y.shape[0]:
        raise TypeError(f"expected x and y to have same length, got {x.shape[0]} and {y.shape[0]}")
    if rcond is None:
        rcond = x.shape[0] * float(dtypes.finfo(x.dtype).eps)
    left: Any = vander(x, order)
    right: Any = y
    if w is not None:
        weights = inexact(w, "polyfit")
        if len(weights.shape) != 1 or weights.shape[0] != y.shape[0]:
            raise TypeError(f"expected a 1-d array of {y.shape[0]} weights, got shape {weights.shape}")
        left = left * weights[:, None]
        right = right * (weights[:, None] if len(y.shape) == 2 else weights)
    # Columns of length one, for the sake of the condition number.
    scale = ufuncs.sqrt(sum(left * left, 0))
    left = left / scale
    solution, residuals, rank, singular = linalg.lstsq(left, right, rcond)
    coefficients = (solution.T / scale).T
    if full:
        return coefficients, residuals, rank, singular, array(rcond, x.dtype)
    if not cov:
        return coefficients
    base = linalg.inv(dot(left.T, left)) / (scale[:, None] * scale[None, :])
    if cov == "unscaled":
        factor: Any = 1
    else:
        if x.shape[0] <= order:
            raise ValueError("the number of data points must exceed order to scale the covariance matrix")
        factor = residuals / (x.shape[0] - order)
    return coefficients, base * factor if len(y.shape) == 1 else base[:, :, None] * factor


__all__ = ["poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "polyval", "roots"]
__all__ += ["vander"]
