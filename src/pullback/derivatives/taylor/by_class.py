"""How single operations are applied to series, where the derivative rule (`series.by_derivative`) is not the
best that there is:

- what has the same Jacobian all along the series (linear operations, products with constants, extrema, sorting) is
  applied to each coefficient: yₖ = J xₖ;
- products, contractions among them, are convolutions: yₖ = Σⱼ aⱼ bₖ₋ⱼ;
- quotients, roots, logarithms, exponentials and the like have recurrences, in which each coefficient follows from
  those before it (A. Griewank, A. Walther, *Evaluating Derivatives*, 2nd edition, SIAM 2008, table 13.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pullback.core import dtypes
from pullback.core.linear import Input, Node, push_nodes, reachable
from pullback.core.primitive import BilinearPrimitive, LinearPrimitive
from pullback.core.trace import Params
from pullback.derivatives.taylor.series import (
    JetTrace,
    Series,
    Step,
    by_derivative,
    over,
    series_rules,
    times,
)
from pullback.lax.collectives import PExtremum
from pullback.lax.creation import OptimizationBarrier
from pullback.lax.cumulative import CumulativeExtremum
from pullback.lax.division import floor_div_p, mod_p
from pullback.lax.elementwise import (
    abs_p,
    clamp_p,
    cos_p,
    div_p,
    exp_p,
    integer_pow_p,
    log_p,
    logistic_p,
    max_p,
    min_p,
    rem_p,
    sin_p,
    sqrt_p,
    square_p,
    tanh_p,
)
from pullback.lax.family import Constant, Elementwise, add_p, like, mul_p, neg_p, sub_p
from pullback.lax.indexing import ScatterExtremum
from pullback.lax.reductions import Extremum
from pullback.lax.sorting import Sort, TopK
from pullback.lax.windows import WindowExtremum

if TYPE_CHECKING:
    from pullback.core.names import Value
    from pullback.core.primitive import Primitive

    #: Result and series of an operation, or lists of them.
    WithSeries = tuple[Any, Any]

# ---- one Jacobian --------------------------------------------------------------------------------


def _degree(series: Sequence[Series | None]) -> int | None:
    """The largest degree of any; None if there is no bound."""
    degrees = [s.degree for s in series if s is not None]
    return None if None in degrees else max(degrees)  # type: ignore[type-var]


def by_jacobian(
    trace: JetTrace, primitive: Primitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    """Result and series of an operation whose Jacobian is the same along the series: it is linearized once, and
    applied to each coefficient."""
    inputs = [None if s is None else Input(x.shape, x.dtype) for x, s in zip(primals, series)]
    out, node = primitive.linearize(primals, inputs, params)
    several = primitive.multiple_results
    nodes: list[Node | None] = list(node) if several else [node]
    order = reachable(nodes)
    known: list[dict[int, Any]] = []  # tangents by node, of each coefficient

    def step(node: Node, k: int) -> Value:
        while len(known) < k:
            given = {n.id: s[len(known) + 1] for n, s in zip(inputs, series) if n is not None and s is not None}
            tangents = {i: t for i, t in given.items() if t is not None}
            push_nodes(order, tangents)
            known.append(tangents)
        return known[k - 1].get(node.id)

    degree = _degree(series)
    found = [None if n is None else Series(step=partial(step, n), degree=degree) for n in nodes]
    return (out, found) if several else (out, found[0])


#: Elementwise operations that are linear between kinks and steps, at which derivatives are those of one side.
PIECEWISE_LINEAR = {max_p, min_p, clamp_p, abs_p, rem_p, mod_p, floor_div_p}

series_rules.of(
    Extremum, CumulativeExtremum, WindowExtremum, ScatterExtremum, PExtremum, Sort, TopK, OptimizationBarrier
)(by_jacobian)


@series_rules.of(LinearPrimitive)
def _linear(
    trace: JetTrace, primitive: LinearPrimitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:  # fmt: skip
    active = [s is not None for s in series]
    # An operation that has a rule for operands in which it is not linear, too.
    has_rule = type(primitive).jvp is not LinearPrimitive.jvp and not primitive.is_linear(active)
    return (by_derivative if has_rule else by_jacobian)(trace, primitive, primals, series, params)


@series_rules.of(Elementwise)
def _elementwise(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    active = [s is not None for s in series]
    if primitive.complex_jvp is not None and dtypes.is_complex(primals[0].dtype):
        rule = by_derivative
    elif primitive in PIECEWISE_LINEAR or primitive.is_linear(active):
        rule = by_jacobian
    else:
        constant = all([p.__class__ is Constant for p, a in zip(primitive.partials, active) if a])
        rule = by_jacobian if constant else by_derivative
    return rule(trace, primitive, primals, series, params)


# ---- products ------------------------------------------------------------------------------------

#: Coefficient k of a value; None is zero.
Coefficients = Callable[[int], Any]


def coefficients(primal: Value, series: Series | None) -> Coefficients:
    """All coefficients of a value, the first included."""

    def coefficient(k: int) -> Value:
        return primal if not k else None if series is None else series[k]

    return coefficient


def plus(x: Value, y: Value) -> Value:
    """The sum of two coefficients; None is zero."""
    return y if x is None else x if y is None else add_p.bind(x, y)


def minus(x: Value, y: Value) -> Value:
    """Their difference."""
    return x if y is None else neg_p.bind(y) if x is None else sub_p.bind(x, y)


def convolved(
    a: Coefficients, b: Coefficients, first: int, last: int, k: int, product: Callable[..., Any] = mul_p.bind
) -> Value:
    """Σ aⱼ bₖ₋ⱼ for j from `first` to `last`; None is zero."""
    total = None
    for j in range(first, last + 1):
        x, y = a(j), b(k - j)
        if x is not None and y is not None:
            total = plus(total, product(x, y))
    return total


def squared(a: Coefficients, first: int, k: int) -> Value:
    """Σ aⱼ aₖ₋ⱼ for j from `first` to k - `first`, each product taken once."""
    half = (k - 1) // 2
    total = times(2, convolved(a, a, first, half, k))
    middle = None if k % 2 or k // 2 < first else a(k // 2)
    return total if middle is None else plus(total, square_p.bind(middle))


def _sum_of_degrees(series: Sequence[Series | None]) -> int | None:
    degrees = [s.degree for s in series if s is not None]
    return None if None in degrees else sum(degrees)  # type: ignore[arg-type]


@series_rules.of(mul_p)
def _mul(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    if None in series:
        return by_jacobian(trace, primitive, primals, series, params)
    a, b = map(coefficients, primals, series)
    step = lambda k: convolved(a, b, 0, k, k)
    if series[0] is series[1] and primals[0] is primals[1]:
        step = lambda k: squared(a, 0, k)
    return mul_p.bind(*primals), Series(step=step, degree=_sum_of_degrees(series))


@series_rules.of(square_p)
def _square(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    a = coefficients(primals[0], series[0])
    return square_p.bind(*primals), Series(step=lambda k: squared(a, 0, k), degree=_sum_of_degrees([*series, *series]))


@series_rules.of(BilinearPrimitive)
def _bilinear(
    trace: JetTrace, primitive: BilinearPrimitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:  # fmt: skip
    if None in series:
        return by_jacobian(trace, primitive, primals, series, params)
    a, b = map(coefficients, primals, series)

    def product(x: Value, y: Value) -> Value:
        return primitive.bind(x, y, **params)

    def step(k: int) -> Value:
        return convolved(a, b, 0, k, k, product)

    return product(*primals), Series(step=step, degree=_sum_of_degrees(series))


# ---- recurrences ---------------------------------------------------------------------------------


@series_rules.of(div_p)
def _div(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    if series[1] is None:
        return by_jacobian(trace, primitive, primals, series, params)
    # y d = x, of which coefficient k is y_k d_0 + Σ d_j y_(k-j) = x_k.
    out = div_p.bind(*primals)
    x, d = map(coefficients, primals, series)
    found = Series(step=lambda k: over_first(minus(x(k), convolved(d, y, 1, k, k)), primals[1]))
    y = coefficients(out, found)
    return out, found


def over_first(x: Value, first: Value) -> Value:
    """A coefficient over the first coefficient of another series; None is zero."""
    return None if x is None else div_p.bind(x, first)


@series_rules.of(integer_pow_p)
def _integer_pow(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    """By repeated squaring, which is right at zero, too, as the recurrence of powers is not."""
    out = integer_pow_p.bind(*primals, **params)
    x, left = (primals[0], series[0]), abs(params["y"])
    power: Any = None

    def multiplied(x: Any, y: Any) -> Any:
        return _mul(trace, mul_p, *zip(x, y), {})

    while left:
        if left & 1:
            power = x if power is None else multiplied(power, x)
        left >>= 1
        if left:
            x = multiplied(x, x)
    if power is None:
        return out, None
    if params["y"] < 0:
        power = _div(trace, div_p, *zip((like(1, primals[0]), None), power), {})
    return out, power[1]


@series_rules.of(sqrt_p)
def _sqrt(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    # y² = x
    out = sqrt_p.bind(*primals)
    x = coefficients(primals[0], series[0])
    twice = times(2, out)
    found = Series(step=lambda k: over_first(minus(x(k), squared(y, 1, k)), twice))
    y = coefficients(out, found)
    return out, found


@series_rules.of(log_p)
def _log(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    # y' x = x'
    out = log_p.bind(*primals)
    x = coefficients(primals[0], series[0])

    def step(k: int) -> Value:
        known = convolved(found.slope, x, 1, k - 1, k)
        return over_first(minus(x(k), over(known, k)), primals[0])

    found = Series(step=step)
    return out, found


def integral(slope: Coefficients, x: Series) -> Step:
    """The coefficients of y with y' = `slope` x'."""
    return lambda k: over(convolved(x.slope, slope, 1, k, k), k)


@series_rules.of(exp_p, tanh_p, logistic_p)
def _by_its_result(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    """Functions whose derivative is a polynomial of theirs."""
    (x,) = series
    assert x is not None
    out = primitive.bind(*primals)
    slopes: list[Any] = []

    def slope(k: int) -> Value:
        while len(slopes) <= k:
            slopes.append(SLOPES[primitive](y, len(slopes)))
        return slopes[k]

    found = Series(step=integral(slope, x))
    y = coefficients(out, found)
    return out, found


#: Coefficient k of y' / x', of the coefficients of y.
SLOPES: dict[Any, Callable[[Coefficients, int], Any]] = {
    exp_p: lambda y, k: y(k),
    tanh_p: lambda y, k: minus(None if k else like(1, y(0)), squared(y, 0, k)),
    logistic_p: lambda y, k: minus(y(k), squared(y, 0, k)),
}


@series_rules.of(sin_p, cos_p)
def _sin_and_cos(
    trace: JetTrace, primitive: Elementwise, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> WithSeries:
    (x,) = series
    assert x is not None
    sin, cos = sin_p.bind(*primals), cos_p.bind(*primals)
    of_sin = Series(step=integral(lambda k: of_cos[k] if k else cos, x))
    lost = integral(lambda k: of_sin[k] if k else sin, x)
    of_cos = Series(step=lambda k: minus(None, lost(k)))
    return (sin, of_sin) if primitive is sin_p else (cos, of_cos)


__all__ = ["by_jacobian"]
