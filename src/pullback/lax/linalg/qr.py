"""QR decomposition by Householder reflections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.primitive import Primitive
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import concatenate, pad, slice_along
from pullback.lax.elementwise import complex_p, imag_p
from pullback.lax.family import add_p, like, neg_p, sub_p
from pullback.lax.linalg.lu import solve
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
    column_major_copy,
    diagonal,
    diagonal_matrix,
    emit_triangle,
    identity,
    indices,
    lapack,
    lapack_call,
    matmul,
    matrix,
    permutation_matrix,
    strong,
    transposed,
    tril,
    triu,
)
from pullback.lax.linalg.triangular import triangular_solve_p
from pullback.lax.shape import batch_first


class Qr(Decomposition):
    """Unitary q and upper triangular r with a = q r, or a[:, p] = q r and p as third result if `pivoting`."""

    name = "qr"
    multiple_results = True

    def type_of(self, a: ShapedArray, *, pivoting: bool, full_matrices: bool) -> list[ShapedArray]:
        check("qr", a)
        *batch, m, n = a.shape
        k = m if full_matrices else min(m, n)
        out = [strong((*batch, m, k), a.dtype), strong((*batch, k, n), a.dtype)]
        return [*out, strong((*batch, n), dtypes.int32)] if pivoting else out

    def evaluate(self, a: Any, *, pivoting: bool, full_matrices: bool) -> Any:
        if not pivoting:
            return list(np.linalg.qr(a, "complete" if full_matrices else "reduced"))
        q_type, r_type, p_type = self.type_of(ShapedArray(a.shape, a.dtype), pivoting=True, full_matrices=full_matrices)
        q, r, p = (np.zeros(t.shape, t.dtype) for t in (q_type, r_type, p_type))
        p[...] = np.arange(a.shape[-1])
        if not a.size:
            q[...] = np.eye(q.shape[-2], q.shape[-1])
            return [q, r, p]
        from scipy.linalg import qr as scipy_qr

        for i in indices(a.shape[:-2]):
            q[i], r[i], p[i] = scipy_qr(
                a[i], mode="full" if full_matrices else "economic", pivoting=True, check_finite=False
            )
        return [q, r, p]

    def lower(self, emit: Any, a: Any, *, pivoting: bool, full_matrices: bool) -> Any:
        if pivoting or not a.size:
            return emit.evaluate_on_host(self, (a,), {"pivoting": pivoting, "full_matrices": full_matrices})
        *batch, m, n = a.shape
        packed, taus = _emit_geqrf(emit, a)
        columns = emit.types[0].shape[-1]
        zero = (0,) * len(batch)
        reflections = packed
        if columns < n:
            reflections = emit.slice(packed, (*zero, 0, 0), (*batch, m, columns))
        elif columns > n:
            reflections = emit(
                "pad", packed, emit.constant(0, a.dtype), out=ShapedArray((*batch, m, columns), a.dtype),
                edge_padding_low=(*zero, 0, 0), edge_padding_high=(*zero, 0, columns - n), interior_padding=(*zero, 0, 0),
            )  # fmt: skip
        q = _emit_product(emit, reflections, taus)
        r = emit.slice(packed, (*zero, 0, 0), (*batch, emit.types[1].shape[-2], n))
        return [q, emit_triangle(emit, r, lower=False)]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        # With k = min(m, n), q₁ the first k columns of q, r₁ the leading square block of r and a₁ of a: a = q₁ r, so da
        # = dq₁ r + q₁ dr. Ω = q₁ᴴ dq₁ is skew-Hermitian and C = q₁ᴴ da₁ r₁⁻¹ = Ω + dr₁ r₁⁻¹, where the last is upper
        # triangular with real diagonal, as LAPACK makes r's diagonal real. So Ω is the strictly lower triangle of C,
        # minus its adjoint, and i Im C on the diagonal; then dr = q₁ᴴ da - Ω r, and dq₁ = q₁ Ω + (1 - q₁ q₁ᴴ) da₁ r₁⁻¹
        # (Walter & Lehmann, "Algorithmic differentiation of linear algebra functions", 2010; Roberts & Roberts, "QR and
        # LQ decomposition matrix backpropagation algorithms for square, wide, and deep matrices", 2020).
        (a,), (t,) = primals, tangents
        q, r, *p = self.bind(a, **params)
        if p:
            t = matmul(t, transposed(permutation_matrix(p[0], a.dtype)))
        m, n = a.shape[-2:]
        k, last = min(m, n), len(a.shape) - 1
        q_first, r_first = slice_along(q, 0, k, last), slice_along(r, 0, k, last - 1)
        scaled = triangular_solve_p.bind(
            slice_along(r_first, 0, k, last),
            slice_along(t, 0, k, last),
            left_side=False,
            lower=False,
            transpose_a=False,
            conjugate_a=False,
            unit_diagonal=False,
        )
        q_adjoint = adjoint(q_first)
        c = matmul(q_adjoint, scaled)
        omega = _skew(c)
        t_q = matmul(q_first, omega)
        if k < m:
            t_q = add_p.bind(t_q, sub_p.bind(scaled, matmul(q_first, c)))
        t_r = triu(sub_p.bind(matmul(q_adjoint, t), matmul(omega, r_first)))
        extra = q.shape[-1] - k
        if extra:
            t_q = concatenate([t_q, _further_columns(q_first, t_q)], last)
            t_r = pad(t_r, like(0, t_r), (*((0, 0, 0) for _ in a.shape[:-2]), (0, extra, 0), (0, 0, 0)))
        return [q, r, *p], [t_q, t_r, *(None for _ in p)]


def _emit_geqrf(emit: Any, a: Any) -> list[Any]:
    taus = ShapedArray((*a.shape[:-2], min(a.shape[-2:])), a.dtype)
    return lapack_call(emit, "geqrf", [a], [a.aval, taus], "mmv", overwrites=0)


def _emit_product(emit: Any, a: Any, taus: Any) -> Any:
    routine = "ungqr" if dtypes.is_complex(a.dtype) else "orgqr"
    return lapack_call(emit, routine, [a, taus], [a.aval], "mvm", overwrites=0)[0]


def _skew(c: Any) -> Any:
    """The skew-Hermitian matrix with the strictly lower triangle, and the diagonal's imaginary part, of `c`."""
    lower = tril(c, -1)
    out = sub_p.bind(lower, adjoint(lower))
    if not dtypes.is_complex(c.dtype):
        return out
    angles = imag_p.bind(diagonal(c))
    return add_p.bind(out, diagonal_matrix(complex_p.bind(like(0, angles), angles)))


