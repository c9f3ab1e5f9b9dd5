"""Cholesky decomposition of Hermitian positive definite matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.core.array import Array
from pullback.core.types import ShapedArray
from pullback.lax.linalg.matrices import (
    Decomposition,
    check,
    emit_triangle,
    from_triangle,
    gufuncs,
    half_triangle,
    inexact,
    info_of,
    lapack_call,
    matmul,
    matrix,
    or_nan,
    symmetrize,
)
from pullback.lax.linalg.triangular import triangular_solve_p


class Cholesky(Decomposition):
    """The lower triangular L with L Lᴴ = a, from the lower triangle of `a`; NaN where it is not positive definite."""

    name = "cholesky"
    weakness = "all"

    def type_of(self, a: ShapedArray) -> ShapedArray:
        check("cholesky", a, square=True)
        return a

    def evaluate(self, a: Any) -> Any:
        out = gufuncs.cholesky_lo(a)
        # A matrix that is not positive definite comes as NaNs all over.
        return np.tril(out) if out.shape[-1] > 1 and np.isnan(out[..., 0, -1]).any() else out

    def lower(self, emit: Any, a: Any) -> Any:
        if not a.size:
            return a
        out, info = lapack_call(emit, "potrf", [a], [a.aval, info_of(a)], "mmv", overwrites=0, uplo="L")
        return emit_triangle(emit, or_nan(emit, info, out)[0], lower=True)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        # a = L Lᴴ, so da = dL Lᴴ + L dLᴴ. Multiplying by L⁻¹ from the left and by L⁻ᴴ from the right, L⁻¹ da L⁻ᴴ = L⁻¹
        # dL + (L⁻¹ dL)ᴴ. L⁻¹ dL is lower triangular with real diagonal, hence dL = L Φ(L⁻¹ da L⁻ᴴ), where Φ keeps the
        # lower triangle and halves the diagonal (Murray, "Differentiation of the Cholesky decomposition", 2016, eq. 8).
        # da is what the lower triangle of the tangent says.
        (a,), (t,) = primals, tangents
        lower = self.bind(a)
        inner = triangular_solve_p.bind(
            lower,
            from_triangle(t),
            left_side=True,
            lower=True,
            transpose_a=False,
            conjugate_a=False,
            unit_diagonal=False,
        )
        inner = triangular_solve_p.bind(
            lower, inner, left_side=False, lower=True, transpose_a=True, conjugate_a=True, unit_diagonal=False
        )
        return lower, matmul(lower, half_triangle(inner))


cholesky_p = Cholesky()


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Array:
    """The lower triangular L with L Lᴴ = x, for Hermitian positive definite matrices `x` of shape (..., n, n).

    With `symmetrize_input`, (x + xᴴ)/2 is decomposed; otherwise only the lower triangle of `x` is used. Matrices that
    are not positive definite give NaN. Integers are converted to floats. Raises TypeError for fewer than two axes or
    axes of different length.

    >>> import pullback.numpy as jnp
    >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 5.0]]))
    Array([[2., 0.],
           [1., 2.]], dtype=float32)
    """
    x = matrix("cholesky", inexact(x))
    if x.shape[-1] != x.shape[-2]:
        raise TypeError(f"the input to cholesky must be a square matrix, got shape {x.shape}")
    return cholesky_p.bind(symmetrize(x) if symmetrize_input else x)
