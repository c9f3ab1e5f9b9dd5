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
from pullback.lax.linalg.lu import solve
from pullback.lax.linalg.schur import triangular_form
from pullback.lax.linalg.triangular_sylvester import triangular_sylvester_p
from pullback.lax.shape import strong
from pullback.numpy.promotion import here, promote_inexact
from pullback.scipy.linalg.operands import exact_type, given, matrix
from pullback.transforms.custom_jvp import custom_jvp
from pullback.transforms.jvp import jvp


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
    return strong(matrix(name, array, square=True))


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
    a = _square("expm_frechet", A)
    a, e = promote_inexact("scipy.linalg.expm_frechet", a, given("expm_frechet", E), weak=False)
    if e.shape != a.shape:
        raise here(ValueError, f"expm_frechet takes A and E of one shape, got {a.shape} and {e.shape}")
    derivative = lax_linalg.expm_p.bind(a, e, max_squarings=16)
    return (lax_linalg.expm_p.bind(a, max_squarings=16), derivative) if compute_expm else derivative


def sqrtm(A: Any, blocksize: int = 1) -> Array:
    """The principal square root of `A` of shape (..., n, n): the X with X X = A whose eigenvalues
    have real parts that are not negative. Always complex.

    By the Schur form (Björck & Hammarling, "A Schur method for the square root of a matrix", 1983).
    Roots of negative eigenvalues of real matrices have positive imaginary parts. Derivatives solve
    Sylvester equations; they are infinite or NaN where A is singular. Raises NotImplementedError for
    `blocksize` > 1, ValueError for matrices that are not square.

    >>> import pullback.numpy as jnp
    >>> sqrtm(jnp.array([[4.0, 0.0], [0.0, -9.0]])).round(4)
    Array([[2.+0.j, 0.+0.j],
           [0.+0.j, 0.+3.j]], dtype=complex64)
    """
    if blocksize > 1:
        raise NotImplementedError("sqrtm is not computed by blocks: leave blocksize at 1")
    return lax_linalg.sqrtm_p.bind(strong(matrix("sqrtm", A, square=True)))


def funm(A: Any, func: Callable[[Array], Array], disp: bool = True) -> Any:
    """The function of the matrix `A` of shape (n, n) that `func`, which maps complex arrays element
    by element, is of numbers: complex; or without `disp` (that, an estimate of the relative error).

    By the Schur form and Parlett's recurrence (Golub & Van Loan, "Matrix Computations", 4th ed.,
    2013, section 9.1.4), as SciPy has it: inaccurate where eigenvalues are close, which the
    estimate says. The derivative is that of Daleckii and Krein (Higham, "Functions of Matrices",
    2008, theorem 3.11), for which `func` has to be differentiable; it is exact for matrices with a
    full set of eigenvectors, that of second order where eigenvalues are distinct. Raises ValueError
    for what is not a square matrix, TypeError for integers.

    >>> import pullback.numpy as jnp
    >>> funm(jnp.array([[4.0, 0.0], [0.0, 9.0]]), jnp.sqrt).real
    Array([[2., 0.],
           [0., 3.]], dtype=float32)
    """
    a = exact_type("funm", A)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise here(ValueError, f"funm takes one square matrix, got shape {a.shape}")
    matrices.check("funm", a)
    out, error = _funm(a, func)
    return out if disp else (out, error)


def _funm(a: Array, func: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The function of the matrix, and the estimate of its error."""

    def of_numbers(w: Array) -> Array:
        return func(w).astype(w.dtype)

    @custom_jvp
    def values(a: Array) -> tuple[Array, Array]:
        t, z, w = triangular_form(a)
        d = of_numbers(w)
        # f t = t f with f = diag(d) + n: n t - t n = t diag(d) - diag(d) t.
        right = t * (d[None, :] - d[:, None])
        f = triangular_sylvester_p.bind(-t, t, right, part="upper") + matrices.diagonal_matrix(d)
        error = _estimate(t, w, f)
        return matrices.matmul(matrices.matmul(z, f), matrices.adjoint(z)), error

    @values.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        # t v = v diag(w) with unit upper triangular v, so a = x diag(w) x⁻¹ with x = z v, and the
        # derivative is x (k ∘ (x⁻¹ da x)) x⁻¹, k being the divided differences of func.
        (a,), (t_a,) = primals, tangents
        t, z, w = triangular_form(a)
        eye = jnp.eye(a.shape[0], dtype=t.dtype)
        v = eye + triangular_sylvester_p.bind(-t, matrices.diagonal_matrix(w), jnp.triu(t, 1), part="upper")
        x = matrices.matmul(z, v)
        inner = solve(x, matrices.matmul(t_a.astype(t.dtype), x))
        change = matrices.matmul(x, _divided_differences(of_numbers, w) * inner)
        t_out = matrices.adjoint(solve(matrices.adjoint(x), matrices.adjoint(change)))
        outs = values(a)
        return outs, (t_out, jnp.zeros_like(outs[1]))

    return values(a)


def _divided_differences(func: Callable[[Array], Array], w: Array) -> Array:
    """(func(w_j) - func(w_i)) / (w_j - w_i) for all pairs, and the derivative where these agree."""
    d, slopes = jvp(func, (w,), (jnp.ones_like(w),))
    apart, change, slope = w[None, :] - w[:, None], d[None, :] - d[:, None], (slopes[None, :] + slopes[:, None]) / 2
    # A quotient of differences loses the digits that both have in common; the mean of the
    # derivatives is wrong by the square of the distance. The mean is taken where the quotient agrees
    # with it as far as rounding lets it: of d, and of eigenvalues, by the size of the largest. Where
    # it does not, func bends between the two, or has a branch cut there.
    size = jnp.maximum(abs(d)[None, :], abs(d)[:, None]) + abs(w).max(initial=0) * abs(slope)
    near = abs(change - slope * apart) <= 8 * float(jnp.finfo(w.dtype).eps) * size
    return jnp.where(near, slope, change / jnp.where(near, 1, apart))


def _estimate(t: Array, w: Array, f: Array) -> Array:
    """SciPy's estimate of the relative error of `f`: from the smallest number that is divided by,
    which by its convention may be the first eigenvalue."""
    eps, real_type = float(jnp.finfo(t.dtype).eps), dtypes.to_real(t.dtype)
    apart = abs(w[:, None] - w[None, :])
    first = abs(w[:1]).min(initial=jnp.inf)
    smallest = jnp.minimum(first, jnp.min(jnp.where(apart == 0, jnp.inf, apart), initial=jnp.inf)).astype(real_type)
    smallest = jnp.where(smallest == 0, eps, smallest)
    upper = abs(jnp.triu(t, 1)).sum(0).max(initial=0)
    error = jnp.minimum(1, jnp.maximum(eps, eps / smallest * upper))
    bad = jnp.logical_not(jnp.all(jnp.isfinite(f)))
    return jnp.where(bad, jnp.inf, error).astype(real_type)
