"""Fixed points, roots and minima as functions of parameters, differentiated by the implicit
function theorem.

    fixed_point(f, x0, *params)     x with x = f(x, *params)
    root(f, x0, *params)            x with f(x, *params) = 0
    argmin(f, x0, *params)          x with f(x, *params) minimal

Here x is a tree of arrays, of the structure and types of the initial guess `x0`. All three are
conditions F(x, θ) = 0, with F = f − x, f, ∇f; by the implicit function theorem their solution has
the derivative

    dx = −(∂F/∂x)⁻¹ (∂F/∂θ) dθ

(S. G. Krantz, H. R. Parks, *The Implicit Function Theorem*, 2002; M. Blondel et al., "Efficient and
modular implicit differentiation", NeurIPS 2022). So the solver is not differentiated, and need not
be differentiable: a derivative costs one linear solve and no memory that grows with the number of
iterations. That holds in both modes, of any order, under `jit` and `vmap`, with respect to the
parameters and to everything that `f` closes over; with respect to `x0` the derivative is zero.

What the functions have in common:

- `params`: trees. Arrays and floating-point numbers in them are traced, so that a function solved
  again with others is not compiled again; integers and what is no number are not. (A number that
  `f` closes over is part of its program.)
- Complex numbers in x are pairs of real ones to the solvers that have names, so `f` need not be
  holomorphic; 16-bit numbers are calculated with in 32 bits.
- `solver`: a name (see each function) or a function `solver(f, x0)` of x ↦ f(x, *params), which
  gives x.
- `linear_solve`: how derivatives solve linear systems, and Newton's method too. "dense" makes the
  matrix, from as many products as it has rows; "cg" (symmetric matrices: minima), "gmres" and
  "bicgstab" need products only; or a function `linear_solve(map, b)` that gives x with map(x) = b,
  where `map` is a `LinearMap` (`map.to_matrix()`, `map.T`).
- `tol`: the solution counts as converged when |F(x)| ≤ tol · (1 + s), in Euclidean norm, where s is
  |x| for fixed points and |F(x0)| for the others. The default is u^(3/4), with u the machine
  precision: 6e-6 for float32, 2e-12 for float64.
- `maxiter`: the largest number of iterations. Values that are not finite end an iteration at once.
- `full_output`: give (x, info) with a `SolveInfo`. Whatever did not converge, a linear solve of a
  derivative too, gives a `ConvergenceWarning` when the program runs, unless `warn` is False.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import pullback.numpy as jnp
from pullback.control.convergence import ConvergenceWarning, warn_unless
from pullback.control.loops import while_loop
from pullback.control.solves import custom_root
from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.errors import user_api, user_line
from pullback.core.tree import arrays_of, tree_flatten, tree_map, tree_structure, tree_unflatten
from pullback.lax.shape import convert, reshape
from pullback.scipy.optimize import minimum
from pullback.scipy.sparse.solvers import LinearSolver, linear_solver
from pullback.scipy.sparse.vectors import on_vectors, precision_of, vector_of
from pullback.transforms.derivatives import grad
from pullback.transforms.linearize import linearize


class SolveInfo(NamedTuple):
    """How a solver ended: whether it has `converged`, after how many `iterations` (−1 if it does
    not say), and |F(x)|, the `residual`."""

    converged: Array
    iterations: Array
    residual: Array


class _Problem(NamedTuple):
    """What a solver is given: F as a function of real vectors, the initial vector, the threshold of
    |F(x)| at x, the largest number of iterations; and what makes a tree of a vector."""

    residual_of: Callable[[Any], Any]
    start: Any
    threshold: Callable[[Any], Any]
    maxiter: int
    unravel: Callable[[Any], Any]


#: A solver gives (x, iterations).
_Method = Callable[[_Problem], tuple[Any, Any]]


@user_api
def fixed_point(
    f: Callable[..., Any],
    x0: Any,
    *params: Any,
    solver: str | Callable[..., Any] = "iteration",
    linear_solve: str | Callable[..., Any] = "gmres",
    tol: float | None = None,
    maxiter: int = 1000,
    full_output: bool = False,
    warn: bool = True,
) -> Any:
    """x with x = f(x, *params), starting from `x0`; with `full_output` (x, `SolveInfo`).

    `solver`: "iteration" applies `f` again and again, which converges where `f` contracts;
    "anderson" combines the last five values so that the residual becomes small (D. G. Anderson, J.
    ACM 12 (1965); H. F. Walker, P. Ni, SIAM J. Numer. Anal. 49 (2011)); "newton" takes the root of
    f(x) − x. The other arguments are explained in the module's text.

    Raises TypeError if f(x) differs from `x0` in structure, shape or dtype, ValueError for unknown
    names.

    >>> x = fixed_point(lambda x, a: jnp.cos(a * x), 1.0, 1.0)
    >>> round(float(x), 4)
    0.7391
    >>> round(float(grad(lambda a: fixed_point(lambda x, a: jnp.cos(a * x), 1.0, a))(1.0)), 4)
    -0.2975
    """
    value = _with(f, params)
    methods = {"iteration": _iteration, "anderson": _anderson, "newton": _newton(linear_solve)}

    def condition(x: Any) -> Any:
        y = value(x)
        if tree_structure(y) != tree_structure(x):
            raise TypeError(
                f"fixed_point: f(x) must have the structure of x0, at {user_line()}: expected {tree_structure(x)}, got {tree_structure(y)}"
            )
        return tree_map(lambda y, x: y - x, y, x)

    scale = lambda x, _: x
    return _solved(
        "fixed_point", condition, value, x0, solver, methods, scale, linear_solve, tol, maxiter, full_output, warn
    )


@user_api
def root(
    f: Callable[..., Any],
    x0: Any,
    *params: Any,
    solver: str | Callable[..., Any] = "newton",
    linear_solve: str | Callable[..., Any] = "dense",
    tol: float | None = None,
    maxiter: int = 100,
    full_output: bool = False,
    warn: bool = True,
) -> Any:
    """x with f(x, *params) = 0, starting from `x0`; with `full_output` (x, `SolveInfo`).

    `f` gives a tree of the structure and types of x. `solver`: "newton" is Newton's method, with
    steps halved until |f| shrinks (Nocedal & Wright, *Numerical Optimization*, 2006, chapter 11).
    The other arguments are explained in the module's text.

    Raises TypeError if f(x) differs from `x0` in structure, shape or dtype, ValueError for unknown
    names.

    >>> square_root = lambda a: root(lambda x, a: x**2 - a, 1.0, a)
    >>> float(square_root(4.0)), float(grad(square_root)(4.0)), float(grad(grad(square_root))(4.0))
    (2.0, 0.25, -0.03125)
    """
    methods = {"newton": _newton(linear_solve)}
    condition = _with(f, params)
    return _solved(
        "root", condition, condition, x0, solver, methods, _first, linear_solve, tol, maxiter, full_output, warn
    )


@user_api
def argmin(
    f: Callable[..., Any],
    x0: Any,
    *params: Any,
    solver: str | Callable[..., Any] = "bfgs",
    linear_solve: str | Callable[..., Any] = "cg",
    tol: float | None = None,
    maxiter: int = 1000,
    full_output: bool = False,
    warn: bool = True,
) -> Any:
    """x where the scalar f(x, *params) has a local minimum, starting from `x0`; with `full_output`
    (x, `SolveInfo`).

    `solver`: "bfgs" and "l-bfgs" are quasi-Newton methods (see `pullback.scipy.optimize`); "newton"
    takes the root of the gradient, which may be any stationary point. A solver that is a function
    gets f itself. The linear systems are those of the Hessian, which is positive definite at a
    minimum that has derivatives; `residual` is the length of the gradient. The other arguments are
    explained in the module's text.

    Raises TypeError if `f` does not give a real scalar, ValueError for unknown names.

    >>> ridge = lambda w, c: jnp.sum((jnp.array([[1.0], [2.0]]) @ w - 1.0) ** 2) + c * jnp.sum(w**2)
    >>> w = lambda c: argmin(ridge, jnp.zeros(1), c)[0]
    >>> round(float(w(1.0)), 4), round(float(grad(w)(1.0)), 4)
    (0.5, -0.0833)
    """
    value = _with(f, params)
    methods = {
        "bfgs": _quasi_newton(value, False),
        "l-bfgs": _quasi_newton(value, True),
        "newton": _newton(linear_solve),
    }
    # The gradient with respect to real and imaginary parts: its derivative is symmetric.
    gradient = grad(value)
    condition = lambda x: tree_map(jnp.conj, gradient(x))
    return _solved(
        "argmin", condition, value, x0, solver, methods, _first, linear_solve, tol, maxiter, full_output, warn
    )


def _with(f: Callable[..., Any], params: Any) -> Callable[[Any], Any]:
    """x ↦ f(x, *params).

    Programs hold the scalars that they close over as constants. Those in `params` are made vectors
    of length 1, of which the program makes scalars, so that it serves for other parameters too.
    """
    leaves, tree = tree_flatten(params)
    leaves = [as_array(x) if isinstance(x, (float, complex, np.ndarray, np.generic)) else x for x in leaves]
    scalar = [x.__class__ is ConcreteArray and not x.shape and dtypes.is_inexact(x.dtype) for x in leaves]
    leaves = [reshape(x, (1,)) if is_scalar else x for x, is_scalar in zip(leaves, scalar)]

    def applied(x: Any) -> Any:
        operands = [reshape(v, ()) if is_scalar else v for v, is_scalar in zip(leaves, scalar)]
        return f(x, *tree_unflatten(tree, operands))

    return applied


def _first(x: Any, residual: Any) -> Any:
    """Residuals are measured by that of the initial guess."""
    del x
    return residual


def _solved(
    name: str, condition: Callable[[Any], Any], f: Callable[[Any], Any], x0: Any, solver: Any, methods: dict[str, _Method],
    scale: Callable[[Any, Any], Any], linear_solve: Any, tol: Any, maxiter: int, full_output: bool, warn: bool,
) -> Any:  # fmt: skip
    """x with condition(x) = 0, found by `solver`: a name of one of `methods`, or a function of `f`
    and the initial guess."""
    if not callable(solver) and solver not in methods:
        raise ValueError(f"{name}: solver must be a function or one of {', '.join(map(repr, methods))}; got {solver!r}")
    leaves, tree = arrays_of(x0, f"the initial guess of {name}")
    for i, x in enumerate(leaves):
        if not dtypes.is_inexact(x.dtype):
            leaves[i] = convert(x, dtypes.default_dtype(float))
    guess = tree_unflatten(tree, leaves)

    def solve(checked: Callable[[Any], Any], guess: Any) -> tuple[Any, SolveInfo]:
        start, unravel = vector_of(guess, as_real=True)
        residual_of = on_vectors(checked, unravel, as_real=True)
        relative = precision_of(guess) if tol is None else tol
        initial = residual_of(start)
        threshold = lambda v: relative * (1 + _norm(scale(v, initial)))
        if callable(solver):
            found = solver(f, guess)
            x, iterations = vector_of(found, as_real=True)[0], np.int32(-1)
        else:
            x, iterations = methods[solver](_Problem(residual_of, start, threshold, maxiter, unravel))
            # An iteration that met no numbers has found none.
            x = jnp.where(jnp.isfinite(_norm(residual_of(x))), x, np.nan)
            found = unravel(x)
        size = _norm(residual_of(x))
        info = SolveInfo(size <= threshold(x), as_array(iterations), size)
        if warn:
            warn_unless(
                info.converged, f"{name}: {solver if isinstance(solver, str) else 'the solver'} did not converge"
            )
        return found, info

    x, info = custom_root(condition, guess, solve, linear_solver(linear_solve, warn), has_aux=True)
    return (x, info) if full_output else x


def _norm(v: Any) -> Any:
    return jnp.linalg.norm(v)


# ---- the solvers ---------------------------------------------------------------------------------


def _iteration(problem: _Problem) -> tuple[Any, Any]:
    """x + F(x), again and again."""
    residual_of, start, threshold, maxiter, _ = problem

    def runs(state: Any) -> Any:
        x, r, k = state
        return _unfinished(r, x, threshold) & (k < maxiter)

    def step(state: Any) -> Any:
        x, r, k = state
        x = x + r
        return x, residual_of(x), k + 1

    x, _, k = while_loop(runs, step, (start, residual_of(start), np.int32(0)))
    return x, k


def _unfinished(r: Any, x: Any, threshold: Any) -> Any:
    size = _norm(r)
    return (size > threshold(x)) & (size < np.inf)


def _anderson(problem: _Problem, memory: int = 5) -> tuple[Any, Any]:
    """The combination of the last values whose residuals combine to the shortest."""
    residual_of, start, threshold, maxiter, _ = problem
    memory = min(memory, max(start.size, 1))
    eps = dtypes.finfo(start.dtype).eps

    def runs(state: Any) -> Any:
        x, r, *_, k = state
        return _unfinished(r, x, threshold) & (k < maxiter)

    def step(state: Any) -> Any:
        x, r, steps, changes, k = state
        # Columns that are not there yet are zero; what keeps the system regular also keeps their
        # coefficients zero.
        gram = changes @ changes.T
        weight = eps * jnp.trace(gram)
        regular = gram + jnp.where(weight > 0, weight, 1) * jnp.eye(memory, dtype=gram.dtype)
        coefficients = jnp.linalg.solve(regular, changes @ r)
        new = x + r - coefficients @ (steps + changes)
        r_new = residual_of(new)
        at = k % memory
        return new, r_new, steps.at[at].set(new - x), changes.at[at].set(r_new - r), k + 1

    nothing = jnp.zeros((memory, start.size), start.dtype)
    x, *_, k = while_loop(runs, step, (start, residual_of(start), nothing, nothing, np.int32(0)))
    return x, k


def _newton(linear_solve: Any) -> _Method:
    """Newton's method, with steps halved until the residual shrinks."""
    return partial(_newton_steps, linear_solver(linear_solve, warns=False))


