"""Matrices as products of simpler ones.

All work on batches, with derivatives to any order where the factors are differentiable functions of
the matrix. `overwrite_*`, `lwork`, `check_finite`, `turbo` and `lapack_driver` are accepted and
change nothing: nothing is overwritten, and matrices that are not finite give NaN.
"""

from __future__ import annotations

from typing import Any

import pullback.numpy as jnp
from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.types import integers
from pullback.lax import linalg as lax_linalg
from pullback.lax.arrangement import pad
from pullback.lax.family import like
from pullback.lax.linalg import matrices
from pullback.lax.linalg.schur import rotations
from pullback.lax.linalg.triangular import substitute
from pullback.numpy.promotion import here, promote_inexact
from pullback.scipy.linalg.operands import exact_type, given, matrix


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The upper triangular U with Uᴴ U = a, or with `lower` the lower triangular L with L Lᴴ = a,
    for Hermitian positive definite `a` of shape (..., n, n); NaN for others.

    That triangle of `a` is all that is used. Integers become floats. Raises ValueError for matrices
    that are not square.

    >>> import pullback.numpy as jnp
    >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 5.0]]))
    Array([[2., 1.],
           [0., 2.]], dtype=float32)
    """
    del overwrite_a, check_finite
    a = matrix("cholesky", a, square=True, lists=True)
    if lower:
        return lax_linalg.cholesky_p.bind(a, symmetrize_input=False)
    return matrices.adjoint(lax_linalg.cholesky_p.bind(matrices.adjoint(a), symmetrize_input=False))


def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, bool]:
    """(c, lower) for `cho_solve`: the factor that `cholesky` gives, with zeros in the other
    triangle.

    >>> import pullback.numpy as jnp
    >>> from pullback.scipy.linalg import cho_solve
    >>> cho_solve(cho_factor(jnp.array([[4.0, 2.0], [2.0, 5.0]])), jnp.array([6.0, 7.0]))
    Array([1., 1.], dtype=float32)
    """
    return cholesky(a, lower, overwrite_a, check_finite), lower


def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """(p, l, u) with a = p l u for `a` of shape (..., m, n): p is a permutation matrix (..., m, m),
    real for complex `a`, too, l unit lower trapezoidal (..., m, k) and u upper trapezoidal (..., k, n), k = min(m, n).

    With `permute_l`, (p l, u). Partial pivoting makes the elements of l at most 1 in size.

    >>> import pullback.numpy as jnp
    >>> p, l, u = lu(jnp.array([[1.0, 2.0], [4.0, 4.0]]))
    >>> u
    Array([[4., 4.],
           [0., 1.]], dtype=float32)
    """
    del overwrite_a, check_finite
    a = matrix("lu", a, lists=True)
    m, n = a.shape[-2:]
    k = min(m, n)
    factors, _, permutation = lax_linalg.lu_p.bind(a)
    lower = jnp.tril(factors[..., :, :k], -1) + jnp.eye(m, k, dtype=a.dtype)
    upper = jnp.triu(factors[..., :k, :])
    p = matrices.transposed(matrices.permutation_matrix(permutation, a.dtype if permute_l else dtypes.to_real(a.dtype)))
    return (matrices.matmul(p, lower), upper) if permute_l else (p, lower, upper)


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, Array]:
    """(lu, piv) for `lu_solve`: U in the upper triangle of lu (..., m, n) and below it L, whose
    diagonal is ones; row i was exchanged with row piv[..., i] (int32, counted from 0).

    >>> import pullback.numpy as jnp
    >>> lu_factor(jnp.array([[1.0, 2.0], [4.0, 4.0]]))[1]
    Array([1, 1], dtype=int32)
    """
    del overwrite_a, check_finite
    factors, pivots, _ = lax_linalg.lu_p.bind(matrix("lu_factor", a, lists=True))
    return factors, pivots


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Array, ...]:
    """(q, r) with a = q r for `a` of shape (..., m, n): q (..., m, m) is unitary and r (..., m, n)
    upper triangular.

    With `mode` "economic" they have shapes (..., m, k) and (..., k, n), k = min(m, n); "r" gives
    (r,). With `pivoting` there is p as well, with a[:, p] = q r. Raises ValueError for other modes.

    >>> import pullback.numpy as jnp
    >>> [x.shape for x in qr(jnp.ones((3, 2)), mode="economic")]
    [(3, 2), (2, 2)]
    """
    del overwrite_a, lwork, check_finite
    if mode not in ("full", "r", "economic"):
        raise here(ValueError, f"qr: unsupported mode {mode!r}: use 'full', 'r' or 'economic'")
    q, *rest = lax_linalg.qr(matrix("qr", a, lists=True), pivoting=bool(pivoting), full_matrices=mode != "economic")
    return tuple(rest) if mode == "r" else (q, *rest)


def qr_multiply(
    a: Any,
    c: Any,
    mode: str = "right",
    pivoting: bool = False,
    conjugate: bool = False,
    overwrite_a: bool = False,
    overwrite_c: bool = False,
) -> tuple[Array, ...]:
    """(c q, r), or (q c, r) if `mode` is "left", with the economic q (..., m, k) and r (..., k, n)
    of `a` (..., m, n); the conjugate of q if `conjugate`. With `pivoting` also the permutation.

    `c` may be a vector; batch axes broadcast. Raises ValueError for other modes or shapes that do
    not fit.

    >>> import pullback.numpy as jnp
    >>> qr_multiply(jnp.array([[0.0], [2.0]]), jnp.array([3.0, 4.0]))
    (Array([-4.], dtype=float32), Array([[-2.]], dtype=float32))
    """
    del overwrite_a, overwrite_c
    if mode not in ("right", "left"):
        raise here(ValueError, f"qr_multiply: mode must be 'right' or 'left', got {mode!r}")
    a, c = promote_inexact(
        "scipy.linalg.qr_multiply", given("qr_multiply", a, lists=True), given("qr_multiply", c, lists=True)
    )
    a = matrix("qr_multiply", a)
    m, k = a.shape[-2], min(a.shape[-2:])
    left = mode == "left"
    vector = c.ndim == 1
    needed = k if left else m
    if not c.ndim or c.shape[-2 if left and not vector else -1] != needed:
        raise here(
            ValueError,
            f"qr_multiply with mode={mode!r}: q of a {a.shape} has shape {(m, k)}, which does not fit c of shape {c.shape}",
        )
    q, *rest = lax_linalg.qr(a, pivoting=bool(pivoting), full_matrices=False)
    q = matrices.conj(q) if conjugate else q
    return jnp.matmul(q, c) if left else jnp.matmul(c, q), *rest


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """(u, s, vᴴ) with a = u diag(s) vᴴ for `a` of shape (..., m, n), or s alone without
    `compute_uv`. See `lax.linalg.svd`.

    >>> import pullback.numpy as jnp
    >>> svd(jnp.array([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False)
    Array([4., 3.], dtype=float32)
    """
    del overwrite_a, check_finite, lapack_driver
    return lax_linalg.svd(matrix("svd", a, lists=True), full_matrices=bool(full_matrices), compute_uv=bool(compute_uv))


def polar(
    a: Any, side: str = "right", *, method: str = "qdwh", eps: float | None = None, max_iterations: int | None = None
) -> tuple[Array, Array]:
    """(u, p) with a = u p, or a = p u if `side` is "left", for `a` of shape (..., m, n): p is
    Hermitian positive semidefinite, and the shorter of u's rows and columns are orthonormal.

    `method` may be "qdwh" or "svd": both give singular values' polar factors here, so `eps` and
    `max_iterations` change nothing. Derivatives solve the Sylvester equation of the polar factor
    (see `lax.linalg.polar_p`), at matrices of full rank. Raises ValueError for other sides, methods
    and integers.

    >>> import pullback.numpy as jnp
    >>> polar(jnp.array([[0.0, -2.0], [3.0, 0.0]]))[1]
    Array([[3., 0.],
           [0., 2.]], dtype=float32)
    """
    del eps, max_iterations
    if side not in ("right", "left"):
        raise here(ValueError, f"polar: side must be 'right' or 'left', got {side!r}")
    if method not in ("qdwh", "svd"):
        raise here(ValueError, f"polar: unknown method {method!r}: use 'qdwh' or 'svd'")
    array = given("polar", a, lists=True) if isinstance(a, (list, tuple)) else a
    if not dtypes.is_inexact(jnp.asarray(array).dtype):
        raise here(ValueError, f"polar takes floats or complex numbers, got {dtypes.name(jnp.asarray(array).dtype)}")
    x = matrix("polar", array)
    if x.shape[-2] >= x.shape[-1]:
        u = lax_linalg.polar_p.bind(x)
    else:  # xᴴ = v h, so x = h vᴴ = vᴴ (v h vᴴ)
        u = matrices.adjoint(lax_linalg.polar_p.bind(matrices.adjoint(x)))
    u_adjoint = matrices.adjoint(u)
    return u, matrices.symmetrize(matrices.matmul(u_adjoint, x) if side == "right" else matrices.matmul(x, u_adjoint))


def schur(a: Any, output: str = "real") -> tuple[Array, Array]:
    """(t, z) with a = z t zᴴ for `a` of shape (..., n, n): z is unitary and t upper triangular; for
    real `a`, with a 2x2 block for each pair of complex eigenvalues, unless `output` is "complex".

    Derivatives exist where eigenvalues are distinct (see `lax.linalg.schur`), else they are NaN.
    Raises ValueError for other outputs and matrices that are not square, TypeError for integers with the output "real".

    >>> import pullback.numpy as jnp
    >>> schur(jnp.array([[1.0, 2.0], [0.0, 3.0]]))[0]
    Array([[1., 2.],
           [0., 3.]], dtype=float32)
    """
    if output not in ("real", "complex"):
        raise here(ValueError, f"schur: output must be 'real' or 'complex', got {output!r}")
    if output == "complex":
        a = given("schur", a)
        a = a.astype(dtypes.to_complex(a.dtype))
    else:
        a = exact_type("schur", a)
    t, z = lax_linalg.schur(a)
    return t, z


def rsf2csf(T: Any, Z: Any, check_finite: bool = True) -> tuple[Array, Array]:
    """(t, z), complex: the triangular Schur form of the real one (T, Z), of shapes (..., n, n).

    Each 2x2 block is made triangular by a rotation (Golub & Van Loan, "Matrix Computations", 4th
    ed., 2013, section 7.4.1). Raises ValueError for shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> t, z = rsf2csf(jnp.array([[0.0, 1.0], [-1.0, 0.0]]), jnp.eye(2))
    >>> jnp.diagonal(t).round(4)
    Array([0.+1.j, 0.-1.j], dtype=complex64)
    """
    del check_finite
    t, z = promote_inexact("scipy.linalg.rsf2csf", given("rsf2csf", T, True), given("rsf2csf", Z, True))
    if t.ndim < 2 or t.shape[-1] != t.shape[-2] or t.shape != z.shape:
        raise here(ValueError, f"rsf2csf takes T and Z of one shape (..., n, n), got {t.shape} and {z.shape}")
    matrices.check("rsf2csf", t)
    t, z = (x.astype(dtypes.to_complex(x.dtype)) for x in (t, z))
    n = t.shape[-1]
    if n < 2:
        return t, z
    size, below = abs(jnp.diagonal(t, 0, -2, -1)), abs(jnp.diagonal(t, -1, -2, -1))
    block = below > float(jnp.finfo(t.dtype).eps) * (size[..., :-1] + size[..., 1:])
    g, _ = rotations(t, block)
    g_adjoint = matrices.adjoint(g)
    return jnp.triu(matrices.matmul(g, matrices.matmul(t, g_adjoint))), matrices.matmul(z, g_adjoint)


def hessenberg(a: Any, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """h, zero below the first subdiagonal, or with `calc_q` (h, q) with a = q h qᴴ and q unitary,
    for `a` of shape (..., n, n).

    The first column of q is that of the identity, which determines the rest up to signs. Derivatives
    exist unless h has a zero on its subdiagonal, where they are NaN or infinite. Raises ValueError
    for matrices that are not square, TypeError for integers.

    >>> import pullback.numpy as jnp
    >>> hessenberg(jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    Array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    del overwrite_a, check_finite
    x = matrices.matrix("hessenberg", exact_type("hessenberg", a), square=True)
    h, *q = lax_linalg.hessenberg_factors_p.bind(x, compute_q=bool(calc_q))
    return (h, *q) if calc_q else h


def eigh(
    a: Any,
    b: Any = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """(w, v): increasing eigenvalues (..., n) and eigenvectors, the columns of v (..., n, n), of
    Hermitian `a`; w alone with `eigvals_only`.

    With a Hermitian positive definite `b`, of the problem a v = w b v (`type` 1), a b v = w v (2)
    or b a v = w v (3), by the Cholesky factor of `b` (Golub & Van Loan, "Matrix Computations", 4th
    ed., 2013, section 8.7.2); v is then normalized so that vᴴ b v = 1 (types 1 and 2) or vᴴ b⁻¹ v =
    1. (a + aᴴ)/2 and (b + bᴴ)/2 are used, whatever `lower` is. Raises NotImplementedError for
    `eigvals`, ValueError for other types and shapes that do not fit.

    >>> import pullback.numpy as jnp
    >>> eigh(jnp.array([[4.0, 0.0], [0.0, 8.0]]), 4 * jnp.eye(2), eigvals_only=True)
    Array([1., 2.], dtype=float32)
    """
    del overwrite_a, overwrite_b, turbo, check_finite
    if eigvals is not None:
        raise NotImplementedError(f"eigh computes all eigenvalues: take those of eigvals={eigvals} from the result")
    if type not in (1, 2, 3):
        raise here(ValueError, f"eigh: type must be 1, 2 or 3, got {type!r}")
    if b is None:
        v, w = lax_linalg.eigh(_hermitian(a), lower=bool(lower))
        return w if eigvals_only else (w, v)
    a, b = promote_inexact("scipy.linalg.eigh", _hermitian(a), _hermitian(b))
    if a.shape != b.shape:
        raise here(ValueError, f"eigh takes a and b of one shape (..., n, n), got {a.shape} and {b.shape}")
    factor = lax_linalg.cholesky_p.bind(b, symmetrize_input=True)
    a = matrices.symmetrize(a)
    adjoint_of = {"lower": True, "transpose_a": True, "conjugate_a": dtypes.is_complex(a.dtype)}
    if type == 1:  # L⁻¹ a L⁻ᴴ
        c = substitute(factor, substitute(factor, a, lower=True), left_side=False, **adjoint_of)
    else:  # Lᴴ a L
        c = matrices.matmul(matrices.adjoint(factor), matrices.matmul(a, factor))
    v, w = lax_linalg.eigh(c)
    if eigvals_only:
        return w
    return w, matrices.matmul(factor, v) if type == 3 else substitute(factor, v, **adjoint_of)


def _hermitian(x: Any) -> Array:
    array = given("eigh", x, lists=True)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise here(TypeError, f"eigh takes matrices of shape (..., n, n), got shape {array.shape}")
    matrices.check("eigh", array)
    return array


def eigh_tridiagonal(
    d: Any,
    e: Any,
    *,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: tuple[float, float] | None = None,
    tol: float | None = None,
    key: Array | None = None,
) -> Any:
    """(w, v): increasing eigenvalues and eigenvectors of the Hermitian tridiagonal matrices with
    diagonals `d` (..., n) and subdiagonals `e` (..., n-1); w alone with `eigvals_only`.

    With `select` "i", those with indices from select_range[0] to select_range[1], both included.
    Eigenvalues alone are those of LAPACK's sterf, or bisected in compiled code. With eigenvectors the
    matrices are decomposed as full ones, by LAPACK's divide and conquer, which leaves none out and
    has orthogonal eigenvectors: `tol` and `key` change nothing. Raises TypeError unless both
    are floating and of one dtype, ValueError for ranges and shapes that do not fit,
    NotImplementedError for `select` "v", whose results have no shape that is known beforehand.

    >>> import pullback.numpy as jnp
    >>> eigh_tridiagonal(jnp.zeros(3), jnp.ones(2), eigvals_only=True).round(4) + 0
    Array([-1.4142,  0.    ,  1.4142], dtype=float32)
    """
    del tol, key
    d, e = jnp.asarray(d), jnp.asarray(e)
    if d.dtype != e.dtype or d.dtype not in matrices.LAPACK_TYPES:
        raise here(
            TypeError,
            "eigh_tridiagonal takes diagonals of one dtype with 32 bits or more, floating or complex, got "
            f"{dtypes.name(d.dtype)} and {dtypes.name(e.dtype)}",
        )
    if not d.ndim or e.shape != (*d.shape[:-1], max(d.shape[-1] - 1, 0)):
        raise here(TypeError, f"eigh_tridiagonal takes d (..., n) and e (..., n-1), got shapes {d.shape} and {e.shape}")
    n = d.shape[-1]
    first, last = 0, n
    if select == "v":
        raise NotImplementedError(
            "eigh_tridiagonal with select='v' has results whose shape depends on values: select from those of select='a'"
        )
    if select == "i":
        if select_range is None:
            raise here(ValueError, "eigh_tridiagonal with select='i' needs select_range=(first, last)")
        first, last = integers(select_range, "select_range")
        if last < first:
            raise here(ValueError, f"eigh_tridiagonal got the empty index range {select_range}")
        if first < 0 or last >= n:
            raise here(ValueError, f"eigh_tridiagonal: select_range {select_range} is not within 0 to {n - 1}")
        last += 1
    elif select != "a":
        raise here(ValueError, f"eigh_tridiagonal: select must be 'a' or 'i', got {select!r}")
    if eigvals_only:
        return lax_linalg.tridiagonal_eigenvalues_p.bind(d, e)[..., first:last]
    a = matrices.diagonal_matrix(d)
    if n > 1:
        below = matrices.diagonal_matrix(pad(e, like(0, e), [(0, 0, 0)] * (e.ndim - 1) + [(0, 1, 0)]))
        a = a + jnp.roll(below, 1, -2)
    v, w = lax_linalg.eigh_p.bind(a, lower=True, sort_eigenvalues=True)
    return w[..., first:last], v[..., first:last]
