"""Sylvester equations with triangular matrices, whole or in one triangle: what is left of Sylvester
equations, of derivatives of Schur's form, of triangular matrices' eigenvectors and of functions of
triangular matrices, when there are no eigenvalues left to be found.

All are solved by columns, each of which is a triangular system.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray, concrete
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import rev_p
from pullback.lax.elementwise import abs_p, eq_p, le_p, max_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    check,
    columns,
    diagonal,
    identity_mask,
    indices,
    lapack,
    like_dtype,
    matmul,
    one_dtype,
    rows,
    strong,
    transposed,
    triu,
)
from pullback.lax.linalg.triangular import substitute
from pullback.lax.reductions import reduce_max_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, reshape_p


def emit_by_columns(emit: Any, start: Any, step: Callable[..., Any], fixed: Sequence[Any], taken: Sequence[Any]) -> Any:
    """`start` after each column k in turn has become step(found, *fixed, *columns k of `taken`),
    where `found` are the matrices so far. `step` is written with operations."""
    batch, n, dtype = start.shape[:-2], start.shape[-1], dtypes.int32
    zeros = [emit.constant(0, dtype)] * (len(batch) + 1)

    def some_left(k: Any, found: Any) -> Any:
        return emit.compare("LT", k, emit.constant(n, dtype))

    def solve_one(k: Any, found: Any) -> list[Any]:
        types = [ShapedArray((*x.shape[:-1], 1), x.dtype) for x in taken]
        now = [emit("dynamic_slice", x, *zeros, k, out=t, slice_sizes=t.shape) for x, t in zip(taken, types)]
        (column,) = emit.staged(lambda *xs: [step(*xs)], found, *fixed, *now)
        return [
            emit("add", k, emit.constant(1, dtype)),
            emit("dynamic_update_slice", found, column, *zeros, k),
        ]

    return emit.while_loop(some_left, solve_one, [emit.constant(0, dtype), start])[1]


def flipped(x: Any) -> Any:
    """Matrices with their rows and columns in reverse order."""
    n = len(x.shape)
    return rev_p.bind(x, dimensions=(n - 2, n - 1))


class TriangularSylvester(Decomposition):
    """The x with t x + x s = f, of the upper triangles of t and s.

    With `part` "lower", the strictly lower triangular x for which the equation holds below the
    diagonal, what f says there; with "upper", the strictly upper triangular one for which it holds
    above it (t and s are then of one size). Each element is found by division by t_ii + s_kk. For
    the whole x, what is smaller than rounding takes the value that LAPACK's trsyl gives it; in a
    triangle nothing is divided by zero, as the numerator is what rounding has left.
    """

    name = "triangular_sylvester"

    @weak_as_operands
    def type_of(self, t: ShapedArray, s: ShapedArray, f: ShapedArray, *, part: str) -> ShapedArray:
        check(self.name, t, square=True)
        check(self.name, s, square=True)
        one_dtype(self.name, t, s, f)
        whole = part == "all"
        if f.shape != (*t.shape[:-1], s.shape[-1]) or t.shape[:-2] != s.shape[:-2] or not (whole or t.shape == s.shape):
            raise ValueError(f"triangular_sylvester: t {t}, s {s} and f {f} do not fit, at {user_line()}")
        return strong(f.shape, f.dtype)

    def evaluate(self, t: Any, s: Any, f: Any, *, part: str) -> Any:
        x = np.zeros_like(f)
        if not x.size:
            return x
        solve, info = lapack("trtrs", f.dtype), np.finfo(f.dtype)
        for i in indices(f.shape[:-2]):
            here, there, out = t[i], s[i], x[i]
            limit = max(info.tiny, info.eps * max(np.abs(np.triu(here)).max(), np.abs(np.triu(there)).max()))
            for k in range(f.shape[-1]):
                own = slice(k + 1, None) if part == "lower" else slice(0, k if part == "upper" else None)
                shifted = np.array(here[own, own], order="F")
                if not shifted.size:
                    continue
                divisors = np.einsum("ii->i", shifted)
                divisors += there[k, k]
                small = divisors == 0 if part != "all" else abs(divisors) <= limit
                divisors[small] = 1 if part != "all" else limit
                out[own, k] = solve(shifted, f[i][own, k] - out[own, :k] @ there[:k, k])[0]
        return x

    def lower_elements(self, emit: Any, t: Any, s: Any, f: Any, *, part: str) -> Any:
        whole, below = part == "all", part == "lower"

        def prepared(t: Any, s: Any, f: Any) -> list[Any]:
            # What is outside of the part is no unknown: its divisors are 1, and what comes of it zero.
            inside = [] if whole else [broadcast_to(_triangle_mask(f.shape[-1], below), f.shape)]
            limit = _limit(_largest(t), _largest(s), f.dtype)
            return [columns(diagonal(t)), limit, f, triu(s, 1), rows(diagonal(s)), *inside]

        own, limit, *taken = emit.staged(prepared, t, s, f)

        def column(x: Any, t: Any, own: Any, limit: Any, f_k: Any, s_k: Any, s_kk: Any, *inside: Any) -> Any:
            divisors, right = add_p.bind(own, s_kk), sub_p.bind(f_k, matmul(x, s_k))
            zero, one = like(0, right), like(1, right)
            if whole:
                small = le_p.bind(abs_p.bind(divisors), limit)
                divisors = select(small, like_dtype(limit, right.dtype), divisors)
            else:
                divisors = select(inside[0], select(eq_p.bind(divisors, zero), one, divisors), one)
                right = select(inside[0], right, zero)
            shifted = select(identity_mask(*t.shape[-2:]), divisors, t)
            y = substitute(shifted, right, lower=False)
            return select(inside[0], y, zero) if below else y

        return emit_by_columns(emit, emit.like(0, f), column, [t, own, limit], taken)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0] and not active[1]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, part: str) -> Any:
        # t x + x s = f: t dx + dx s = df - dt x - x ds. Below the diagonal, this depends on x below
        # the diagonal alone; and products of strictly upper triangles have nothing elsewhere.
        (t, s, f), (t_t, t_s, right) = primals, tangents
        x = self.bind(t, s, f, part=part)
        for change in (
            None if t_t is None else matmul(triu(t_t), x),
            None if t_s is None else matmul(x, triu(t_s)),
        ):
            if change is not None:
                right = neg_p.bind(change) if right is None else sub_p.bind(right, change)
        return x, None if right is None else self.bind(t, s, right, part=part)

    def transpose(self, ct: Any, t: Any, s: Any, f: Any, *, part: str) -> Sequence[Any]:
        # The transposed map is that of tᵀ and sᵀ. In reverse order they are upper triangular again,
        # and what was below the diagonal is above it.
        t, s = (flipped(transposed(x)) for x in (t, s))
        other = {"all": "all", "lower": "upper", "upper": "lower"}[part]
        return [None, None, flipped(self.bind(t, s, flipped(ct), part=other))]


def _limit(t: Any, s: Any, dtype: Any) -> Any:
    """What LAPACK divides by where |t_ii + s_kk| is smaller: rounding, of the largest elements."""
    info = np.finfo(dtype)
    tiny, eps = like(float(info.tiny), t), like(float(info.eps), t)
    return max_p.bind(tiny, mul_p.bind(eps, max_p.bind(t, s)))


def _largest(t: Any) -> Any:
    """The size of the largest element above the diagonal and on it: shape (..., 1, 1)."""
    size = reduce_max_p.bind(abs_p.bind(triu(t)), axes=(len(t.shape) - 2, len(t.shape) - 1))
    return reshape_p.bind(size, new_sizes=(*size.shape, 1, 1))


@lru_cache(maxsize=32)
def _triangle_mask(n: int, below: bool) -> ConcreteArray:
    """True strictly below the diagonal, or above it."""
    return concrete(np.tri(n, k=-1, dtype=bool) if below else ~np.tri(n, dtype=bool))


triangular_sylvester_p = TriangularSylvester()
