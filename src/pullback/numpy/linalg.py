"""Linear algebra with NumPy's names: `numpy.linalg`, on batches of matrices, with derivatives.

A matrix is the last two axes of an array, all axes before are batch axes. Integers and booleans are
converted to floats. Where NumPy raises `LinAlgError` (singular matrices, matrices that are not
positive definite), results are NaN or infinite. Results with several parts are named tuples. Floats
of 16 bits raise NotImplementedError, except in determinants, norms and products.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.dimensions import Dim, max_dim
from pullback.core.dtypes import DType
from pullback.core.errors import see, user_line
from pullback.core.types import Shape, broadcast_shapes, canonical_axes, canonical_axis
from pullback.lax import linalg as lax_linalg
from pullback.lax.arrangement import index_in_dim
from pullback.lax.elementwise import and_p, div_p, gt_p, ne_p, not_p
from pullback.lax.family import like, mul_p, size_as, sub_p
from pullback.lax.linalg import matrices
from pullback.lax.linalg.lu import inverse
from pullback.lax.linalg.lu import solve as lax_solve
from pullback.lax.linalg.matrices import LAPACK_TYPES
from pullback.lax.reductions import reduce_max
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, convert, move_axis, reduce_sum_p, reshape_p
from pullback.numpy import contraction, conversion, creation
from pullback.numpy.contraction import tensordot, vecdot
from pullback.numpy.norms import inexact_operand, matrix_norm, norm, sum_of_squares, vector_norm
from pullback.numpy.promotion import array_like, here, promote_inexact


class EighResult(NamedTuple):
    """Eigenvalues (..., n) and eigenvectors (..., n, n), the columns, of a Hermitian matrix.

    >>> import pullback.numpy as jnp
    >>> values, vectors = jnp.linalg.eigh(jnp.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> values
    Array([1., 2.], dtype=float32)
    """

    eigenvalues: Array
    eigenvectors: Array


class EigResult(NamedTuple):
    """Eigenvalues (..., n) and eigenvectors (..., n, n), the columns, of a general matrix.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.eig(jnp.array([[3.0, 1.0], [0.0, 2.0]])).eigenvalues
    Array([3.+0.j, 2.+0.j], dtype=complex64)
    """

    eigenvalues: Array
    eigenvectors: Array


class QRResult(NamedTuple):
    """The factors of a QR decomposition: `Q` with orthonormal columns, upper triangular `R`.

    >>> import pullback.numpy as jnp
    >>> q, r = jnp.linalg.qr(jnp.ones((3, 2)))
    >>> q.shape, r.shape
    ((3, 2), (2, 2))
    """

    Q: Array
    R: Array


class SVDResult(NamedTuple):
    """The factors of a singular value decomposition: `U`, the singular values `S`, and `Vh`.

    >>> import pullback.numpy as jnp
    >>> u, s, vh = jnp.linalg.svd(jnp.ones((3, 2)))
    >>> u.shape, s.shape, vh.shape
    ((3, 3), (2,), (2, 2))
    """

    U: Array
    S: Array
    Vh: Array


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its absolute value.

    >>> import pullback.numpy as jnp
    >>> sign, logabsdet = jnp.linalg.slogdet(-jnp.eye(3))
    >>> sign, logabsdet
    (Array(-1., dtype=float32), Array(0., dtype=float32))
    """

    sign: Array
    logabsdet: Array


def _square(name: str, a: Any) -> Array:
    """`a` as a batch of square matrices of an inexact type; ValueError if it is none."""
    a = inexact_operand(name, a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise here(ValueError, f"argument to {name} must have shape [..., n, n], got {a.shape}", see("shapes"))
    return a


# ---- decompositions ------------------------------------------------------------------------------


def cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Array:
    """The lower triangular L with L Lᴴ = a, for Hermitian positive definite `a` of shape
    (..., n, n); Lᴴ if `upper`.

    With `symmetrize_input`, (a + aᴴ)/2 is decomposed; otherwise only the lower triangle of `a` is
    used. Matrices that are not positive definite give NaN. Integers become floats. Raises TypeError
    for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> lower = jnp.linalg.cholesky(jnp.array([[4.0, 2.0], [2.0, 5.0]]))
    >>> lower
    Array([[2., 0.],
           [1., 2.]], dtype=float32)
    >>> lower @ lower.T
    Array([[4., 2.],
           [2., 5.]], dtype=float32)
    """
    out = lax_linalg.cholesky(inexact_operand("cholesky", a), symmetrize_input=symmetrize_input)
    return matrices.adjoint(out) if upper else out


def qr(a: Any, mode: str = "reduced") -> Any:
    """Q with orthonormal columns and upper triangular R with a = Q R, for `a` of shape (..., m, n).

    With k = min(m, n), `mode` "reduced" gives shapes (..., m, k) and (..., k, n), "complete"
    (..., m, m) and (..., m, n); "r" gives R of "reduced" alone, and "raw" the transposed packed
    factor and the scales of its reflections, which have no derivative. Integers become floats.
    Raises ValueError for other modes, TypeError for fewer than two axes.

    Source: A. Householder, "Unitary triangularization of a nonsymmetric matrix" (1958), in LAPACK's
    `geqrf`.

    >>> import pullback.numpy as jnp
    >>> a = jnp.array([[3.0, 1.0], [4.0, 2.0], [0.0, 1.0]])
    >>> q, r = jnp.linalg.qr(a)
    >>> jnp.abs(r).round(3)
    Array([[5.   , 2.2  ],
           [0.   , 1.077]], dtype=float32)
    >>> bool(jnp.allclose(q @ r, a, atol=1e-5)), bool(jnp.allclose(q.T @ q, jnp.eye(2), atol=1e-5))
    (True, True)
    """
    a = inexact_operand("qr", a)
    if mode == "raw":
        packed, taus = lax_linalg.geqrf_p.bind(matrices.matrix("qr", a))
        return QRResult(matrices.transposed(packed), taus)
    if mode not in ("reduced", "r", "complete", "full"):
        raise here(ValueError, f"unsupported QR decomposition mode {mode!r}: use 'reduced', 'complete', 'r' or 'raw'")
    q, r = lax_linalg.qr(a, full_matrices=mode in ("complete", "full"))
    return r if mode == "r" else QRResult(q, r)


def eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """Eigenvalues (increasing, of shape (..., n)) and eigenvectors (columns) of Hermitian `a` of
    shape (..., n, n).

    With `symmetrize_input`, (a + aᴴ)/2 is decomposed; otherwise only the triangle `UPLO` ("L" or
    "U") of `a` is used. The eigenvalues are real; integers become floats. Derivatives of
    eigenvectors are infinite or NaN where eigenvalues coincide. Raises TypeError for matrices that
    are not square, ValueError for another `UPLO`.

    >>> import pullback.numpy as jnp
    >>> a = jnp.array([[2.0, 1.0], [1.0, 2.0]])
    >>> values, vectors = jnp.linalg.eigh(a)
    >>> values.round(3)
    Array([1., 3.], dtype=float32)
    >>> bool(jnp.allclose(a @ vectors, vectors * values, atol=1e-5))
    True
    """
    if UPLO not in (None, "L", "U"):
        raise ValueError(f"UPLO must be one of None, 'L', or 'U', got {UPLO}")
    v, w = lax_linalg.eigh(inexact_operand("eigh", a), lower=UPLO != "U", symmetrize_input=symmetrize_input)
    return EighResult(w, v)


def eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Array:
    """The eigenvalues of Hermitian `a` of shape (..., n, n), increasing: real, of shape (..., n).
    See `eigh` for the arguments and errors.

    Where eigenvalues coincide, first derivatives of symmetric functions of them are right; second
    ones are NaN.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.eigvalsh(jnp.array([[2.0, 1.0], [1.0, 2.0]])).round(3)
    Array([1., 3.], dtype=float32)
    """
    return eigh(a, UPLO, symmetrize_input).eigenvalues


def eig(a: Any) -> EigResult:
    """Eigenvalues and eigenvectors (columns, of norm one) of `a` of shape (..., n, n), both
    complex.

    They are not differentiable together: eigenvectors are determined up to scaling only.
    Differentiate `eigvals`, or see `lax.linalg.eig`. Integers become floats. Raises ValueError for
    matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> a = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
    >>> values, vectors = jnp.linalg.eig(a)
    >>> values.round(3)
    Array([0.+1.j, 0.-1.j], dtype=complex64)
    >>> bool(jnp.allclose(a @ vectors, vectors * values, atol=1e-5))
    True
    """
    return EigResult(*lax_linalg.eig(inexact_operand("eig", a), compute_left_eigenvectors=False))


def eigvals(a: Any) -> Array:
    """The eigenvalues of `a` of shape (..., n, n), complex, of shape (..., n), in no order.

    Integers become floats. Raises ValueError for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> rotation = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    >>> jnp.linalg.eigvals(rotation).round(3)
    Array([0.+1.j, 0.-1.j], dtype=complex64)
    """
    (w,) = lax_linalg.eig(
        inexact_operand("eigvals", a), compute_left_eigenvectors=False, compute_right_eigenvectors=False
    )
    return w


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: tuple[int, int] | None = None,
) -> Any:
    """U, S and Vh with a = U diag(S) Vh, for `a` of shape (..., m, n), or S alone without
    `compute_uv`.

    S is real and decreasing. U is (..., m, m) and Vh (..., n, n) with `full_matrices`; else
    (..., m, k) and (..., k, n), k = min(m, n). `hermitian` says that `a` is, and has it
    symmetrized; `subset_by_index` (i, j), without `full_matrices`, keeps the singular values i to j
    - 1. Integers become floats. See `lax.linalg.svd` for derivatives. Raises TypeError for fewer
    than two axes, and for `hermitian` ones that are not square.

    >>> import pullback.numpy as jnp
    >>> a = jnp.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    >>> u, s, vh = jnp.linalg.svd(a, full_matrices=False)
    >>> s
    Array([4., 3.], dtype=float32)
    >>> bool(jnp.allclose(u * s @ vh, a, atol=1e-5))
    True
    """
    x = inexact_operand("svd", a)
    if hermitian:
        x = _symmetrized("svd", x)
    out = lax_linalg.svd(x, full_matrices=full_matrices, compute_uv=compute_uv, subset_by_index=subset_by_index)
    return SVDResult(*out) if compute_uv else out


def svdvals(x: Any, /) -> Array:
    """The singular values of `x` of shape (..., m, n), decreasing: real, of shape (..., min(m, n)).

    Integers become floats. Raises TypeError for fewer than two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.svdvals(jnp.array([[0.0, 3.0], [4.0, 0.0], [0.0, 0.0]]))
    Array([4., 3.], dtype=float32)
    """
    return lax_linalg.svd(inexact_operand("svdvals", x), compute_uv=False)


def _symmetrized(name: str, x: Array) -> Array:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise here(TypeError, f"{name} with hermitian=True takes square matrices, got shape {x.shape}")
    return matrices.symmetrize(x)


# ---- solving -------------------------------------------------------------------------------------


def solve(a: Any, b: Any) -> Array:
    """The x with a x = b, for `a` of shape (..., n, n) and `b` of shape (n,) or (..., n, k), which
    is that of x.

    Only a `b` of one axis is a vector, as in NumPy 2. Batch axes broadcast; dtypes are promoted
    together, and integers become floats. Singular matrices give infinities or NaN. The derivative
    solves once more with the same factorization. Raises ValueError if shapes do not fit.

    >>> import pullback.numpy as jnp
    >>> a = jnp.array([[2.0, 1.0], [0.0, 4.0]])
    >>> jnp.linalg.solve(a, jnp.array([4.0, 8.0]))
    Array([1., 2.], dtype=float32)
    >>> jnp.linalg.solve(a, jnp.eye(2))
    Array([[ 0.5  , -0.125],
           [ 0.   ,  0.25 ]], dtype=float32)
    """
    if not (isinstance(a, Array) and isinstance(b, Array) and a.dtype is b.dtype and a.dtype in LAPACK_TYPES):
        a, b = promote_inexact("numpy.linalg.solve", a, b)
        matrices.check("solve", a) if a.ndim > 1 else None
    n = a.shape[-1] if a.ndim > 1 else -1
    vector = b.ndim == 1
    if n < 0 or a.shape[-2] != n or not b.ndim or b.shape[-1 if vector else -2] != n:
        raise ValueError(
            "solve takes a of shape (..., n, n) and b of shape (n,) or (..., n, k); "
            f"got {a.shape} and {b.shape}, at {user_line()}. "
            "A batch of vectors is solved by solve(a, b[..., None]).squeeze(-1)"
        )
    if vector:
        b = reshape_p.bind(b, new_sizes=(n, 1))
    if a.ndim > 2 and a.shape[:-2] != b.shape[:-2]:
        try:
            batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise here(ValueError, f"solve: batch axes of a {a.shape} and b {b.shape} do not broadcast") from None
        a, b = broadcast_to(a, (*batch, n, n)), broadcast_to(b, (*batch, *b.shape[-2:]))
    x = lax_solve(a, b)
    return reshape_p.bind(x, new_sizes=x.shape[:-1]) if vector else x


def inv(a: Any) -> Array:
    """The inverse of `a` of shape (..., n, n); infinities or NaN for singular matrices.

    To solve equations, `solve` is cheaper and more accurate. Integers become floats. Raises
    ValueError for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.inv(jnp.array([[2.0, 0.0], [0.0, 4.0]]))
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    a = _square("inv", a)
    matrices.check("inv", a)
    return inverse(a)


def pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Array:
    """The Moore-Penrose inverse of `a` of shape (..., m, n), of shape (..., n, m); singular values
    up to `rtol` times the largest are zero.

    `rtol` (or `rcond`, not both) broadcasts to the batch shape and is 10 max(m, n) times the
    machine precision if not given. `hermitian` symmetrizes `a`. Integers become floats. The
    derivative is that at constant rank. Raises ValueError for fewer than two axes.

    Source: for the derivative, G. Golub and V. Pereyra, "The differentiation of pseudo-inverses and
    nonlinear least squares problems whose variables separate" (1973).

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.pinv(jnp.array([[2.0], [0.0]]))
    Array([[0.5, 0. ]], dtype=float32)
    """
    if rtol is not None and rcond is not None:
        raise ValueError("pinv: only one of rtol and rcond may be specified")
    a = inexact_operand("pinv", a)
    if a.ndim < 2:
        raise here(ValueError, f"pinv takes matrices of shape (..., m, n), got shape {a.shape}")
    matrices.check("pinv", a)
    if hermitian:
        a = _symmetrized("pinv", a)
    return _pinv(a, rcond if rtol is None else rtol, 10.0)


def _pinv(a: Array, rtol: Any, factor: float) -> Array:
    dtype = dtypes.to_real(a.dtype)
    if rtol is None:
        rtol = _default_tolerance(a.shape, dtype, factor)
    a, tolerance = _with_tolerance("pinv", a, rtol, dtype)
    return lax_linalg.pinv_p.bind(a, tolerance)


def _default_tolerance(shape: Shape, dtype: DType, factor: float) -> Array:
    """`factor` times the longer side of a matrix times the precision of `dtype`."""
    longest, unit = max_dim(*shape[-2:]), factor * float(dtypes.finfo(dtype).eps)
    if longest.__class__ is Dim:
        return mul_p.bind(size_as(dtype, longest), concrete(dtype.type(unit)))  # type: ignore[no-any-return]
    return concrete(dtype.type(unit * longest))


def _with_tolerance(name: str, a: Array, rtol: Any, dtype: DType) -> tuple[Array, Array]:
    """Matrices, and a tolerance for each, broadcast to one batch shape. Raises ValueError if they
    do not broadcast."""
    given = conversion.array(rtol) if isinstance(rtol, (list, tuple)) else array_like(rtol, f"numpy.linalg.{name}")
    if dtypes.is_complex(given.dtype):
        raise here(TypeError, f"{name}: rtol must be real, got {dtypes.name(given.dtype)}")
    tolerance = convert(given, dtype)
    try:
        batch = broadcast_shapes(tolerance.shape, a.shape[:-2])
    except ValueError:
        raise here(
            ValueError, f"{name}: rtol of shape {tolerance.shape} does not broadcast to the batch axes of a {a.shape}"
        ) from None
    return broadcast_to(a, (*batch, *a.shape[-2:])), broadcast_to(tolerance, batch)


def lstsq(
    a: Any, b: Any, rcond: float | None = None, *, numpy_resid: bool = False
) -> tuple[Array, Array, Array, Array]:
    """(x, residuals, rank, s): the least x that minimises |a x - b|, for `a` of shape (m, n), `b`
    of (m,) or (m, k); x has shape (n,) or (n, k).

    `residuals` are the squared norms of the columns of b - a x, always, or with `numpy_resid` none
    unless m > n and `a` has rank n. Singular values up to `rcond` (by default max(m, n) times the
    machine precision) times the largest are taken as zero; `s` has them all. Integers become
    floats. Raises TypeError for other numbers of axes, ValueError if the numbers of rows differ.

    >>> import pullback.numpy as jnp
    >>> a, b = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, 3.0, 5.0])
    >>> x, residuals, rank, s = jnp.linalg.lstsq(a, b)
    >>> x.round(3), rank
    (Array([1., 2.], dtype=float32), Array(2, dtype=int32))
    """
    a, b = promote_inexact("numpy.linalg.lstsq", a, b)
    if a.ndim != 2:
        raise TypeError(f"{a.ndim}-dimensional array given. Array must be two-dimensional")
    if b.ndim not in (1, 2):
        raise TypeError(f"{b.ndim}-dimensional array given. Array must be one or two-dimensional")
    m, n = a.shape
    if b.shape[0] != m:
        raise here(ValueError, f"leading dimensions of input arrays must match, got shapes {a.shape} and {b.shape}")
    matrices.check("lstsq", a)
    vector = b.ndim == 1
    if vector:
        b = reshape_p.bind(b, new_sizes=(m, 1))
    s = svdvals(a)
    precision = float(np.finfo(a.dtype).eps)
    if rcond is None:
        rcond = precision * max(m, n)
    elif isinstance(rcond, (Array, np.ndarray)) and rcond.size == 1:
        rcond = reshape_p.bind(array_like(rcond, "numpy.linalg.lstsq"), new_sizes=()) if rcond.shape else rcond
    elif not isinstance(rcond, (int, float, np.number)):
        raise here(TypeError, f"lstsq: rcond must be a number, got {rcond!r:.100}")
    elif rcond < 0:
        rcond = precision
    if s.size:
        cutoff = mul_p.bind(convert(array_like(rcond, "numpy.linalg.lstsq"), s.dtype), reduce_max(s, (0,)))
        rank = _count(gt_p.bind(s, cutoff), (0,))
    else:
        rank = concrete(dtypes.default_dtype(int).type(0))
    x = matrices.matmul(_pinv(a, rcond, 1.0), b)
    if numpy_resid and (m <= n or int(np.asarray(rank)) < n):
        residuals: Array = concrete(np.zeros(0, s.dtype))
    else:
        residuals = sum_of_squares(sub_p.bind(b, matrices.matmul(a, x)), (0,))
    return (reshape_p.bind(x, new_sizes=(n,)) if vector else x), residuals, rank, s


def tensorsolve(a: Any, b: Any, axes: tuple[int, ...] | None = None) -> Array:
    """The x with tensordot(a, x, x.ndim) = b, after moving `axes` of `a` to its end.

    `a` has the shape of `b`, then that of x, of as many elements. Raises ValueError for other
    shapes.

    >>> import pullback.numpy as jnp
    >>> a = jnp.arange(16.0).reshape(2, 2, 4) + 20 * jnp.eye(4).reshape(2, 2, 4)
    >>> x = jnp.linalg.tensorsolve(a, jnp.ones((2, 2)))
    >>> jnp.tensordot(a, x, 1).round(3)
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    a, b = promote_inexact("numpy.linalg.tensorsolve", a, b)
    if axes is not None:
        moved = canonical_axes(tuple(axes), a.ndim)
        for axis in moved:
            a = move_axis(a, canonical_axis(axis, a.ndim), a.ndim - 1)
    if a.shape[: b.ndim] != b.shape:
        raise ValueError(
            "after moving axes to the end, the leading shape of a must match the shape of b; "
            f"got a.shape={a.shape}, b.shape={b.shape}"
        )
    out_shape = a.shape[b.ndim :]
    if int(np.prod(out_shape)) != b.size:
        raise ValueError(f"tensorsolve takes a that is square as a matrix: got a.shape={a.shape}, b.shape={b.shape}")
    x = solve(reshape_p.bind(a, new_sizes=(b.size, b.size)), reshape_p.bind(b, new_sizes=(b.size,)))
    return reshape_p.bind(x, new_sizes=out_shape)


