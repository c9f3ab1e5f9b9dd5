"""Arrays made from nothing but a shape: filled, and with ones or values on triangles and diagonals.

Constants are computed by NumPy; while a transformation is active, fills are broadcasts of a
scalar and masks comparisons of `iota`s, so that programs hold no large constants.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, concrete
from pullback.core.dimensions import index
from pullback.core.dtypes import DType
from pullback.core.errors import see, user_line
from pullback.core.trace import EVAL, current
from pullback.core.types import Shape, broadcast_shapes, canonical_axis, is_sequence
from pullback.lax.arrangement import pad as lax_pad
from pullback.lax.arrangement import slice as lax_slice
from pullback.lax.creation import broadcasted_iota
from pullback.lax.elementwise import eq_p, ge_p
from pullback.lax.family import add_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_in_dim_p, broadcast_to, convert, keep_imaginary, reshape_p, strong, transpose_p
from pullback.lax.triangles import triangle_p
from pullback.numpy.planned import planned
from pullback.numpy.promotion import array_like, here
from pullback.xla.devices import no_sharding, placed, placed_like

# ---- filled --------------------------------------------------------------------------------------


def canonical_shape(shape: Any, name: str = "shape") -> Shape:
    """A shape from an integer or a sequence of integers. Raises TypeError for anything else and for
    negative sizes."""
    if shape.__class__ is int:
        shape = (shape,)
    try:
        sizes = tuple([index(n) for n in shape]) if is_sequence(shape) else (index(shape),)
    except TypeError as error:
        raise TypeError(
            f"{name} must be an integer or a sequence of concrete integers, got {shape!r} at {user_line()} ({error}){see('static-arguments')}"
        ) from None
    for n in sizes:
        if n < 0:
            raise TypeError(f"{name} must have no negative size, got {sizes} at {user_line()}")
    return sizes


def _filled(shape: Shape, value: Any, dtype: DType, weak_type: bool = False) -> Array:
    """Every element the NumPy scalar `value`."""
    if current() is not EVAL:
        scalar = concrete(dtype.type(value), weak_type)
        return broadcast_in_dim_p.bind(scalar, shape=shape, broadcast_dimensions=()) if shape else scalar
    return concrete(
        np.zeros(shape, dtype) if value.__class__ is int and value == 0 else np.full(shape, value, dtype), weak_type
    )


def zeros(shape: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """An array of zeros of `shape`, an integer or several (float32 by default).

    Raises TypeError for sizes that are negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.zeros((2, 3), int)
    Array([[0, 0, 0],
           [0, 0, 0]], dtype=int32)
    """
    no_sharding("zeros", out_sharding)
    dtype = dtypes.canonicalize_dtype(float if dtype is None else dtype)
    return placed(_filled(canonical_shape(shape), 0, dtype), device)


def ones(shape: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """An array of ones of `shape`, an integer or several (float32 by default).

    Raises TypeError for sizes that are negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.ones(3), jnp.ones((1, 2), bool)
    (Array([1., 1., 1.], dtype=float32), Array([[ True,  True]], dtype=bool))
    """
    no_sharding("ones", out_sharding)
    dtype = dtypes.canonicalize_dtype(float if dtype is None else dtype)
    return placed(_filled(canonical_shape(shape), 1, dtype), device)


def empty(shape: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """An array of `shape` (float32 by default) whose contents are left open: here they are zeros.

    Raises TypeError for sizes that are negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.empty((2, 0, 3)).shape
    (2, 0, 3)
    """
    return zeros(shape, dtype, device=device, out_sharding=out_sharding)


@planned
def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """`fill_value`, a scalar or an array that broadcasts, in an array of `shape`.

    Without `dtype` it has the type of the value: a Python number's is weak. Raises ValueError if
    the value does not broadcast, TypeError for sizes that are negative, or no concrete integers.

    >>> import pullback.numpy as jnp
    >>> jnp.full((2,), 7)
    Array([7, 7], dtype=int32, weak_type=True)
    >>> jnp.full((2, 2), jnp.array([1.0, 2.0]), jnp.float16)
    Array([[1., 2.],
           [1., 2.]], dtype=float16)
    """
    no_sharding("full", out_sharding)
    shape = canonical_shape(shape)
    value = array_like(fill_value, "full")
    if dtype is not None:
        keep_imaginary("full", fill_value, dtypes.canonicalize_dtype(dtype))
        value = convert(value, dtypes.canonicalize_dtype(dtype))
    return placed(_full(shape, value), device)


def _full(shape: Shape, value: Array) -> Array:
    if value.ndim == 0 and value.__class__ is ConcreteArray:
        return _filled(shape, value._value[()], value.dtype, value.weak_type)
    try:
        fits = broadcast_shapes(value.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise here(ValueError, f"a fill value of shape {value.shape} does not broadcast to shape {shape}")
    return broadcast_to(value, shape)


def _model(name: str, a: Any, dtype: Any, shape: Any) -> tuple[Shape, DType, bool]:
    """Shape, dtype and weakness of an array like `a`, which may be anything with a shape and a
    dtype."""
    if not isinstance(a, Array) and not (hasattr(a, "shape") and hasattr(a, "dtype")):
        a = array_like(a, name)
    weak = dtype is None and bool(getattr(a, "weak_type", False))
    dtype = dtypes.canonicalize_dtype(a.dtype if dtype is None else dtype)
    return tuple(a.shape) if shape is None else canonical_shape(shape), dtype, weak


def zeros_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """Zeros of the shape, dtype and weakness of `a`, save for what is given.

    `a` is an array, or anything that has a shape and a dtype (`ShapeDtypeStruct`). Raises TypeError
    for what is neither.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([[1, 2], [3, 4]], jnp.int16)
    >>> jnp.zeros_like(x)
    Array([[0, 0],
           [0, 0]], dtype=int16)
    >>> jnp.zeros_like(x, shape=3)
    Array([0, 0, 0], dtype=int16)
    """
    no_sharding("zeros_like", out_sharding)
    shape, dtype, weak = _model("zeros_like", a, dtype, shape)
    return placed_like(_filled(shape, 0, dtype, weak), a, device)


def ones_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None) -> Array:
    """Ones of the shape, dtype and weakness of `a`, save for what is given.

    `a` is an array, or anything that has a shape and a dtype (`ShapeDtypeStruct`). Raises TypeError
    for what is neither.

    >>> import pullback.numpy as jnp
    >>> jnp.ones_like(jnp.array([[1, 2], [3, 4]]), dtype=float)
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    no_sharding("ones_like", out_sharding)
    shape, dtype, weak = _model("ones_like", a, dtype, shape)
    return placed_like(_filled(shape, 1, dtype, weak), a, device)


