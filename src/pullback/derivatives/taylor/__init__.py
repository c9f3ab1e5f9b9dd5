"""Taylor mode: all derivatives of a function along a curve, up to any order, in one pass.

    y, (y1, y2, y3) = jet(f, (x,), ([x1, x2, x3],))     # derivatives of f(x(t)), from those of x(t)
    c = taylor_coefficients(f, x, v, order=8)           # of f(x + t v)

The cost is quadratic in the order for products and elementary functions, where nested `jvp`s double it with each
order. Derivatives are right wherever `jvp`'s are: through loops, branches, calls, functions with rules of their own
and solutions of equations, of real and complex functions of trees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import ConcreteArray, as_array
from pullback.core.errors import see, user_api, user_line
from pullback.core.linear import zeros
from pullback.core.trace import current, under
from pullback.core.tree import arrays_of, flatten_up_to, keystr, leaf_error, tree_flatten, tree_flatten_with_path
from pullback.core.types import integer
from pullback.derivatives.taylor import through_calls as through_calls  # what calls are of series
from pullback.derivatives.taylor.series import JetTrace, JetTracer, Series, over, times
from pullback.lax.shape import convert
from pullback.transforms.jvp import as_weak_as
from pullback.xla.devices import beside

if TYPE_CHECKING:
    from pullback.core.names import Argument, Function, Tree, Value
    from pullback.core.tree import PyTreeDef


class ZeroSeries:
    """The series of a constant: in the place of the terms of an argument.

    >>> from pullback.experimental.jet import jet, zero_series
    >>> jet(lambda x, y: x * y, (2.0, 3.0), ([1.0, 0.0], zero_series))[1]
    [Array(3., dtype=float32, weak_type=True), Array(0., dtype=float32, weak_type=True)]
    """

    def __repr__(self) -> str:
        return "zero_series"


class ZeroTerm:
    """A term that is zero: in the place of an array.

    >>> from pullback.experimental.jet import jet, zero_term
    >>> jet(lambda x: x * x, (3.0,), ([1.0, zero_term],))[1]
    [Array(6., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True)]
    """

    def __repr__(self) -> str:
        return "zero_term"


zero_series, zero_term = ZeroSeries(), ZeroTerm()


@user_api
def jet(
    fun: Function, primals: Argument, series: Argument, factorial_scaled: bool = True, **_: object
) -> tuple[Tree, Tree]:
    """The value of `fun` at `primals`, and the derivatives of t ↦ fun(x(t)) at t = 0 for arguments x(t) with the
    derivatives `series`: (y, terms).

    `primals` is a tuple (or list) of arguments, `series` one of the same length. The series of an array is a list of K
    arrays of its shape and dtype, its first to K-th derivatives by t; that of a container has such a list in the place
    of each array, and so have the results' (`terms`). K is the same for all arguments; `zero_series` stands for K
    zeros, `zero_term` for one. If not `factorial_scaled`, the terms are Taylor coefficients: derivatives over
    factorials. Integer arguments have no derivatives but zeros, and integer results have zeros of dtype `float0`.

    Raises TypeError for arguments that are not arrays, terms of another dtype, and derivatives of integers; ValueError
    for terms of another shape, series of another structure, or of different lengths.

    The recurrences are those of A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd edition, SIAM 2008, chapter
    13; the convention is that of J. Bettencourt, M. J. Johnson, D. Duvenaud, "Taylor-mode automatic differentiation for
    higher-order derivatives in JAX", 2019.

    >>> import pullback.numpy as jnp
    >>> y, (y1, y2, y3) = jet(jnp.exp, (0.0,), ([2.0, 0.0, 0.0],))                 # of exp(2 t)
    >>> float(y), float(y1), float(y2), float(y3)
    (1.0, 2.0, 4.0, 8.0)
    """
    if not callable(fun):
        raise TypeError(f"jet takes a function, got {fun!r:.100}, at {user_line()}")
    for name, given in (("primals", primals), ("series", series)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(f"jet: {name} must be a tuple or list, got {type(given).__name__}, at {user_line()}")
    if len(primals) != len(series):
        raise ValueError(
            f"jet: there must be a series for each argument, got {len(primals)} primals and {len(series)} series, at {user_line()}"
        )
    arrays, tree = arrays_of(tuple(primals), "jet")
    paths = [f"primals{keystr(path)}" for path, _ in tree_flatten_with_path(tuple(primals))[0]]
    terms = [t for x, s, i in zip(primals, series, range(len(primals))) for t in _terms_of(x, s, i)]
    lengths = {len(t) for t in terms if t is not None}
    if len(lengths) > 1:
        each = ", ".join(f"{len(t)} for {path}" for path, t in zip(paths, terms) if t is not None)
        raise ValueError(f"jet terms have inconsistent lengths for different arguments: {each}, at {user_line()}")
    order = lengths.pop() if lengths else 0
    given = [_coefficients(x, t, path, factorial_scaled) for x, t, path in zip(arrays, terms, paths)]
    out_tree, outs = _pushed(fun, tree, arrays, given, order)
    values = [as_array(y) for y, _ in outs]
    return out_tree.unflatten(values), out_tree.unflatten([_expanded(y, s, order, factorial_scaled) for y, s in outs])


@user_api
def taylor_coefficients(f: Function, x: Tree, v: Tree, order: int) -> list[Tree]:
    """The Taylor coefficients c₀, ..., c_K of t ↦ f(x + t v) at t = 0, with K = `order`: a list of `order` + 1 trees
    like f(x).

    f(x + t v) = c₀ + c₁ t + ... + c_K t^K + O(t^(K+1)), so cₖ is the k-th directional derivative over k!. `x` and `v`
    are trees of one structure, of arrays of one shape and dtype (directions of integers are of dtype `float0`). Raises
    TypeError and ValueError as `jvp` does for directions that do not fit, ValueError for a negative order.

    Coefficients of entire functions are of the size 1/k!, which is below the smallest number of float32 from order 35 on, of
    float64 from 170 on, and of float16 from 9 on: derivatives of such orders are inexact, and at last 0.

    >>> import pullback.numpy as jnp
    >>> [float(c) for c in taylor_coefficients(lambda x: 1 / (1 - x), 0.0, 1.0, order=4)]
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    return _along(f, x, v, order, "taylor_coefficients", False)