def tensorinv(a: Any, ind: int = 2) -> Array:
    """The inverse of `a` as a linear map from its last axes to its first `ind`.

    tensordot(tensorinv(a, ind), a, ind) is the identity. Raises ValueError for an `ind` that is not
    positive, and unless the first and the last axes have as many elements.

    >>> import pullback.numpy as jnp
    >>> a = jnp.eye(6).reshape(2, 3, 6)
    >>> inverse = jnp.linalg.tensorinv(a)
    >>> inverse.shape, bool(jnp.allclose(jnp.tensordot(inverse, a, 2), jnp.eye(6)))
    ((6, 2, 3), True)
    """
    a = inexact_operand("tensorinv", a)
    ind = operator.index(ind)
    if ind <= 0:
        raise ValueError(f"ind must be a positive integer; got ind={ind}")
    first, last = a.shape[:ind], a.shape[ind:]
    n = int(np.prod(first))
    if n != int(np.prod(last)):
        raise ValueError(f"tensorinv takes an array that is square as a matrix: got shape {a.shape} with ind={ind}")
    return reshape_p.bind(inv(reshape_p.bind(a, new_sizes=(n, n))), new_sizes=(*last, *first))


# ---- numbers -------------------------------------------------------------------------------------


def det(a: Any) -> Array:
    """The determinant of `a` of shape (..., n, n): shape (...). Derivatives of any order are right
    for singular matrices too.

    Integers become floats. Raises ValueError for matrices that are not square.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> jnp.linalg.det(jnp.array([[1.0, 2.0], [3.0, 4.0]])).round(4)
    Array(-2., dtype=float32)
    >>> pb.grad(jnp.linalg.det)(jnp.array([[1.0, 0.0], [0.0, 0.0]]))
    Array([[0., 0.],
           [0., 1.]], dtype=float32)
    """
    a = _square("det", a)
    return convert(lax_linalg.det_p.bind(_wide(a)), a.dtype, a.weak_type)


