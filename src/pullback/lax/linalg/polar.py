"""Polar decomposition: a matrix as one with orthonormal columns times a positive semidefinite one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import and_p, div_p, eq_p, is_finite_p, lt_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.linalg.eigen import eigh_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
    columns,
    gufuncs,
    like_dtype,
    matmul,
    matrix,
    of_finite,
    real,
    rows,
    strong,
    symmetrize,
)
from pullback.lax.linalg.svd import svd_p
from pullback.lax.reductions import reduce_and_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_in_dim_p, broadcast_to, convert
from pullback.xla.devices import beside


class Polar(Decomposition):
    """The u with orthonormal columns of a = u h, h Hermitian positive semidefinite, for `a` with at
    least as many rows as columns."""

    name = "polar"

    @weak_as_operands
    def type_of(self, a: ShapedArray) -> ShapedArray:
        check(self.name, a)
        if a.shape[-2] < a.shape[-1]:
            raise ValueError(
                f"the polar decomposition takes matrices with at least as many rows as columns, got shape {a.shape}, "
                f"at {user_line()}"
            )
        return strong(a.shape, a.dtype)

    def evaluate(self, a: Any) -> Any:
        u, _, vh = of_finite(gufuncs.svd_s, a)
        return u @ vh

    def expand(self, a: Any) -> Any:
        u, _, vh = svd_p.bind(a, full_matrices=False, compute_uv=True)
        return matmul(u, vh)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # With Ω = uᴴ du, skew-Hermitian, da = du h + u dh gives uᴴ da = Ω h + dh, and minus its
        # adjoint, uᴴ da - daᴴ u = Ω h + h Ω: a Sylvester equation, which the eigenvectors v of h
        # make diagonal, (vᴴ Ω v)_ij (w_i + w_j) = ... . What leaves the range of u is (1 - u uᴴ) da
        # h⁻¹ (Higham, "Functions of Matrices", 2008, chapter 8).
        (a,), (t,) = primals, tangents
        u = self.bind(a)
        projected = matmul(adjoint(u), t)
        v, w = eigh_p.bind(symmetrize(matmul(adjoint(u), a)), lower=True, sort_eigenvalues=True)
        v_adjoint = adjoint(v)
        rotated = matmul(v_adjoint, matmul(sub_p.bind(projected, adjoint(projected)), v))
        omega = matmul(v, matmul(_divided(rotated, add_p.bind(rows(w), columns(w))), v_adjoint))
        t_u = matmul(u, omega)
        if a.shape[-2] > a.shape[-1]:
            outside = matmul(sub_p.bind(t, matmul(u, projected)), v)
            t_u = add_p.bind(t_u, matmul(_divided(outside, rows(w)), v_adjoint))
        return u, t_u


def _divided(x: Any, by: Any) -> Any:
    """`x` divided by real numbers; zero where they are, as there u is not determined."""
    zero = eq_p.bind(by, like(0, by))
    inverse = select(zero, like(0, by), div_p.bind(like(1, by), select(zero, like(1, by), by)))
    return mul_p.bind(like_dtype(broadcast_to(inverse, x.shape), x.dtype), x)


polar_p = Polar()


def qdwh(
    x: Any,
    *,
    is_hermitian: bool = False,
    max_iterations: int | None = None,
    eps: float | None = None,
    dynamic_shape: tuple[int, int] | None = None,
) -> tuple[Array, Array, Array, Array]:
    """(u, h, num_iters, is_converged): the polar decomposition x = u h of a matrix of shape (m, n),
    m ≥ n.

    u has orthonormal columns and h is Hermitian positive semidefinite. The name is that of an
    iteration (Nakatsukasa, Bai & Gygi, "Optimizing Halley's iteration for computing the matrix
    polar decomposition", 2010); here both come from singular values, in no iterations: num_iters is
    0, `is_hermitian`, `max_iterations` and `eps` change nothing, and is_converged says that u is
    finite. With a `dynamic_shape`, which may be traced, only the leading block of that shape is
    decomposed; the results are zero outside. Derivatives of u are those of matrices of full rank.
    Raises TypeError unless `x` is a floating matrix, ValueError for more columns than rows.

    >>> import pullback.numpy as jnp
    >>> qdwh(jnp.array([[0.0, -2.0], [3.0, 0.0]]))[1]
    Array([[3., 0.],
           [0., 2.]], dtype=float32)
    """
    del is_hermitian, max_iterations, eps
    x = matrix("qdwh", x)
    x = convert(x, x.dtype)
    if x.ndim != 2:
        raise ValueError(f"qdwh takes one matrix, got shape {x.shape}, at {user_line()}: use vmap for several")
    polar_p.type_of(x.aval)
    inside = None
    if dynamic_shape is not None:
        inside = and_p.bind(*(_below(size, x.shape, i) for i, size in enumerate(dynamic_shape)))
        x = select(inside, x, like(0, x))
    u = polar_p.bind(x)
    if inside is not None:
        u = select(inside, u, like(0, u))
    h = symmetrize(matmul(adjoint(u), x))
    converged = reduce_and_p.bind(is_finite_p.bind(real(u)), axes=(0, 1))
    return u, h, beside(as_array(0), x), converged


def _below(size: Any, shape: tuple[int, ...], axis: int) -> Array:
    """Where the index along an axis is below `size`."""
    index = concrete(np.arange(shape[axis], dtype=np.int32))
    limit = like_dtype(as_array(size), dtypes.int32)
    mask = lt_p.bind(index, limit)
    return broadcast_in_dim_p.bind(mask, shape=shape, broadcast_dimensions=(axis,))
