"""QR decomposition by Householder reflections."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, as_array, concrete
from pullback.core.errors import user_line
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.arrangement import concatenate, pad, slice_along
from pullback.lax.elementwise import and_p, complex_p, eq_p, imag_p
from pullback.lax.family import add_p, like, mul_p, neg_p, sub_p
from pullback.lax.linalg.lu import solve
from pullback.lax.linalg.matrices import (
    Decomposition,
    OfBatches,
    adjoint,
    check,
    column_major_copy,
    columns,
    conj,
    diagonal,
    diagonal_matrix,
    identity,
    identity_mask,
    indices,
    lapack,
    lapack_call,
    matmul,
    matrix,
    one_dtype,
    permutation_matrix,
    strong,
    transposed,
)
from pullback.lax.linalg.triangular import many_right_sides, substitute
from pullback.lax.selection import select
from pullback.lax.shape import broadcast_in_dim_p, convert
from pullback.lax.triangles import emit_triangle, tril, triu


class Qr(Decomposition):
    """Unitary q and upper triangular r with a = q r, or a[:, p] = q r and p as third result if
    `pivoting`."""

    name = "qr"
    multiple_results = True

    @weak_as_operands
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

    def lower_elements(self, emit: Any, a: Any, *, pivoting: bool, full_matrices: bool) -> Any:
        *batch, m, n = a.shape
        packed, *permutation, taus = _emit_geqp3(emit, a) if pivoting else _emit_geqrf(emit, a)
        width = emit.types[0].shape[-1]
        zero = (0,) * len(batch)
        reflections = packed
        if width < n:
            reflections = emit.slice(packed, (*zero, 0, 0), (*batch, m, width))
        elif width > n:
            reflections = emit(
                "pad", packed, emit.constant(0, a.dtype), out=ShapedArray((*batch, m, width), a.dtype),
                edge_padding_low=(*zero, 0, 0), edge_padding_high=(*zero, 0, width - n), interior_padding=(*zero, 0, 0),
            )  # fmt: skip
        q = _emit_product(emit, reflections, taus)
        r = emit.slice(packed, (*zero, 0, 0), (*batch, emit.types[1].shape[-2], n))
        return [q, emit_triangle(emit, r, lower=False), *permutation]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
        # With k = min(m, n), q₁ the first k columns of q, r₁ the leading square block of r and a₁
        # of a: a = q₁ r, so da = dq₁ r + q₁ dr. Ω = q₁ᴴ dq₁ is skew-Hermitian and C = q₁ᴴ da₁ r₁⁻¹
        # = Ω + dr₁ r₁⁻¹, where the last is upper triangular with real diagonal, as LAPACK makes r's
        # diagonal real. So Ω is the strictly lower triangle of C, minus its adjoint, and i Im C on
        # the diagonal; then dr = q₁ᴴ da - Ω r, and dq₁ = q₁ Ω + (1 - q₁ q₁ᴴ) da₁ r₁⁻¹ (Walter &
        # Lehmann, "Algorithmic differentiation of linear algebra functions", 2010; Roberts &
        # Roberts, "QR and LQ decomposition matrix backpropagation algorithms for square, wide, and
        # deep matrices", 2020).
        (a,), (t,) = primals, tangents
        q, r, *p = self.bind(a, **params)
        if p:
            t = matmul(t, transposed(permutation_matrix(p[0], a.dtype)))
        k, last = min(a.shape[-2:]), len(a.shape) - 1
        q_first, r_first = slice_along(q, 0, k, last), slice_along(r, 0, k, last - 1)
        t_q, t_r = _thin_tangents(q_first, r_first, t)
        extra = q.shape[-1] - k
        if extra:
            t_q = concatenate([t_q, _further_columns(q_first, t_q)], last)
            t_r = pad(t_r, like(0, t_r), (*((0, 0, 0) for _ in a.shape[:-2]), (0, extra, 0), (0, 0, 0)))
        return [q, r, *p], [t_q, t_r, *(None for _ in p)]


def _thin_tangents(q: Any, r: Any, t: Any) -> tuple[Any, Any]:
    """Those of q (..., m, k) and r (..., k, n), k = min(m, n), by the rule above."""
    (m, k), n, last = q.shape[-2:], r.shape[-1], len(q.shape) - 1
    r_square, t_square = slice_along(r, 0, k, last), slice_along(t, 0, k, last)
    scaled = substitute(r_square, t_square, lower=False, left_side=False)
    q_adjoint = adjoint(q)
    c = matmul(q_adjoint, scaled)
    omega = _skew(c)
    t_q = matmul(q, omega)
    if k < m:
        t_q = add_p.bind(t_q, sub_p.bind(scaled, matmul(q, c)))
    if n <= m:  # q₁ᴴ da = C r
        return t_q, matmul(sub_p.bind(c, omega), r)
    return t_q, triu(sub_p.bind(matmul(q_adjoint, t), matmul(omega, r)))


def _emit_geqrf(emit: Any, a: Any) -> list[Any]:
    taus = ShapedArray((*a.shape[:-2], min(a.shape[-2:])), a.dtype)
    return lapack_call(emit, "geqrf", [a], [a.aval, taus], "mmv", overwrites=(0,))


def _emit_geqp3(emit: Any, a: Any) -> list[Any]:
    *batch, m, n = a.shape
    taus, places = ShapedArray((*batch, min(m, n)), a.dtype), ShapedArray((*batch, n), dtypes.int32)
    free = emit.like(0, places)  # every column may move
    packed, p, taus = lapack_call(emit, "geqp3", [a, free], [a.aval, places, taus], "mvmvv", overwrites=(0, 1))
    return [packed, emit("subtract", p, emit.like(1, p)), taus]  # LAPACK counts from 1


def _emit_product(emit: Any, a: Any, taus: Any) -> Any:
    routine = "ungqr" if dtypes.is_complex(a.dtype) else "orgqr"
    return lapack_call(emit, routine, [a, taus], [a.aval], "mvm", overwrites=(0,))[0]


def _skew(c: Any) -> Any:
    """The skew-Hermitian matrix with the strictly lower triangle, and the diagonal's imaginary
    part, of `c`."""
    lower = tril(c, -1)
    out = sub_p.bind(lower, adjoint(lower))
    if not dtypes.is_complex(c.dtype):
        return out
    angles = imag_p.bind(diagonal(c))
    return add_p.bind(out, diagonal_matrix(complex_p.bind(like(0, angles), angles)))


def _further_columns(q: Any, t: Any) -> Any:
    """The tangent of the columns of a complete q beyond its first k, from those and their tangent
    `t`."""
    # A product of k reflections is q = 1 - V T Vᴴ, V unit lower trapezoidal and T upper triangular
    # (Schreiber & Van Loan, "A storage-efficient WY representation for products of Householder
    # transformations", 1989). Let w = e₁ - q₁ = V T V₁ᴴ be made of its first k columns, w₁ its
    # first k rows and w₂ the others: w₁ = V₁ (T V₁ᴴ) and w₂ = V₂ (T V₁ᴴ), so V₂ V₁⁻¹ = w₂ w₁⁻¹, and
    # the further columns are e₂ - V T V₂ᴴ = e₂ - w g with g = w₁⁻ᴴ w₂ᴴ. From w₁ᴴ g = w₂ᴴ, dg = w₁⁻ᴴ
    # (dw₂ᴴ - dw₁ᴴ g), and dw = -dq₁.
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


class HouseholderProduct(OfBatches):
    """The first n columns of the product of the reflections 1 - taus[i] v vᴴ, v being column i of
    `a` below a one."""

    name = "householder_product"

    @weak_as_operands
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
        if a.size and taus.size:
            return _emit_product(emit, a, taus)
        eye = emit.constant_array(np.eye(*a.shape[-2:], dtype=a.dtype))
        return emit.broadcast(eye, a.shape, (a.ndim - 2, a.ndim - 1))

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        (a, taus), (t_a, t_taus) = primals, tangents
        eye = convert(identity_mask(*a.shape[-2:]), a.dtype)
        eye = broadcast_in_dim_p.bind(eye, shape=a.shape, broadcast_dimensions=(len(a.shape) - 2, len(a.shape) - 1))
        return self.bind(a, taus), _reflections_tangent(a, taus, t_a, t_taus, eye, transpose=False)


class Ormqr(OfBatches):
    """q c, or c q unless `left`, with qᴴ in the place of q if `transpose`; q is the product of
    reflections as above."""

    name = "ormqr"

    @weak_as_operands
    def type_of(self, a: ShapedArray, taus: ShapedArray, c: ShapedArray, *, left: bool, transpose: bool) -> ShapedArray:
        check(self.name, a)
        one_dtype(self.name, a, taus, c)
        *batch, m, n = a.shape
        if c.ndim < 2:
            raise TypeError(f"input 2 to ormqr must have rank at least 2, got shape {c.shape}, at {user_line()}")
        if c.shape[-2 if left else -1] != m:
            raise ValueError(
                f"ormqr with left={left} takes c with as many {'rows' if left else 'columns'} as a has rows, got shapes "
                f"{a.shape} and {c.shape}, at {user_line()}"
            )
        if taus.shape[:-1] != tuple(batch) or c.shape[:-2] != tuple(batch) or taus.shape[-1] > min(m, n):
            raise ValueError(
                "ormqr takes a of shape (..., m, n), taus (..., k) with k <= min(m, n) and c of the same batch axes, got "
                f"shapes {a.shape}, {taus.shape} and {c.shape}, at {user_line()}"
            )
        return strong(c.shape, c.dtype)

    def evaluate(self, a: Any, taus: Any, c: Any, *, left: bool, transpose: bool) -> Any:
        k = taus.shape[-1]
        out = np.array(c)
        if not out.size or not k:
            return out
        complex_type = a.dtype.kind == "c"
        multiply = lapack("unmqr" if complex_type else "ormqr", a.dtype)
        operation = ("C" if complex_type else "T") if transpose else "N"
        work = 64 * c.shape[-1 if left else -2]
        for i in indices(c.shape[:-2]):
            out[i] = multiply("L" if left else "R", operation, a[i][:, :k], taus[i], c[i], work)[0]
        return out

    def lower(self, emit: Any, a: Any, taus: Any, c: Any, *, left: bool, transpose: bool) -> Any:
        *batch, m, n = a.shape
        k = taus.shape[-1]
        if not c.size or not k:
            return c
        if k < n:
            a = emit.slice(a, (0,) * a.ndim, (*batch, m, k))
        routine = "unmqr" if dtypes.is_complex(a.dtype) else "ormqr"
        return lapack_call(
            emit, routine, [a, taus, c], [c.aval], "mvmm", overwrites=(2,), left=left, transpose=transpose
        )[0]

    def is_linear(self, active: Sequence[bool]) -> bool:
        return not active[0] and not active[1]

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, left: bool, transpose: bool) -> Any:
        (a, taus, c), (t_a, t_taus, t_c) = primals, tangents
        out = self.bind(a, taus, c, left=left, transpose=transpose)
        t = None if t_c is None else self.bind(a, taus, t_c, left=left, transpose=transpose)
        if t_a is not None or t_taus is not None:
            if left:
                change = _reflections_tangent(a, taus, t_a, t_taus, c, transpose)
            else:  # c q = (qᴴ cᴴ)ᴴ
                change = adjoint(_reflections_tangent(a, taus, t_a, t_taus, adjoint(c), not transpose))
            t = change if t is None else add_p.bind(t, change)
        return out, t

    def transpose(self, ct: Any, a: Any, taus: Any, c: Any, *, left: bool, transpose: bool) -> Sequence[Any]:
        # The transpose of q is conj(qᴴ), as cotangents pair without conjugation.
        return [None, None, conj(self.bind(a, taus, conj(ct), left=left, transpose=not transpose))]

    def batch(self, size: int, args: Sequence[Any], axes: Sequence[int | None], **params: bool) -> Any:
        a, taus, c = args
        if axes[0] is None and axes[1] is None:
            assert axes[2] is not None
            return many_right_sides(lambda c: self.bind(a, taus, c, **params), c, axes[2], params["left"])
        return super().batch(size, args, axes, **params)


def _reflections_tangent(a: Any, taus: Any, t_a: Any, t_taus: Any, c: Any, transpose: bool) -> Any:
    """The tangent of q c, or qᴴ c, when the reflections that q is the product of change."""
    # q = 1 - V T Vᴴ with V unit lower trapezoidal and T = M⁻¹ D, M = 1 + D S, where D = diag(taus)
    # and S is the strictly upper triangle of Vᴴ V: the inverse of T has 1/taus on the diagonal and
    # S above it (Puglisi, "Modification of the Householder method based on the compact WY
    # representation", 1992), and in this form taus may be zero. So q c = c - V x with M x = D Vᴴ c,
    # and qᴴ c = c - V Dᴴ y with Mᴴ y = Vᴴ c.
    v, d, m = _compact(a, taus)
    v_adjoint = adjoint(v)
    gram = triu(matmul(v_adjoint, v), 1)

    def solve_m(b: Any) -> Any:
        return substitute(m, b, lower=False, transpose_a=transpose, conjugate_a=transpose, unit_diagonal=True)

    def total(*terms: Any) -> Any:
        found = [t for t in terms if t is not None]
        return functools.reduce(add_p.bind, found) if found else None

    def times(x: Any, y: Any) -> Any:
        return None if x is None else mul_p.bind(x, y)

    t_v = None if t_a is None else _below(t_a, taus.shape[-1])
    t_d = None if t_taus is None else columns(t_taus)
    t_gram = None
    if t_v is not None:
        half = matmul(v_adjoint, t_v)
        t_gram = mul_p.bind(d, triu(add_p.bind(half, adjoint(half)), 1))
    t_m = total(times(t_d, gram), t_gram)
    image = matmul(v_adjoint, c)
    t_image = None if t_v is None else matmul(adjoint(t_v), c)
    if transpose:
        y = solve_m(image)
        t_y = solve_m(total(t_image, neg_p.bind(matmul(adjoint(t_m), y))))
        d = conj(d)
        x, t_x = mul_p.bind(d, y), total(mul_p.bind(d, t_y), None if t_d is None else mul_p.bind(conj(t_d), y))
    else:
        x = solve_m(mul_p.bind(d, image))
        t_rhs = total(times(t_d, image), None if t_image is None else mul_p.bind(d, t_image))
        t_x = solve_m(sub_p.bind(t_rhs, matmul(t_m, x)))
    return neg_p.bind(total(None if t_v is None else matmul(t_v, x), matmul(v, t_x)))


def _compact(a: Any, taus: Any) -> tuple[Any, Any, Any]:
    """V, the columns taus, and M = 1 + D S."""
    k, v = taus.shape[-1], _below(a, taus.shape[-1])
    v = add_p.bind(v, convert(identity_mask(a.shape[-2], k), a.dtype))
    d = columns(taus)
    return v, d, add_p.bind(identity(tuple(a.shape[:-2]), k, a.dtype), mul_p.bind(d, triu(matmul(adjoint(v), v), 1)))


def _below(x: Any, k: int) -> Any:
    """The first k columns, below the diagonal."""
    return tril(slice_along(x, 0, k, len(x.shape) - 1), -1)


def reflections_of_tangent(a: Any, taus: Any, t_q: Any) -> tuple[Any, Any]:
    """The tangents of `a` (..., m, k), below its diagonal, and of `taus` (..., k), from that of the
    first k columns of the product q of the reflections that these describe."""
    # q = 1 - V T Vᴴ as above, and U = T V₁ᴴ is upper triangular with `taus` on the diagonal: V and U
    # are the factors, by elimination without exchanges, of X = 1 - q (Ballard et al., "Reconstructing
    # Householder vectors from tall-skinny QR", 2014). So with G = V₁⁻¹ dX₁ U⁻¹ and F its strictly
    # lower triangle, dV₁ = V₁ F, dU = (G - F) U and dV₂ = dX₂ U⁻¹ - V₂ (G - F). A reflection that is
    # the identity is a zero of U, and no derivative. But the last one of a square q, which has one
    # element, may be: what is there in U changes nothing else, so that 1 does as well.
    m, k, axis = a.shape[-2], taus.shape[-1], len(a.shape) - 1
    v, d, m_factor = _compact(a, taus)
    top = slice_along(v, 0, k, axis - 1)
    u = substitute(m_factor, mul_p.bind(d, adjoint(top)), lower=False, unit_diagonal=True)
    if m == k:
        last = concrete(np.arange(k) == k - 1)
        ends = select(and_p.bind(eq_p.bind(taus, like(0, taus)), last), like(1, taus), like(0, taus))
        u = add_p.bind(u, diagonal_matrix(ends))
    t_x = substitute(u, neg_p.bind(t_q), lower=False, left_side=False)
    g = substitute(top, slice_along(t_x, 0, k, axis - 1), lower=True, unit_diagonal=True)
    f, rest = tril(g, -1), triu(g)
    t_v = matmul(top, f)
    if k < m:
        t_bottom = sub_p.bind(slice_along(t_x, k, m, axis - 1), matmul(slice_along(v, k, m, axis - 1), rest))
        t_v = concatenate([t_v, t_bottom], axis - 1)
    return t_v, diagonal(matmul(rest, u))


class Geqrf(Decomposition):
    """(packed, taus): r in the upper triangle, and below it and in taus the reflections whose
    product is q."""

    name = "geqrf"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray) -> list[ShapedArray]:
        check("geqrf", a)
        return [strong(a.shape, a.dtype), strong((*a.shape[:-2], min(a.shape[-2:])), a.dtype)]

    def evaluate(self, a: Any) -> Any:
        packed, taus = np.linalg.qr(a, "raw")
        return [packed.swapaxes(-1, -2), taus]

    def lower_elements(self, emit: Any, a: Any) -> Any:
        return _emit_geqrf(emit, a)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        (a,), (t,) = primals, tangents
        packed, taus = self.bind(a)
        k, last = min(a.shape[-2:]), len(a.shape) - 1
        reflections = slice_along(packed, 0, k, last)
        q, r = householder_product_p.bind(reflections, taus), triu(slice_along(packed, 0, k, last - 1))
        t_q, t_r = _thin_tangents(q, r, t)
        t_below, t_taus = reflections_of_tangent(reflections, taus, t_q)

        def wide(x: Any) -> Any:
            edges = [(0, full - part, 0) for full, part in zip(a.shape, x.shape)]
            return pad(x, like(0, x), edges)

        return [packed, taus], [add_p.bind(wide(t_below), wide(t_r)), t_taus]


qr_p, geqrf_p = Qr(), Geqrf()
householder_product_p, ormqr_p = HouseholderProduct(), Ormqr()


def qr(
    x: Any, *, pivoting: bool = False, full_matrices: bool = True, use_magma: bool | None = None
) -> tuple[Array, ...]:
    """(q, r) with x = q r, for matrices `x` of shape (..., m, n): q has orthonormal columns, r is
    upper triangular.

    q has shape (..., m, m) and r (..., m, n) with `full_matrices`; else (..., m, k) and (..., k,
    n), where k = min(m, n). With `pivoting`, (q, r, p) with x[:, p] = q r and decreasing |diag r|.
    Raises TypeError unless `x` is floating with two axes or more.

    >>> import pullback.numpy as jnp
    >>> q, r = qr(jnp.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> (q @ r).round(4), jnp.abs(r).round(4)  # signs of rows are free
    (Array([[3., 1.],
           [4., 2.]], dtype=float32), Array([[5. , 2.2],
           [0. , 0.4]], dtype=float32))
    """
    del use_magma
    return tuple(qr_p.bind(matrix("qr", x), pivoting=pivoting, full_matrices=full_matrices))


def householder_product(a: Any, taus: Any) -> Array:
    """The first n columns of H₀ H₁ ⋯, where Hᵢ = 1 - taus[i] v vᴴ and v = (0, ..., 0, 1, a[i+1:, i]),
    as LAPACK's `orgqr` and `ungqr`.

    `a` has shape (..., m, n) with m ≥ n, as the result, and `taus` (..., k) with k ≤ n. Raises
    TypeError unless `a` is floating with two axes or more, ValueError if they do not fit, also in
    their dtypes.

    >>> import pullback.numpy as jnp
    >>> householder_product(jnp.array([[0.0, 0.0], [1.0, 0.0]]), jnp.array([1.0]))
    Array([[ 0., -1.],
           [-1.,  0.]], dtype=float32)
    """
    array, scalars = matrix("householder_product", a), as_array(taus)
    householder_product_p.type_of(array.aval, scalars.aval)
    return householder_product_p.bind(array, scalars)


def ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Array:
    """q c, or c q unless `left`, where q = H₀ H₁ ⋯ is the product of reflections that
    `householder_product` describes.

    With `transpose`, qᴴ takes the place of q. `a` has shape (..., m, n), `taus` (..., k) with k ≤
    min(m, n), and `c` has m rows (m columns, unless `left`); q itself is not computed. Raises
    TypeError if dtypes differ or are not floating, ValueError if shapes do not fit.

    >>> import pullback.numpy as jnp
    >>> ormqr(jnp.array([[0.0], [1.0]]), jnp.array([1.0]), jnp.eye(2))
    Array([[ 0., -1.],
           [-1.,  0.]], dtype=float32)
    """
    reflections, scalars, matrices = matrix("ormqr", a), as_array(taus), as_array(c)
    left, transpose = bool(left), bool(transpose)
    ormqr_p.type_of(reflections.aval, scalars.aval, matrices.aval, left=left, transpose=transpose)
    return ormqr_p.bind(reflections, scalars, matrices, left=left, transpose=transpose)
