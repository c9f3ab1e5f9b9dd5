"""SciPy's solvers on functions of trees, with derivatives from Pullback.

    minimize(f, x0, method=...)          gradients, Hessians or Hessian products, as the method takes them
    root(f, x0, method=...)              Jacobians
    least_squares(f, x0, ...)            Jacobians, or their products with vectors
    solve_ivp(f, t_span, y0, method=...) Jacobians for the implicit methods
    curve_fit(f, xdata, ydata, p0, ...)  Jacobians

What they have in common:

- The unknown is a tree of real or complex arrays (a complex number is two real unknowns), and
  results are trees like it, of the dtypes of the initial guess (integers: the default float).
  SciPy's own vectors, in double precision, are beside them as `x_flat`, `y_flat`.
- `f` is traced and compiled once for a structure of arguments, in 64 bits whatever the session's
  default is. Calling a solver again with the same function object compiles nothing. `args` are
  trees of arrays that may change without that; what `f` closes over is part of the program.
- With `jit=False` the function is called as it is, with concrete arrays, so that Python may branch
  on values.
- These functions run on the host, and cannot be traced or differentiated themselves;
  `pullback.argmin` and `pullback.root` can.
- Keywords that are not named here are SciPy's, and reach SciPy's function as they are. Jacobians
  are never passed by hand.

Results are SciPy's result objects. The methods are described, with their papers, in SciPy's
reference: https://docs.scipy.org/doc/scipy/reference/optimize.html and .../integrate.html.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.errors import user_api, user_line
from pullback.core.tree import tree_flatten, tree_structure
from pullback.interop.vectors import DOUBLE, OnVectors, Space, space_of

#: What the methods of `scipy.optimize.minimize` take; all others take a gradient.
_WITHOUT_GRADIENT = frozenset(["nelder-mead", "powell", "cobyla", "cobyqa"])
_WITH_HESSIAN = frozenset(["dogleg", "trust-exact"])
_WITH_PRODUCTS = frozenset(["newton-cg", "trust-ncg", "trust-krylov", "trust-constr"])
#: The methods of `scipy.optimize.root` that take a Jacobian.
_ROOT_WITH_JACOBIAN = frozenset(["hybr", "lm"])
_IMPLICIT = frozenset(["Radau", "BDF", "LSODA"])


def _no_derivatives(keywords: dict[str, Any], what: str, *names: str) -> None:
    for name in names:
        if name in keywords:
            raise TypeError(f"{what}: {name}= is not taken, at {user_line()}: Pullback differentiates the function")


def _as_args(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)  # as SciPy does


# ---- bounds --------------------------------------------------------------------------------------


def _side(given: Any, space: Space, default: float, what: str) -> Any:
    """One side of bounds as a vector: a number for all, or a tree like the unknown, None for none."""
    if given is None:
        return np.full(space.size, default)
    leaves, structure = tree_flatten(given, is_leaf=lambda x: x is None)
    if leaves == [given] and np.ndim(given) == 0:
        return np.full(space.size, float(given))
    if structure != space.structure:
        raise TypeError(
            f"the {what} bounds have the structure {structure}, the unknown has {space.structure}, at {user_line()}"
        )
    parts = []
    for x, shape, t in zip(leaves, space.shapes, space.dtypes):
        x = np.asarray(default if x is None else x)
        if t.kind == "c" and x.dtype.kind != "c":  # the same for both parts
            x = x + 1j * x if np.isfinite(x).all() else np.complex128(complex(default, default))
        try:
            parts.append(np.broadcast_to(x, shape))
        except ValueError:
            raise ValueError(
                f"{what} bounds of shape {x.shape} do not fit a leaf of shape {shape}, at {user_line()}"
            ) from None
    return space.vector(space.structure.unflatten(parts))


def _pairs(bounds: Any, space: Space) -> tuple[Any, Any]:
    """SciPy's older form, a (lower, upper) for each number."""
    pairs = [tuple(b) for b in bounds]
    if len(pairs) != space.size or any([len(p) != 2 for p in pairs]):
        raise ValueError(f"bounds must be (lower, upper) or a pair for each of {space.size} numbers, at {user_line()}")
    low, high = (
        np.array([d if p[i] is None else p[i] for p in pairs], DOUBLE) for i, d in enumerate((-np.inf, np.inf))
    )
    return low, high