@user_api
def directional_derivatives(f: Function, x: Tree, v: Tree, order: int) -> list[Tree]:
    """The derivatives of orders 0 to `order` of t ↦ f(x + t v) at t = 0: a list of f(x), ∂f(x) v, ∂²f(x)[v, v], ...,
    trees like f(x).

    Arguments, errors and the orders that a dtype has are those of `taylor_coefficients`.

    >>> import pullback.numpy as jnp
    >>> x, v = jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0])
    >>> [float(d) for d in directional_derivatives(lambda x: x[0] ** 3 * x[1], x, v, order=4)]
    [2.0, 6.0, 12.0, 12.0, 0.0]
    """
    return _along(f, x, v, order, "directional_derivatives", True)


def _along(f: Function, x: Tree, v: Tree, order: int, what: str, scaled: bool) -> list[Tree]:
    if not callable(f):
        raise TypeError(f"{what} takes a function, got {f!r:.100}, at {user_line()}")
    order = integer(order, f"{what}: order")
    if order < 0:
        raise ValueError(f"{what}: order must not be negative, got {order}, at {user_line()}")
    arrays, tree = arrays_of((x,), what)
    directions, v_tree = tree_flatten((v,))
    if tree != v_tree:
        raise ValueError(
            f"{what}: x and v must have the same tree structure, got {tree.children()[0]} and {v_tree.children()[0]}, at {user_line()}"
        )
    paths = [f"v{keystr(path[1:])}" for path, _ in tree_flatten_with_path((x,))[0]]
    given = [_coefficients(a, [t][:order], path, False) for a, t, path in zip(arrays, directions, paths)]
    out_tree, outs = _pushed(f, tree, arrays, given, order)
    each = [[as_array(y), *_expanded(y, s, order, scaled)] for y, s in outs]
    return [out_tree.unflatten(terms) for terms in zip(*each)] if each else [out_tree.unflatten([])] * (order + 1)


# ---- what both are made of -----------------------------------------------------------------------


def _pushed(
    fun: Function, tree: PyTreeDef, arrays: Sequence[Value], series: Sequence[Series | None], order: int
) -> tuple[PyTreeDef, list[tuple[Value, Series | None]]]:
    """The results' structure, primals and series."""
    trace = JetTrace(None, current(), order)
    args = tree.unflatten([trace.wrap(x, s) for x, s in zip(arrays, series)])
    out = under(trace, fun, *args)
    leaves, out_tree = tree_flatten(out)
    results = []
    for y in leaves:
        try:
            results.append(trace.unwrap(as_array(y)))
        except TypeError:
            raise leaf_error(out, y, "the function to be differentiated must return arrays") from None
    return out_tree, results


