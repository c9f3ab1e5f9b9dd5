"""Eigenvalues and eigenvectors."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, concrete
from pullback.core.primitive import weak_as_operands
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import complex_p, div_p, eq_p, imag_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.linalg.lu import solve
from pullback.lax.linalg.matrices import (
    Decomposition,
    adjoint,
    check,
    columns,
    conj,
    diagonal,
    emit_finite,
    from_triangle,
    gufuncs,
    identity_mask,
    indices,
    inexact,
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
    symmetrize,
)
from pullback.lax.reductions import argmax
from pullback.lax.selection import select
from pullback.lax.shape import reduce_sum_p
from pullback.lax.triangles import emit_triangle


def _differences_inverse(w: Any, dtype: Any) -> Any:
    """F_ij = 1 / (w_j - w_i), zero on the diagonal; infinite where eigenvalues coincide."""
    n = w.shape[-1]
    differences = sub_p.bind(rows(w), columns(w))
    return like_dtype(off_diagonal(div_p.bind(like(1, w), select(identity_mask(n, n), like(1, w), differences))), dtype)


class Eigh(Decomposition):
    """(v, w) with a v = v diag(w) for Hermitian `a`, from one of its triangles. w is real and
    increasing."""

    name = "eigh"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray, *, lower: bool, sort_eigenvalues: bool) -> list[ShapedArray]:
        check("eigh", a, square=True)
        return [strong(a.shape, a.dtype), strong(a.shape[:-1], dtypes.to_real(a.dtype))]

    def evaluate(self, a: Any, *, lower: bool, sort_eigenvalues: bool) -> Any:
        w, v = of_finite(gufuncs.eigh_lo if lower else gufuncs.eigh_up, a, np.tril if lower else np.triu)
        return [v, w]

    def lower_elements(self, emit: Any, a: Any, *, lower: bool, sort_eigenvalues: bool) -> Any:
        routine = "heevd" if dtypes.is_complex(a.dtype) else "syevd"
        finite, a = emit_finite(emit, a, emit_triangle(emit, a, lower))
        v, w, info = lapack_call(
            emit, routine, [a], [*emit.types, info_of(a)], "mmvv", overwrites=(0,), mode="V", uplo="L" if lower else "U"
        )
        return or_nan(emit, info, v, w, finite=finite)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any], *, lower: bool, sort_eigenvalues: bool) -> Any:
        # a v = v w, so with Ω = vᴴ dv, skew-Hermitian, vᴴ da v = Ω w - w Ω + dw: on the diagonal dw
        # = vᴴ da v, and off it Ω_ij = (vᴴ da v)_ij / (w_j - w_i). The phases of v are free; Ω_ii =
        # 0 is chosen (Giles, "Collected matrix derivative results", 2008, section 3.1). da is what
        # the triangle of the tangent says.
        (a,), (t,) = primals, tangents
        v, w = self.bind(a, lower=lower, sort_eigenvalues=sort_eigenvalues)
        inner = matmul(adjoint(v), matmul(from_triangle(t, lower), v))
        t_v = matmul(v, mul_p.bind(_differences_inverse(w, a.dtype), inner))
        return [v, w], [t_v, real(diagonal(inner))]


class Eig(Decomposition):
    """w, and if asked for left and right eigenvectors, of norm one: uᴴ a = diag(w) uᴴ, a v = v
    diag(w). All complex."""

    name = "eig"
    multiple_results = True

    @weak_as_operands
    def type_of(self, a: ShapedArray, *, left: bool, right: bool, enable_eigvec_derivs: bool) -> list[ShapedArray]:
        check("eig", a, square=True)
        dtype = dtypes.to_complex(a.dtype)
        return [strong(a.shape[:-1], dtype), *(strong(a.shape, dtype) for _ in range(left + right))]

    def evaluate(self, a: Any, *, left: bool, right: bool, enable_eigvec_derivs: bool) -> Any:
        dtype = dtypes.to_complex(a.dtype)
        if left:
            return of_finite(lambda a: _eig_with_left(a, dtype, right), a)
        return [x.astype(dtype, copy=False) for x in of_finite(gufuncs.eig if right else gufuncs.eigvals, a)]

    def lower_elements(self, emit: Any, a: Any, *, left: bool, right: bool, enable_eigvec_derivs: bool) -> Any:
        dtype = dtypes.to_complex(a.dtype)
        finite, a = emit_finite(emit, a)
        w, vectors = ShapedArray(a.shape[:-1], dtype), ShapedArray(a.shape, dtype)
        settings: dict[str, Any] = {"compute_left": "V" if left else "N", "compute_right": "V" if right else "N"}
        if dtypes.is_complex(a.dtype):
            w_out, u, v, info = lapack_call(emit, "geev", [a], [w, vectors, vectors, info_of(a)], "mvmmv", **settings)
        else:
            part = ShapedArray(w.shape, a.dtype)
            re, im, u, v, info = lapack_call(
                emit, "geev", [a], [part, part, vectors, vectors, info_of(a)], "mvvmmv", **settings
            )
            w_out = emit("complex", re, im, out=w)
        return or_nan(emit, info, w_out, *([u] if left else []), *([v] if right else []), finite=finite)

    def jvp(
        self, primals: Sequence[Any], tangents: Sequence[Any], *, left: bool, right: bool, enable_eigvec_derivs: bool
    ) -> Any:
        # a v = v w, so with C = v⁻¹ dv, v⁻¹ da v = C w - w C + dw: on the diagonal dw, and off it
        # C_ij = (v⁻¹ da v)_ij / (w_j - w_i) (Boeddeker et al., "On the computation of
        # complex-valued gradients with application to statistically optimum beamforming", 2017,
        # section 4). The diagonal of C is what keeps v as LAPACK scales it: see `_normalized`. The
        # left eigenvectors are the right ones of aᴴ, with eigenvalues conj(w).
        if (left or right) and not enable_eigvec_derivs:
            raise NotImplementedError(
                "derivatives of eigenvectors of non-symmetric matrices are right only if the eigenvalues are distinct and "
                "no function of the result depends on how eigenvectors are scaled, which cannot be checked. Pass "
                "enable_eigvec_derivs=True to "
                "lax.linalg.eig if you know that, or compute the eigenvalues alone (numpy.linalg.eigvals)"
            )
        (a,), (t,) = primals, tangents
        dtype = dtypes.to_complex(a.dtype)
        t = like_dtype(t, dtype)
        # What follows does not depend on how eigenvectors are scaled, so theirs are fine for higher
        # orders.
        w, *vectors = self.bind(a, left=left, right=True, enable_eigvec_derivs=True)
        v = vectors[-1]
        inner = solve(v, matmul(t, v))
        outs, t_outs = [w], [diagonal(inner)]
        if left:
            u = vectors[0]
            inner_left = solve(u, matmul(adjoint(t), u))
            outs.append(u)
            t_outs.append(_normalized(u, matmul(u, mul_p.bind(_differences_inverse(conj(w), dtype), inner_left))))
        if right:
            outs.append(v)
            t_outs.append(_normalized(v, matmul(v, mul_p.bind(_differences_inverse(w, dtype), inner))))
        return outs, t_outs


def _normalized(v: Any, t: Any) -> Any:
    """The tangent of eigenvectors that keeps their norms, and their largest elements real, as
    LAPACK scales them."""
    if not v.shape[-1]:
        return t
    axis = len(v.shape) - 2
    overlap = real(reduce_sum_p.bind(mul_p.bind(conj(v), t), axes=(axis,)))
    size = add_p.bind(mul_p.bind(real(v), real(v)), mul_p.bind(imag_p.bind(v), imag_p.bind(v)))
    largest = rows(argmax(size, axis, np.int32))
    index = concrete(np.arange(v.shape[-2], dtype=np.int32)[:, None])
    turns = select(
        eq_p.bind(largest, index), div_p.bind(t, select(eq_p.bind(largest, index), v, like(1, v))), like(0, v)
    )
    angle = imag_p.bind(reduce_sum_p.bind(turns, axes=(axis,)))
    return sub_p.bind(t, mul_p.bind(v, rows(complex_p.bind(overlap, angle))))


def _eig_with_left(a: Any, dtype: Any, right: bool) -> list[Any]:
    outs = [np.empty(a.shape[:-1], dtype), *(np.empty(a.shape, dtype) for _ in range(1 + right))]
    if not a.size:
        return outs
    from scipy.linalg import eig as scipy_eig

    for i in indices(a.shape[:-2]):
        for out, x in zip(outs, scipy_eig(a[i], left=True, right=right, check_finite=False)):
            out[i] = x
    return outs


eigh_p, eig_p = Eigh(), Eig()


class EighImplementation(enum.Enum):
    """Which algorithm decomposes a Hermitian matrix. A hint: here it is always LAPACK's divide and
    conquer.

    >>> [v.name for v in EighImplementation]
    ['QR', 'JACOBI', 'QDWH']
    """

    QR = "QR"
    JACOBI = "Jacobi"
    QDWH = "QDWH"


class EigImplementation(enum.Enum):
    """Which library computes a non-symmetric eigendecomposition. A hint: here it is always LAPACK.

    >>> [v.name for v in EigImplementation]
    ['CUSOLVER', 'MAGMA', 'LAPACK']
    """

    CUSOLVER = "cusolver"
    MAGMA = "magma"
    LAPACK = "lapack"


def eigh(
    x: Any,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    implementation: EighImplementation | None = None,
) -> tuple[Array, Array]:
    """(v, w): eigenvectors (columns) and increasing eigenvalues of Hermitian matrices `x` of shape
    (..., n, n).

    With `symmetrize_input`, (x + xᴴ)/2 is decomposed; otherwise the lower triangle of `x` (the
    upper, if not `lower`) is all that is used. Integers are converted to floats; matrices with NaN
    give NaN. Derivatives of v are infinite or NaN where eigenvalues coincide. Raises TypeError for
    fewer than two axes or axes of different length.

    >>> import pullback.numpy as jnp
    >>> eigh(jnp.array([[2.0, 0.0], [0.0, 1.0]]))[1]
    Array([1., 2.], dtype=float32)
    """
    del implementation
    x = matrix("eigh", inexact(x))
    n = x.shape[-1]
    if x.shape[-2] != n:
        raise TypeError(f"the input to eigh must be a square matrix, got shape {x.shape}")
    if subset_by_index is not None and tuple(subset_by_index) != (0, n):
        raise NotImplementedError(
            f"eigh computes all {n} eigenvalues: take those of subset_by_index={subset_by_index} from the result"
        )
    v, w = eigh_p.bind(symmetrize(x) if symmetrize_input else x, lower=lower, sort_eigenvalues=sort_eigenvalues)
    return v, w


def eig(
    x: Any,
    *,
    compute_left_eigenvectors: bool = True,
    compute_right_eigenvectors: bool = True,
    enable_eigvec_derivs: bool = False,
    implementation: EigImplementation | None = None,
    use_magma: bool | None = None,
) -> list[Array]:
    """[w, u, v]: eigenvalues and, if asked for, left and right eigenvectors (columns) of `x` of
    shape (..., n, n).

    x v = v diag(w) and uᴴ x = diag(w) uᴴ. All are complex; each eigenvector has norm one and its
    largest element is real. Matrices with infinities or NaN give NaN. Derivatives with eigenvectors
    need `enable_eigvec_derivs`, and distinct eigenvalues. Raises TypeError unless `x` is floating
    with two axes or more, ValueError for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> eig(jnp.array([[0.0, 1.0], [-1.0, 0.0]]), compute_left_eigenvectors=False)[0]
    Array([0.+1.j, 0.-1.j], dtype=complex64)
    """
    del implementation, use_magma
    return eig_p.bind(
        matrix("eig", x, square=True),
        left=compute_left_eigenvectors,
        right=compute_right_eigenvectors,
        enable_eigvec_derivs=enable_eigvec_derivs,
    )
