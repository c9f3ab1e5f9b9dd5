"""Eigenvalues of Hermitian tridiagonal matrices, without eigenvectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import concrete
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import pad, slice_along
from pullback.lax.elementwise import abs_p, div_p, is_finite_p, max_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.linalg.eigen import eigh_p
from pullback.lax.linalg.matrices import OfBatches, columns, conj, diagonal_matrix, lapack, one_dtype, real, strong
from pullback.lax.linalg.schur import placed
from pullback.lax.reductions import reduce_and_p, reduce_max_p, reduce_min_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, reduce_sum_p


class TridiagonalEigenvalues(OfBatches):
    """The increasing eigenvalues (..., n) of the matrices with diagonals `d` (..., n), of which the
    real part counts, and `e` (..., n-1) below them, its conjugate above."""

    name = "tridiagonal_eigenvalues"

    @weak_as_operands
    def type_of(self, d: ShapedArray, e: ShapedArray) -> ShapedArray:
        one_dtype(self.name, d, e)
        if e.shape != (*d.shape[:-1], max(d.shape[-1] - 1, 0)):
            raise ValueError(f"tridiagonal_eigenvalues: diagonals {d} and {e} do not fit")
        return strong(d.shape, dtypes.to_real(d.dtype))

    def evaluate(self, d: Any, e: Any) -> Any:
        out, e = np.array(d.real), np.abs(e)
        if not out.size or out.shape[-1] < 2:
            return out
        eigenvalues = lapack("sterf", out.dtype)
        finite = np.isfinite(out).all(-1) & np.isfinite(e).all(-1)
        for i in np.ndindex(out.shape[:-1]):
            out[i] = eigenvalues(out[i], e[i])[0] if finite[i] else np.nan
        return out

    def lower(self, emit: Any, d: Any, e: Any) -> Any:
        # Bisection of all eigenvalues at once: as many of them are below x as there are negative
        # pivots, q_j = d_j - x - |e_j|²/q_{j-1} (Barth, Martin & Wilkinson, "Calculation of the
        # eigenvalues of a symmetric tridiagonal matrix by the method of bisection", 1967).
        n = d.shape[-1]
        if n < 2 or not d.size:
            return emit.staged(lambda d: [real(d)], d)[0]
        d, squares, low, high, limit, scale, order = emit.staged(_prepared, d, e)
        dtype, number = d.dtype, dtypes.int32
        steps, last = np.finfo(dtype).nmant + 3, d.ndim - 1
        zero, one = emit.constant(0, number), emit.constant(1, number)
        column = ShapedArray((*d.shape[:-1], 1), dtype)

        def below(x: Any) -> Any:
            def some_left(j: Any, *_: Any) -> Any:
                return emit.compare("LT", j, emit.constant(n, number))

            def one_pivot(j: Any, q: Any, count: Any) -> list[Any]:
                at = [zero] * last
                d_j, e_j = (
                    emit.broadcast(
                        emit("dynamic_slice", y, *at, j, out=column, slice_sizes=column.shape),
                        x.shape,
                        tuple(range(last + 1)),
                    )
                    for y in (d, squares)
                )
                q = emit("subtract", emit("subtract", d_j, x), emit("divide", e_j, q))
                negative = emit.compare("LE", q, limit)
                q = emit.select(negative, emit("minimum", q, emit("negate", limit)), q)
                return [emit("add", j, one), q, emit("add", count, emit.convert(negative, number))]

            start = [zero, emit.like(1, x), emit.constant(0, number, x.shape)]
            return emit.while_loop(some_left, one_pivot, start)[2]

        def more(i: Any, *_: Any) -> Any:
            return emit.compare("LT", i, emit.constant(steps, number))

        def halve(i: Any, low: Any, high: Any) -> list[Any]:
            middle = emit("multiply", emit.like(0.5, low), emit("add", low, high))
            above = emit.compare("LE", below(middle), order)
            return [emit("add", i, one), emit.select(above, middle, low), emit.select(above, high, middle)]

        _, low, high = emit.while_loop(more, halve, [zero, low, high])
        middle = emit("multiply", emit.like(0.5, low), emit("add", low, high))
        return emit("multiply", middle, scale)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # dw = vᴴ da v on the diagonal, as for any Hermitian matrix.
        (d, e), (t_d, t_e) = primals, tangents
        n, last = d.shape[-1], len(d.shape) - 1
        if n < 2:
            return self.bind(d, e), None if t_d is None else real(t_d)
        a = add_p.bind(diagonal_matrix(d), placed(e, -1))
        v, w = eigh_p.bind(a, lower=True, sort_eigenvalues=True)

        def total(x: Any) -> Any:
            return real(reduce_sum_p.bind(x, axes=(last,)))

        terms = []
        if t_d is not None:
            terms.append(total(mul_p.bind(columns(t_d), mul_p.bind(conj(v), v))))
        if t_e is not None:
            pairs = mul_p.bind(conj(slice_along(v, 1, n, last)), slice_along(v, 0, n - 1, last))
            terms.append(total(mul_p.bind(columns(t_e), mul_p.bind(like(2, pairs), pairs))))
        return w, terms[0] if len(terms) == 1 else add_p.bind(*terms)


def _prepared(d: Any, e: Any) -> list[Any]:
    """What bisection takes, of matrices whose elements are at most 1: their diagonals, the squares
    of what is beside them, bounds of all eigenvalues (Gershgorin's), the smallest pivot; then how
    large the elements are, NaN if some are not finite, and the numbers of the eigenvalues."""
    d, e = real(d), abs_p.bind(e)
    n, last, dtype = d.shape[-1], len(d.shape) - 1, d.dtype
    edge = ((0, 0, 0),) * last

    def over(x: Any) -> Any:
        return broadcast_to(columns(x), d.shape)

    def extremum(of: Any, x: Any) -> Any:
        return over(of.bind(x, axes=(last,)))

    finite = mul_p.bind(add_p.bind(d, pad(e, like(0, e), (*edge, (1, 0, 0)))), like(0, d))
    largest = max_p.bind(extremum(reduce_max_p, abs_p.bind(d)), extremum(reduce_max_p, e))
    scale = select(over(reduce_and_p.bind(is_finite_p.bind(finite), axes=(last,))), largest, like(np.nan, d))
    safe = max_p.bind(largest, like(float(np.finfo(dtype).tiny), d))
    d, e = div_p.bind(d, safe), div_p.bind(e, slice_along(safe, 0, n - 1, last))
    before, after = pad(e, like(0, e), (*edge, (1, 0, 0))), pad(e, like(0, e), (*edge, (0, 1, 0)))
    radius = add_p.bind(before, after)
    slack = like(4 * float(np.finfo(dtype).eps), d)
    low = sub_p.bind(extremum(reduce_min_p, sub_p.bind(d, radius)), slack)
    high = add_p.bind(extremum(reduce_max_p, add_p.bind(d, radius)), slack)
    order = broadcast_to(concrete(np.arange(n, dtype=np.int32)), d.shape)
    limit = broadcast_to(like(float(np.finfo(dtype).tiny), d), d.shape)
    return [d, mul_p.bind(before, before), low, high, limit, scale, order]


tridiagonal_eigenvalues_p = TridiagonalEigenvalues()
