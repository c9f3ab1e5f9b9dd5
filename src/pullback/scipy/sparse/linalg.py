"""Linear systems of operators: cg, gmres and bicgstab.

The operator A is a square matrix or a linear function of trees; the tree b may hold arrays of any
shapes. Iterations are loops in programs, and what is differentiated is the solution, not the
iteration: a derivative, in either mode and of any order, is another solve, with the same method and
tolerances (see `control.solves`). It is taken with respect to `b` and everything that A closes
over; the initial guess and the preconditioner have derivative zero.

Each function gives (x, info). The integer scalar `info` is 0 if |b − A x| ≤ max(tol |b|, atol) has
been reached; the number of iterations (for gmres: of restarts) if `maxiter` was reached first; −1
if the method broke down: the residual was not finite, was orthogonal to what it is projected on, or
no longer shrank. A solve that has not converged gives a `ConvergenceWarning` as well, and so does
one that a derivative needs. No number of NaNs makes a loop endless.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import pullback.numpy as jnp
from pullback.control.convergence import warn_unless
from pullback.control.loops import fori_loop, while_loop
from pullback.control.solves import linear_solve
from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_api, user_line
from pullback.core.tree import tree_leaves, tree_map, tree_structure
from pullback.lax.blocks import (
    dynamic_index_in_dim,
    dynamic_slice_in_dim,
    dynamic_update_index_in_dim,
    dynamic_update_slice_in_dim,
)
from pullback.lax.linalg import triangular_solve
from pullback.lax.shape import convert
from pullback.scipy.sparse.vectors import on_vectors, vector_of
from pullback.transforms.linear_maps import LinearMap
from pullback.transforms.linearize import linear_transpose

Vector = Any
Matvec = Callable[[Any], Any]
#: A method: (A, b, M, threshold of |b − A x|, maxiter) → (x with zero as initial guess, info), for
#: vectors.
Method = Callable[[Matvec, Vector, Matvec | None, Any, int], tuple[Vector, Any]]


def cg(
    A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None
) -> tuple[Any, Array]:
    """(x, info) with A x = b, by the method of conjugate gradients, for A and M symmetric
    (Hermitian) and positive definite.

    `tol`, `atol`: relative and absolute tolerance of the residual. `maxiter`: 10 times the size of
    b, if not given. `M`: a preconditioner, that is, an approximate inverse of A; like A a matrix or
    a function. `info`: see the module's text.

    Source: M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems",
    J. Res. NBS 49 (1952).

    >>> x, info = cg(jnp.array([[4.0, 1.0], [1.0, 3.0]]), jnp.array([9.0, 5.0]))
    >>> x.round(3), int(info)
    (Array([2., 1.], dtype=float32), 0)
    """
    return _solve("cg", _cg, A, b, x0, tol, atol, maxiter, M)


def bicgstab(
    A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None
) -> tuple[Any, Array]:
    """(x, info) with A x = b, by the stabilized method of biconjugate gradients, for any square A.
    Arguments are those of `cg`.

    Source: H. A. van der Vorst, "Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG", SIAM
    J. Sci. Stat. Comput. 13 (1992).

    >>> x, info = bicgstab(lambda x: {"a": 2.0 * x["a"]}, {"a": jnp.array([2.0, 4.0])})
    >>> x["a"]
    Array([1., 2.], dtype=float32)
    """
    return _solve("bicgstab", _bicgstab, A, b, x0, tol, atol, maxiter, M)


def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, Array]:
    """(x, info) with A x = b, by the method of generalized minimal residuals, for any square A.

    After `restart` steps it starts again from what it has found; `maxiter` counts these restarts.
    With `solve_method` "batched" all steps are made before the least-squares problem is solved;
    with "incremental" it is solved step by step, which costs more each, and the steps end as soon
    as the tolerance is reached. The other arguments are those of `cg`; the preconditioner is
    applied from the right, so that the tolerance is that of the residual itself.

    Source: Y. Saad, M. H. Schultz, "GMRES: a generalized minimal residual algorithm for solving
    nonsymmetric linear systems", SIAM J. Sci. Stat. Comput. 7 (1986); the basis is orthogonalized
    twice.

    >>> x, info = gmres(jnp.array([[1.0, 2.0], [0.0, 4.0]]), jnp.array([5.0, 8.0]))
    >>> x.round(3)
    Array([1., 2.], dtype=float32)
    """
    if solve_method not in ("batched", "incremental"):
        raise ValueError(f"gmres: invalid solve_method {solve_method!r}, must be either 'incremental' or 'batched'")
    if not isinstance(restart, (int, np.integer)) or restart < 1:
        raise ValueError(f"gmres: restart must be a positive integer, got {restart!r}")
    method = partial(_gmres, restart=int(restart), incremental=solve_method == "incremental")
    return _solve("gmres", method, A, b, x0, tol, atol, maxiter, M)


# ---- what the methods share ----------------------------------------------------------------------


@user_api
def _solve(name: str, method: Method, A: Any, b: Any, x0: Any, tol: Any, atol: Any, maxiter: Any, M: Any) -> Any:
    b = _inexact(b, f"the right-hand side of {name}")
    guess = None if x0 is None else _guess(name, x0, b)
    matvec = _operator(name, A, "A", b)
    precondition = None if M is None else _operator(name, M, "M", b)
    size = sum(x.size for x in tree_leaves(b))
    if maxiter is None:
        maxiter = 10 * size
    symmetric = method is _cg and not any(dtypes.is_complex(x.dtype) for x in tree_leaves(b))

    def solve(A: Matvec, b: Any, guess: Any = guess, M: Matvec | None = precondition) -> tuple[Any, Array]:
        x, info = of_trees(method, A, b, guess, M, tol, atol, maxiter)
        warn_unless(info == 0, f"{name} did not converge")
        return x, info

    def inverse(A: Matvec, b: Any) -> Any:
        return solve(A, b, None)[0]

    def transpose(A: Matvec, b: Any) -> Any:
        return solve(A, b, None, None if precondition is None else _transposed(precondition))[0]

    back = inverse if symmetric else transpose
    return linear_solve(matvec, b, solve, back, symmetric, has_aux=True, inverse=inverse, name=name)


def _inexact(tree: Any, what: str) -> Any:
    def leaf(x: Any) -> Array:
        x = as_array(x)
        return convert(x, x.dtype if dtypes.is_inexact(x.dtype) else dtypes.default_dtype(float))

    try:
        return tree_map(leaf, tree)
    except TypeError as error:
        raise TypeError(f"{what} must be a tree of arrays: {error}") from None


def _guess(name: str, x0: Any, b: Any) -> Any:
    if tree_structure(x0) != tree_structure(b):
        raise ValueError(
            f"{name}: x0 and b must have matching tree structure, at {user_line()}: {tree_structure(x0)} vs {tree_structure(b)}"
        )
    shapes = [[np.shape(x) for x in tree_leaves(t)] for t in (x0, b)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{name}: arrays in x0 and b must have matching shapes, at {user_line()}: {shapes[0]} vs {shapes[1]}"
        )
    return tree_map(lambda x, y: convert(as_array(x), y.dtype), x0, b)


def _operator(name: str, A: Any, what: str, b: Any) -> Matvec:
    """A matrix, a linear map or a function as a function."""
    if isinstance(A, LinearMap):
        return A.__matmul__
    if callable(A):
        return A
    try:
        matrix = as_array(A)
    except TypeError:
        matrix = None
    if matrix is None or not matrix.ndim:
        raise TypeError(f"{name}: {what} must be either a function or a matrix, got {A!r:.100}, at {user_line()}")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: {what} must be a square matrix, but has shape {matrix.shape}, at {user_line()}")
    shapes = [x.shape for x in tree_leaves(b)]
    if len(shapes) != 1 or not shapes[0] or shapes[0][0] != matrix.shape[1]:
        raise TypeError(
            f"{name}: {what} is a matrix of shape {matrix.shape}, which cannot be applied to arrays of shapes {shapes}, at {user_line()}"
        )
    return lambda x: tree_map(lambda leaf: matrix @ leaf, x)


def _transposed(M: Matvec) -> Matvec:
    return lambda v: linear_transpose(M, v)(v)[0]


def of_trees(
    method: Method, A: Matvec, b: Any, guess: Any, M: Matvec | None, tol: Any, atol: Any, maxiter: int
) -> tuple[Any, Array]:
    """The solution for trees, starting from a guess, by a method for vectors that starts from zero."""
    vector, unravel = vector_of(b)
    if vector.size == 0:
        return b, as_array(np.int32(0))
    apply = on_vectors(A, unravel)
    # Lengths are squared: scaled by its largest entry, no right-hand side is too small or too large
    # for that.
    largest = jnp.max(jnp.abs(vector))
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, jnp.ones_like(largest))
    right = vector / scale
    threshold = jnp.maximum(tol * _norm(right), atol / scale)
    start = None
    if guess is not None:
        start = jnp.where(largest > 0, vector_of(guess)[0] / scale, 0)
        right = right - apply(start)
    precondition = None if M is None else on_vectors(M, unravel)
    x, info = method(apply, right, precondition, threshold.astype(largest.dtype), maxiter)
    if start is not None:
        x = x + start
    # What has no finite residual to begin with has no solution.
    x = jnp.where(jnp.isfinite(_norm(right)), x, np.nan)
    return unravel(x * scale), info


def _norm(v: Vector) -> Any:
    return jnp.sqrt(_square(v))


def _square(v: Vector) -> Any:
    return jnp.vdot(v, v).real


def _info(residual: Any, threshold: Any, count: Any, maxiter: int) -> Any:
    finite = jnp.isfinite(residual)
    failed = jnp.where(finite & (count >= maxiter), jnp.maximum(count, 1), -1)
    return jnp.where(finite & (residual <= threshold), 0, failed).astype(np.int32)


# ---- the methods ---------------------------------------------------------------------------------
#
# The threshold is in the state of their loops, because scalars that a loop closes over are
# constants of its program: other right-hand sides would have to be compiled.


def _cg(A: Matvec, b: Vector, M: Matvec | None, threshold: Any, maxiter: int) -> tuple[Vector, Any]:
    def runs(state: Any) -> Any:
        *_, square, limit, k = state
        return (square > limit) & (square < np.inf) & (k < maxiter)

    def step(state: Any) -> Any:
        x, r, p, gamma, _, limit, k = state
        ap = A(p)
        alpha = gamma / jnp.vdot(p, ap).real
        x, r = x + alpha * p, r - alpha * ap
        square, z, new = measured(r)
        return x, r, z + new / gamma * p, new, square, limit, k + 1

    def measured(r: Vector) -> tuple[Any, Vector, Any]:
        """|r|², the preconditioned residual z, and ⟨r, z⟩."""
        square = _square(r)
        if M is None:
            return square, r, square
        z = M(r)
        return square, z, jnp.vdot(r, z).real

    square, z, gamma = measured(b)
    init = (jnp.zeros_like(b), b, z, gamma, square, threshold**2, np.int32(0))
    x, *_, square, limit, k = while_loop(runs, step, init)
    return x, _info(square, limit, k, maxiter)


def _bicgstab(A: Matvec, b: Vector, M: Matvec | None, threshold: Any, maxiter: int) -> tuple[Vector, Any]:
    precondition = M or (lambda v: v)
    shadow = b

    def runs(state: Any) -> Any:
        *_, rho, _, omega, square, limit, k = state
        return (square > limit) & (square < np.inf) & (k < maxiter) & (rho != 0) & (omega != 0)

    def step(state: Any) -> Any:
        x, r, p, v, rho, last, omega, _, limit, k = state
        # `last` is ⟨shadow, r⟩ / α of the step before; the first step has p = r.
        p = r + jnp.where(k == 0, 0, rho / (last * omega)) * (p - omega * v)
        p_hat = precondition(p)
        v = A(p_hat)
        alpha = rho / jnp.vdot(shadow, v)
        s = r - alpha * v
        done = _square(s) <= limit
        s_hat = precondition(s)
        t = A(s_hat)
        omega = jnp.where(done, 0, jnp.vdot(t, s) / jnp.where(done, 1, jnp.vdot(t, t)))
        x = x + alpha * p_hat + omega * s_hat
        r = s - omega * t
        return x, r, p, v, jnp.vdot(shadow, r), rho / alpha, omega, _square(r), limit, k + 1

    one = jnp.ones((), b.dtype)
    nothing = jnp.zeros_like(b)
    init = (nothing, b, nothing, nothing, jnp.vdot(shadow, b), one, one, _square(b), threshold**2, np.int32(0))
    x, *_, square, limit, k = while_loop(runs, step, init)
    return x, _info(square, limit, k, maxiter)


def _gmres(
    A: Matvec, b: Vector, M: Matvec | None, threshold: Any, maxiter: int, restart: int, incremental: bool
) -> tuple[Vector, Any]:
    precondition = M or (lambda v: v)
    restart = min(restart, b.size)
    projected = _incremental if incremental else _batched

    def runs(state: Any) -> Any:
        _, _, size, last, threshold, k = state
        return (size > threshold) & (size < last) & (k < maxiter)

    def step(state: Any) -> Any:
        x, r, size, _, threshold, k = state
        basis, y = projected(lambda v: A(precondition(v)), r, size, threshold, restart)
        new = x + precondition(y @ basis[:restart])
        r_new = b - A(new)
        size_new = _norm(r_new)
        # A restart that gains nothing will not gain anything later.
        gains = ~(size_new >= size)
        least = jnp.where(gains, size_new, size)
        return jnp.where(gains, new, x), jnp.where(gains, r_new, r), least, size, threshold, k + 1

    size = _norm(b)
    infinite = jnp.full_like(size, np.inf)
    x, _, size, *_, k = while_loop(runs, step, (jnp.zeros_like(b), b, size, infinite, threshold, np.int32(0)))
    return x, _info(size, threshold, k, maxiter)


def _extended(A: Matvec, basis: Any, k: Any) -> tuple[Any, Any]:
    """Arnoldi's step: the orthonormal basis (rows, those from k + 1 on zero) with one more vector,
    and A's column in it."""
    v = A(dynamic_index_in_dim(basis, k, keepdims=False))
    before = _norm(v)
    h = basis.conj() @ v
    v = v - h @ basis
    again = basis.conj() @ v
    v = v - again @ basis
    size = _norm(v)
    # What is left of a vector in the span of the basis is rounding, and no direction.
    inside = size <= dtypes.finfo(size.dtype).eps * before
    size = jnp.where(inside, 0, size)
    v = jnp.where(inside, 0, v / jnp.where(inside, 1, size))
    return _with_row(basis, v, k + 1), _with_row(h + again, size.astype(h.dtype), k + 1)


