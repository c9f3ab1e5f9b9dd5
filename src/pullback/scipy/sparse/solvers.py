"""Linear solvers by name, for derivatives of solutions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pullback.numpy as jnp
from pullback.control.convergence import warn_unless
from pullback.scipy.sparse.linalg import METHODS, of_trees
from pullback.scipy.sparse.vectors import on_vectors, precision_of, vector_of
from pullback.transforms.linearize import linearize
from pullback.transforms.vmap import vmap

LinearSolver = Callable[[Callable[[Any], Any], Any], Any]


def linear_solver(choice: Any, warns: bool = True) -> LinearSolver:
    """The solver (matvec, b) → x that `choice` names: "dense", "cg", "gmres" or "bicgstab"; or
    `choice` itself, a function of a LinearMap.

    Iterations end when the residual is about as small as rounding permits. Solvers with names give
    a `ConvergenceWarning` where they fail, if `warns`. Raises ValueError for other names, TypeError
    for what is neither.
    """
    if callable(choice):
        return lambda matvec, b: choice(linearize(matvec, b)[1], b)
    if not isinstance(choice, str):
        raise TypeError(f"linear_solve must be a function or a name, got {choice!r:.100}")
    if choice == "dense":
        return partial(_dense, warns=warns)
    if choice not in METHODS:
        raise ValueError(
            f"linear_solve must be one of 'dense', 'cg', 'gmres', 'bicgstab', or a function; got {choice!r}"
        )
    return partial(_iterative, choice, warns=warns)


def _dense(matvec: Callable[[Any], Any], b: Any, warns: bool) -> Any:
    vector, unravel = vector_of(b, as_real=True)
    apply = on_vectors(matvec, unravel, as_real=True)
    x = jnp.linalg.solve(vmap(apply, out_axes=1)(jnp.eye(vector.size, dtype=vector.dtype)), vector)
    # Zero solves every system without a right-hand side. (One of a batch that is masked may have no
    # matrix either.)
    x = jnp.where(jnp.any(vector != 0), x, 0)
    if warns:
        solved = jnp.all(jnp.isfinite(x)) | ~jnp.all(jnp.isfinite(vector))
        warn_unless(solved, "the matrix of a linear system that a derivative needs is singular")
    return unravel(x)


def _iterative(name: str, matvec: Callable[[Any], Any], b: Any, warns: bool) -> Any:
    vector, unravel = vector_of(b, as_real=True)
    apply = on_vectors(matvec, unravel, as_real=True)
    x, info = of_trees(METHODS[name], apply, vector, None, None, precision_of(b), 0.0, max(10 * vector.size, 10))
    if warns:
        warn_unless(info == 0, f"{name} did not converge for a linear system that a derivative needs")
    return unravel(x)


__all__ = ["LinearSolver", "linear_solver"]