def _bounds(bounds: Any, space: Space) -> tuple[Any, Any] | None:
    """Lower and upper bounds as vectors."""
    from scipy.optimize import Bounds

    if bounds is None:
        return None
    if isinstance(bounds, Bounds):
        return tuple(np.broadcast_to(np.asarray(b, DOUBLE), space.size) for b in (bounds.lb, bounds.ub))  # type: ignore[return-value]
    readings, errors = [], []
    if len(bounds) == 2 and not isinstance(bounds, dict):
        try:
            readings.append((_side(bounds[0], space, -np.inf, "lower"), _side(bounds[1], space, np.inf, "upper")))
        except (TypeError, ValueError) as error:
            errors.append(error)
    try:
        readings.append(_pairs(bounds, space))
    except (TypeError, ValueError) as error:
        errors.append(error)
    if not readings:
        raise errors[0]
    if len(readings) == 2 and not all([np.array_equal(a, b) for a, b in zip(*readings)]):
        raise ValueError(
            f"bounds={bounds!r} is both (lower, upper) and a pair for each number, at {user_line()}: say which with "
            "scipy.optimize.Bounds(lower, upper)"
        )
    return readings[0]


# ---- optimization --------------------------------------------------------------------------------


def _constraints(constraints: Any, space: Space, compiled: bool) -> Any:
    """Constraints on trees as constraints on vectors, with their derivatives."""
    from scipy.optimize import LinearConstraint, NonlinearConstraint

    if isinstance(constraints, (dict, LinearConstraint, NonlinearConstraint)):
        constraints = [constraints]
    found: list[Any] = []
    for c in constraints:
        if isinstance(c, dict):
            _no_derivatives(c, "a constraint", "jac")
            on = OnVectors(c["fun"], space, _as_args(c.get("args", ())), compiled)
            found.append({"type": c["type"], "fun": on.vector, "jac": on.jacobian})
        elif isinstance(c, NonlinearConstraint):
            on = OnVectors(c.fun, space, (), compiled)
            found.append(
                NonlinearConstraint(
                    on.vector, c.lb, c.ub, on.jacobian, on.weighted_hessian, keep_feasible=c.keep_feasible
                )
            )
        else:
            found.append(c)
    return found


def _with_trees(callback: Callable[..., Any] | None, space: Space) -> Callable[..., Any] | None:
    """A callback of the user's, which gets trees. SciPy tells its two forms apart by the name of
    the parameter."""
    if callback is None:
        return None
    if "intermediate_result" in inspect.signature(callback).parameters:

        def on_results(intermediate_result: Any) -> Any:
            intermediate_result.x = space.tree_of(intermediate_result.x)
            return callback(intermediate_result=intermediate_result)

        return on_results
    return lambda x, *state: callback(space.tree_of(x), *state)


