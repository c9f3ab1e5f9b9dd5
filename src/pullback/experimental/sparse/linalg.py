"""Linear algebra of sparse matrices: `spsolve` and `lobpcg_standard`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback import lax
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray, integer
from pullback.experimental.sparse.base import JAXSparse, dense
from pullback.experimental.sparse.products import product
from pullback.lax.family import neg_p
from pullback.lax.shape import batch_first, convert, move_axis


class SpSolve(Primitive):
    """x with A x = b, or Aᵀ x = b, for a matrix A by compressed rows and vectors or matrices b.

    Compiled programs call SciPy: what fills in during a sparse factorization, and so how much memory
    it takes, depends on the matrix, and there is no kernel for it in XLA.

    With x = A⁻¹ b, dx = A⁻¹ (db − dA x); the transpose of a solution is one with Aᵀ.
    """

    name = "spsolve"
    weakness = "never"

    def type_of(
        self, data: ShapedArray, indices: ShapedArray, indptr: ShapedArray, b: ShapedArray, *, transposed: bool
    ) -> ShapedArray:
        return b.update(weak_type=False)

    def evaluate(self, data: Any, indices: Any, indptr: Any, b: Any, *, transposed: bool) -> Any:
        from scipy.sparse import csc_array, csr_array
        from scipy.sparse.linalg import MatrixRankWarning, spsolve

        if not b.size:
            return b
        n = len(indptr) - 1
        wide = data.dtype if data.dtype.char in "fdFD" else np.dtype(np.float32)
        make = csc_array if transposed else csr_array
        matrix = make((data.astype(wide), indices.astype(np.int32), indptr.astype(np.int32)), shape=(n, n))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MatrixRankWarning)
            x = spsolve(matrix.tocsc(), b.astype(wide))
        return x.reshape(b.shape).astype(b.dtype)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not any(active[:3])

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, transposed: bool) -> Any:
        data, indices, indptr, b = primals
        t_data, t_b = tangents[0], tangents[3]
        x = self.bind(*primals, transposed=transposed)
        t = t_b
        if t_data is not None:
            n = b.shape[0]
            moved = product(t_data, indptr, indices, x, (n, n), transpose=transposed, compressed=True)
            t = neg_p.bind(moved) if t is None else t - moved
        return x, self.bind(data, indices, indptr, t, transposed=transposed)

    def transpose(self, ct: Any, data: Any, indices: Any, indptr: Any, b: Any, *, transposed: bool) -> Sequence[Any]:
        return [None, None, None, self.bind(data, indices, indptr, ct, transposed=not transposed)]

    def batch(self, size: int, args: Any, axes: Any, *, transposed: bool) -> Any:
        data, indices, indptr, b = args
        if axes[:3] == [None, None, None] or axes[:3] == (None, None, None):
            flat = move_axis(b, axes[3], 1)
            out = self.bind(data, indices, indptr, flat.reshape((flat.shape[0], -1)), transposed=transposed)
            return out.reshape(flat.shape), 1
        # The systems of a batch are the blocks of one.
        data, indices, indptr, b = (batch_first(a, axis, size) for a, axis in zip(args, axes))
        n, nse = b.shape[1], data.shape[1]
        step = jnp.arange(size, dtype=indices.dtype)[:, None]
        ends = (indptr[:, 1:] + step.astype(indptr.dtype) * nse).reshape((-1,))
        pointers = jnp.concatenate([jnp.zeros((1,), ends.dtype), ends])
        columns = (indices + step * n).reshape((-1,))
        out = self.bind(
            data.reshape((-1,)), columns, pointers, b.reshape((size * n, *b.shape[2:])), transposed=transposed
        )
        return out.reshape(b.shape), 0


spsolve_p = SpSolve()


def spsolve(data: Any, indices: Any, indptr: Any, b: Any, tol: float = 1e-6, reorder: int = 1) -> Array:
    """The solution x of A x = b for a square matrix by compressed rows: SuperLU's, in eager and (by
    a call of the host) in compiled code. `tol` and `reorder` are for other solvers, and ignored.

    A singular matrix gives NaNs. Differentiable in `data` and `b`, and mapped. Raises ValueError
    unless all are vectors, those of numbers of one dtype, and their lengths fit.

    >>> data, indices, indptr = jnp.array([2.0, 4.0]), jnp.array([0, 1]), jnp.array([0, 1, 2])
    >>> spsolve(data, indices, indptr, jnp.array([1.0, 1.0])).tolist()
    [0.5, 0.25]
    """
    del tol, reorder
    values, columns, pointers, x = (dense(a) for a in (data, indices, indptr, b))
    if any(a.ndim != 1 for a in (values, columns, pointers, x)):
        shapes = ", ".join(str(a.shape) for a in (values, columns, pointers, x))
        raise ValueError(f"spsolve: arrays must be one-dimensional, got shapes {shapes}, at {user_line()}")
    if values.shape != columns.shape or pointers.shape != (x.shape[0] + 1,):
        raise ValueError(
            f"spsolve: invalid CSR buffer sizes: data {values.shape}, indices {columns.shape}, indptr {pointers.shape} and b {x.shape}, at "
            f"{user_line()}"
        )
    if values.dtype != x.dtype:
        raise ValueError(
            f"spsolve: data types do not match: {values.dtype} of data and {x.dtype} of b, at {user_line()}"
        )
    if not (dtypes.is_integer(columns.dtype) and dtypes.is_integer(pointers.dtype)):
        raise ValueError(
            f"spsolve: positions must be integers, got {columns.dtype} and {pointers.dtype}, at {user_line()}"
        )
    dtype = dtypes.to_inexact(values.dtype)
    out: Array = spsolve_p.bind(convert(values, dtype), columns, pointers, convert(x, dtype), transposed=False)
    return out


def lobpcg_standard(A: Any, X: Any, m: int = 100, tol: Any = None) -> tuple[Array, Array, Array]:
    """The largest eigenvalues of a symmetric (or Hermitian) matrix and their eigenvectors, by the
    locally optimal block preconditioned conjugate gradient method, without preconditioner.

    `A` is a matrix (dense or sparse) of shape (n, n) or a function that applies it to matrices of
    shape (n, k); `X`, of shape (n, k), 5 k < n, is where to start; `m` bounds the iterations. It
    ends when each residual ‖A u − θ u‖ is below `tol` (by default the dtype's precision) times n
    times the largest |θ|. Gives eigenvalues in descending order, eigenvectors of shape (n, k), and
    the number of iterations. Raises ValueError for shapes and dtypes that do not fit.

    In each step the eigenvectors are those of A in the space of the last ones, their residuals and
    the last directions (Knyazev, SIAM J. Sci. Comput. 23, 2001; with an orthonormal basis of that
    space, as Duersch, Shao, Yang and Gu, SIAM J. Sci. Comput. 40, 2018, recommend).

    >>> a = jnp.diag(jnp.arange(1.0, 21.0))
    >>> theta, u, _ = lobpcg_standard(a, jnp.eye(20, 2) + 0.1)
    >>> theta.round(3).tolist()
    [20.0, 19.0]
    """
    x = dense(X)
    if x.ndim != 2:
        raise ValueError(f"lobpcg_standard: X must be of shape (n, k), got {x.shape}, at {user_line()}")
    n, k = x.shape
    if 5 * k >= n or not k:
        raise ValueError(f"lobpcg_standard: expected search dim * 5 < matrix dim (got {5 * k}, {n}), at {user_line()}")
    matrix = A if callable(A) or isinstance(A, JAXSparse) else dense(A)
    apply: Callable[[Any], Any] = matrix if callable(matrix) else lambda v: matrix @ v
    dtype = x.dtype
    if not callable(matrix) and matrix.dtype != dtype:
        raise ValueError(
            f"lobpcg_standard: A, X must have same dtypes (were {matrix.dtype}, {dtype}), at {user_line()}"
        )
    if not dtypes.is_inexact(dtype):
        raise ValueError(f"lobpcg_standard: X must be of floats, got {dtype}, at {user_line()}")
    if not callable(matrix) and matrix.shape != (n, n):
        raise ValueError(f"lobpcg_standard: A must be an ({n}, {n}) matrix, got shape {matrix.shape}, at {user_line()}")
    tolerance = float(dtypes.finfo(dtype).eps) if tol is None else tol

    def ritz(basis: Any) -> tuple[Any, Any, Any]:
        applied = apply(basis)
        if applied.shape != basis.shape:
            raise ValueError(f"lobpcg_standard: A gave shape {applied.shape} for {basis.shape}, at {user_line()}")
        inner = basis.conj().T @ applied
        theta, v = jnp.linalg.eigh((inner + inner.conj().T) / 2)
        v = v[:, ::-1][:, :k]
        return theta[::-1][:k], v, applied @ v

    def residual(theta: Any, u: Any, applied: Any) -> tuple[Any, Any]:
        r = applied - u * theta
        size = jnp.linalg.norm(r, axis=0)
        return r, jnp.all(size <= tolerance * n * jnp.abs(theta).max())

    def normal(v: Any) -> Any:
        size = jnp.linalg.norm(v, axis=0)
        return v / jnp.where(size > 0, size, 1)

    def step(state: Any) -> Any:
        i, theta, u, p, r, _ = state
        # Where columns depend on each other, QR supplies other orthonormal ones: no harm.
        basis, _ = jnp.linalg.qr(jnp.concatenate([u, normal(r), normal(p)], 1))
        theta, v, applied = ritz(basis)
        p = basis[:, k:] @ v[k:]
        u = basis @ v
        return (i + 1, theta, u, p, *residual(theta, u, applied))

    basis, _ = jnp.linalg.qr(x)
    theta, v, applied = ritz(basis)
    u = basis @ v
    limit = integer(m, "m")
    start = (jnp.int32(0), theta, u, jnp.zeros_like(u), *residual(theta, u, applied))
    i, theta, u, *_ = lax.while_loop(lambda s: (s[0] < limit) & ~s[5], step, start)
    return theta, u, i


__all__ = ["lobpcg_standard", "spsolve", "spsolve_p"]
