"""Sylvester equations and square roots of matrices, both by Schur decomposition and substitution
by columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.staging import stage_flat
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import and_p, eq_p, sqrt_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.linalg.eigen import schur_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
    diagonal,
    diagonal_matrix,
    identity,
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
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, reshape_p

_SCHUR = {"compute_schur_vectors": True, "sort_eig_vals": False, "select_callable": None}


def _emit(emit: Any, fun: Callable[..., Sequence[Any]], *operands: Any) -> list[Any]:
    """What `fun`, written with operations, makes of values of a program."""
    return emit.program(stage_flat(lambda *xs: list(fun(*xs)), [x.aval for x in operands]), list(operands))


def _emit_by_columns(
    emit: Any, start: Any, step: Callable[..., Any], fixed: Sequence[Any], taken: Sequence[Any]
) -> Any:
    """`start` after each column k in turn has become step(found, *fixed, *columns k of `taken`),
    where `found` are the matrices so far. `step` is written with operations."""
    batch, n, dtype = start.shape[:-2], start.shape[-1], dtypes.int32
    zeros = [emit.constant(0, dtype)] * (len(batch) + 1)

    def some_left(k: Any, found: Any) -> Any:
        return emit.compare("LT", k, emit.constant(n, dtype))

    def solve_one(k: Any, found: Any) -> list[Any]:
        types = [ShapedArray((*x.shape[:-1], 1), x.dtype) for x in taken]
        now = [emit("dynamic_slice", x, *zeros, k, out=t, slice_sizes=t.shape) for x, t in zip(taken, types)]
        (column,) = _emit(emit, lambda *xs: [step(*xs)], found, *fixed, *now)
        return [
            emit("add", k, emit.constant(1, dtype)),
            emit("dynamic_update_slice", found, column, *zeros, k),
        ]

    return emit.while_loop(some_left, solve_one, [emit.constant(0, dtype), start])[1]


class Sylvester(Decomposition):
    """The x with a x + x b = c, for square a and b."""

    name = "sylvester"

    @weak_as_operands
    def type_of(self, a: ShapedArray, b: ShapedArray, c: ShapedArray) -> ShapedArray:
        check(self.name, a, square=True)
        check(self.name, b, square=True)
        one_dtype(self.name, a, b, c)
        if c.shape != (*a.shape[:-1], b.shape[-1]) or a.shape[:-2] != b.shape[:-2]:
            raise ValueError(f"sylvester: a {a}, b {b} and c {c} do not fit, at {user_line()}")
        return strong(c.shape, c.dtype)

    def evaluate(self, a: Any, b: Any, c: Any) -> Any:
        (t, u), (s, v) = schur_p.evaluate(a, **_SCHUR), schur_p.evaluate(b, **_SCHUR)
        right = u.conj().swapaxes(-1, -2) @ c @ v
        if c.size:
            trsyl = lapack("trsyl", c.dtype)
            for i in indices(c.shape[:-2]):
                x, scale, _ = trsyl(t[i], s[i], right[i])
                right[i] = x / scale if np.isfinite(t[i]).all() and np.isfinite(s[i]).all() else np.nan
        return u @ right @ v.conj().swapaxes(-1, -2)

    def lower(self, emit: Any, a: Any, b: Any, c: Any) -> Any:
        if not c.size:
            return c
        # In complex numbers both Schur forms are triangular, and column k of t y + y s = f is
        # (t + s_kk) y_k = f_k - Σ_{j<k} y_j s_jk.
        t, u, s, v, f, corners = _emit(emit, _triangular_problem, a, b, c)

        def column(y: Any, t: Any, f_k: Any, s_k: Any, s_kk: Any) -> Any:
            shifted = add_p.bind(t, diagonal_matrix(broadcast_to(_flat(s_kk), t.shape[:-1])))
            return substitute(shifted, sub_p.bind(f_k, matmul(y, s_k)), lower=False)

        y = _emit_by_columns(emit, emit.like(0, f), column, [t], [f, s, corners])
        (x,) = _emit(emit, lambda u, y, v: [matmul(matmul(u, y), adjoint(v))], u, y, v)
        return x if x.dtype == c.dtype else emit("real", x, out=c.aval)

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0] and not active[1]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # a x + x b = c: a dx + dx b = dc - da x - x db.
        (a, b, c), (t_a, t_b, rhs) = primals, tangents
        x = self.bind(a, b, c)
        for change in (
            None if t_a is None else matmul(t_a, x),
            None if t_b is None else matmul(x, t_b),
        ):
            if change is not None:
                rhs = neg_p.bind(change) if rhs is None else sub_p.bind(rhs, change)
        return x, None if rhs is None else self.bind(a, b, rhs)

    def transpose(self, ct: Any, a: Any, b: Any, c: Any) -> Sequence[Any]:
        return [None, None, self.bind(transposed(a), transposed(b), ct)]


def _triangular_problem(a: Any, b: Any, c: Any) -> list[Any]:
    dtype = dtypes.to_complex(c.dtype)
    a, b, c = (like_dtype(x, dtype) for x in (a, b, c))
    (t, u), (s, v) = schur_p.bind(a, **_SCHUR), schur_p.bind(b, **_SCHUR)
    return [t, u, s, v, matmul(matmul(adjoint(u), c), v), rows(diagonal(s))]


def _flat(corner: Any) -> Any:
    """Numbers of shape (..., 1, 1) as vectors of one element."""
    return reshape_p.bind(corner, new_sizes=corner.shape[:-1])


class Sqrtm(Decomposition):
    """The principal square root, complex: the x with x x = a whose eigenvalues have real parts that
    are not negative."""

    name = "sqrtm"

    @weak_as_operands
    def type_of(self, a: ShapedArray) -> ShapedArray:
        check(self.name, a, square=True)
        if not dtypes.is_complex(a.dtype):
            raise TypeError(f"sqrtm takes complex matrices, got {a}, at {user_line()}")
        return strong(a.shape, a.dtype)

    def evaluate(self, a: Any) -> Any:
        t, u = schur_p.evaluate(a, **_SCHUR)
        r = _triangular_root(t)
        return u @ r @ u.conj().swapaxes(-1, -2)

    def lower_elements(self, emit: Any, a: Any) -> Any:
        # r r = t for triangular r: column k above the diagonal is (r + r_kk)⁻¹ t_k, with what of r
        # is known by then (Björck & Hammarling, "A Schur method for the square root of a matrix",
        # 1983).
        t, u, start, corners = _emit(emit, _root_problem, a)

        def column(r: Any, t_k: Any, d_k: Any, r_kk: Any) -> Any:
            shifted = add_p.bind(r, diagonal_matrix(broadcast_to(_flat(r_kk), r.shape[:-1])))
            diagonals = identity_mask(*r.shape[-2:])
            zero = and_p.bind(eq_p.bind(shifted, like(0, shifted)), broadcast_to(diagonals, r.shape))
            shifted = select(zero, like(_tiny(r.dtype), shifted), shifted)
            # Column k of r is its diagonal element so far: what is at and below it is not solved for.
            own = eq_p.bind(d_k, like(0, d_k))
            return add_p.bind(substitute(shifted, select(own, t_k, like(0, t_k)), lower=False), mul_p.bind(d_k, r_kk))

        masked, ones = _emit(emit, lambda t: [triu(t, 1), _identity_like(t)], t)
        r = _emit_by_columns(emit, start, column, [], [masked, ones, corners])
        return _emit(emit, lambda u, r: [matmul(matmul(u, r), adjoint(u))], u, r)[0]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # x x = a: x dx + dx x = da (Higham, "Functions of Matrices", 2008, section 6.1).
        (a,), (t,) = primals, tangents
        x = self.bind(a)
        return x, sylvester_p.bind(x, x, t)


def _root_problem(a: Any) -> list[Any]:
    t, u = schur_p.bind(a, **_SCHUR)
    roots = sqrt_p.bind(diagonal(t))
    return [t, u, diagonal_matrix(roots), rows(roots)]


def _identity_like(t: Any) -> Any:
    return identity(tuple(t.shape[:-2]), t.shape[-1], t.dtype)


def _tiny(dtype: Any) -> float:
    """What takes the place of a sum of two eigenvalues that are both zero: what is to be divided by
    it is zero, too, or there is no root."""
    return float(np.finfo(dtype).tiny)


def _triangular_root(t: Any) -> Any:
    n = t.shape[-1]
    roots = np.sqrt(np.diagonal(t, 0, -2, -1))
    r = np.zeros_like(t)
    tiny = t.dtype.type(_tiny(t.dtype))
    solve = lapack("trtrs", t.dtype) if t.size else None
    for i in indices(t.shape[:-2]):
        r[i][np.arange(n), np.arange(n)] = roots[i]
        for k in range(1, n):
            shifted = r[i][:k, :k].copy()
            shifted[np.arange(k), np.arange(k)] += roots[i][k]
            places = np.diagonal(shifted) == 0
            shifted[np.arange(k)[places], np.arange(k)[places]] = tiny
            r[i][:k, k] = solve(shifted, t[i][:k, k])[0]
    return r


sylvester_p, sqrtm_p = Sylvester(), Sqrtm()
