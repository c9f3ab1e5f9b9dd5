"""Functions of matrices (not of their elements), with the Fréchet derivatives that they have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.types import count
from pullback.lax import linalg as lax_linalg
from pullback.lax.linalg import matrices
from pullback.lax.linalg.triangular import substitute
from pullback.numpy.promotion import here, promote_inexact
from pullback.scipy.linalg.operands import exact_type, given, matrix


def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Array:
    """The exponential 1 + A + A²/2 + ... of `A` of shape (..., n, n), by scaling and squaring of
    Padé approximants.

    Compiled, they are those of Higham ("The scaling and squaring method for the matrix exponential
    revisited", 2005); eager values are SciPy's (Al-Mohy & Higham, 2009). Matrices whose norm is
    above 5.4 · 2^max_squarings (3.9 · 2^max_squarings in single precision), or not finite, give
    NaN. Derivatives are Fréchet derivatives, to any order. `upper_triangular` is a hint that is not
    needed. Raises ValueError for matrices that are not square, TypeError for floats of 16 bits.

    >>> import pullback.numpy as jnp
    >>> expm(jnp.array([[0.0, 1.0], [0.0, 0.0]]))
    Array([[1., 1.],
           [0., 1.]], dtype=float32)
    """
    del upper_triangular
    return lax_linalg.expm_p.bind(_square("expm", A), max_squarings=count(max_squarings, "max_squarings"))


def _square(name: str, x: Any) -> Array:
    array = given(name, x)
    if array.dtype not in matrices.LAPACK_TYPES:
        raise here(TypeError, f"{name} of dtype {dtypes.name(array.dtype)} is not supported: convert it to float32")
    return matrix(name, array, square=True)


def expm_frechet(A: Any, E: Any, *, method: str | None = None, compute_expm: bool = True) -> Any:
    """(expm(A), L), or L alone unless `compute_expm`: the derivative of the exponential at `A` in
    direction `E`, both of shape (..., n, n).

    L is the upper right block of the exponential of [[A, E], [0, A]] (Higham, "Functions of
    Matrices", 2008, theorem 3.6), whatever `method` says. Raises ValueError if the shapes differ or
    are not square.

    >>> import pullback.numpy as jnp
    >>> expm_frechet(jnp.zeros((2, 2)), jnp.ones((2, 2)), compute_expm=False)
    Array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    del method
    a, e = promote_inexact("scipy.linalg.expm_frechet", _square("expm_frechet", A), given("expm_frechet", E))
    if e.shape != a.shape:
        raise here(ValueError, f"expm_frechet takes A and E of one shape, got {a.shape} and {e.shape}")
    derivative = lax_linalg.expm_p.bind(a, e, max_squarings=16)
    return (lax_linalg.expm_p.bind(a, max_squarings=16), derivative) if compute_expm else derivative


def sqrtm(A: Any, blocksize: int = 1) -> Array:
    """The principal square root of `A` of shape (..., n, n): the X with X X = A whose eigenvalues
    have real parts that are not negative. Always complex.

    By the Schur form (Björck & Hammarling, "A Schur method for the square root of a matrix", 1983).
    Derivatives solve Sylvester equations; they are infinite or NaN where A is singular. Raises
    NotImplementedError for `blocksize` > 1, ValueError for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> sqrtm(jnp.array([[4.0, 0.0], [0.0, -9.0]])).round(4)
    Array([[2.+0.j, 0.+0.j],
           [0.+0.j, 0.+3.j]], dtype=complex64)
    """
    if blocksize > 1:
        raise NotImplementedError("sqrtm is not computed by blocks: leave blocksize at 1")
    a = matrix("sqrtm", A, square=True)
    return lax_linalg.sqrtm_p.bind(a.astype(dtypes.to_complex(a.dtype)))


def funm(A: Any, func: Callable[[Array], Array], disp: bool = True) -> Any:
    """The function of the matrix `A` of shape (n, n) that `func`, which maps complex arrays element
    by element, is of numbers: complex; or without `disp` (that, an estimate of the relative error).

    By the Schur form and Parlett's recurrence (Golub & Van Loan, "Matrix Computations", 4th ed.,
    2013, section 9.1.4), as SciPy has it: inaccurate where eigenvalues are close, which the
    estimate says, and not differentiable (NotImplementedError), as Schur's form is not. Raises
    ValueError for what is not a square matrix, TypeError for integers.

    >>> import pullback.numpy as jnp
    >>> funm(jnp.array([[4.0, 0.0], [0.0, 9.0]]), jnp.sqrt).real
    Array([[2., 0.],
           [0., 3.]], dtype=float32)
    """
    from pullback.control.loops import fori_loop

    a = exact_type("funm", A)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise here(ValueError, f"funm takes one square matrix, got shape {a.shape}")
    t, z = lax_linalg.schur(a.astype(dtypes.to_complex(a.dtype)))
    n = a.shape[0]
    eps = float(jnp.finfo(t.dtype).eps)
    eigenvalues, values = jnp.diagonal(t), func(jnp.diagonal(t)).astype(t.dtype)
    real_type, rows, unit = dtypes.to_real(t.dtype), jnp.arange(n), jnp.eye(n, dtype=bool)

    def column(j: Any, f: Any) -> Any:
        # Above the diagonal, column j of t f = f t is (t - t_jj) f_j = (f - f_jj) t_j with what of f
        # is known by then. Where eigenvalues are equal nothing is divided, as in SciPy.
        above = jnp.where(rows < j, t[:, j], 0)
        shifted = t - eigenvalues[j] * unit
        shifted = jnp.where(jnp.logical_and(unit, shifted == 0), 1, shifted)
        right = jnp.where(rows < j, f @ above - values[j] * above, 0)
        return f.at[:, j].add(substitute(shifted, right[:, None], lower=False)[:, 0])

    f = fori_loop(1, n, column, jnp.diag(values)) if n > 1 else jnp.diag(values)
    apart = abs(eigenvalues[:, None] - eigenvalues[None, :])
    # The smallest number divided by, and by SciPy's convention the first eigenvalue.
    first = abs(eigenvalues[:1]).min(initial=jnp.inf)
    smallest = jnp.minimum(first, jnp.min(jnp.where(apart == 0, jnp.inf, apart), initial=jnp.inf)).astype(real_type)
    out = matrices.matmul(matrices.matmul(z, f), matrices.adjoint(z))
    if disp:
        return out
    smallest = jnp.where(smallest == 0, eps, smallest)
    upper = abs(jnp.triu(t, 1)).sum(0).max(initial=0)
    error = jnp.minimum(1, jnp.maximum(eps, eps / smallest * upper))
    bad = jnp.logical_not(jnp.all(jnp.isfinite(f)))
    return out, jnp.where(bad, jnp.inf, error).astype(real_type)
