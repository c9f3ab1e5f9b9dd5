"""Cholesky decomposition of Hermitian positive definite matrices, and its update when one changes
by w wᵀ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.family import add_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    OfBatches,
    check,
    columns,
    from_triangle,
    gufuncs,
    inexact,
    info_of,
    lapack_call,
    matmul,
    matrix,
    or_nan,
    real_operands,
    rows,
    strong,
    symmetrize,
    transposed,
)
from pullback.lax.linalg.triangular import substitute
from pullback.lax.triangles import emit_triangle, half_triangle, triu


class Cholesky(Decomposition):
    """The lower triangular L with L Lᴴ = a, from the lower triangle of `a`; NaN where it is not
    positive definite.

    With `symmetrize_input`, (a + aᴴ)/2 takes the place of `a`.
    """

    name = "cholesky"

    @weak_as_operands
    def type_of(self, a: ShapedArray, *, symmetrize_input: bool = False) -> ShapedArray:
        check("cholesky", a, square=True)
        return a

    def evaluate(self, a: Any, *, symmetrize_input: bool = False) -> Any:
        if symmetrize_input:
            a = a.dtype.type(0.5) * (a + a.conj().swapaxes(-1, -2))
        out = gufuncs.cholesky_lo(a)
        # A matrix that is not positive definite comes as NaNs all over.
        return np.tril(out) if out.shape[-1] > 1 and np.isnan(out[..., 0, -1]).any() else out

    def lower_elements(self, emit: Any, a: Any, *, symmetrize_input: bool = False) -> Any:
        if symmetrize_input:
            (a,) = emit.staged(lambda x: [symmetrize(x)], a)
        # Stored by rows, a matrix is its transpose to LAPACK; its lower triangle is the upper one,
        # and Lᵀ takes its place.
        out, info = lapack_call(emit, "potrf", [a], [a.aval, info_of(a)], "vvv", overwrites=(0,), uplo="U")
        return emit_triangle(emit, or_nan(emit, info, out)[0], lower=True)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, symmetrize_input: bool = False) -> Any:
        # a = L Lᴴ, so da = dL Lᴴ + L dLᴴ. Multiplying by L⁻¹ from the left and by L⁻ᴴ from the
        # right, L⁻¹ da L⁻ᴴ = L⁻¹ dL + (L⁻¹ dL)ᴴ. L⁻¹ dL is lower triangular with real diagonal,
        # hence dL = L Φ(L⁻¹ da L⁻ᴴ), where Φ keeps the lower triangle and halves the diagonal
        # (Murray, "Differentiation of the Cholesky decomposition", 2016, eq. 8). da is what the
        # lower triangle of the tangent says.
        (a,), (t,) = primals, tangents
        lower = self.bind(a, symmetrize_input=symmetrize_input)
        inner = substitute(lower, symmetrize(t) if symmetrize_input else from_triangle(t), lower=True)
        inner = substitute(lower, inner, lower=True, left_side=False, transpose_a=True, conjugate_a=True)
        return lower, matmul(lower, half_triangle(inner))


class CholeskyUpdate(OfBatches):
    """The upper triangular u with uᵀ u = rᵀ r + w wᵀ, from the upper triangle of `r`."""

    name = "cholesky_update"
    is_partial = True

    @weak_as_operands
    def type_of(self, r: ShapedArray, w: ShapedArray) -> ShapedArray:
        real_operands(self.name, r, w)
        if r.ndim < 2 or r.shape[-1] != r.shape[-2] or w.shape != r.shape[:-1]:
            raise ValueError(
                "the rank-1 update of a Cholesky decomposition takes a square matrix and a vector of its size, "
                f"got shapes {r.shape} and {w.shape}, at {user_line()}"
            )
        return strong(r.shape, r.dtype)

    def evaluate(self, r: Any, w: Any) -> Any:
        dtype = r.dtype
        wide = np.float32 if dtype.itemsize < 4 else dtype
        r, w = np.triu(r).astype(wide, copy=False), w.astype(wide)
        for k in range(r.shape[-1]):
            # A rotation of row k and w makes w[k] zero. Where it is zero already the diagonal keeps
            # its sign.
            x, y = r[..., k, k, None], w[..., k, None]
            length = np.where(y == 0, x, np.hypot(x, y))
            safe = np.where(length == 0, length.dtype.type(1), length)
            c, s = np.where(y == 0, length.dtype.type(1), x / safe), y / safe
            row = r[..., k, k:]
            rotated = c * row + s * w[..., k:]
            w[..., k:] = c * w[..., k:] - s * row
            r[..., k, k:] = rotated
        return r.astype(dtype, copy=False)

    def lower(self, emit: Any, r: Any, w: Any) -> Any:
        if not r.size:
            return r
        dtype, n = r.dtype, r.shape[-1]
        if dtype.itemsize < 4:
            r, w = emit.convert(r, dtypes.float32), emit.convert(w, dtypes.float32)
        batch = r.shape[:-2]
        number = ShapedArray((*batch, 1), r.dtype)
        along = tuple(range(w.ndim))
        zero, one = emit.constant(0, dtypes.int32), emit.constant(1, dtypes.int32)

        def some_left(k: Any, r: Any, w: Any) -> Any:
            return emit.compare("LT", k, emit.constant(n, dtypes.int32))

        def rotate(k: Any, r: Any, w: Any) -> list[Any]:
            first = [zero] * len(batch)
            row_type = ShapedArray((*batch, 1, n), r.dtype)
            row = emit.reshape(
                emit("dynamic_slice", r, *first, k, zero, out=row_type, slice_sizes=row_type.shape), w.shape
            )
            x, y = (emit("dynamic_slice", v, *first, k, out=number, slice_sizes=number.shape) for v in (row, w))
            nothing = emit.compare("EQ", y, emit.like(0, y))
            scale = emit("maximum", emit("abs", x), emit("abs", y))  # what overflows as a square does not as a ratio
            x, y = emit("divide", x, scale), emit("divide", y, scale)
            length = emit("sqrt", emit("add", emit("multiply", x, x), emit("multiply", y, y)))
            c = emit.select(nothing, emit.like(1, x), emit("divide", x, length))
            s = emit.select(nothing, emit.like(0, y), emit("divide", y, length))
            c, s = (emit.broadcast(emit.reshape(v, batch), w.shape, along[:-1]) for v in (c, s))
            rotated = emit("add", emit("multiply", c, row), emit("multiply", s, w))
            rest = emit("subtract", emit("multiply", c, w), emit("multiply", s, row))
            updated = emit("dynamic_update_slice", r, emit.reshape(rotated, row_type.shape), *first, k, zero)
            return [emit("add", k, one), updated, rest]

        out = emit.while_loop(some_left, rotate, [zero, emit_triangle(emit, r, lower=False), w])[1]
        return emit.convert(emit_triangle(emit, out, lower=False), dtype)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # uᵀ u = rᵀ r + w wᵀ, so duᵀ u + uᵀ du = m + mᵀ, m = drᵀ r + dw wᵀ, and as for the
        # decomposition itself du = Φ(n + nᵀ) u, n = u⁻ᵀ m u⁻¹, where Φ keeps the upper triangle and
        # halves the diagonal.
        (r, w), (t_r, t_w) = primals, tangents
        u = self.bind(r, w)
        change = None if t_r is None else matmul(transposed(triu(t_r)), triu(r))
        if t_w is not None:
            outer = matmul(columns(t_w), rows(w))
            change = outer if change is None else add_p.bind(change, outer)
        if change is None:
            return u, None
        inner = substitute(u, substitute(u, change, lower=False, transpose_a=True), lower=False, left_side=False)
        return u, matmul(half_triangle(add_p.bind(inner, transposed(inner)), lower=False), u)


cholesky_p, cholesky_update_p = Cholesky(), CholeskyUpdate()


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Array:
    """The lower triangular L with L Lᴴ = x, for Hermitian positive definite matrices `x` of shape
    (..., n, n).

    With `symmetrize_input`, (x + xᴴ)/2 is decomposed; otherwise only the lower triangle of `x` is
    used. Matrices that are not positive definite give NaN. Integers are converted to floats. Raises
    TypeError for fewer than two axes or axes of different length.

    >>> import pullback.numpy as jnp
    >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 5.0]]))
    Array([[2., 0.],
           [1., 2.]], dtype=float32)
    """
    x = matrix("cholesky", inexact(x))
    if x.shape[-1] != x.shape[-2]:
        raise TypeError(f"the input to cholesky must be a square matrix, got shape {x.shape}")
    return cholesky_p.bind(x, symmetrize_input=symmetrize_input)


def cholesky_update(r_matrix: Any, w_vector: Any) -> Array:
    """The upper triangular u with uᵀ u = rᵀ r + w wᵀ, for an upper triangular matrix r and a vector
    w, in O(n²) time.

    Only the upper triangle of `r_matrix` is used. Raises TypeError unless they are a matrix and a
    vector of one real floating type, ValueError if they do not fit.

    >>> import pullback.numpy as jnp
    >>> cholesky_update(jnp.array([[3.0, 0.0], [0.0, 2.0]]), jnp.array([4.0, 0.0]))
    Array([[5., 0.],
           [0., 2.]], dtype=float32)
    """
    r, w = as_array(r_matrix), as_array(w_vector)
    for i, (x, ndim) in enumerate(((r, 2), (w, 1))):
        if x.ndim != ndim:
            raise TypeError(
                f"input {i} to cholesky_update must have rank {ndim}, got shape {x.shape}, at {user_line()}"
            )
    cholesky_update_p.type_of(r.aval, w.aval)
    return cholesky_update_p.bind(r, w)