@user_api
def minimize(
    f: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str | None = None,
    *,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
    jit: bool = True,
) -> Any:
    """A minimum of `f(x, *args)` near `x0`, by `scipy.optimize.minimize`.

    `x0` is a tree of arrays, and `f` gives one real number. The methods that take a gradient get
    it; "dogleg" and "trust-exact" get the Hessian, "Newton-CG", "trust-ncg", "trust-krylov" and
    "trust-constr" its products with vectors. `bounds` is (lower, upper), each a number for all, or
    a tree like `x0` in which None stands for no bound; `scipy.optimize.Bounds` and SciPy's list of
    pairs are taken, too, of numbers in the order of `tree.leaves(x0)`. `constraints` are SciPy's,
    with functions of trees (`LinearConstraint`: of the vector). `callback` gets trees.

    The result is SciPy's `OptimizeResult`: `x` is a tree like `x0`, `x_flat` the vector in double
    precision, `jac` the gradient as a tree, `fun` a float.

    Raises TypeError if `f` does not give one real number, or bounds are not like `x0`.

    >>> import pullback.numpy as jnp
    >>> rosenbrock = lambda p: (1 - p["a"]) ** 2 + 100 * (p["b"] - p["a"] ** 2) ** 2
    >>> found = minimize(rosenbrock, {"a": -1.0, "b": 2.0}, method="trust-exact")
    >>> found.success, {k: round(float(v), 5) for k, v in found.x.items()}
    (True, {'a': 1.0, 'b': 1.0})
    """
    from scipy import optimize

    space = space_of(x0, "x0")
    on = OnVectors(f, space, _as_args(args), jit)
    name = method.lower() if isinstance(method, str) else method
    keywords: dict[str, Any] = {"method": method, "tol": tol, "options": options}
    fun: Any = on.scalar
    if name not in _WITHOUT_GRADIENT:
        fun, keywords["jac"] = on.value_and_gradient, True
    if name in _WITH_HESSIAN:
        keywords["hess"] = on.hessian
    elif name in _WITH_PRODUCTS:
        keywords["hessp"] = on.hessian_product
    sides = _bounds(bounds, space)
    if sides is not None:
        keywords["bounds"] = optimize.Bounds(*sides)
    if constraints != ():
        keywords["constraints"] = _constraints(constraints, space, jit)
    result = optimize.minimize(fun, space.vector(x0), callback=_with_trees(callback, space), **keywords)
    result.x_flat, result.x = result.x, space.tree_of(result.x)
    # trust-constr names the gradient `grad`, and has the constraints' Jacobians in `jac`.
    for key in ("jac", "grad"):
        if isinstance(result.get(key), np.ndarray) and result[key].shape == (space.size,):
            result[key] = space.tree_of(result[key])
    return result


@user_api
def root(
    f: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    *,
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
    jit: bool = True,
) -> Any:
    """x near `x0` with `f(x, *args) = 0`, by `scipy.optimize.root`.

    `f` gives a tree with as many numbers as `x0` has ("lm": or more). The methods "hybr" and "lm"
    get the Jacobian; the others are quasi-Newton methods, which take none. The result's `x` is a
    tree like `x0`, `fun` the tree of residuals, `x_flat` the vector in double precision.

    Raises ValueError if `f` gives another number of numbers.

    >>> import pullback.numpy as jnp
    >>> found = root(lambda x: jnp.cos(x) - x, 0.5)
    >>> found.success, round(float(found.x), 6)
    (True, 0.739085)
    """
    from scipy import optimize

    space = space_of(x0, "x0")
    on = OnVectors(f, space, _as_args(args), jit)
    start = space.vector(x0)
    size = on.vector(start).size
    if size < space.size or (size > space.size and method != "lm"):
        raise ValueError(f"root: f gives {size} numbers for {space.size} unknowns, at {user_line()}")
    keywords: dict[str, Any] = {"jac": on.jacobian} if method in _ROOT_WITH_JACOBIAN else {}
    if callback is not None:
        keywords["callback"] = lambda x, residual: callback(space.tree_of(x), on.out.tree_of(residual))  # type: ignore[union-attr]
    result = optimize.root(on.vector, start, method=method, tol=tol, options=options, **keywords)
    assert on.out is not None
    result.x_flat, result.x, result.fun = result.x, space.tree_of(result.x), on.out.tree_of(result.fun)
    return result


@user_api
def least_squares(
    f: Callable[..., Any],
    x0: Any,
    args: Any = (),
    *,
    bounds: Any = None,
    method: str = "trf",
    products: bool = False,
    jit: bool = True,
    **keywords: Any,
) -> Any:
    """x with the least sum of squares of `f(x, *args)`, a tree of residuals, by
    `scipy.optimize.least_squares`.

    The Jacobian is a dense matrix, made in the mode that has fewer passes; with `products` (for
    "trf" and "dogbox") it is an operator, whose products with vectors are derivatives in forward
    and reverse mode, so that large problems need no matrix. `bounds` are as `minimize` takes them.
    Other keywords (`loss`, `f_scale`, `x_scale`, `xtol`, ...) are SciPy's.

    The result's `x` is a tree like `x0`, `x_flat` the vector in double precision, `fun` the tree of
    residuals, `grad` a tree like `x0`; `jac` is SciPy's.

    >>> import pullback.numpy as jnp
    >>> t = np.linspace(0, 1, 5)
    >>> data = 2 * np.exp(-3 * t)
    >>> model = lambda p: p["scale"] * jnp.exp(-p["rate"] * t) - data
    >>> found = least_squares(model, {"scale": 1.0, "rate": 1.0})
    >>> {k: round(float(v), 5) for k, v in found.x.items()}
    {'rate': 3.0, 'scale': 2.0}
    """
    from scipy import optimize

    _no_derivatives(keywords, "least_squares", "jac")
    space = space_of(x0, "x0")
    on = OnVectors(f, space, _as_args(args), jit)
    sides = _bounds(bounds, space)
    if sides is not None:
        keywords["bounds"] = sides
    jac = on.operator if products else on.jacobian
    result = optimize.least_squares(on.vector, space.vector(x0), jac=jac, method=method, **keywords)
    assert on.out is not None
    result.x_flat, result.x, result.fun = result.x, space.tree_of(result.x), on.out.tree_of(result.fun)
    result.grad = space.tree_of(result.grad)
    return result