def _further_columns(q: Any, t: Any) -> Any:
    """The tangent of the columns of a complete q beyond its first k, from those and their tangent `t`."""
    # A product of k reflections is q = 1 - V T Vᴴ, V unit lower trapezoidal and T upper triangular (Schreiber & Van
    # Loan, "A storage-efficient WY representation for products of Householder transformations", 1989). Let w = e₁ - q₁
    # = V T V₁ᴴ be made of its first k columns, w₁ its first k rows and w₂ the others: w₁ = V₁ (T V₁ᴴ) and w₂ = V₂ (T
    # V₁ᴴ), so V₂ V₁⁻¹ = w₂ w₁⁻¹, and the further columns are e₂ - V T V₂ᴴ = e₂ - w g with g = w₁⁻ᴴ w₂ᴴ. From w₁ᴴ g =
    # w₂ᴴ, dg = w₁⁻ᴴ (dw₂ᴴ - dw₁ᴴ g), and dw = -dq₁.
    m, k = q.shape[-2:]
    axis = len(q.shape) - 2
    q_top, q_bottom = slice_along(q, 0, k, axis), slice_along(q, k, m, axis)
    t_top, t_bottom = slice_along(t, 0, k, axis), slice_along(t, k, m, axis)
    w_top = sub_p.bind(identity(tuple(q.shape[:-2]), k, q.dtype), q_top)
    w_bottom = neg_p.bind(q_bottom)
    w_adjoint = adjoint(w_top)
    g = solve(w_adjoint, adjoint(w_bottom))
    t_g = solve(w_adjoint, sub_p.bind(matmul(adjoint(t_top), g), adjoint(t_bottom)))
    return sub_p.bind(matmul(t, g), matmul(concatenate([w_top, w_bottom], axis), t_g))


