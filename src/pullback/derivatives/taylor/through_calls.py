"""Taylor mode of calls: as a lifting, which goes through every loop and branch, and what is made of calls that have a
derivative of their own, or stand in derivative rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.control.linear_calls import LinearCall
from pullback.control.loops import scan
from pullback.control.ode import Odeint, odeint_p
from pullback.control.recorded import LoopCall
from pullback.control.solves import Solve
from pullback.core.array import as_array
from pullback.core.jaxpr import ClosedJaxpr, run
from pullback.core.linear import zeros
from pullback.core.staging import stage_flat
from pullback.core.trace import Params, current, under
from pullback.core.types import ShapedArray
from pullback.derivatives.taylor import by_class as by_class  # what operations are of series
from pullback.derivatives.taylor import series as taylor_series
from pullback.derivatives.taylor.series import Deferred, Derivative, JetTrace, JetTracer, Series
from pullback.lax.arrangement import concatenate_p
from pullback.lax.shape import convert, reshape_p, strong
from pullback.transforms.call import OwnDerivative
from pullback.transforms.closures import FUNCTIONS, Standing, primal_functions
from pullback.transforms.custom_rules import CustomCall
from pullback.transforms.custom_vmap import CustomVmapCall
from pullback.transforms.jvp import JVPTrace
from pullback.transforms.lifting import Bundle, Kind, Lifting, Outcome, Rules, kinds_of, leaves_of, plain

if TYPE_CHECKING:
    from pullback.core.names import Function, Param, Tangent, Value
    from pullback.transforms.call import CallPrimitive

WithSeries = tuple[Any, "Series | None"]


class Taylor(Lifting):
    """Taylor mode up to `order`. A value of kind d is a polynomial of degree d: its leaves are the value and d
    coefficients. `trace` is given where one transforms a call.

    Example: makes a `scan` of polynomials of a `scan`.
    """

    name = "jet"
    rules = Rules()

    def __init__(self, order: int, trace: JetTrace | None = None) -> None:
        self.order, self._trace = order, trace
        self.key = "jet", order

    @property
    def within(self) -> JetTrace:
        """The trace in which the call is made that is being transformed: custom rules close over values of it."""
        assert self._trace is not None, "calls of Python functions are made under a trace"
        return self._trace

    def run(self, fun: Function, operands: Sequence[Bundle]) -> Outcome:
        trace = JetTrace(None, current(), self.order)
        outs = under(trace, fun, *[trace.wrap(*primal_and_series(x)) for x in operands])
        return None, [self.bundle(*trace.unwrap(o)) for o in outs]

    def bundle(self, primal: Value, series: Series | None) -> Bundle:
        """A value and its series, up to the order."""
        terms = [] if series is None else series.up_to(self.order)
        if not terms:
            return plain(primal)
        # Programs take types as they are.
        given = [zero(primal) if t is None else strong(taylor_series.shaped(t, primal)) for t in terms]
        return Bundle(len(given), (primal, *given))

    def count(self, kind: Kind) -> int:
        return 1 + (kind or 0)

    def types(self, kind: Kind, t: ShapedArray) -> list[ShapedArray]:
        return [t, *[t.to_tangent_aval().update(weak_type=False)] * (kind or 0)]

    def join(self, a: Kind, b: Kind) -> Kind:
        # Degrees above 2 are not told apart, or a loop of products would have as many forms as there are orders.
        a, b = a or 0, b or 0
        return max(a, b) or None if a == b or max(a, b) <= 2 else self.order

    def widen(self, x: Bundle, kind: Kind) -> Bundle:
        return Bundle(kind, (*x.leaves, *[zero(x.leaves[0])] * (kind - (x.kind or 0))))


def zero(primal: Value) -> Value:
    """The coefficient 0 of a value."""
    t = primal.aval.to_tangent_aval()
    return zeros(t.shape, t.dtype)


def primal_and_series(x: Bundle) -> WithSeries:
    """What a bundle was made of."""
    primal, *terms = x.leaves
    return primal, Series(terms) if terms else None


# ---- calls in functions of series ----------------------------------------------------------------


def _lifted_call(
    trace: JetTrace, call: CallPrimitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> list[WithSeries]:
    how = Taylor(trace.order, trace)
    _, outs = how.call(call, list(map(how.bundle, primals, series)), params)
    return list(map(primal_and_series, outs))


taylor_series.lifted_call = _lifted_call


def _results(how: Taylor, found: Iterable[WithSeries]) -> Outcome:
    return None, [how.bundle(*x) for x in found]


@Taylor.rules.of(Solve)
def _solve(how: Taylor, call: Solve, operands: Sequence[Bundle], params: Params) -> Outcome:
    """By the equation that the solution's derivative solves: one more solve for each coefficient."""
    primals, series = zip(*map(primal_and_series, operands))
    parent = current()
    deferred = Deferred(parent, how._trace or JetTrace(None, parent, how.order))
    outs = under(deferred, call.bind, *map(deferred.wrap, primals, series), **params)
    return _results(how, map(deferred.unwrap, outs))


