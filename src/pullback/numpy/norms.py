"""Norms of vectors and matrices, with NumPy's orders."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.types import Shape, canonical_axes
from pullback.lax import linalg as lax_linalg
from pullback.lax.elementwise import abs_p, max_p, ne_p, pow_p, sqrt_p
from pullback.lax.family import like, mul_p
from pullback.lax.linalg import matrices
from pullback.lax.linalg.matrices import LAPACK_TYPES
from pullback.lax.reductions import reduce_max, reduce_min
from pullback.lax.shape import convert, move_axis, reduce_sum_p, reshape_p, strong
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here, promote_inexact
from pullback.numpy.reductions import accumulator


def inexact_operand(name: str, a: Any) -> Array:
    """`a` as an Array of an inexact type."""
    if isinstance(a, Array) and a.dtype in LAPACK_TYPES:
        return a
    return promote_inexact(f"numpy.linalg.{name}", a)[0]


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """The norm of order `ord` over `axis` (one, several, or all): (Σ |x|^ord)^(1/ord), real.

    It is max |x| for inf, min |x| for -inf, and for 0 the number of elements that are not zero. The
    derivative of the norm of order 2 at zero is NaN. Raises ValueError for an order that is a text.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([3.0, -4.0, 0.0])
    >>> jnp.linalg.vector_norm(x), jnp.linalg.vector_norm(x, ord=jnp.inf)
    (Array(5., dtype=float32), Array(4., dtype=float32))
    >>> jnp.linalg.vector_norm(x, ord=1), jnp.linalg.vector_norm(x, ord=0)
    (Array(7., dtype=float32), Array(2., dtype=float32))
    """
    x = strong(array_like(x, "numpy.linalg.vector_norm"))
    return _kept(_vector_norm(x, canonical_axes(axis, x.ndim), ord), x.shape, canonical_axes(axis, x.ndim), keepdims)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """The norm of the matrices `x` of shape (..., m, n), real, of shape (...) or, with `keepdims`,
    (..., 1, 1); see `norm` for the orders.

    Integers become floats. Raises ValueError for other orders, and fewer than two axes.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[[3.0, 0.0], [4.0, 0.0]], [[1.0, 0.0], [0.0, 2.0]]])
    >>> jnp.linalg.matrix_norm(x).round(3)
    Array([5.   , 2.236], dtype=float32)
    >>> jnp.linalg.matrix_norm(x, ord="nuc").round(3)
    Array([5., 3.], dtype=float32)
    """
    x = strong(inexact_operand("matrix_norm", x))
    if x.ndim < 2:
        raise here(ValueError, f"matrix_norm takes an array with at least two axes, got shape {x.shape}")
    axes = (x.ndim - 2, x.ndim - 1)
    return _kept(_matrix_norm(x, *axes, ord), x.shape, axes, keepdims)


@planned
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """The norm of vectors (one axis) or matrices (two) along `axis`; without `axis` and `ord`, of
    all elements. It is real.

    Of vectors, `ord` may be any number, see `vector_norm`. Of matrices: None or "fro" (square root
    of the sum of squares), "nuc" (sum of singular values), 2 and -2 (largest and smallest one), inf
    and -inf (largest and smallest sum of absolute values of a row), 1 and -1 (of a column).
    Derivatives at zero are NaN for the orders 2 and "fro". Raises ValueError for other orders and
    more axes.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[3.0, 4.0], [0.0, -12.0]])
    >>> jnp.linalg.norm(x), jnp.linalg.norm(x, axis=1)
    (Array(13., dtype=float32), Array([ 5., 12.], dtype=float32))
    >>> jnp.linalg.norm(x, ord=1)
    Array(16., dtype=float32)
    """
    x = strong(inexact_operand("norm", x))
    axes = canonical_axes(axis, x.ndim)
    if axis is None and ord is None:
        out = sqrt_p.bind(sum_of_squares(x, axes))
    elif len(axes) == 1:
        out = _vector_norm(x, axes, 2 if ord is None else ord)
    elif len(axes) == 2:
        out = _matrix_norm(x, *axes, "fro" if ord is None else ord)
    else:
        raise ValueError(
            f"improper number of axes for norm: axis={axes}. Pass one axis to compute a vector-norm, or two axes to compute a "
            "matrix-norm"
        )
    return _kept(out, x.shape, axes, keepdims)


def _kept(out: Array, shape: Shape, axes: Shape, keepdims: bool) -> Array:
    if not keepdims:
        return out
    return reshape_p.bind(out, new_sizes=tuple(1 if i in axes else n for i, n in enumerate(shape)))


def _sum(x: Any, axes: Shape) -> Any:
    """Σ along `axes`; integers in the default integer type, as `numpy.sum`."""
    x = convert(x, accumulator(x.dtype))
    return reduce_sum_p.bind(x, axes=axes)


def sum_of_squares(x: Any, axes: Shape) -> Any:
    """Σ |x|², real."""
    squares = matrices.real(mul_p.bind(x, matrices.conj(x))) if dtypes.kind(x.dtype) != "b" else x
    return _sum(squares, axes)


def _size(x: Any) -> Any:
    return abs_p.bind(x) if dtypes.kind(x.dtype) in "ifc" else x


def _largest(x: Any, axes: Shape) -> Any:
    """The maximum of numbers that are not negative: of none it is 0."""
    out = reduce_max(x, axes)
    return max_p.bind(out, like(0, out)) if dtypes.kind(out.dtype) != "b" else out


def _smallest(x: Any, axes: Shape) -> Any:
    if any(x.shape[i] == 0 for i in axes):
        raise here(ValueError, "zero-size array to reduction operation min which has no identity")
    return reduce_min(x, axes)


def _vector_norm(x: Array, axes: Shape, ord: Any) -> Any:
    if isinstance(ord, str):
        raise ValueError(f"invalid order {ord!r} for vector norm")
    if ord is None or ord == 2:
        out = sum_of_squares(x, axes)
        return sqrt_p.bind(out if dtypes.is_inexact(out.dtype) else convert(out, dtypes.to_inexact(out.dtype)))
    if ord == np.inf:
        return _largest(_size(x), axes)
    if ord == -np.inf:
        return _smallest(_size(x), axes)
    if ord == 0:
        nonzero = convert(ne_p.bind(x, like(0, x)), dtypes.to_real(x.dtype))
        return _sum(nonzero, axes)
    if ord == 1:
        return _sum(_size(x), axes)
    sizes = _size(x)
    if not dtypes.is_inexact(sizes.dtype):
        sizes = convert(sizes, dtypes.to_inexact(sizes.dtype))
    total = reduce_sum_p.bind(pow_p.bind(sizes, like(ord, sizes)), axes=axes)
    return pow_p.bind(total, like(1 / ord, total))


def _matrix_norm(x: Array, row: int, column: int, ord: Any) -> Any:
    if ord in (None, "fro"):
        return sqrt_p.bind(sum_of_squares(x, (row, column)))
    if ord in (1, -1, np.inf, -np.inf):
        summed, other = (row, column) if ord in (1, -1) else (column, row)
        sums = reduce_sum_p.bind(_size(x), axes=(summed,))
        return (_largest if ord > 0 else _smallest)(sums, (other - (summed < other),))
    if ord in (2, -2, "nuc"):
        x = move_axis(x, row, x.ndim - 1)
        x = move_axis(x, column - (row < column), x.ndim - 1)
        s = lax_linalg.svd(x, compute_uv=False)
        axes = (s.ndim - 1,)
        return reduce_sum_p.bind(s, axes=axes) if ord == "nuc" else (_largest if ord == 2 else _smallest)(s, axes)
    raise ValueError(f"invalid order {ord!r} for matrix norm")


__all__ = ["matrix_norm", "norm", "vector_norm"]