def slogdet(a: Any, *, method: str | None = None) -> SlogdetResult:
    """The sign (phase, if complex) of the determinant of `a` of shape (..., n, n), and the
    logarithm of its size, both of shape (...).

    The logarithm does not overflow where the determinant does. Singular matrices have sign 0 and
    logarithm -inf. `method` may be "lu" (None) or "qr", a hint that is not needed here. Raises
    ValueError for others, and for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> a = 1e30 * jnp.array([[0.0, 1.0], [1.0, 0.0]])
    >>> sign, logarithm = jnp.linalg.slogdet(a)
    >>> sign, logarithm.round(1), jnp.linalg.det(a)
    (Array(-1., dtype=float32), Array(138.2, dtype=float32), Array(-inf, dtype=float32))
    """
    if method not in (None, "lu", "qr"):
        raise ValueError(f"unknown slogdet method {method!r}: supported methods are 'lu' (None) and 'qr'")
    a = _square("slogdet", a)
    sign, logabsdet = lax_linalg.slogdet_p.bind(_wide(a))
    return SlogdetResult(convert(sign, a.dtype, a.weak_type), convert(logabsdet, dtypes.to_real(a.dtype), a.weak_type))


def _wide(a: Array) -> Array:
    """`a` in a type that LAPACK has."""
    return a if a.dtype in LAPACK_TYPES else convert(a, dtypes.float32)


