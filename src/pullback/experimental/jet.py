"""Taylor mode (`pullback.derivatives.jet`) under JAX's names, and rules for primitives of other people's.

A rule takes and gives normalized Taylor coefficients, as `jet(..., factorial_scaled=False)` does:

    jet_rules[my_p] = rule            # rule(primals, series, **params) -> (result, terms)

`series` has for each operand the list of its coefficients beyond the first, zeros for constants; `terms` is such a
list, or `zero_series`; of several results, there is a list of results and one of terms. A primitive without a rule
here is differentiated by its derivative rule, and needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import factorial
from typing import TYPE_CHECKING, Any

from pullback.core import primitive as base
from pullback.core.array import Array, as_array
from pullback.core.errors import user_line
from pullback.core.trace import Params, current
from pullback.derivatives.taylor import JetTrace, JetTracer, ZeroSeries, ZeroTerm, jet, zero_series, zero_term
from pullback.derivatives.taylor.series import Deferred, Series, by_derivative, over, series_rules
from pullback.derivatives.taylor.through_calls import zero
from pullback.extend.primitive import Primitive
from pullback.extend.tables import Table
from pullback.lax.elementwise import exp_p
from pullback.lax.family import add_p, like
from pullback.lax.special import lgamma_p
from pullback.transforms.call import CallPrimitive

if TYPE_CHECKING:
    from pullback.core.names import Function, Param, Tree, Value

#: What a rule gives for the terms of one result: a list of coefficients, or `zero_series`.
Terms = Any


def _rule_of(primitive: base.Primitive) -> Callable[..., Any] | None:
    """What Taylor mode makes of one of our primitives, as a rule."""
    if isinstance(primitive, CallPrimitive):
        return None
    if primitive.no_derivative is None and type(primitive).jvp is base.Primitive.jvp:
        return None

    def rule(primals: Sequence[Value], series: Sequence[Terms], /, **params: Param) -> tuple[Any, Any]:
        order = max([len(s) for s in series if not isinstance(s, ZeroSeries)], default=0)
        trace = JetTrace(None, current(), order)
        given = [None if isinstance(s, ZeroSeries) or not len(s) else Series(list(map(as_array, s))) for s in series]
        out, found = trace.applied(primitive, list(map(as_array, primals)), given, params)
        if not primitive.multiple_results:
            return out, _terms(out, found, order)
        return out, [_terms(o, s, order) for o, s in zip(out, found)]

    return rule


def _terms(out: Value, series: Series | None, order: int) -> Terms:
    found = [] if series is None else series.up_to(order)
    if not found:
        return zero_series
    return [zero(out) if t is None else t for t in (*found, *[None] * (order - len(found)))]


_KIND = "Taylor mode"
#: Rules by primitive. Those of Pullback's own primitives are derived from their classes, and cannot be replaced.
jet_rules = Table(_KIND, _rule_of)
#: Empty: calls are lifted as programs, and need no changes to their parameters.
call_param_updaters: dict[Any, Callable[..., Any]] = {}


@series_rules.of(Primitive)
def _given_rule(
    trace: JetTrace, primitive: Primitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> tuple[Any, Any]:
    """By the rule that has been put into the table, if there is one."""
    rule = primitive.rules.get(_KIND)
    if rule is None:
        return by_derivative(trace, primitive, primals, series, params)

    def up_to(order: int) -> tuple[list[Value], list[Terms]]:
        zeros = [zero(x) for x in primals]
        given = [[z if s is None or s[k] is None else s[k] for k in range(1, order + 1)] for z, s in zip(zeros, series)]
        result = rule(tuple(primals), given, **params)
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(
                f"the {_KIND} rule of {primitive.name!r} must give a pair of result and terms, got {result!r:.100}, at {user_line()}"
            )
        out, terms = result
        outs = primitive.results(out, _KIND)
        terms = (
            [terms] * len(outs)
            if isinstance(terms, ZeroSeries)
            else list(terms)
            if primitive.multiple_results
            else [terms]
        )
        if len(terms) != len(outs):
            raise TypeError(
                f"the {_KIND} rule of {primitive.name!r} gives {len(outs)} results and the terms of {len(terms)}, at {user_line()}"
            )
        return list(map(as_array, outs)), [_as_terms(t, order, primitive) for t in terms]

    if isinstance(trace, Deferred):  # operands may depend on results: as far as is asked for
        outs, _ = up_to(0)
        step = lambda i, k: up_to(k)[1][i][k - 1]
        found = [Series(step=partial(step, i)) for i in range(len(outs))]
    else:
        outs, terms = up_to(trace.order)
        found = [Series(t) for t in terms]
    return (outs, found) if primitive.multiple_results else (outs[0], found[0])


def _as_terms(terms: Terms, order: int, primitive: Primitive) -> list[Value]:
    if isinstance(terms, ZeroSeries):
        return [None] * order
    found = [None if t is None or isinstance(t, ZeroTerm) else as_array(t) for t in terms]
    if len(found) != order:
        raise TypeError(
            f"the {_KIND} rule of {primitive.name!r} must give as many terms as it got, {order}, got {len(found)}, at {user_line()}"
        )
    return found


# ---- rules made of simpler ones ------------------------------------------------------------------


def def_deriv(prim: Primitive, deriv: Function) -> None:
    """Say the derivative of `prim`, a primitive with one operand and one result: `deriv(x)`. Its series follows.

    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("cubed")
    >>> _ = p.def_impl(lambda x: x**3)
    >>> def_deriv(p, lambda x: 3 * x**2)
    >>> [float(t) for t in jet(p.bind, (2.0,), ([1.0, 0.0, 0.0],))[1]]
    [12.0, 12.0, 6.0]
    """
    jet_rules[prim] = partial(deriv_prop, prim, deriv)


def deriv_prop(
    prim: base.Primitive, deriv: Function, primals_in: Sequence[Value], series_in: Sequence[Terms], **params: Param
) -> tuple[Value, Terms]:
    """The rule that `def_deriv` makes: result and terms, by y' = `deriv`(x) x'.

    >>> from pullback import lax
    >>> y, terms = deriv_prop(lax.exp_p, lax.exp, (0.0,), ([1.0, 0.0],))
    >>> float(y), [float(t) for t in terms]
    (1.0, [1.0, 0.5])
    """
    (x,), (terms,) = map(as_array, primals_in), series_in
    out = prim.bind(x, **params)
    if isinstance(terms, ZeroSeries):
        return out, zero_series
    # Coefficients of the slope, up to the last but one.
    first, rest = jet(deriv, (x,), ([as_array(t) for t in terms[:-1]],), factorial_scaled=False)
    slope = [first, *rest]
    found = []
    for k in range(1, len(terms) + 1):
        total: Any = None
        for j in range(1, k + 1):
            term = as_array(terms[j - 1]) * slope[k - j]
            term = term if j == 1 else term * like(j, term)
            total = term if total is None else add_p.bind(total, term)
        found.append(over(total, k))
    return out, found


def def_comp(prim: Primitive, comp: Function, **kwargs: Param) -> None:
    """Say that `prim` is `comp(*operands, **kwargs)`, made of operations that have series.

    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("product")
    >>> _ = p.def_impl(lambda x, y: x * y)
    >>> def_comp(p, lambda x, y: x * y)
    >>> [float(t) for t in jet(p.bind, (2.0, 3.0), ([1.0, 0.0], [1.0, 0.0]))[1]]
    [5.0, 2.0]
    """

    def rule(primals: Sequence[Value], series: Sequence[Terms], /, **params: Param) -> tuple[Tree, Tree]:
        return jet(partial(comp, **kwargs, **params), primals, series, factorial_scaled=False)

    jet_rules[prim] = rule


def deflinear(prim: Primitive) -> None:
    """Say that `prim` is linear in all operands together: it is applied to each coefficient.

    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("doubled")
    >>> _ = p.def_impl(lambda x: 2 * x)
    >>> deflinear(p)
    >>> [float(t) for t in jet(p.bind, (2.0,), ([1.0, 3.0],))[1]]
    [2.0, 6.0]
    """
    jet_rules[prim] = partial(linear_prop, prim)


def linear_prop(
    prim: base.Primitive, primals_in: Sequence[Value], series_in: Sequence[Terms], **params: Param
) -> tuple[Any, Any]:
    """The rule that `deflinear` makes: `prim` of the operands, and of each of their coefficients.

    >>> from pullback import lax
    >>> linear_prop(lax.neg_p, (1.0,), ([2.0, 3.0],))[1]
    [Array(-2., dtype=float32, weak_type=True), Array(-3., dtype=float32, weak_type=True)]
    """
    primals = list(map(as_array, primals_in))
    out = prim.bind(*primals, **params)
    order = max([len(s) for s in series_in if not isinstance(s, ZeroSeries)], default=0)
    rows = [[zero(x)] * order if isinstance(s, ZeroSeries) else s for x, s in zip(primals, series_in)]
    terms = [prim.bind(*each, **params) for each in zip(*rows)]
    if not prim.multiple_results:
        return out, terms
    return out, [list(each) for each in zip(*terms)] if terms else [[] for _ in out]


def defzero(prim: Primitive) -> None:
    """Say that the results of `prim` are constant wherever they are differentiable.

    >>> from pullback.extend.core import Primitive
    >>> p = Primitive("whole")
    >>> _ = p.def_impl(lambda x: x // 1)
    >>> defzero(p)
    >>> [float(t) for t in jet(p.bind, (2.5,), ([1.0, 3.0],))[1]]
    [0.0, 0.0]
    """
    jet_rules[prim] = partial(zero_prop, prim)


def zero_prop(
    prim: base.Primitive, primals_in: Sequence[Value], series_in: Sequence[Terms], **params: Param
) -> tuple[Any, ZeroSeries]:
    """The rule that `defzero` makes: `prim` of the operands, and `zero_series`.

    >>> from pullback import lax
    >>> zero_prop(lax.floor_p, (1.5,), ([1.0],))
    (Array(1., dtype=float32, weak_type=True), zero_series)
    """
    del series_in
    return prim.bind(*primals_in, **params), zero_series


def fact(n: Value) -> Array:
    """n!, as a float; of a traced n, Γ(n + 1).

    >>> fact(4)
    Array(24., dtype=float32, weak_type=True)
    """
    if isinstance(n, int):
        return as_array(float(factorial(n)))
    out: Array = exp_p.bind(lgamma_p.bind(add_p.bind(as_array(n) * 1.0, 1.0)))
    return out


__all__ = [
    "JetTrace", "JetTracer", "ZeroSeries", "ZeroTerm", "call_param_updaters", "def_comp", "def_deriv", "deflinear",
    "defzero", "deriv_prop", "fact", "jet", "jet_rules", "linear_prop", "zero_prop", "zero_series", "zero_term",
]  # fmt: skip