def _newton_steps(solver: LinearSolver, problem: _Problem) -> tuple[Any, Any]:
    residual_of, start, threshold, maxiter, _ = problem

    def runs(state: Any) -> Any:
        x, r, last, k = state
        # A step that has not made the residual smaller is the last one.
        return _unfinished(r, x, threshold) & (_norm(r) < last) & (k < maxiter)

    def step(state: Any) -> Any:
        x, r, _, k = state
        size = _norm(r)
        direction = solver(linearize(residual_of, x)[1], -r)

        def too_long(trial: Any) -> Any:
            t, _, r_new = trial
            return ~(_norm(r_new) <= (1 - 1e-4 * t) * size) & (t > 2.0**-20)

        def halved(trial: Any) -> Any:
            return at(trial[0] / 2)

        def at(t: Any) -> Any:
            new = x + t * direction
            return t, new, residual_of(new)

        _, new, r_new = while_loop(too_long, halved, at(jnp.ones_like(size)))
        shrinks = _norm(r_new) < size
        return jnp.where(shrinks, new, x), jnp.where(shrinks, r_new, r), size, k + 1

    r = residual_of(start)
    x, _, _, k = while_loop(runs, step, (start, r, jnp.full_like(_norm(r), np.inf), np.int32(0)))
    return x, k


def _quasi_newton(f: Callable[[Any], Any], lbfgs: bool) -> _Method:
    """BFGS or L-BFGS, which need the values of `f` besides its gradient F."""

    def method(problem: _Problem) -> tuple[Any, Any]:
        options = {
            "maxiter": problem.maxiter, "norm": 2, "gtol": problem.threshold(problem.start), "maxcor": 10, "maxls": 30,
            "line_search_maxiter": 30,
        }  # fmt: skip
        value = lambda v: convert(f(problem.unravel(v)), v.dtype)
        x, (*_, iterations) = minimum(value, problem.start, lbfgs, options)
        return x, iterations

    return method


__all__ = ["ConvergenceWarning", "SolveInfo", "argmin", "fixed_point", "root"]
