"""Systems of equations with triangular matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray, broadcast_shapes
from pullback.lax.elementwise import conj_p
from pullback.lax.family import neg_p, sub_p
from pullback.lax.linalg.matrices import (
    ByColumns,
    OfBatches,
    conj,
    indices,
    lapack,
    lapack_call,
    matmul,
    one_dtype,
    refused,
    strong,
    transposed,
)
from pullback.lax.shape import broadcast_to, move_axis, reshape_p
from pullback.lax.triangles import tril, triu


class TriangularSolve(OfBatches):
    """The x with op(a) x = b (`left_side`) or x op(a) = b, where op(a) is a, aᵀ, conj(a) or aᴴ.

    The other triangle of `a`, and its diagonal if it is a `unit_diagonal`, are not looked at.
    """

    name = "triangular_solve"
    is_partial = True

    @weak_as_operands
    def type_of(self, a: ShapedArray, b: ShapedArray, *, left_side: bool, **_: Any) -> ShapedArray:
        _check(a, b, left_side)
        return strong(b.shape, b.dtype)

    def evaluate(
        self, a: Any, b: Any, *, left_side: bool, lower: bool, transpose_a: bool, conjugate_a: bool, unit_diagonal: bool
    ) -> Any:
        dtype = b.dtype
        if dtypes.is_float(dtype) and dtype.itemsize < 4:  # 16-bit floats are solved in float32
            a, b = a.astype(np.float32), b.astype(np.float32)
        if conjugate_a and not transpose_a:
            a = a.conj()
        operation = (2 if conjugate_a else 1) if transpose_a else 0
        out = np.array(b, order="C")
        if out.size:
            trsm = lapack("trsm", b.dtype)
            # BLAS stores by columns, so it sees our matrices transposed: it solves xᵀ op(a)ᵀ = bᵀ,
            # with aᵀ in the place of a.
            for i in indices(b.shape[:-2]):
                trsm(1, a[i].T, out[i].T, left_side, not lower, operation, unit_diagonal, overwrite_b=True)
        return out if out.dtype == dtype else out.astype(dtype)

    def lower(
        self,
        emit: Any,
        a: Any,
        b: Any,
        *,
        left_side: bool,
        lower: bool,
        transpose_a: bool,
        conjugate_a: bool,
        unit_diagonal: bool,
    ) -> Any:
        if not b.size:
            return b
        dtype = b.dtype
        if dtype.itemsize < 4:
            a, b = emit.convert(a, dtypes.float32), emit.convert(b, dtypes.float32)
        if conjugate_a and not transpose_a and dtypes.is_complex(dtype):
            a = conj_p.lower(emit, a)
        # Stored by rows, as arrays are unless LAPACK made them, a matrix is its transpose to
        # LAPACK: it solves xᵀ op(a)ᵀ = bᵀ, and the transpositions that are written here move
        # nothing.
        order = (*range(b.ndim - 2), b.ndim - 1, b.ndim - 2)
        by_rows = not isinstance(a, ByColumns)
        if by_rows:
            a, b = emit.transpose(a, order), emit.transpose(b, order)
        (out,) = lapack_call(
            emit, "trsm", [a, b], [b.aval], "mmm", overwrites=(1,), diag="U" if unit_diagonal else "N",
            side="R" if left_side == by_rows else "L", trans_x="N" if not transpose_a else "C" if conjugate_a else "T",
            uplo="U" if lower == by_rows else "L",
        )  # fmt: skip
        return emit.convert(emit.transpose(out, order) if by_rows else out, dtype)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        # op(a) x = b: op(da) x + op(a) dx = db, so dx = op(a)⁻¹ (db - op(da) x), with da the
        # triangle of the tangent that is used; likewise dx = (db - x op(da)) op(a)⁻¹ on the right
        # (Giles, "Collected matrix derivative results", 2008).
        (a, b), (t_a, t_b) = primals, tangents
        x = self.bind(a, b, **params)
        rhs = t_b
        if t_a is not None:
            k = 1 if params["unit_diagonal"] else 0
            t_a = tril(t_a, -k) if params["lower"] else triu(t_a, k)
            t_a = transposed(t_a) if params["transpose_a"] else t_a
            t_a = conj(t_a) if params["conjugate_a"] else t_a
            change = matmul(t_a, x) if params["left_side"] else matmul(x, t_a)
            rhs = neg_p.bind(change) if t_b is None else sub_p.bind(t_b, change)
        return x, None if rhs is None else self.bind(a, rhs, **params)

    def transpose(self, ct: Any, a: Any, b: Any, *, transpose_a: bool, **params: Any) -> Sequence[Any]:
        # The transpose of op(a)⁻¹ is that of op(a)ᵀ; conjugation stays, as cotangents pair without
        # it.
        return [None, self.bind(a, ct, transpose_a=not transpose_a, **params)]

    def batch(
        self, size: int, args: Sequence[Any], axes: Sequence[int | None], *, left_side: bool, **params: Any
    ) -> Any:
        (a, b), (axis_a, axis_b) = args, axes
        if axis_a is None:
            assert axis_b is not None
            return many_right_sides(lambda b: self.bind(a, b, left_side=left_side, **params), b, axis_b, left_side)
        return super().batch(size, args, axes, left_side=left_side, **params)


triangular_solve_p = TriangularSolve()


def substitute(a: Any, b: Any, *, lower: bool, **operation: bool) -> Any:
    """`triangular_solve`, for rules: of matrices that are known to fit.

    >>> substitute(as_array(np.float32([[2, 0], [1, 1]])), as_array(np.float32([[2], [3]])), lower=True).tolist()
    [[1.0], [2.0]]
    """
    plain = {"left_side": True, "lower": lower, "transpose_a": False, "conjugate_a": False, "unit_diagonal": False}
    return triangular_solve_p.bind(a, b, **{**plain, **operation})


def many_right_sides(solve: Any, b: Any, axis: int, left_side: bool = True) -> Any:
    """Solve for a batch of right-hand sides with one matrix: as columns (rows, if the unknown is on
    the left) of one."""
    if left_side:
        b = move_axis(b, axis, len(b.shape) - 1)
        x = solve(reshape_p.bind(b, new_sizes=(*b.shape[:-2], b.shape[-2] * b.shape[-1])))
        return reshape_p.bind(x, new_sizes=b.shape), len(b.shape) - 1
    b = move_axis(b, axis, len(b.shape) - 3)
    x = solve(reshape_p.bind(b, new_sizes=(*b.shape[:-3], b.shape[-3] * b.shape[-2], b.shape[-1])))
    return reshape_p.bind(x, new_sizes=b.shape), len(b.shape) - 3


def _check(a: Any, b: Any, left_side: bool) -> None:
    one_dtype("triangular_solve", a, b)
    if not dtypes.is_inexact(a.dtype):
        raise refused("triangular_solve", a)
    if a.ndim < 2 or b.ndim < 2:
        raise TypeError(
            "the inputs to triangular_solve must have rank at least 2, "
            f"but got shapes {a.shape} and {b.shape}, at {user_line()}"
        )
    if a.shape[-1] != a.shape[-2]:
        raise ValueError(
            f"the first input to triangular_solve must be a square matrix, got shape {a.shape}, at {user_line()}"
        )
    if a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2 if left_side else -1]:
        raise ValueError(
            f"triangular_solve: a of shape {a.shape} and b of shape {b.shape} do not fit with left_side={left_side}, "
            f"at {user_line()}"
        )


def triangular_solve(
    a: Any,
    b: Any,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Array:
    """The x with op(a) x = b if `left_side`, else with x op(a) = b, for triangular matrices `a` of
    shape (..., n, n).

    op(a) is a, transposed if `transpose_a` and conjugated if `conjugate_a`. `lower` says which
    triangle of `a` to use; with `unit_diagonal` its diagonal is taken to be ones. `b` has shape
    (..., n, k), or (..., k, n) on the right, or (..., n) for one vector. Raises TypeError if dtypes
    differ or are not floating, ValueError if shapes do not fit.

    >>> import pullback.numpy as jnp
    >>> triangular_solve(jnp.array([[2.0, 0.0], [1.0, 4.0]]), jnp.array([2.0, 9.0]), left_side=True, lower=True)
    Array([1., 2.], dtype=float32)
    """
    a, b = as_array(a), as_array(b)
    vector = b.ndim == a.ndim - 1
    if vector:
        b = reshape_p.bind(b, new_sizes=(*b.shape, 1) if left_side else (*b.shape[:-1], 1, b.shape[-1]))
    if a.ndim == b.ndim and a.shape[:-2] != b.shape[:-2] and a.ndim > 2:
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = broadcast_to(a, (*batch, *a.shape[-2:])), broadcast_to(b, (*batch, *b.shape[-2:]))
    _check(a, b, left_side)
    operation = {"transpose_a": transpose_a, "conjugate_a": conjugate_a and dtypes.is_complex(a.dtype)}
    out = substitute(a, b, left_side=left_side, lower=lower, unit_diagonal=unit_diagonal, **operation)
    if not vector:
        return out
    return reshape_p.bind(out, new_sizes=out.shape[:-1] if left_side else (*out.shape[:-2], out.shape[-1]))
