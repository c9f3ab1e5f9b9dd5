"""Systems of linear equations, inverses and determinants.

`overwrite_*`, `debug` and `check_finite` are accepted and change nothing. Singular systems give
infinities or NaN. Derivatives solve once more with the same matrix, to any order.
"""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.types import broadcast_shapes
from pullback.lax import linalg as lax_linalg
from pullback.lax.linalg import matrices
from pullback.lax.linalg.sylvester import sylvester_p
from pullback.lax.linalg.triangular import substitute
from pullback.numpy.promotion import here, promote_inexact
from pullback.scipy.linalg.operands import columns_or_vectors, given, over, system


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The inverse of `a` of shape (..., n, n); see `numpy.linalg.inv`.

    >>> import pullback.numpy as jnp
    >>> inv(jnp.array([[2.0, 0.0], [0.0, 4.0]]))
    Array([[0.5 , 0.  ],
           [0.  , 0.25]], dtype=float32)
    """
    del overwrite_a, check_finite
    return jnp.linalg.inv(a)


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The determinant of `a` of shape (..., n, n); see `numpy.linalg.det`.

    >>> import pullback.numpy as jnp
    >>> det(jnp.array([[2.0, 0.0], [0.0, 4.0]]))
    Array(8., dtype=float32)
    """
    del overwrite_a, check_finite
    return jnp.linalg.det(a)


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Array:
    """The x with a x = b, for `a` of shape (..., n, n) and `b` of shape (n,) or (..., n, k); batch
    axes broadcast.

    `assume_a` may be "gen", "sym" or "her", which all are solved by LU decomposition, or "pos": by
    Cholesky decomposition of one triangle of `a`, the upper one unless `lower`, NaN if it is not
    positive definite; there `b` may be (..., n), too. Raises ValueError for other `assume_a` and
    shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> solve(jnp.array([[4.0, 2.0], [2.0, 5.0]]), jnp.array([6.0, 7.0]), assume_a="pos")
    Array([1., 1.], dtype=float32)
    """
    del overwrite_a, overwrite_b, debug, check_finite
    if assume_a not in ("gen", "sym", "her", "pos"):
        raise here(ValueError, f"solve: assume_a must be one of 'gen', 'sym', 'her', 'pos', got {assume_a!r}")
    if assume_a != "pos":
        return jnp.linalg.solve(given("solve", a, lists=True), given("solve", b, lists=True))
    a, b, vectors = system("solve", a, b, lists=True)
    if not lower:
        a = matrices.adjoint(a)
    return columns_or_vectors(_by_factor(lax_linalg.cholesky_p.bind(a, symmetrize_input=False), b, True), vectors)


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Array:
    """The x with a x = b, given what `cho_factor` makes of `a`; the factor's other triangle is not
    looked at. `b` has shape (n,), (..., n) or (..., n, k); batch axes broadcast.

    >>> import pullback.numpy as jnp
    >>> cho_solve((jnp.array([[2.0, 0.0], [1.0, 2.0]]), True), jnp.array([6.0, 7.0]))
    Array([1., 1.], dtype=float32)
    """
    del overwrite_b, check_finite
    c, lower = c_and_lower
    c, b, vectors = system("cho_solve", c, b, lists=True)
    return columns_or_vectors(_by_factor(c, b, bool(lower)), vectors)


def _by_factor(c: Array, b: Array, lower: bool) -> Array:
    """(L Lᴴ)⁻¹ b, or (Uᴴ U)⁻¹ b."""
    adjoint = {"transpose_a": True, "conjugate_a": dtypes.is_complex(c.dtype)}
    first, second = ({}, adjoint) if lower else (adjoint, {})
    return substitute(c, substitute(c, b, lower=lower, **first), lower=lower, **second)


