"""LU decomposition with partial pivoting, and the systems of equations it solves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.primitive import weak_as_operands
from pullback.core.types import Shape, ShapedArray
from pullback.lax.arrangement import concatenate, slice_along
from pullback.lax.creation import iota_p
from pullback.lax.family import add_p, neg_p, sub_p
from pullback.lax.gradient import stop_gradient_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    OfBatches,
    check,
    column_major_copy,
    gufuncs,
    identity,
    indices,
    info_of,
    lapack,
    lapack_call,
    matmul,
    matrix,
    permutation_matrix,
    strong,
    transposed,
)
from pullback.lax.linalg.triangular import many_right_sides, substitute
from pullback.lax.shape import broadcast_in_dim_p, reshape_p, transpose_p
from pullback.lax.sorting import put_along_p, take_along_p
from pullback.lax.triangles import tril, triu


class Lu(Decomposition):
    """L and U in one matrix, the row interchanges (`pivots`), and the permutation they make:
    a[permutation] = L U."""

    name = "lu"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray) -> list[ShapedArray]:
        check(self.name, a)
        *batch, m, n = a.shape
        return [
            strong(a.shape, a.dtype),
            strong((*batch, min(m, n)), dtypes.int32),
            strong((*batch, m), dtypes.int32),
        ]

    def evaluate(self, a: Any) -> Any:
        *batch, m, n = a.shape
        lu = column_major_copy(a)
        pivots = np.empty((*batch, min(m, n)), np.int32)
        if lu.size:
            getrf = lapack("getrf", a.dtype)
            for i in indices(tuple(batch)):
                _, pivots[i], _ = getrf(lu[i], overwrite_a=True)
        return [lu, pivots, _permutation(pivots, m)]

    def lower_elements(self, emit: Any, a: Any) -> Any:
        lu, pivots, _ = lapack_call(
            emit, "getrf", [a], [emit.types[0], emit.types[1], info_of(a)], "mmvv", overwrites=(0,)
        )
        pivots = emit("subtract", pivots, emit.like(1, pivots))  # LAPACK counts from 1
        return [lu, pivots, _emit_permutation(emit, pivots, a.shape[-2])]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # P a = L U is linear in a while P stays as it is: P da = dL U + L dU, and with F = L⁻¹ P da
        # U⁻¹ = L⁻¹ dL + dU U⁻¹, of which the first is strictly lower and the second upper
        # triangular, dL = L tril(F, -1) and dU = triu(F) U (de Hoog, Anderssen & Lukas,
        # "Differentiation of matrix functionals using triangular factorization", 2011). If a is not
        # square that holds for its leading square block; from the rest of P da = dL U + L dU, the
        # further rows of L (tall a) have dL₂ = (P da₂ - L₂ dU) U⁻¹, the further columns of U (wide
        # a) dU₂ = L⁻¹ (P da₂ - dL U₂).
        (a,), (t,) = primals, tangents
        lu, pivots, permutation = self.bind(a)
        m, n = a.shape[-2:]
        k = min(m, n)
        t = matmul(permutation_matrix(permutation, a.dtype), t)
        square, t_square = _block(lu, 0, k, 0, k), _block(t, 0, k, 0, k)
        inner = _solve_right_upper(square, _solve_left_unit(square, t_square))
        t_lower = matmul(_unit_lower(square), tril(inner, -1))
        t_upper = matmul(triu(inner), triu(square))
        t_lu = add_p.bind(t_lower, t_upper)
        if m > n:
            rest = sub_p.bind(_block(t, n, m, 0, n), matmul(_block(lu, n, m, 0, n), t_upper))
            t_lu = concatenate([t_lu, _solve_right_upper(square, rest)], len(lu.shape) - 2)
        elif n > m:
            rest = sub_p.bind(_block(t, 0, m, m, n), matmul(t_lower, _block(lu, 0, m, m, n)))
            t_lu = concatenate([t_lu, _solve_left_unit(square, rest)], len(lu.shape) - 1)
        return [lu, pivots, permutation], [t_lu, None, None]


def _block(x: Any, top: int, bottom: int, left: int, right: int) -> Any:
    ndim = len(x.shape)
    return slice_along(slice_along(x, top, bottom, ndim - 2), left, right, ndim - 1)


def _unit_lower(lu: Any) -> Any:
    return add_p.bind(tril(lu, -1), identity(lu.shape[:-2], lu.shape[-1], lu.dtype))


def _solve_left_unit(lu: Any, b: Any) -> Any:
    """L⁻¹ b."""
    return substitute(lu, b, lower=True, unit_diagonal=True)


def _solve_right_upper(lu: Any, b: Any) -> Any:
    """b U⁻¹."""
    return substitute(lu, b, lower=False, left_side=False)


class LuSolve(OfBatches):
    """The x with a x = b, or aᵀ x = b if `transpose_a`, from `lu` and `pivots` of `a`.

    `a` itself is an operand for the sake of the derivative: it solves again with the same factors,
    to any order.
    """

    name = "lu_solve"
    is_partial = True

    @weak_as_operands
    def type_of(
        self, a: ShapedArray, lu: ShapedArray, pivots: ShapedArray, b: ShapedArray, *, transpose_a: bool
    ) -> ShapedArray:
        check(self.name, a, square=True)
        if lu.shape != a.shape or b.shape[:-1] != a.shape[:-1] or len({a.dtype, lu.dtype, b.dtype}) > 1:
            raise TypeError(f"lu_solve: a {a}, its factors {lu} and b {b} do not fit")
        return strong(b.shape, b.dtype)

    def evaluate(self, a: Any, lu: Any, pivots: Any, b: Any, *, transpose_a: bool) -> Any:
        x = column_major_copy(b)
        if x.size:
            getrs = lapack("getrs", b.dtype)
            for i in indices(b.shape[:-2]):
                getrs(lu[i], pivots[i], x[i], trans=transpose_a, overwrite_b=True)
        return x

    def expand(self, a: Any, lu: Any, pivots: Any, b: Any, *, transpose_a: bool) -> Any:
        n, axis = a.shape[-1], len(b.shape) - 2
        permutation = lu_pivots_to_permutation_p.bind(pivots, permutation_size=n)

        def permuted(b: Any, permutation: Any) -> Any:
            index = broadcast_in_dim_p.bind(permutation, shape=b.shape, broadcast_dimensions=tuple(range(axis + 1)))
            return take_along_p.bind(b, index, axis=axis)

        def solved(b: Any, lower: bool) -> Any:
            return substitute(lu, b, lower=lower, transpose_a=transpose_a, unit_diagonal=lower)

        # a[permutation] = L U
        if not transpose_a:
            return solved(solved(permuted(b, permutation), True), False)
        order = iota_p.bind(dtype=permutation.dtype, shape=permutation.shape, dimension=axis)
        inverse = put_along_p.bind(order, permutation, axis=axis, length=n)
        return permuted(solved(solved(b, False), True), inverse)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not (active[0] or active[1] or active[2])

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, transpose_a: bool) -> Any:
        # a x = b: da x + a dx = db, so dx = a⁻¹ (db - da x) (Giles, "Collected matrix derivative
        # results", 2008). The factors are functions of `a` whose change is already accounted for.
        (a, lu, pivots, b), (t_a, _, _, t_b) = primals, tangents
        x = self.bind(a, lu, pivots, b, transpose_a=transpose_a)
        rhs = t_b
        if t_a is not None:
            change = matmul(transposed(t_a) if transpose_a else t_a, x)
            rhs = neg_p.bind(change) if t_b is None else sub_p.bind(t_b, change)
        return x, None if rhs is None else self.bind(a, lu, pivots, rhs, transpose_a=transpose_a)

    def transpose(self, ct: Any, a: Any, lu: Any, pivots: Any, b: Any, *, transpose_a: bool) -> Sequence[Any]:
        return [None, None, None, self.bind(a, lu, pivots, ct, transpose_a=not transpose_a)]

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], *, transpose_a: bool) -> Any:
        a, lu, pivots, b = args
        if axes[:3] == [None, None, None]:
            assert axes[3] is not None
            return many_right_sides(lambda b: self.bind(a, lu, pivots, b, transpose_a=transpose_a), b, axes[3])
        return super().batch(size, args, axes, transpose_a=transpose_a)


class Solve(OfBatches):
    """The x with a x = b, by LU decomposition. The derivative keeps the factors: see `lu_solve`."""

    name = "solve"
    is_partial = True

    @weak_as_operands
    def type_of(self, a: ShapedArray, b: ShapedArray) -> ShapedArray:
        check(self.name, a, square=True)
        if b.ndim != a.ndim or b.shape[:-1] != a.shape[:-1] or a.dtype != b.dtype:
            raise TypeError(f"solve: a {a} and b {b} do not fit")
        return strong(b.shape, b.dtype)

    def evaluate(self, a: Any, b: Any) -> Any:
        x = gufuncs.solve(a, b)
        if x.size and np.isnan(x[..., 0, 0]).any():
            # Matrices that are exactly singular come as NaNs all over; substitution puts infinities
            # where they belong.
            factors, pivots, _ = lu_p.evaluate(a)
            x = lu_solve_p.evaluate(a, factors, pivots, b, transpose_a=False)
        return x

    def expand(self, a: Any, b: Any) -> Any:
        factors, pivots, _ = lu_p.bind(a)
        return lu_solve_p.bind(a, factors, pivots, b, transpose_a=False)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        (a, b), (t_a, t_b) = primals, tangents
        # The derivative is that of lu_solve; none is to be computed for the factors.
        factors, pivots, _ = lu_p.bind(stop_gradient_p.bind(a))
        return lu_solve_p.jvp((a, factors, pivots, b), (t_a, None, None, t_b), transpose_a=False)

    def transpose(self, ct: Any, a: Any, b: Any) -> Sequence[Any]:
        return [None, self.bind(transposed(a), ct)]

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None]) -> Any:
        (a, b), (axis_a, axis_b) = args, axes
        if axis_a is None:
            assert axis_b is not None
            return many_right_sides(lambda b: self.bind(a, b), b, axis_b)
        return super().batch(size, args, axes)


class LuPivotsToPermutation(OfBatches):
    """The permutation of `permutation_size` rows that successive interchanges of rows i and
    pivots[i] make."""

    name = "lu_pivots_to_permutation"
    no_derivative = "permutations are integers"

    @weak_as_operands
    def type_of(self, pivots: ShapedArray, *, permutation_size: int) -> ShapedArray:
        if not dtypes.is_integer(pivots.dtype):
            raise TypeError(f"lu_pivots_to_permutation takes pivots of an integer type, got {pivots}")
        if pivots.ndim < 1 or pivots.shape[-1] > permutation_size:
            raise ValueError(f"lu_pivots_to_permutation: {permutation_size} rows are too few for pivots {pivots}")
        return strong((*pivots.shape[:-1], permutation_size), pivots.dtype)

    def evaluate(self, pivots: Any, *, permutation_size: int) -> Any:
        return _permutation(pivots, permutation_size)

    def lower(self, emit: Any, pivots: Any, *, permutation_size: int) -> Any:
        return _emit_permutation(emit, pivots, permutation_size)


def _permutation(pivots: Any, size: int) -> Any:
    *batch, k = pivots.shape
    swaps = pivots.reshape(-1, k) if k else pivots.reshape(-1)[:0]
    if len(swaps) > 50:
        # Many matrices at once: NumPy pays off.
        out = np.empty((len(swaps), size), pivots.dtype)
        out[...] = np.arange(size)
        every = np.arange(len(swaps))
        for i in range(k):
            j = swaps[:, i]
            out[every, j], out[:, i] = out[:, i].copy(), out[every, j]
        return out.reshape(*batch, size)
    rows = []
    for exchanges in swaps.tolist():
        row = list(range(size))
        for i, j in enumerate(exchanges):
            row[i], row[j] = row[j], row[i]
        rows.append(row)
    if not rows:
        return np.broadcast_to(np.arange(size, dtype=pivots.dtype), (*batch, size))
    return np.array(rows, pivots.dtype).reshape(*batch, size)


def _emit_permutation(emit: Any, pivots: Any, size: int) -> Any:
    *batch, k = pivots.shape
    shape, last = (*batch, size), len(batch)
    position = emit.iota(shape, pivots.dtype, last)
    along = tuple(range(last))

    def some_left(i: Any, permutation: Any) -> Any:
        return emit.compare("LT", i, emit.constant(k, pivots.dtype))

    def exchange(i: Any, permutation: Any) -> list[Any]:
        # Rows i and j = pivots[i] change places, for each matrix of the batch.
        zeros = [emit.constant(0, pivots.dtype)] * last
        element = ShapedArray((*batch, 1), pivots.dtype)
        j = emit("dynamic_slice", pivots, *zeros, i, out=element, slice_sizes=element.shape)
        following = emit("add", i, emit.constant(1, pivots.dtype))
        if not batch:
            j = emit.reshape(j, ())
            at_i, at_j = (emit("dynamic_slice", permutation, x, out=element, slice_sizes=element.shape) for x in (i, j))
            swapped = emit("dynamic_update_slice", permutation, at_j, i)
            return [following, emit("dynamic_update_slice", swapped, at_i, j)]
        is_j = emit.compare("EQ", position, emit.broadcast(emit.reshape(j, tuple(batch)), shape, along))
        is_i = emit.compare("EQ", position, emit.broadcast(i, shape, ()))

        def pick(mask: Any) -> Any:
            chosen = emit.select(mask, permutation, emit.like(0, permutation))
            return emit.broadcast(emit.reduce(chosen, 0, "add", (last,)), shape, along)

        swapped = emit.select(is_i, pick(is_j), emit.select(is_j, pick(is_i), permutation))
        return [following, swapped]

    if not k:
        return position
    return emit.while_loop(some_left, exchange, [emit.constant(0, pivots.dtype), position])[1]


lu_p = Lu()
lu_solve_p = LuSolve()
solve_p = Solve()
lu_pivots_to_permutation_p = LuPivotsToPermutation()


def lu(x: Any) -> list[Array]:
    """(lu, pivots, permutation) of matrices of shape (..., m, n): x[permutation] = L U, by partial
    pivoting.

    `lu` holds U in the upper triangle and L, whose diagonal is ones, below it. `pivots` has the row
    exchanged with row i at step i, `permutation` their product; both are int32 and count from 0.
    Raises TypeError unless `x` is floating with two axes or more.

    >>> import pullback.numpy as jnp
    >>> lu(jnp.array([[1.0, 2.0], [4.0, 4.0]]))[0]
    Array([[4.  , 4.  ],
           [0.25, 1.  ]], dtype=float32)
    """
    return list(lu_p.bind(matrix("lu", x)))


def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Array:
    """The permutation (..., permutation_size), of the dtype of `pivots`, made by exchanging row i with
    row pivots[..., i], for each i in order. Raises TypeError for pivots that are no integers,
    ValueError for more pivots than rows.

    >>> import pullback.numpy as jnp
    >>> lu_pivots_to_permutation(jnp.array([1, 2]), 3)
    Array([1, 2, 0], dtype=int32)
    """
    array = as_array(pivots)
    lu_pivots_to_permutation_p.type_of(array.aval, permutation_size=permutation_size)
    return lu_pivots_to_permutation_p.bind(array, permutation_size=permutation_size)


def solve(a: Array, b: Array) -> Array:
    """The x with a x = b, for `a` of shape (..., n, n) and `b` of (..., n, k), of one LAPACK type
    and batch shape.

    If `a` is one matrix it is factored once, whatever the batch of `b`. Derivatives of any order
    solve with the same factors.
    """
    if a.ndim == 2 and b.ndim > 2:
        order = (b.ndim - 2, *range(b.ndim - 2), b.ndim - 1)
        moved = transpose_p.bind(b, permutation=order)
        flat: Shape = (b.shape[-2], b.size // b.shape[-2] if b.shape[-2] else 0)
        x = reshape_p.bind(solve_p.bind(a, reshape_p.bind(moved, new_sizes=flat)), new_sizes=moved.shape)
        return transpose_p.bind(x, permutation=(*range(1, b.ndim - 1), 0, b.ndim - 1))
    return solve_p.bind(a, b)


def inverse(a: Any) -> Any:
    """a⁻¹, for rules: solve a x = 1."""
    return solve(a, identity(tuple(a.shape[:-2]), a.shape[-1], a.dtype))