def matrix_rank(M: Any, rtol: Any = None, *, hermitian: bool = False, tol: Any = None) -> Array:
    """The number of singular values of `M` of shape (..., m, n) above `rtol` times the largest:
    int32, of shape (...).

    `rtol` broadcasts to the batch shape and is max(m, n) times the machine precision if not given;
    `tol` is another name for it. Arrays of fewer than two axes have rank 1, or 0 if all elements
    are zero. `hermitian` symmetrizes `M`. Raises ValueError for empty matrices.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.matrix_rank(jnp.array([[1.0, 2.0], [2.0, 4.0]]))
    Array(1, dtype=int32)
    """
    if rtol is not None and tol is not None:
        raise ValueError("matrix_rank: only one of tol or rtol may be specified")
    x = inexact_operand("matrix_rank", M)
    if x.ndim < 2:
        nonzero = reduce_max(ne_p.bind(x, like(0, x)), tuple(range(x.ndim)))
        return convert(nonzero, dtypes.int32)
    if not all(x.shape[-2:]):
        raise ValueError(f"matrix_rank takes matrices that are not empty, got shape {x.shape}")
    dtype = dtypes.to_real(x.dtype)
    rtol = tol if rtol is None else rtol
    if rtol is None:
        rtol = _default_tolerance(x.shape, dtype, 1.0)
    s = svdvals(_symmetrized("matrix_rank", x) if hermitian else x)
    column, relative = _with_tolerance("matrix_rank", reshape_p.bind(s, new_sizes=(*s.shape, 1)), rtol, dtype)
    s = reshape_p.bind(column, new_sizes=column.shape[:-1])
    cutoff = mul_p.bind(relative, reduce_max(s, (s.ndim - 1,)))
    return _count(gt_p.bind(s, reshape_p.bind(cutoff, new_sizes=(*cutoff.shape, 1))), (s.ndim - 1,))


