"""minimize: minima of functions of many variables, by BFGS and L-BFGS.

The iterations are loops in programs. What is differentiated is the minimum that they find, by the
implicit function theorem (see `control.solves`): with respect to `args` and to everything that the
function closes over, in both modes, to any order, at the cost of one linear solve with the Hessian.
The initial guess has derivative zero.

Sources: J. Nocedal, S. J. Wright, *Numerical Optimization*, 2nd ed., 2006, algorithms 6.1 (BFGS),
7.4 (L-BFGS's two loops), 3.5 and 3.6 (line search); W. W. Hager, H. Zhang, "A new conjugate
gradient method with guaranteed descent and an efficient line search", SIAM J. Optim. 16 (2005), for
the condition that still works where differences of function values are rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import pullback.numpy as jnp
from pullback.control.loops import fori_loop, while_loop
from pullback.control.solves import custom_root
from pullback.core import dtypes
from pullback.core.array import Array, as_array
from pullback.core.errors import user_api, user_line
from pullback.lax.shape import convert
from pullback.scipy.sparse.solvers import linear_solver
from pullback.transforms.derivatives import grad, value_and_grad

CONVERGED, MAXITER, MAXFUN, LINE_SEARCH, FTOL = 0, 1, 2, 3, 4
_RUNNING = -1


class OptimizeResults(NamedTuple):
    """What an optimization gives.

    `x` is the solution and `fun` the value there; these have derivatives. `jac` is the gradient,
    `hess_inv` BFGS's approximation of the inverse Hessian (None for L-BFGS). `success` says whether
    it converged, and `status` how it ended: 0, the gradient is at most `gtol`; 4, the value changed
    by less than `ftol` (L-BFGS); 1, `maxiter` iterations; 2, `maxfun` evaluations; 3, the line
    search found no lower value, or values that are not finite. `nfev`, `njev`, `nit`: numbers of
    values, gradients and iterations.
    """

    x: Array
    success: bool | Array
    status: int | Array
    fun: Array
    jac: Array
    hess_inv: Array | None
    nfev: int | Array
    njev: int | Array
    nit: int | Array


#: The options of each method: names and what they are if not given.
_BFGS: dict[str, Any] = {"maxiter": None, "norm": np.inf, "gtol": 1e-5, "line_search_maxiter": 10}
_LBFGS: dict[str, Any] = {
    "maxiter": None, "norm": np.inf, "gtol": 1e-5, "ftol": 2.220446049250313e-09, "maxcor": 10, "maxfun": None, "maxgrad": None,
    "maxls": 20,
}  # fmt: skip
_METHODS = {"bfgs": _BFGS, "l-bfgs": _LBFGS, "l-bfgs-experimental-do-not-rely-on-this": _LBFGS}


@user_api
def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    method: str,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResults:
    """A local minimum of `fun(x, *args)` over vectors x, from the initial guess `x0` of shape (n,).

    `method`: "BFGS", or "L-BFGS" (also called "l-bfgs-experimental-do-not-rely-on-this"), which
    needs no n × n matrix. `tol`: the largest entry that the gradient of a minimum may have, the
    option `gtol`. `options`: `maxiter` (200 n if not given), `norm` (that of the gradient), `gtol`,
    for BFGS `line_search_maxiter`, for L-BFGS `ftol`, `maxcor`, `maxfun`, `maxgrad` and `maxls`.
    Derivatives of the solution solve with the Hessian: densely after BFGS, by conjugate gradients
    after L-BFGS.

    Raises ValueError for unknown methods and for an `x0` that is no vector, TypeError for unknown
    options, `args` that are no tuple and functions that give no real scalar.

    >>> rosenbrock = lambda x, a: (a - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> result = minimize(rosenbrock, jnp.zeros(2), (1.0,), method="BFGS")
    >>> result.x.round(3), bool(result.success)
    (Array([1., 1.], dtype=float32), True)
    >>> solution = lambda a: minimize(rosenbrock, jnp.zeros(2), (a,), method="BFGS").x
    >>> round(float(grad(lambda a: solution(a)[1])(1.0)), 2)
    2.0
    """
    return _minimize(fun, x0, args, method, tol, dict(options or {}))


def _minimize(fun: Any, x0: Any, args: Any, method: str, tol: Any, options: dict[str, Any]) -> OptimizeResults:
    if not isinstance(args, tuple):
        raise TypeError(f"minimize: args must be a tuple, got {args!r:.100}")
    known = _METHODS.get(method.lower()) if isinstance(method, str) else None
    if known is None:
        raise ValueError(f"minimize: method {method!r} not recognized; there are 'BFGS' and 'L-BFGS'")
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        raise TypeError(f"minimize: unknown options {unknown} for {method}; there are {sorted(known)}")
    x0 = as_array(x0)
    if x0.ndim != 1:
        raise ValueError(f"minimize: x0 must be a vector, got {x0.aval.str_short()}, at {user_line()}")
    if dtypes.is_complex(x0.dtype):
        raise TypeError(f"minimize: x0 must be real, got {x0.aval.str_short()}, at {user_line()}")
    x0 = convert(x0, x0.dtype if dtypes.is_inexact(x0.dtype) else dtypes.default_dtype(float))
    chosen = {**known, **({} if tol is None else {"gtol": tol}), **options}

    def value(x: Any) -> Any:
        y = as_array(fun(x, *args))
        if y.shape or y.dtype != x0.dtype:
            raise TypeError(
                f"minimize: the function must give a scalar of the dtype of x0, {dtypes.name(x0.dtype)}; it gave "
                f"{y.aval.str_short()}, at {user_line()}"
            )
        return y

    lbfgs = known is _LBFGS
    x, aux = custom_root(
        grad(value),
        x0,
        lambda _, x: minimum(value, x, lbfgs, chosen),
        linear_solver("cg" if lbfgs else "dense"),
        has_aux=True,
    )
    status, gradient, hess_inv, nfev, nit = aux
    return OptimizeResults(
        x=x, success=(status == CONVERGED) | (status == FTOL), status=status, fun=value(x), jac=gradient, hess_inv=hess_inv,
        nfev=nfev, njev=nfev, nit=nit,
    )  # fmt: skip


class _State(NamedTuple):
    """Point, value, gradient; the method's memory; numbers of evaluations and iterations; how it
    ended; and the length that a gradient may have (as part of the state, other tolerances need no
    other program)."""

    x: Any
    f: Any
    g: Any
    memory: Any
    evaluations: Any
    iterations: Any
    status: Any
    gtol: Any


def minimum(fun: Callable[[Any], Any], x0: Any, lbfgs: bool, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """A minimum of `fun` from the vector `x0`, and (status, gradient, inverse Hessian or None,
    evaluations, iterations)."""
    evaluate = value_and_grad(fun)
    n = x0.size
    maxiter = 200 * n if options["maxiter"] is None else options["maxiter"]
    ftol = options.get("ftol", 0.0)
    limits = [limit for limit in (options.get("maxfun"), options.get("maxgrad")) if limit is not None]
    maxls = options["maxls" if lbfgs else "line_search_maxiter"]
    init, direction, remember = _limited(n, x0.dtype, options["maxcor"]) if lbfgs else _dense(n, x0.dtype)
    tiny = dtypes.finfo(x0.dtype).eps

    def status_of(g: Any, f: Any, last: Any, evaluations: Any, iterations: Any, found: Any, gtol: Any) -> Any:
        """How it ends here, or that it does not."""
        small = jnp.linalg.norm(g, options["norm"]) <= gtol if n else True
        status = jnp.where(iterations >= maxiter, MAXITER, _RUNNING)
        for limit in limits:
            status = jnp.where(evaluations >= limit, MAXFUN, status)
        if ftol:
            flat = last - f <= ftol * jnp.maximum(jnp.maximum(jnp.abs(last), jnp.abs(f)), 1)
            status = jnp.where(flat & found & (iterations > 0), FTOL, status)
        status = jnp.where(found, status, LINE_SEARCH)
        return jnp.where(small, CONVERGED, status).astype(np.int32)

    def step(state: _State) -> _State:
        p = direction(state.memory, state.g)
        slope = jnp.vdot(state.g, p)
        # Rounding may have spoiled the memory: then go downhill.
        downhill = slope < 0
        p = jnp.where(downhill, p, -state.g)
        slope = jnp.where(downhill, slope, -jnp.vdot(state.g, state.g))
        first = jnp.minimum(1, 1 / jnp.maximum(jnp.sum(jnp.abs(state.g)), tiny))
        trial = jnp.where(state.iterations == 0, first, 1).astype(x0.dtype)
        a, f, g, count = line_search(evaluate, state.x, p, state.f, state.g, slope, trial, maxls)
        found = a > 0
        s, y = a * p, g - state.g
        evaluations, iterations = state.evaluations + count, state.iterations + 1
        status = status_of(g, f, state.f, evaluations, iterations, found, state.gtol)
        return _State(state.x + s, f, g, remember(state.memory, s, y), evaluations, iterations, status, state.gtol)

    f, g = evaluate(x0)
    one, zero = np.int32(1), np.int32(0)
    finite = jnp.isfinite(f) & jnp.all(jnp.isfinite(g))
    gtol = options["gtol"]
    state = _State(x0, f, g, init, one, zero, status_of(g, f, f, one, zero, finite, gtol), gtol)
    state = while_loop(lambda state: state.status == _RUNNING, step, state)
    hess_inv = None if lbfgs else state.memory[0]
    return state.x, (state.status, state.g, hess_inv, state.evaluations, state.iterations)


def _dense(n: int, dtype: Any) -> Any:
    """BFGS: its memory is the approximation H of the inverse Hessian, and whether it has seen a
    step."""

    def direction(memory: Any, g: Any) -> Any:
        return -(memory[0] @ g)

    def remember(memory: Any, s: Any, y: Any) -> Any:
        h, scaled = memory
        sy, yy = jnp.vdot(s, y), jnp.vdot(y, y)
        curved = _is_curved(s, y, sy, yy)
        # The first step tells the scale (6.20).
        h = jnp.where(scaled | ~curved, h, h * (sy / jnp.where(yy > 0, yy, 1)))
        rho = 1 / jnp.where(curved, sy, 1)
        hy = h @ y
        change = (1 + rho * jnp.vdot(y, hy)) * rho * jnp.outer(s, s) - rho * (jnp.outer(hy, s) + jnp.outer(s, hy))
        return jnp.where(curved, h + change, h), scaled | curved

    return (jnp.eye(n, dtype=dtype), np.bool_(False)), direction, remember


def _limited(n: int, dtype: Any, size: int) -> Any:
    """L-BFGS: its memory are the last steps s, the gradients' changes y, 1/(s·y) (0 where there is
    none yet), and a scale."""
    if size < 1:
        raise ValueError(f"minimize: maxcor must be positive, got {size}")

    def direction(memory: Any, g: Any) -> Any:
        s, y, rho, scale = memory

        def backward(i: Any, state: Any) -> Any:
            q, alphas = state
            i = size - 1 - i
            alpha = rho[i] * jnp.vdot(s[i], q)
            return q - alpha * y[i], alphas.at[i].set(alpha)

        q, alphas = fori_loop(0, size, backward, (g, jnp.zeros(size, dtype)))
        forward = lambda i, r: r + (alphas[i] - rho[i] * jnp.vdot(y[i], r)) * s[i]
        return -fori_loop(0, size, forward, scale * q)

    def remember(memory: Any, s: Any, y: Any) -> Any:
        ss, ys, rhos, scale = memory
        sy, yy = jnp.vdot(s, y), jnp.vdot(y, y)
        curved = _is_curved(s, y, sy, yy)
        last = lambda old, new: jnp.where(curved, jnp.concatenate([old[1:], new[None]]), old)
        rho = 1 / jnp.where(curved, sy, 1)
        scale = jnp.where(curved, sy / jnp.where(curved, yy, 1), scale)
        return last(ss, s), last(ys, y), last(rhos, rho), scale

    nothing = jnp.zeros((size, n), dtype)
    return (nothing, nothing, jnp.zeros(size, dtype), jnp.ones((), dtype)), direction, remember


def _is_curved(s: Any, y: Any, sy: Any, yy: Any) -> Any:
    """Whether a step tells a positive curvature, beyond rounding."""
    return sy > dtypes.finfo(s.dtype).eps * jnp.sqrt(jnp.vdot(s, s) * yy)


class _Trial(NamedTuple):
    """A step length, with value and slope there."""

    a: Any
    f: Any
    d: Any


def line_search(
    evaluate: Callable[[Any], tuple[Any, Any]], x: Any, p: Any, f0: Any, g0: Any, d0: Any, first: Any, maxiter: int
) -> tuple[Any, Any, Any, Any]:
    """(a, value, gradient, number of evaluations) at x + a p, where a fulfils the strong Wolfe
    conditions, or else is the best found.

    `evaluate` gives value and gradient, `d0` is the slope at a = 0, `first` the length to try
    first. A step of length 0 has failed.
    """
    c1, c2 = 1e-4, 0.9
    noise = 10 * dtypes.finfo(x.dtype).eps * jnp.abs(f0)

    def runs(state: Any) -> Any:
        *_, done, k = state
        return ~done & (k < maxiter)

    def step(state: Any) -> Any:
        # The minimum lies between `low`, the best so far, and `high`, which is infinite at first.
        low, high, g_low, a, _, k = state
        f, g = evaluate(x + a * p)
        new = _Trial(a, f, jnp.vdot(g, p))
        lower = (f <= f0 + c1 * a * d0) & (f < low.f + noise)
        flat = (f <= f0 + noise) & (new.d <= (2 * c1 - 1) * d0)
        enough = (lower | flat) & jnp.isfinite(new.d)
        done = enough & (jnp.abs(new.d) <= -c2 * d0)
        turns = enough & ((new.d >= 0) == (high.a > low.a))
        high = _where(enough, _where(turns, low, high), new)
        low = _where(enough, new, low)
        g_low = jnp.where(enough, g, g_low)
        return low, high, g_low, _next_length(low, high), done, k + 1

    infinite = jnp.full_like(f0, np.inf)
    start = _Trial(jnp.zeros_like(f0), f0, d0)
    init = (start, _Trial(infinite, infinite, infinite), g0, first, np.bool_(False), np.int32(0))
    low, _, g, _, _, k = while_loop(runs, step, init)
    return low.a, low.f, g, k


def _where(condition: Any, x: _Trial, y: _Trial) -> _Trial:
    return _Trial(*(jnp.where(condition, a, b) for a, b in zip(x, y)))


def _next_length(low: _Trial, high: _Trial) -> Any:
    """The minimum of the cubic through both (3.59), away from the ends; or the middle; or twice as
    far where there is no end yet."""
    width = high.a - low.a
    t = low.d + high.d - 3 * (low.f - high.f) / (low.a - high.a)
    square = t * t - low.d * high.d
    root = jnp.sign(width) * jnp.sqrt(jnp.where(square > 0, square, 0))
    cubic = high.a - width * (high.d + root - t) / (high.d - low.d + 2 * root)
    inside = jnp.abs(cubic - (low.a + high.a) / 2) <= 0.4 * jnp.abs(width)
    between = jnp.where(inside & (square >= 0), cubic, (low.a + high.a) / 2)
    return jnp.where(jnp.isinf(high.a), 2 * low.a, between)


__all__ = ["OptimizeResults", "minimize"]