@user_api
def curve_fit(
    f: Callable[..., Any],
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    *,
    bounds: Any = None,
    method: str | None = None,
    jit: bool = True,
    **keywords: Any,
) -> Any:
    """The parameters that fit `f(xdata, *p0)` best to `ydata`, by `scipy.optimize.curve_fit`.

    `p0` is a tuple or list of trees, which `f` takes one by one, or any other tree, which `f` takes
    as one argument (a NumPy vector is unpacked, as SciPy does); None is 1.0 for each argument.
    `xdata` is any tree, `ydata` a tree like what `f` gives, `sigma` the standard deviations of
    `ydata`: a tree like it, or the covariance matrix. Other keywords are SciPy's.

    Returns (popt, pcov): the parameters, a tree like `p0` (a list is a tuple), and their covariance,
    a NumPy matrix in double precision, in the order of `tree.leaves(p0)`.

    Raises ValueError if `ydata` has another number of numbers than `f` gives.

    >>> import pullback.numpy as jnp
    >>> t = np.linspace(0, 1, 9)
    >>> popt, pcov = curve_fit(lambda t, a, k: a * jnp.exp(-k * t), t, 2 * np.exp(-3 * t))
    >>> [round(float(p), 4) for p in popt], pcov.shape
    ([2.0, 3.0], (2, 2))
    """
    from scipy import optimize

    _no_derivatives(keywords, "curve_fit", "jac")
    if p0 is None:
        parameters = list(inspect.signature(f).parameters.values())
        if any([p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters]) or len(parameters) < 2:
            raise ValueError(f"curve_fit: give p0, the number of f's parameters is not known, at {user_line()}")
        p0 = (1.0,) * (len(parameters) - 1)
    elif isinstance(p0, (list, tuple)) or np.ndim(p0 if not isinstance(p0, dict) else 0) == 1:
        p0 = tuple(p0)
    space, measured = space_of(p0, "p0"), space_of(ydata, "ydata")
    spread = isinstance(p0, tuple) and not hasattr(p0, "_fields")
    on = OnVectors(f, space, (), jit, spread, before=(xdata,))
    y, start = measured.vector(ydata), space.vector(p0)
    size = on.vector(start).size
    if size != y.size:
        raise ValueError(f"curve_fit: f gives {size} numbers, ydata has {y.size}, at {user_line()}")
    if sigma is not None:
        if tree_structure(sigma) == measured.structure and np.shape(sigma) != (y.size, y.size):
            sigma = measured.vector(sigma)
        sigma = np.asarray(sigma, DOUBLE)
    sides = _bounds(bounds, space)
    if sides is not None:
        keywords["bounds"] = sides
    popt, *rest = optimize.curve_fit(
        lambda x, *p: on.vector(p),
        np.arange(y.size),
        y,
        start,
        sigma,
        absolute_sigma,
        method=method,
        jac=lambda x, *p: on.jacobian(p),
        **keywords,
    )
    return (space.tree_of(popt), *rest)


# ---- initial value problems ----------------------------------------------------------------------