def empty_like(
    prototype: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None
) -> Array:
    """Zeros, which stand for unspecified contents, of the shape and dtype of `prototype`, save for
    what is given.

    See `zeros_like` for what a prototype may be.

    >>> import pullback.numpy as jnp
    >>> jnp.empty_like(jnp.array([1.0, 2.0]), dtype=jnp.uint8)
    Array([0, 0], dtype=uint8)
    """
    return zeros_like(prototype, dtype, shape, device=device, out_sharding=out_sharding)


def full_like(
    a: Any, fill_value: Any, dtype: Any = None, shape: Any = None, *, device: Any = None, out_sharding: Any = None
) -> Array:
    """`fill_value` in an array of the shape and dtype of `a`, save for what is given; weakly typed
    if `a` is and `fill_value` is a scalar.

    `fill_value`, a scalar or an array that broadcasts, is converted to the dtype. Raises ValueError
    if it does not broadcast; see `zeros_like` for what `a` may be.

    >>> import pullback.numpy as jnp
    >>> x = jnp.array([1, 2, 3])
    >>> jnp.full_like(x, 2.75)
    Array([2, 2, 2], dtype=int32)
    >>> jnp.full_like(x, 2.75, dtype=float)
    Array([2.75, 2.75, 2.75], dtype=float32)
    """
    no_sharding("full_like", out_sharding)
    shape, dtype, weak = _model("full_like", a, dtype, shape)
    keep_imaginary("full_like", fill_value, dtype)
    value = array_like(fill_value, "full_like")
    return placed_like(_full(shape, convert(value, dtype, weak and not value.shape)), a, device)


# ---- triangles and diagonals ---------------------------------------------------------------------


