"""Sylvester equations and square roots of matrices, both by Schur decomposition and substitution
by columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import as_array
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import and_p, eq_p, sqrt_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
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
from pullback.lax.linalg.schur import SCHUR, schur_p, triangular_form
from pullback.lax.linalg.triangular import substitute
from pullback.lax.linalg.triangular_sylvester import emit_by_columns, triangular_sylvester_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_to, reshape_p


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
        (t, u), (s, v) = schur_p.evaluate(a, **SCHUR), schur_p.evaluate(b, **SCHUR)
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
        # In complex numbers both Schur forms are triangular.
        (x,) = emit.staged(_by_triangles, a, b, c)
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


def _by_triangles(a: Any, b: Any, c: Any) -> list[Any]:
    dtype = dtypes.to_complex(c.dtype)
    a, b, c = (like_dtype(x, dtype) for x in (a, b, c))
    (t, u), (s, v) = schur_p.bind(a, **SCHUR), schur_p.bind(b, **SCHUR)
    y = triangular_sylvester_p.bind(t, s, matmul(matmul(adjoint(u), c), v), part="all")
    return [matmul(matmul(u, y), adjoint(v))]


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
        return strong(a.shape, dtypes.to_complex(a.dtype))

    def evaluate(self, a: Any) -> Any:
        t, u, w = map(np.asarray, triangular_form(as_array(a)))
        r = _triangular_root(t, np.sqrt(w))
        return u @ r @ u.conj().swapaxes(-1, -2)

    def lower_elements(self, emit: Any, a: Any) -> Any:
        # r r = t for triangular r: column k above the diagonal is (r + r_kk)⁻¹ t_k, with what of r
        # is known by then (Björck & Hammarling, "A Schur method for the square root of a matrix",
        # 1983).
        t, u, start, corners = emit.staged(_root_problem, a)

        def column(r: Any, t_k: Any, d_k: Any, r_kk: Any) -> Any:
            shifted = add_p.bind(r, diagonal_matrix(broadcast_to(_flat(r_kk), r.shape[:-1])))
            diagonals = identity_mask(*r.shape[-2:])
            zero = and_p.bind(eq_p.bind(shifted, like(0, shifted)), broadcast_to(diagonals, r.shape))
            shifted = select(zero, like(_tiny(r.dtype), shifted), shifted)
            # Column k of r is its diagonal element so far: what is at and below it is not solved for.
            own = eq_p.bind(d_k, like(0, d_k))
            return add_p.bind(substitute(shifted, select(own, t_k, like(0, t_k)), lower=False), mul_p.bind(d_k, r_kk))

        masked, ones = emit.staged(lambda t: [triu(t, 1), _identity_like(t)], t)
        r = emit_by_columns(emit, start, column, [], [masked, ones, corners])
        return emit.staged(lambda u, r: [matmul(matmul(u, r), adjoint(u))], u, r)[0]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # x x = a: x dx + dx x = da (Higham, "Functions of Matrices", 2008, section 6.1).
        (a,), (t,) = primals, tangents
        x = self.bind(a)
        return x, sylvester_p.bind(x, x, like_dtype(t, x.dtype))


def _root_problem(a: Any) -> list[Any]:
    t, u, w = triangular_form(a)
    roots = sqrt_p.bind(w)
    return [t, u, diagonal_matrix(roots), rows(roots)]


def _identity_like(t: Any) -> Any:
    return identity(tuple(t.shape[:-2]), t.shape[-1], t.dtype)


def _tiny(dtype: Any) -> float:
    """What takes the place of a sum of two eigenvalues that are both zero: what is to be divided by
    it is zero, too, or there is no root."""
    return float(np.finfo(dtype).tiny)


def _triangular_root(t: Any, roots: Any) -> Any:
    n = t.shape[-1]
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