class _RightHandSide:
    """dy/dt = f(t, y) on vectors."""

    def __init__(self, f: Callable[..., Any], space: Space, args: tuple[Any, ...], compiled: bool) -> None:
        self.on, self.space = OnVectors(f, space, args, compiled), space

    def at(self, t: float) -> OnVectors:
        self.on.before = (np.float64(t),)
        return self.on

    def __call__(self, t: float, y: Any) -> Any:
        return self.at(t).vector(y)

    def jacobian(self, t: float, y: Any) -> Any:
        return self.at(t).jacobian(y)

    def scalar(self, t: float, y: Any) -> float:
        return self.at(t).scalar(y)

    def check(self, t: float, y: Any) -> None:
        self(t, y)
        out = self.on.out
        assert out is not None
        complex_rates = [a.kind == "c" and b.kind != "c" for a, b in zip(out.dtypes, self.space.dtypes)]
        if (out.structure, out.shapes) != (self.space.structure, self.space.shapes) or any(complex_rates):
            raise TypeError(
                f"solve_ivp: f must give a tree like y0, {_described(self.space)}, and gave {_described(out)}, "
                f"at {user_line()}"
            )


def _described(space: Space) -> str:
    leaves = [f"{t}{list(shape)}" for shape, t in zip(space.shapes, space.dtypes)]
    return str(space.structure.unflatten(leaves))


@user_api
def solve_ivp(
    f: Callable[..., Any],
    t_span: Sequence[float],
    y0: Any,
    method: Any = "RK45",
    t_eval: Any = None,
    dense_output: bool = False,
    events: Any = None,
    args: Any = (),
    *,
    jit: bool = True,
    **options: Any,
) -> Any:
    """The solution of dy/dt = f(t, y, *args) from `y0`, by `scipy.integrate.solve_ivp`.

    `f` gives a tree like `y0`. "Radau", "BDF" and "LSODA" get the Jacobian. Events are functions
    `event(t, y, *args)` that give one number, with SciPy's attributes `terminal` and `direction`.
    Other keywords (`rtol`, `atol`, `max_step`, ...) are SciPy's; `atol` may be a tree like `y0`.

    The result is SciPy's: `y` is a tree like `y0` whose leaves have one more, last axis for times,
    `y_flat` SciPy's matrix in double precision, `sol(t)` gives such trees (without that axis for one
    t), `y_events` are trees whose first axis counts events.

    Raises TypeError if `f` does not give a tree like `y0`.

    >>> decay = lambda t, y, rate: {"u": -rate * y["u"], "v": rate * y["u"]}
    >>> found = solve_ivp(decay, (0, 1), {"u": np.ones(2), "v": np.zeros(2)}, "BDF", args=(1.0,), rtol=1e-8)
    >>> found.y["u"].shape[0], bool(abs(found.y["u"][0, -1] - np.exp(-1)) < 1e-5)
    (2, True)
    """
    from scipy import integrate

    _no_derivatives(options, "solve_ivp", "jac", "jac_sparsity", "vectorized")
    space, args = space_of(y0, "y0"), _as_args(args)
    start = space.vector(y0)
    rates = _RightHandSide(f, space, args, jit)
    rates.check(t_span[0], start)
    name = method if isinstance(method, str) else getattr(method, "__name__", "")
    if name in _IMPLICIT:
        options["jac"] = rates.jacobian
    if "atol" in options:
        options["atol"] = _side(options["atol"], space, 1e-6, "tolerances as")
    single = callable(events)
    given = [events] if single else list(events or ())
    on_vectors = []
    for event in given:
        on_event: Any = _RightHandSide(event, space, args, jit).scalar
        wrapped: Any = lambda t, y, on_event=on_event: on_event(t, y)
        for attribute in ("terminal", "direction"):
            if hasattr(event, attribute):
                setattr(wrapped, attribute, getattr(event, attribute))
        on_vectors.append(wrapped)
    result = integrate.solve_ivp(
        rates, t_span, start, method, t_eval, dense_output, (on_vectors[0] if single else on_vectors) or None, **options
    )
    times = np.shape(result.y)[1:] if np.size(result.y) else (0,)
    result.y_flat, result.y = result.y, space.tree_of(np.reshape(result.y, (space.size, *times)), (), times)
    if result.sol is not None:
        flat = result.sol
        result.sol = lambda t: space.tree_of(flat(t), (), np.shape(t))
    if result.y_events is not None:
        result.y_events = [space.tree_of(np.reshape(y, (-1, space.size)), (len(y),)) for y in result.y_events]
    return result


__all__ = ["curve_fit", "least_squares", "minimize", "root", "solve_ivp"]
