"""Singular value decomposition."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import complex_p, div_p, eq_p, imag_p, le_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
    columns,
    diagonal,
    diagonal_matrix,
    emit_finite,
    gufuncs,
    info_of,
    lapack_call,
    like_dtype,
    matmul,
    matrix,
    of_finite,
    off_diagonal,
    or_nan,
    real,
    rows,
    strong,
)
from pullback.lax.reductions import reduce_max_p
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_in_dim_p


class Svd(Decomposition):
    """(s,) or (u, s, vᴴ) with a = u diag(s) vᴴ; s is real and decreasing, the columns of u and v
    are orthonormal."""

    name = "svd"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray, *, full_matrices: bool, compute_uv: bool) -> list[ShapedArray]:
        check("svd", a)
        *batch, m, n = a.shape
        k = min(m, n)
        s = strong((*batch, k), dtypes.to_real(a.dtype))
        if not compute_uv:
            return [s]
        u, vh = ((m, m), (n, n)) if full_matrices else ((m, k), (k, n))
        return [strong((*batch, *u), a.dtype), s, strong((*batch, *vh), a.dtype)]

    def evaluate(self, a: Any, *, full_matrices: bool, compute_uv: bool) -> Any:
        return of_finite(gufuncs.svd if not compute_uv else gufuncs.svd_f if full_matrices else gufuncs.svd_s, a)

    def lower_elements(self, emit: Any, a: Any, *, full_matrices: bool, compute_uv: bool) -> Any:
        *batch, m, n = a.shape
        k = min(m, n)
        finite, a = emit_finite(emit, a)
        s = ShapedArray((*batch, k), dtypes.to_real(a.dtype))
        u, vh = ((m, m), (n, n)) if full_matrices and compute_uv else ((m, k), (k, n))
        mode = "N" if not compute_uv else "A" if full_matrices else "S"
        outs = [a.aval, s, ShapedArray((*batch, *u), a.dtype), ShapedArray((*batch, *vh), a.dtype), info_of(a)]
        _, s_out, u_out, vh_out, info = lapack_call(emit, "gesdd", [a], outs, "mmvmmv", overwrites=(0,), mode=mode)
        return or_nan(emit, info, *([u_out, s_out, vh_out] if compute_uv else [s_out]), finite=finite)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, full_matrices: bool, compute_uv: bool) -> Any:
        # a = u s vᴴ, so with the skew-Hermitian Ωu = uᴴ du, Ωv = vᴴ dv and dp = uᴴ da v, dp = Ωu s
        # + ds - s Ωv. On the diagonal, ds = Re dp. Off it, eliminating one of Ωu and Ωv with the
        # adjoint equation,
        #   Ωu = F ∘ (dp s + s dpᴴ),  Ωv = F ∘ (s dp + dpᴴ s),  F_ij = 1 / (s_j² - s_i²).
        # The phases of a pair (u_i, v_i) are free: LAPACK's choice is not known, so all of Im dp_ii
        # = s_i Im(Ωu - Ωv)_ii is given to u. What leaves the range of u or v: du has (1 - u uᴴ) da
        # v s⁻¹, dv has (1 - v vᴴ) daᴴ u s⁻¹ (Townsend, "Differentiating the singular value
        # decomposition", 2016; Wan & Zhang, "Automatic differentiation for complex valued SVD",
        # 2019). Equal singular values make F infinite: only functions of s are differentiable
        # there.
        (a,), (t,) = primals, tangents
        m, n = a.shape[-2:]
        if compute_uv and full_matrices and m != n:
            raise NotImplementedError(
                "the derivative of svd with full_matrices=True is not defined for matrices that are not square "
                f"(shape {a.shape}): "
                "the further singular vectors are any basis of the null space. Use full_matrices=False"
            )
        u, s, vh = self.bind(a, full_matrices=False, compute_uv=True)
        v = adjoint(vh)
        t_v = matmul(t, v)
        dp = matmul(adjoint(u), t_v)
        t_s = real(diagonal(dp))
        if not compute_uv:
            return [s], [t_s]
        dp_adjoint = adjoint(dp)
        s_rows, s_columns = rows(s), columns(s)
        differences = mul_p.bind(sub_p.bind(s_rows, s_columns), add_p.bind(s_rows, s_columns))
        identity = diagonal_matrix(add_p.bind(mul_p.bind(s, like(0, s)), like(1, s)))
        f = like_dtype(off_diagonal(div_p.bind(like(1, s), add_p.bind(off_diagonal(differences), identity))), a.dtype)
        s_rows, s_columns = like_dtype(s_rows, a.dtype), like_dtype(s_columns, a.dtype)
        omega_u = mul_p.bind(f, add_p.bind(mul_p.bind(s_rows, dp), mul_p.bind(s_columns, dp_adjoint)))
        omega_v = mul_p.bind(f, add_p.bind(mul_p.bind(s_columns, dp), mul_p.bind(s_rows, dp_adjoint)))
        zero = eq_p.bind(s, like(0, s))
        inverse = div_p.bind(like(1, s), select(zero, like(1, s), s))
        if dtypes.is_complex(a.dtype):
            angles = mul_p.bind(inverse, imag_p.bind(diagonal(dp)))
            omega_u = add_p.bind(omega_u, diagonal_matrix(complex_p.bind(like(0, angles), angles)))
        du, dv = matmul(u, omega_u), matmul(v, omega_v)
        scale = rows(like_dtype(div_p.bind(like(1, s), s), a.dtype)) if m != n else None
        if m > n:
            du = add_p.bind(du, mul_p.bind(scale, sub_p.bind(t_v, matmul(u, dp))))
        elif n > m:
            dv = add_p.bind(dv, mul_p.bind(scale, sub_p.bind(matmul(adjoint(t), u), matmul(v, dp_adjoint))))
        return [u, s, vh], [du, t_s, adjoint(dv)]


class Pinv(Decomposition):
    """The Moore-Penrose inverse of `a`, singular values up to `rtol` times the largest taken as
    zero.

    `rtol` is taken as a constant by derivatives.
    """

    name = "pinv"

    @weak_as_operands
    def type_of(self, a: ShapedArray, rtol: ShapedArray) -> ShapedArray:
        check("pinv", a)
        *batch, m, n = a.shape
        if rtol.dtype != dtypes.to_real(a.dtype) or rtol.shape != tuple(batch):
            raise TypeError(
                f"pinv of {a} takes a tolerance for each matrix in the real type of its elements, got {rtol}"
            )
        return strong((*batch, n, m), a.dtype)

    def evaluate(self, a: Any, rtol: Any) -> Any:
        u, s, vh = of_finite(gufuncs.svd_s, a)
        if not s.size:
            return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
        small = s <= np.asarray(rtol)[..., None] * s[..., :1]
        inverse = np.where(small, 0, 1 / np.where(small, 1, s)).astype(s.dtype, copy=False)
        return (vh.conj().swapaxes(-1, -2) * inverse[..., None, :]) @ u.conj().swapaxes(-1, -2)

    def expand(self, a: Any, rtol: Any) -> Any:
        u, s, vh = svd_p.bind(a, full_matrices=False, compute_uv=True)
        limit = mul_p.bind(rtol, reduce_max_p.bind(s, axes=(len(s.shape) - 1,)))
        limit = broadcast_in_dim_p.bind(limit, shape=s.shape, broadcast_dimensions=tuple(range(len(limit.shape))))
        small = le_p.bind(s, limit)
        inverse = select(small, like(0, s), div_p.bind(like(1, s), select(small, like(1, s), s)))
        return matmul(mul_p.bind(adjoint(vh), rows(like_dtype(inverse, a.dtype))), adjoint(u))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # At constant rank, with p the result, dp = -p da p + p pᴴ daᴴ (1 - a p) + (1 - p a) daᴴ pᴴ
        # p (Golub & Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares
        # problems whose variables separate", 1973, eq. 4.12).
        (a, rtol), (t, _) = primals, tangents
        p = self.bind(a, rtol)
        if t is None:
            return p, None
        p_adjoint, t_adjoint = adjoint(p), adjoint(t)
        out = neg_p.bind(matmul(p, matmul(t, p)))
        left = matmul(p, matmul(p_adjoint, t_adjoint))
        right = matmul(matmul(t_adjoint, p_adjoint), p)
        out = add_p.bind(out, sub_p.bind(left, matmul(matmul(left, a), p)))
        return p, add_p.bind(out, sub_p.bind(right, matmul(p, matmul(a, right))))


svd_p, pinv_p = Svd(), Pinv()


class SvdAlgorithm(enum.Enum):
    """Which algorithm computes singular values. A hint: here it is always LAPACK's divide and conquer.

    >>> [v.name for v in SvdAlgorithm]
    ['DEFAULT', 'QR', 'JACOBI', 'POLAR']
    """

    DEFAULT = "default"
    QR = "QR"
    JACOBI = "Jacobi"
    POLAR = "polar"


def svd(
    x: Any,
    *,
    full_matrices: bool = True,
    compute_uv: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    algorithm: SvdAlgorithm | None = None,
) -> Any:
    """(u, s, vᴴ) with x = u diag(s) vᴴ for matrices `x` of shape (..., m, n), or s alone without
    `compute_uv`.

    s has shape (..., k), k = min(m, n), decreasing and real; u has shape (..., m, m) and vᴴ (...,
    n, n) with `full_matrices`, else (..., m, k) and (..., k, n). Matrices with NaN give NaN.
    Derivatives exist for `full_matrices=False` and square matrices; those of u and v are infinite
    or NaN where singular values coincide. Raises TypeError unless `x` is floating with two axes or
    more.

    >>> import pullback.numpy as jnp
    >>> svd(jnp.array([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False)
    Array([4., 3.], dtype=float32)
    """
    del algorithm
    x = matrix("svd", x)
    if subset_by_index is not None:
        _check_subset(subset_by_index, full_matrices and compute_uv, min(x.shape[-2:]))
    out = svd_p.bind(x, full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(out) if compute_uv else out[0]


def _check_subset(subset: tuple[int, int], full: bool, k: int) -> None:
    if full:
        raise ValueError("full_matrices and subset_by_index cannot both be set")
    if tuple(subset) != (0, k):
        raise NotImplementedError(
            f"svd computes all {k} singular values: take those of subset_by_index={subset} from the result"
        )