def _count(condition: Any, axes: Shape) -> Array:
    return reduce_sum_p.bind(convert(condition, dtypes.default_dtype(int)), axes=axes)


def cond(x: Any, p: Any = None) -> Array:
    """The condition number of `x` of shape (..., m, n), of shape (...): the ratio of its extreme
    singular values (`p` None, 2; -2 inverse).

    For other `p`, of square matrices, the norm of order `p` of `x` times that of its inverse;
    infinite for singular matrices. Raises ValueError for empty matrices, fewer than two axes, and
    other shapes.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.cond(jnp.array([[1.0, 0.0], [0.0, 4.0]]))
    Array(4., dtype=float32)
    """
    x = inexact_operand("cond", x)
    if x.ndim < 2:
        raise ValueError(f"cond: input array must be at least 2D; got shape {x.shape}")
    if 0 in x.shape[-2:]:
        raise ValueError(f"cond: input array must not be empty; got shape {x.shape}")
    if p is None or p in (2, -2):
        s = svdvals(x)
        largest, smallest = (index_in_dim(s, i, s.ndim - 1, keepdims=False) for i in (0, s.shape[-1] - 1))
        return div_p.bind(smallest, largest) if p == -2 else div_p.bind(largest, smallest)
    if x.shape[-1] != x.shape[-2]:
        raise ValueError(f"cond: for p={p}, array must be square; got shape {x.shape}")
    out = mul_p.bind(matrix_norm(x, ord=p), matrix_norm(inv(x), ord=p))
    # A singular matrix may have an inverse with NaNs in it: its condition number is infinite,
    # unless it had NaNs itself.
    clean = not_p.bind(reduce_max(ne_p.bind(x, x), (x.ndim - 2, x.ndim - 1)))
    return select(and_p.bind(clean, ne_p.bind(out, out)), like(np.inf, out), out)