@Taylor.rules.of(LoopCall)
def _loop(how: Taylor, call: LoopCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    """As what it computes."""
    return call.lifted(how, operands, params)


@Taylor.rules.of(LinearCall)
def _linear_call(how: Taylor, call: LinearCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    """Of each coefficient, where it is linear in the series; else as what it computes."""
    n = params["count"]
    if any(x.kind is not None for x in operands[:n]):
        return how.run_program(params["jaxpr"], operands)
    pairs = list(map(primal_and_series, operands))
    residuals = [p for p, _ in pairs[:n]]

    def at(k: int) -> list[Value]:
        linear = [p if not k else None if s is None else s[k] for p, s in pairs[n:]]
        return call.bind(*residuals, *[zero(p) if x is None else x for x, (p, _) in zip(linear, pairs[n:])], **params)

    degree = max([x.kind for x in operands[n:] if x.kind is not None])
    outs, *terms = map(at, range(degree + 1))
    return _results(how, [(o, Series(each)) for o, *each in zip(outs, *terms)])


# ---- functions with rules of their own -----------------------------------------------------------


class _ClosureDerivative(Standing, JVPTrace):
    """Stands for `alias`: what a function closes over has its derivative as tangent; its arguments have none.

    Example: c, in the derivative of `custom_jvp(lambda x: c * x)(x)`, where both are series.
    """

    __slots__ = ("alias",)

    def __init__(self, parent: Deferred, alias: JetTrace) -> None:
        super().__init__(parent)
        self.alias = alias

    def own(self, x: JetTracer) -> Value:
        deferred: Any = self.parent
        return self.wrap(deferred.adopt(x), under(deferred.parent, deferred.derivative, x.primal, x.series))


class CustomDerivative(Derivative):
    """That of a call, under `trace`, of a function with a rule of its own: of the rule in the arguments, of the
    function in what it closes over. `outs` are the results that the rule gives.

    Example: of a `custom_jvp` function at a series.
    """

    __slots__ = ("outs",)

    def __init__(
        self, trace: JetTrace, call: CustomCall, primals: Sequence[Value], series: Sequence[Series | None], params: Params
    ) -> None:  # fmt: skip
        deferred = Deferred(trace.parent, trace, trace.memo if isinstance(trace, Deferred) else None)
        self.outs: Sequence[Any] = ()

        def rule(xs: Sequence[Value], ts: Sequence[Tangent]) -> Sequence[Tangent]:
            t_outs: Sequence[Any]
            if any([t is not None for t in ts]):
                self.outs, t_outs = call.forward_mode(xs, ts, params)
            else:
                self.outs = params["fun"](*xs)
                t_outs = [None] * len(self.outs)
            self.outs = [deferred.adopt(as_array(o)) for o in self.outs]
            if not deferred.met:
                return t_outs
            again = _ClosureDerivative(deferred, trace)
            moved = [again.unwrap(o)[1] for o in again.run(params["fun"], *xs)]
            return [b if a is None else a if b is None else a + b for a, b in zip(t_outs, moved)]

        super().__init__(deferred, primals, series, rule)

    def results(self) -> list[tuple[Value, Series | None]]:
        """The results, as the rule gives them, and their series."""
        self.tangents()
        return [(self.trace.unwrap(o)[0], self.series(i)) for i, o in enumerate(self.outs)]


@Taylor.rules.of(CustomCall)
def _custom(how: Taylor, call: CustomCall, operands: Sequence[Bundle], params: Params) -> Outcome:
    trace, pairs = how.within, list(map(primal_and_series, operands))
    if isinstance(call, CustomVmapCall):  # its derivative is that of the function
        outs = under(trace, params["fun"], *[trace.wrap(*x) for x in pairs])
        return _results(how, map(trace.unwrap, outs))
    return _results(how, CustomDerivative(trace, call, [p for p, _ in pairs], [s for _, s in pairs], params).results())


def _deferred_custom(trace: Deferred, call: CustomCall, args: Sequence[Value], params: Params) -> list[Value]:
    """In a rule, which may be that of the same function."""
    primals, series = zip(*map(trace.unwrap, args)) if args else ((), ())
    inner, met = primal_functions(params, trace)
    outs = under(trace.parent, trace.parent.process_call, call, primals, inner)
    if not met() and all([s is None for s in series]):
        return outs
    if isinstance(call, CustomVmapCall):  # its derivative is that of the function
        return list(params["fun"](*args))
    rules = {k: f for k, f in params.items() if k in FUNCTIONS}
    compute = lambda: CustomDerivative(trace, call, primals, series, params)
    found: Derivative = trace.remembered(trace.key(call, args, rules), (args, params), compute)
    return [trace.result(o, found.series(i)) for i, o in enumerate(outs)]


# ---- calls in derivative rules -------------------------------------------------------------------


class Again:
    """A call of a program in a derivative rule, which is made again for each order: its operands may depend on its
    own results of lower orders.

    Example: the scan that a `custom_jvp` rule runs.
    """

    def __init__(
        self, call: CallPrimitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
    ) -> None:
        self.call, self.primals, self.series, self.params = call, primals, series, params
        self.known: list[list[WithSeries]] = []

    def result(self, i: int) -> Series:
        """The series of result number `i`."""
        return Series(step=lambda k: self._coefficient(i, k))

    def _coefficient(self, i: int, k: int) -> Value:
        while len(self.known) < k:
            how = Taylor(len(self.known) + 1)
            _, outs = how.call(self.call, list(map(how.bundle, self.primals, self.series)), self.params)
            self.known.append(list(map(primal_and_series, outs)))
        _, series = self.known[k - 1][i]
        return None if series is None else series[k]


def _deferred_call(trace: Deferred, call: CallPrimitive, args: Sequence[Value], params: Params) -> list[Value]:
    if isinstance(call, CustomCall):
        return _deferred_custom(trace, call, args, params)
    if isinstance(call, Solve):
        compute = lambda: _solved(trace, call, args, params)
        found: list[Value] = trace.mine(trace.remembered(trace.key(call, args, params), (args, params), compute))
        return found
    if call.inlined is not None:
        return run(params[call.inlined], *args)
    primals, series = zip(*map(trace.unwrap, args))
    again = Again(call, primals, series, params)
    outs = under(trace.parent, call.bind, *primals, **params)
    return [trace.result(o, again.result(i)) for i, o in enumerate(outs)]


def _solved(trace: Deferred, call: OwnDerivative, args: Sequence[Value], params: Params) -> list[Value]:
    """The results of a call, by its derivative rule."""
    primals, series = zip(*map(trace.unwrap, args))

    def rule(xs: Sequence[Value], ts: Sequence[Tangent]) -> Sequence[Tangent]:
        return call.forward_mode(xs, ts, params)[1]

    outs = under(trace.parent, call.bind, *primals, **params)
    derivative = Derivative(trace, primals, series, rule)
    return [trace.result(o, derivative.series(i)) for i, o in enumerate(outs)]


taylor_series.deferred_call = _deferred_call


# ---- initial value problems ----------------------------------------------------------------------


@Taylor.rules.of(Odeint)
def _odeint(how: Taylor, call: Odeint, operands: Sequence[Bundle], params: Params) -> Outcome:
    """The equations of all coefficients of the state together: derivatives of the solution, not of a solver's steps."""
    consts, times, start = call.split(operands, params)
    (kind,) = kinds_of([times])
    if kind is not None:
        return how.run(partial(call.expand if params["batch"] else _by_intervals, **params), operands)
    start = how.wider(start, [how.order] * len(start))
    program = params["jaxpr"].derived(
        ("jet of an equation", how.key, kinds_of(consts)), _equation, how, kinds_of(consts)
    )
    given = leaves_of(consts)
    counts = [how.count(x.kind) for x in (*consts, times, *start)]
    batch = tuple(
        (size, tuple([m for m, n in zip(mapped, counts) for _ in range(n)]), name)
        for size, mapped, name in params["batch"]
    )
    changed = {"jaxpr": program, "num_consts": len(given), "batch": batch}
    outs = call.bind(*given, *times.leaves, *leaves_of(start), **params | changed)
    return None, how.bundles(kinds_of(start), outs)


def _equation(closed: ClosedJaxpr, how: Taylor, of_consts: Sequence[Kind]) -> ClosedJaxpr:
    """The right-hand side (values, state, time) → derivative, of states that are polynomials."""
    of_state = (how.order,) * len(closed.out_avals)
    kinds = (*of_consts, *of_state, None)
    found = how.program(closed, kinds)
    widened = lambda operands: leaves_of(how.wider(how.apply(found, operands)[1], of_state))
    return how.over_bundles(widened, (kinds, closed.in_avals))


def _by_intervals(*operands: Value, jaxpr: ClosedJaxpr, num_consts: int, **params: Param) -> list[Value]:
    """The solution at times that are themselves differentiated: from each to the next in time from 0 to 1."""
    consts, ts, start = operands[:num_consts], operands[num_consts], operands[num_consts + 1 :]
    program = jaxpr.derived(("on an interval", num_consts), _on_interval, num_consts)
    unit = as_array(np.array([0, 1], ts.dtype))
    given = {**params, "jaxpr": program, "num_consts": num_consts + 2, "hmax": inf}

    def interval(state: Sequence[Value], ends: tuple[Value, Value]) -> tuple[list[Value], list[Value]]:
        first, last = ends
        outs = odeint_p.bind(*consts, first, last - first, unit, *state, **given)
        state = [y[1] for y in outs]
        return state, state

    _, ys = scan(interval, list(start), (ts[:-1], ts[1:]))
    return [concatenate_p.bind(reshape_p.bind(x, new_sizes=(1, *x.shape)), y, dimension=0) for x, y in zip(start, ys)]


def _on_interval(closed: ClosedJaxpr, num_consts: int) -> ClosedJaxpr:
    """The right-hand side (values, first time, length, state, time from 0 to 1) → derivative."""
    *others, t = closed.in_avals

    def slope(*xs: Value) -> list[Value]:
        consts, (first, length, *state), time = xs[:num_consts], xs[num_consts:-1], xs[-1]
        outs = run(closed, *consts, *state, first + length * time)
        return [y * convert(length, y.dtype) for y in outs]

    return stage_flat(slope, [*others[:num_consts], t, t, *others[num_consts:], t], current())


__all__ = ["Taylor", "primal_and_series"]