def _terms_of(x: Tree, given: Argument, i: int) -> list[Sequence[Any] | None]:
    """The terms of each leaf of argument number `i`, whose series is `given`; None for `zero_series`."""
    leaves, tree = tree_flatten(x)
    if isinstance(given, ZeroSeries):
        return [None] * len(leaves)
    try:
        series = flatten_up_to(tree, given)
        found: list[Sequence[Any] | None] = [None if isinstance(s, ZeroSeries) else list(s) for s in series]
    except (TypeError, ValueError):
        hint = ""
        if isinstance(given, (tuple, list)) and all(tree_flatten(t)[1] == tree for t in given):
            hint = " (of a list of trees: tree_map(lambda *terms: list(terms), *trees))"
        raise ValueError(
            f"jet: the series of argument {i} must have its structure, {tree}, with a list of terms in the place of each array{hint}; got "
            f"{given!r:.200}, at {user_line()}"
        ) from None
    return found


def _coefficients(x: Value, terms: Sequence[Any] | None, path: str, factorial_scaled: bool) -> Series | None:
    """The series of an input, without the zeros at its end that are known to be zeros; None if nothing is left."""
    found: list[Any] = []
    for k, t in enumerate(terms or (), 1):
        t = None if isinstance(t, ZeroTerm) or getattr(t, "dtype", None) == dtypes.float0 else _checked(t, x, k, path)
        if t.__class__ is ConcreteArray and not t._value.any():
            t = None
        found.append(_scaled(t, k, over) if factorial_scaled else t)
    while found and found[-1] is None:
        found.pop()
    return Series(found) if found else None


def _scaled(x: Value, k: int, by: Callable[[Value, int], Value]) -> Value:
    """A coefficient multiplied or divided `by` k!, in parts that its dtype can hold; None is zero."""
    if x is None:
        return None
    largest, part = float(dtypes.finfo(dtypes.to_real(x.dtype)).max), 1
    for n in range(2, k + 1):
        if part * n >= largest:
            x, part = by(x, part), 1
        part *= n
    return by(x, part)


def _checked(t: Argument, x: Value, k: int, path: str) -> Value:
    """Term number k of the series of `x`, as an array of its type; None for zeros of integers."""
    t = as_array(t)
    if t.shape != x.shape:
        raise ValueError(
            f"jet: term {k} of {path} has shape {t.shape}, and the value has {x.shape}, at {user_line()}{see('shapes')}"
        )
    if not dtypes.is_inexact(x.dtype):
        if t.__class__ is ConcreteArray and not t._value.any():
            return None
        raise TypeError(
            f"jet: {path} is of dtype {dtypes.name(x.dtype)}, which has no derivatives: its terms must be zeros, or `zero_series`, at "
            f"{user_line()}. Make it a float"
        )
    if t.dtype != x.dtype:
        if not t.weak_type or (dtypes.is_complex(t.dtype) and not dtypes.is_complex(x.dtype)):
            raise TypeError(
                f"jet: term {k} of {path} has dtype {dtypes.name(t.dtype)}, and the value has {dtypes.name(x.dtype)}, at {user_line()}"
            )
        t = convert(t, x.dtype, x.weak_type)
    return t


def _expanded(y: Value, series: Series | None, order: int, factorial_scaled: bool) -> list[Value]:
    """All terms of a result up to the order."""
    t = y.aval.to_tangent_aval()
    if t.dtype == dtypes.float0:
        return [np.zeros(t.shape, t.dtype)] * order
    terms = [None if series is None else series[k] for k in range(1, order + 1)]
    if factorial_scaled:
        terms = [_scaled(term, k, lambda x, n: times(n, x)) for k, term in enumerate(terms, 1)]
    return [beside(zeros(t.shape, t.dtype, y.weak_type), y) if x is None else as_weak_as(x, y.weak_type) for x in terms]


__all__ = [
    "JetTrace", "JetTracer", "ZeroSeries", "ZeroTerm", "directional_derivatives", "jet", "taylor_coefficients", "zero_series",
    "zero_term",
]  # fmt: skip