def lu_solve(
    lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False, check_finite: bool = True
) -> Array:
    """The x with a x = b, aᵀ x = b (`trans` 1) or aᴴ x = b (2), given what `lu_factor` makes of
    `a`. `b` has shape (n,), (..., n) or (..., n, k); batch axes broadcast.

    >>> import pullback.numpy as jnp
    >>> from pullback.scipy.linalg import lu_factor
    >>> lu_solve(lu_factor(jnp.array([[1.0, 2.0], [4.0, 4.0]])), jnp.array([3.0, 8.0]))
    Array([1., 1.], dtype=float32)
    """
    del overwrite_b, check_finite
    if trans not in (0, 1, 2):
        raise here(ValueError, f"lu_solve: trans must be 0, 1 or 2, got {trans!r}")
    lu, piv = lu_and_piv
    lu, b, vectors = system("lu_solve", lu, b, lists=True)
    n = lu.shape[-1]
    permutation = lax_linalg.lu_pivots_to_permutation(jnp.asarray(piv), n)
    p = over(matrices.permutation_matrix(permutation, b.dtype), lu.shape[:-2])  # p a = L U
    if trans == 0:
        x = substitute(lu, matrices.matmul(p, b), lower=True, unit_diagonal=True)
        return columns_or_vectors(substitute(lu, x, lower=False), vectors)
    operation = {"transpose_a": True, "conjugate_a": trans == 2 and dtypes.is_complex(lu.dtype)}
    x = substitute(lu, b, lower=False, **operation)
    x = substitute(lu, x, lower=True, unit_diagonal=True, **operation)
    return columns_or_vectors(matrices.matmul(matrices.transposed(p), x), vectors)


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Array:
    """The x with op(a) x = b, where `a` (..., n, n) is taken as upper triangular (`lower`: lower)
    and op(a) is a (`trans` 0 or "N"), aᵀ (1, "T") or aᴴ (2, "C").

    `b` has shape (n,), (..., n) or (..., n, k); batch axes broadcast. With `unit_diagonal` the
    diagonal is taken to be ones. Raises ValueError for other `trans` and shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> solve_triangular(jnp.array([[2.0, 1.0], [0.0, 4.0]]), jnp.array([3.0, 4.0]))
    Array([1., 1.], dtype=float32)
    """
    del overwrite_b, debug, check_finite
    found = next((i for i, names in enumerate(((0, "N"), (1, "T"), (2, "C"))) if trans in names), None)
    if found is None:
        raise here(ValueError, f"solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}")
    a, b, vectors = system("solve_triangular", a, b, lists=True)
    x = substitute(
        a,
        b,
        lower=bool(lower),
        transpose_a=found > 0,
        conjugate_a=found == 2 and dtypes.is_complex(a.dtype),
        unit_diagonal=bool(unit_diagonal),
    )
    return columns_or_vectors(x, vectors)


def solve_sylvester(A: Any, B: Any, C: Any, *, method: str = "schur", tol: float = 1e-8) -> Array:
    """The X with A X + X B = C, for `A` of shape (..., m, m), `B` (..., n, n) and `C` (..., m, n),
    by the algorithm of Bartels & Stewart ("Solution of the matrix equation AX + XB = C", 1972).

    There is one solution unless an eigenvalue of A and one of -B are equal. Where the sum of two is
    smaller than rounding, the solution is divided by rounding instead, as LAPACK's trsyl does it:
    it is finite, and huge where the equation has no solution. Derivatives solve an equation of the same kind. `method` may be "schur" or "eigen";
    both are solved by Schur decomposition, as that is stable, and `tol` changes nothing. Raises
    ValueError for other methods and shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> solve_sylvester(2 * jnp.eye(2), jnp.eye(1), jnp.array([[3.0], [6.0]])).round(4)
    Array([[1.],
           [2.]], dtype=float32)
    """
    del tol
    if method not in ("schur", "eigen"):
        raise here(ValueError, f"solve_sylvester: unrecognized method {method!r}: use 'schur' or 'eigen'")
    operands = [given("solve_sylvester", x, lists=True) for x in (A, B, C)]
    a, b, c = promote_inexact("scipy.linalg.solve_sylvester", *operands, weak=False)
    shapes = f"got shapes {a.shape}, {b.shape} and {c.shape}"
    if min(a.ndim, b.ndim, c.ndim) < 2 or c.shape[-2:] != (a.shape[-2], b.shape[-1]):
        raise here(ValueError, f"solve_sylvester takes A (..., m, m), B (..., n, n) and C (..., m, n), {shapes}")
    if a.shape[-1] != a.shape[-2] or b.shape[-1] != b.shape[-2]:
        raise here(ValueError, f"solve_sylvester takes square A and B, {shapes}")
    matrices.check("solve_sylvester", a)
    try:
        batch = broadcast_shapes(a.shape[:-2], b.shape[:-2], c.shape[:-2])
    except ValueError:
        raise here(ValueError, f"solve_sylvester: batch axes do not broadcast, {shapes}") from None
    return sylvester_p.bind(over(a, batch), over(b, batch), over(c, batch))