def _with_row(x: Any, row: Any, k: Any) -> Any:
    """`x` with another entry number k."""
    return dynamic_update_index_in_dim(x, row, k, 0)


def _first(r: Vector, size: Any, restart: int) -> Any:
    """The basis that has only the direction of `r`."""
    return jnp.zeros((restart + 1, r.size), r.dtype).at[0].set(r / size)


def _batched(A: Matvec, r: Vector, size: Any, threshold: Any, restart: int) -> tuple[Any, Any]:
    """The basis after `restart` steps, and the coefficients in it of what leaves the least residual
    of `r`, which has length `size`."""

    def step(k: Any, state: Any) -> Any:
        basis, columns = state
        basis, column = _extended(A, basis, k)
        return basis, _with_row(columns, column, k)

    columns = jnp.zeros((restart, restart + 1), r.dtype)
    basis, columns = fori_loop(0, restart, step, (_first(r, size, restart), columns))
    q, upper = jnp.linalg.qr(columns.T)
    return basis, _back_substituted(upper, size * q[0].conj())


def _incremental(A: Matvec, r: Vector, size: Any, threshold: Any, restart: int) -> tuple[Any, Any]:
    """The same, by a rotation at each step, until the residual is at most `threshold`."""

    def runs(state: Any) -> Any:
        *_, residual, k = state
        return (residual > threshold) & (k < restart)

    def step(state: Any) -> Any:
        basis, columns, rotations, right, _, k = state
        basis, column = _extended(A, basis, k)
        column = rotations @ column
        pivot, below = dynamic_slice_in_dim(column, k, 2)
        length = jnp.sqrt(jnp.abs(pivot) ** 2 + jnp.abs(below) ** 2)
        safe = jnp.where(length > 0, length, 1)
        c, s = jnp.where(length > 0, pivot / safe, 1), below / safe
        rotation = jnp.stack([jnp.stack([c.conj(), s.conj()]), jnp.stack([-s, c])])
        turn = lambda x: dynamic_update_slice_in_dim(x, rotation @ dynamic_slice_in_dim(x, k, 2), k, 0)
        right = turn(right)
        residual = jnp.abs(dynamic_index_in_dim(right, k + 1, keepdims=False))
        return basis, _with_row(columns, turn(column), k), turn(rotations), right, residual, k + 1

    rows = restart + 1
    columns = jnp.zeros((restart, rows), r.dtype)
    right = jnp.zeros(rows, r.dtype).at[0].set(size.astype(r.dtype))
    init = (_first(r, size, restart), columns, jnp.eye(rows, dtype=r.dtype), right, size, np.int32(0))
    basis, columns, _, right, _, k = while_loop(runs, step, init)
    right = jnp.where(jnp.arange(restart) < k, right[:restart], 0)
    return basis, _back_substituted(columns.T[:restart], right)


def _back_substituted(upper: Any, right: Any) -> Any:
    """y with upper · y = right, zero in the columns that are zero on the diagonal: the steps that
    were not needed."""
    diagonal = jnp.abs(jnp.diagonal(upper))
    used = diagonal > dtypes.finfo(diagonal.dtype).eps * jnp.max(diagonal)
    upper = jnp.where(used[:, None] & used[None, :], upper, jnp.eye(len(used), dtype=upper.dtype))
    right = jnp.where(used, right, 0).astype(upper.dtype)
    return triangular_solve(upper, right[:, None], left_side=True)[:, 0]


METHODS: dict[str, Method] = {
    "cg": _cg, "bicgstab": _bicgstab, "gmres": partial(_gmres, restart=20, incremental=True),
}  # fmt: skip

__all__ = ["bicgstab", "cg", "gmres"]