def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = None, *, device: Any = None) -> Array:
    """An `N` by `M` matrix (N by N by default; float32 by default) with ones on the `k`-th diagonal
    and zeros elsewhere.

    Diagonal 1 is the one above the main diagonal, -1 the one below; `k` may be traced. Raises
    TypeError for sizes that are no concrete integers, ValueError for negative ones.

    >>> import pullback.numpy as jnp
    >>> jnp.eye(2, 3, k=1)
    Array([[0., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    n = _size("eye", N)
    m = n if M is None else _size("eye", M)
    dtype = dtypes.canonicalize_dtype(float if dtype is None else dtype)
    if current() is EVAL and not isinstance(k, Array):
        return placed(concrete(np.eye(n, m, operator.index(k), dtype)), device)
    return placed(convert(_compare_indices(eq_p, n, m, k), dtype), device)


def _size(name: str, n: Any) -> int:
    try:
        size = index(n)
    except TypeError:
        raise TypeError(f"{name}: sizes must be concrete integers, got {n!r} at {user_line()}") from None
    if size < 0:
        raise ValueError(f"{name}: negative dimensions are not allowed, got {size}")
    return size


def _compare_indices(comparison: Any, n: int, m: int, k: Any) -> Array:
    """The n by m matrix of `comparison`(i + k, j) of row index i and column index j."""
    rows, columns = (broadcasted_iota(dtypes.int32, (n, m), axis) for axis in (0, 1))
    if isinstance(k, Array):
        if k.shape or not dtypes.is_integer(k.dtype):
            raise TypeError(f"k must be an integer, got {k.aval} at {user_line()}")
        rows = add_p.bind(rows, convert(k, dtypes.int32))
    elif k:
        rows = add_p.bind(rows, concrete(np.int32(operator.index(k))))
    return comparison.bind(rows, columns)


def identity(n: Any, dtype: Any = None) -> Array:
    """The `n` by `n` identity matrix (float32 by default).

    Raises TypeError for a size that is no concrete integer, ValueError for a negative one.

    >>> import pullback.numpy as jnp
    >>> jnp.identity(2, int)
    Array([[1, 0],
           [0, 1]], dtype=int32)
    """
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:
    """An `N` by `M` matrix (N by N by default; float32 by default) with ones on and below the
    `k`-th diagonal and zeros above.

    Raises TypeError for sizes that are no concrete integers, ValueError for negative ones.

    >>> import pullback.numpy as jnp
    >>> jnp.tri(3, dtype=int)
    Array([[1, 0, 0],
           [1, 1, 0],
           [1, 1, 1]], dtype=int32)
    """
    n = _size("tri", N)
    m = n if M is None else _size("tri", M)
    return placed(convert(_lower(n, m, k), dtypes.canonicalize_dtype(np.float32 if dtype is None else dtype)))


def _lower(n: int, m: int, k: Any) -> Array:
    if current() is EVAL and not isinstance(k, Array):
        return concrete(np.tri(n, m, operator.index(k), bool))
    return _compare_indices(ge_p, n, m, k)


@planned
def tril(m: Any, k: int = 0) -> Array:
    """The lower triangles of matrices of shape (..., m, n): zero above the `k`-th diagonal of the
    last two axes.

    Shape and dtype are those of `m`. Raises ValueError for fewer than two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.tril(jnp.arange(1, 10).reshape(3, 3))
    Array([[1, 0, 0],
           [4, 5, 0],
           [7, 8, 9]], dtype=int32)
    >>> jnp.tril(jnp.arange(1, 10).reshape(3, 3), -1)
    Array([[0, 0, 0],
           [4, 0, 0],
           [7, 8, 0]], dtype=int32)
    """
    return _triangle("tril", m, k, True)


@planned
def triu(m: Any, k: int = 0) -> Array:
    """The upper triangles of matrices of shape (..., m, n): zero below the `k`-th diagonal of the
    last two axes.

    Shape and dtype are those of `m`. Raises ValueError for fewer than two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.triu(jnp.arange(1, 10).reshape(3, 3), 1)
    Array([[0, 2, 3],
           [0, 0, 6],
           [0, 0, 0]], dtype=int32)
    """
    return _triangle("triu", m, k, False)


def _triangle(name: str, m: Any, k: Any, lower: bool) -> Array:
    x = array_like(m, name)
    if x.ndim < 2:
        raise ValueError(f"{name} takes matrices, got an array of shape {x.shape} at {user_line()}")
    if not isinstance(k, Array):
        return triangle_p.bind(x, lower=lower, k=operator.index(k), halves=False)
    mask = _lower(x.shape[-2], x.shape[-1], k if lower else k - 1)
    zero = broadcast_to(concrete(x.dtype.type(0), x.weak_type), x.shape)
    return select(mask, x, zero) if lower else select(mask, zero, x)


@planned
def diag(v: Any, k: int = 0) -> Array:
    """The `k`-th diagonal of a matrix, or the square matrix with vector `v` on its `k`-th diagonal.

    A vector of n elements gives n + |k| rows and columns; the dtype stays. Raises ValueError for
    other numbers of axes.

    >>> import pullback.numpy as jnp
    >>> jnp.diag(jnp.array([1, 2]), 1)
    Array([[0, 1, 0],
           [0, 0, 2],
           [0, 0, 0]], dtype=int32)
    >>> jnp.diag(jnp.array([[1, 2], [3, 4]]))
    Array([1, 4], dtype=int32)
    """
    x = array_like(v, "diag")
    k = operator.index(k)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag takes a vector or a matrix, got an array of shape {x.shape} at {user_line()}")
    # The vector spread out: row i of an n by (n + 1) array starts with element i, so that of the
    # same elements in rows of n, element i stands at column i.
    (n,) = x.shape
    zero = concrete(x.dtype.type(0), x.weak_type)
    spread = lax_pad(reshape_p.bind(x, new_sizes=(n, 1)), zero, ((0, 0, 0), (0, n, 0)))
    flat = lax_slice(reshape_p.bind(spread, new_sizes=(n * (n + 1),)), (0,), (n * n,))
    square = reshape_p.bind(flat, new_sizes=(n, n))
    return lax_pad(square, zero, ((max(0, -k), max(0, k), 0), (max(0, k), max(0, -k), 0))) if k else square


def diagflat(v: Any, k: int = 0) -> Array:
    """The square matrix with the elements of `v`, in row-major order, on its `k`-th diagonal.

    `v` has any shape; n elements give n + |k| rows and columns. Raises TypeError for what is no
    array.

    >>> import pullback.numpy as jnp
    >>> jnp.diagflat(jnp.array([[1, 2], [3, 4]]))
    Array([[1, 0, 0, 0],
           [0, 2, 0, 0],
           [0, 0, 3, 0],
           [0, 0, 0, 4]], dtype=int32)
    """
    x = strong(array_like(v, "diagflat"))
    return diag(x if x.ndim == 1 else reshape_p.bind(x, new_sizes=(x.size,)), k)


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The diagonals of the matrices in axes `axis1` and `axis2`, which become the last axis.

    Element i is a[..., i, i + offset]. Raises ValueError if there are not two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.diagonal(jnp.array([[1, 2, 3], [4, 5, 6]]), 1)
    Array([2, 6], dtype=int32)
    >>> jnp.diagonal(jnp.ones((2, 3, 4, 3)), axis1=1, axis2=3).shape
    (2, 4, 3)
    """
    x = strong(array_like(a, "diagonal"))
    if x.ndim < 2:
        raise ValueError(f"diagonal takes an array of at least two dimensions, got shape {x.shape} at {user_line()}")
    k, i, j = operator.index(offset), canonical_axis(axis1, x.ndim), canonical_axis(axis2, x.ndim)
    if i == j:
        raise ValueError(f"diagonal: axis1 and axis2 must differ, got {axis1} and {axis2} for shape {x.shape}")
    rest = tuple(d for d in range(x.ndim) if d != i and d != j)
    if (*rest, i, j) != tuple(range(x.ndim)):
        x = transpose_p.bind(x, permutation=(*rest, i, j))
    *lead, n, m = x.shape
    top, left = max(0, -k), max(0, k)
    size = max(0, min(n - top, m - left))
    if size == 0:
        return zeros_like(x, shape=(*lead, 0))
    if (top, left, size, size) != (0, 0, n, m):
        begin = (0,) * len(lead)
        x = lax_slice(x, (*begin, top, left), (*lead, top + size, left + size))
    # In row-major order the diagonal of a square is every (size + 1)-th element.
    flat = reshape_p.bind(x, new_sizes=(*lead, size * size))
    return lax_slice(flat, (0,) * len(flat.shape), flat.shape, (1,) * len(lead) + (size + 1,))


__all__ = ["diag", "diagflat", "diagonal", "empty", "empty_like", "eye", "full", "full_like", "identity", "ones"]
__all__ += ["ones_like", "tri", "tril", "triu", "zeros", "zeros_like"]