class HouseholderProduct(Primitive):
    """The first n columns of the product of the reflections 1 - taus[i] v vᴴ, v being column i of `a` below a one."""

    name = "householder_product"
    weakness = "never"

    def type_of(self, a: ShapedArray, taus: ShapedArray) -> ShapedArray:
        check("householder_product", a)
        *batch, m, n = a.shape
        if taus.dtype != a.dtype or taus.shape[:-1] != tuple(batch) or m < n or taus.shape[-1] > n:
            raise ValueError(
                "householder_product takes a of shape (..., m, n) with m >= n and taus (..., k) with k <= n; "
                f"got {a} and {taus}"
            )
        return strong(a.shape, a.dtype)

    def evaluate(self, a: Any, taus: Any) -> Any:
        out = column_major_copy(a)
        if not out.size:
            return out
        if not taus.shape[-1]:
            out[...] = np.eye(a.shape[-2], a.shape[-1])
            return out
        generate = lapack("ungqr" if a.dtype.kind == "c" else "orgqr", a.dtype)
        for i in indices(a.shape[:-2]):
            out[i] = generate(out[i], taus[i])[0]
        return out

    def lower(self, emit: Any, a: Any, taus: Any) -> Any:
        return _emit_product(emit, a, taus) if a.size and taus.size else emit.evaluate_on_host(self, (a, taus), {})

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        raise NotImplementedError(
            "householder_product has no derivative rule: differentiate qr, or multiply out the reflections 1 - tau v vᴴ"
        )

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None]) -> Any:
        return self.bind(*(batch_first(x, b, size) for x, b in zip(args, axes))), 0


class Geqrf(Decomposition):
    """(packed, taus): r in the upper triangle, and below it and in taus the reflections whose product is q."""

    name = "geqrf"
    multiple_results = True

    def type_of(self, a: ShapedArray) -> list[ShapedArray]:
        check("geqrf", a)
        return [strong(a.shape, a.dtype), strong((*a.shape[:-2], min(a.shape[-2:])), a.dtype)]

    def evaluate(self, a: Any) -> Any:
        packed, taus = np.linalg.qr(a, "raw")
        return [packed.swapaxes(-1, -2), taus]

    def lower(self, emit: Any, a: Any) -> Any:
        return _emit_geqrf(emit, a) if a.size else emit.evaluate_on_host(self, (a,), {})

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        raise NotImplementedError(
            "geqrf has no derivative rule, as its result is defined by the reflections LAPACK chooses: use qr"
        )


qr_p, geqrf_p = Qr(), Geqrf()
householder_product_p = HouseholderProduct()


def qr(
    x: Any, *, pivoting: bool = False, full_matrices: bool = True, use_magma: bool | None = None
) -> tuple[Array, ...]:
    """(q, r) with x = q r, for matrices `x` of shape (..., m, n): q has orthonormal columns, r is upper triangular.

    q has shape (..., m, m) and r (..., m, n) with `full_matrices`; else (..., m, k) and (..., k, n), where k = min(m,
    n). With `pivoting`, (q, r, p) with x[:, p] = q r and decreasing |diag r|. Raises TypeError unless `x` is floating
    with two axes or more.

    >>> import pullback.numpy as jnp
    >>> q, r = qr(jnp.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> r.shape
    (2, 2)
    """
    del use_magma
    return tuple(qr_p.bind(matrix("qr", x), pivoting=pivoting, full_matrices=full_matrices))


def householder_product(a: Any, taus: Any) -> Array:
    """The first n columns of H₀ H₁ ⋯, where Hᵢ = 1 - taus[i] v vᴴ and v = (0, ..., 0, 1, a[i+1:, i]).

    `a` has shape (..., m, n) with m ≥ n, `taus` (..., k) with k ≤ n. Raises ValueError if they do not fit.
    """
    array, scalars = matrix("householder_product", a), as_array(taus)
    householder_product_p.type_of(array.aval, scalars.aval)
    return householder_product_p.bind(array, scalars)