def matrix_power(a: Any, n: int) -> Array:
    """The power `n` of `a` of shape (..., m, m), by repeated squaring; for negative `n`, of the
    inverse.

    The dtype stays, but integers become floats for negative `n`. Raises TypeError for matrices that
    are not square, and an `n` that is no integer.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.matrix_power(jnp.array([[1, 1], [0, 1]]), 5)
    Array([[1, 5],
           [0, 1]], dtype=int32)
    """
    a = array_like(a, "numpy.linalg.matrix_power")
    if a.ndim < 2:
        raise TypeError(f"{a.ndim}-dimensional array given. Array must be at least two-dimensional")
    if a.shape[-1] != a.shape[-2]:
        raise TypeError(f"last 2 dimensions of the array must be square, got shape {a.shape}")
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"exponent must be an integer, got {n}") from None
    if n == 0:
        return broadcast_to(concrete(np.eye(a.shape[-1], dtype=a.dtype)), a.shape)
    if n < 0:
        a, n = inv(a), -n
    result: Array | None = None
    while True:
        if n & 1:
            result = a if result is None else contraction.matmul(result, a)
        n >>= 1
        if not n:
            assert result is not None
            return result
        a = contraction.matmul(a, a)


# ---- products ------------------------------------------------------------------------------------


def multi_dot(arrays: Sequence[Any], *, precision: Any = None) -> Array:
    """The product of two or more matrices, in the order that takes the fewest multiplications.

    The first may be a row vector and the last a column vector, of shape (n,). Raises ValueError for
    other shapes, TypeError for what is no sequence and for lengths that do not fit.

    Source: T. Cormen et al., "Introduction to Algorithms" (matrix-chain multiplication).

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.multi_dot([jnp.ones((2, 3)), jnp.ones((3, 4)), jnp.ones(4)])
    Array([12., 12.], dtype=float32)
    """
    if not hasattr(type(arrays), "__iter__"):
        raise here(TypeError, f"multi_dot takes a sequence of matrices, got {arrays!r:.100}")
    operands = [array_like(a, "numpy.linalg.multi_dot") for a in arrays]
    shapes = [x.shape for x in operands]
    if not operands:
        raise ValueError("multi_dot: at least one array required")
    if any(len(s) != 2 and (len(s) != 1 or 0 < i < len(shapes) - 1) for i, s in enumerate(shapes)):
        raise ValueError(
            "multi_dot: input arrays must all be two-dimensional, except for the first and last array which may be 1 or 2 "
            "dimensional. "
            f"Got array shapes {shapes}"
        )
    if any(a[-1] != b[0] for a, b in zip(shapes, shapes[1:])):
        raise here(
            ValueError,
            f"multi_dot: the last axis of each array must be as long as the first axis of the next one, got shapes {shapes}",
        )
    sizes = [
        shapes[0][0] if len(shapes[0]) == 2 else 1,
        *(s[-1] if len(s) == 2 or i == 0 else 1 for i, s in enumerate(shapes)),
    ]
    split = _chain_order(sizes)

    def product(i: int, j: int) -> Array:
        if i == j:
            return operands[i]
        k = split[i, j]
        return contraction.dot(product(i, k), product(k + 1, j), precision=precision)

    return product(0, len(operands) - 1)


def _chain_order(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each product of matrices i..j for the fewest multiplications.

    Matrix i has sizes[i] rows and sizes[i + 1] columns (Cormen et al., "Introduction to
    Algorithms", matrix-chain multiplication).
    """
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            costs = [(cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i, j], split[i, j] = min(costs)
    return split


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Array:
    """The vector product of arrays of 3-dimensional vectors along `axis`; the other axes broadcast,
    and dtypes are promoted together.

    Raises ValueError for other lengths; `pullback.numpy.cross` takes vectors of two elements, too.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.cross(jnp.array([1, 0, 0]), jnp.array([[0, 1, 0], [0, 0, 1]]))
    Array([[ 0,  0,  1],
           [ 0, -1,  0]], dtype=int32)
    """
    x1, x2 = array_like(x1, "numpy.linalg.cross"), array_like(x2, "numpy.linalg.cross")
    if x1.shape[canonical_axis(axis, x1.ndim)] != 3 or x2.shape[canonical_axis(axis, x2.ndim)] != 3:
        raise ValueError(
            "both input arrays must be (arrays of) 3-dimensional vectors, but they have "
            f"x1.shape[axis]={x1.shape[axis]} and x2.shape[axis]={x2.shape[axis]}"
        )
    return contraction.cross(x1, x2, axis=axis)


def outer(x1: Any, x2: Any, /) -> Array:
    """The products of each element of vector `x1`, of shape (n,), with each of `x2`, of shape (m,):
    shape (n, m).

    Raises ValueError unless both have one axis.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.outer(jnp.array([1, 2]), jnp.array([3, 4, 5]))
    Array([[ 3,  4,  5],
           [ 6,  8, 10]], dtype=int32)
    """
    x1, x2 = array_like(x1, "numpy.linalg.outer"), array_like(x2, "numpy.linalg.outer")
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(f"input arrays must be one-dimensional, but they are x1.ndim={x1.ndim} x2.ndim={x2.ndim}")
    return contraction.outer(x1, x2)


def matmul(x1: Any, x2: Any, /, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The product of the matrices in the last two axes; the leading axes broadcast. See
    `pullback.numpy.matmul` for vectors, dtypes and errors.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.matmul(jnp.array([[1, 2], [3, 4]]), jnp.array([[0, 1], [1, 0]]))
    Array([[2, 1],
           [4, 3]], dtype=int32)
    """
    return contraction.matmul(x1, x2, precision=precision, preferred_element_type=preferred_element_type)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """The sums of diagonal `offset` of the matrices `x` of shape (..., m, n): shape (...).

    The main diagonal is 0, and those above it are positive. Small integers and booleans are summed
    as int32 or uint32, or as `dtype`. Raises ValueError for fewer than two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.trace(jnp.arange(8).reshape(2, 2, 2))
    Array([ 3, 11], dtype=int32)
    """
    return contraction.trace(x, offset=offset, axis1=-2, axis2=-1, dtype=dtype)


def diagonal(x: Any, /, *, offset: int = 0) -> Array:
    """Diagonal `offset` of the matrices `x` of shape (..., m, n), along the last axis of the
    result.

    The main diagonal is 0, and those above it are positive. Raises ValueError for fewer than two
    axes.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.diagonal(jnp.arange(8).reshape(2, 2, 2))
    Array([[0, 3],
           [4, 7]], dtype=int32)
    """
    return creation.diagonal(x, offset=offset, axis1=-2, axis2=-1)


def matrix_transpose(x: Any, /) -> Array:
    """The transposes of the matrices `x` of shape (..., m, n): shape (..., n, m), without
    conjugation.

    Raises ValueError for fewer than two axes.

    >>> import pullback.numpy as jnp
    >>> jnp.linalg.matrix_transpose(jnp.ones((5, 2, 3))).shape
    (5, 3, 2)
    """
    x = array_like(x, "numpy.linalg.matrix_transpose")
    if x.ndim < 2:
        raise ValueError(f"matrix_transpose requires at least 2 dimensions; got ndim={x.ndim}")
    return matrices.transposed(x)


__all__ = ["cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "lstsq"]
__all__ += ["matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm"]
__all__ += ["outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve"]
__all__ += ["trace", "vecdot", "vector_norm"]
