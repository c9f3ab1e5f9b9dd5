"""Series as values: truncated Taylor polynomials x(t) = x₀ + x₁ t + x₂ t² + ..., and the traces that compute with
them.

A `JetTracer` is x₀, its `primal`, with the `Series` of the other coefficients. These are *normalized* (xₖ is the k-th
derivative over k!), so that products are plain convolutions, and a coefficient may be None, which is zero.

Coefficient k of a result depends on the coefficients of the operands up to k, and, where the result occurs in its own
derivative, on those of the result up to k - 1. So a series is computed one coefficient after the other, each on
demand: what is called online, or relaxed, evaluation (D. E. Knuth, *The Art of Computer Programming*, volume 2,
section 4.7; J. van der Hoeven, "Relax, but don't be too lazy", J. Symbolic Computation 34, 2002). That is what makes
one rule enough for all operations, their derivative rule: y(t) = f(x(t)) satisfies

    y'(t) = ∂f(x(t)) x'(t),        so        yₖ₊₁ = (the k-th coefficient of the right-hand side) / (k + 1),

and the right-hand side is what the rule `jvp` computes, from series. There y is itself again, known up to k. The
classical recurrences for exp, tanh, sin and cos, ... are this (A. Griewank, A. Walther, *Evaluating Derivatives*, 2nd
edition, SIAM 2008, chapter 13; R. E. Moore, *Interval Analysis*, Prentice-Hall 1966). Every operation of the rule is
applied once, whatever the order, and convolutions make the cost quadratic in it.

`JetTrace` is the trace of functions of series: it asks for all coefficients of a result at once. `Deferred` is the
trace of derivative rules, which asks for none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.linear import zeros
from pullback.core.trace import Params, PrimalTracer, Trace, set_current, under
from pullback.core.tree import PyTreeDef
from pullback.core.types import ShapedArray
from pullback.lax.elementwise import div_p
from pullback.lax.family import add_p, like, mul_p, sub_p
from pullback.lax.shape import broadcast_to
from pullback.transforms.closures import Standing
from pullback.transforms.custom_jvp import Held
from pullback.transforms.lifting import Rules

if TYPE_CHECKING:
    from pullback.core.names import Key, Operand, Result, Tangent, Value
    from pullback.core.primitive import Primitive
    from pullback.transforms.call import CallPrimitive

#: Coefficient k ≥ 1 of a series, where those before it are known; None is zero.
Step = Callable[[int], Any]

# ---- series --------------------------------------------------------------------------------------


class Series:
    """The coefficients of a value beyond the first, each computed when it is first asked for, by `step(k)`. Those
    beyond `degree` are zero; it is None if nothing is known of that.

    >>> geometric = Series(step=lambda k: 0.5**k)                 # of 1/(1 - t/2)
    >>> geometric[2], geometric.terms
    (0.25, [0.5, 0.25])
    >>> Series([3.0])[2] is None                                  # of a polynomial of degree 1
    True
    """

    __slots__ = ("terms", "degree", "_step", "_slopes", "_derivative")

    def __init__(self, terms: Sequence[Value] = (), step: Step | None = None, degree: int | None = None) -> None:
        self.terms = list(terms)
        self.degree = len(self.terms) if step is None else degree
        self._step = step
        self._slopes: list[Any] = []
        self._derivative: Series | None = None

    def __getitem__(self, k: int) -> Value:
        """Coefficient k ≥ 1; None is zero."""
        terms = self.terms
        if self.degree is not None and k > self.degree:
            return None
        while len(terms) < k:
            assert self._step is not None
            terms.append(self._step(len(terms) + 1))
        return terms[k - 1]

    def slope(self, k: int) -> Value:
        """Coefficient k of t x'(t): k xₖ, computed once."""
        slopes = self._slopes
        while len(slopes) < k:
            slopes.append(times(len(slopes) + 1, self[len(slopes) + 1]))
        return slopes[k - 1]

    def derivative(self) -> Series:
        """The series of x'(t), whose first coefficient is x₁."""
        if self._derivative is None:
            degree = None if self.degree is None else self.degree - 1
            self._derivative = Series(step=lambda k: self.slope(k + 1), degree=degree)
        return self._derivative

    def up_to(self, order: int) -> list[Value]:
        """The coefficients up to `order`, without zeros at the end."""
        found = [self[k] for k in range(1, order + 1 if self.degree is None else min(order, self.degree) + 1)]
        while found and found[-1] is None:
            found.pop()
        return found


def times(n: int, x: Value) -> Value:
    """n x; None is zero."""
    return x if x is None or n == 1 else mul_p.bind(like(n, x), x)


def over(x: Value, n: int) -> Value:
    """x / n; None is zero."""
    return x if x is None or n == 1 else div_p.bind(x, like(n, x))


# ---- tracers and traces --------------------------------------------------------------------------


class JetTracer(PrimalTracer):
    """A value that is a series: `primal`, and the `series` of the other coefficients, all of the parent trace.

    `terms` is a `Series`, or a sequence of coefficients.

    >>> from pullback.derivatives import jet
    >>> def f(x):
    ...     print(x.primal, x.terms)
    ...     return x * x
    >>> jet(f, (3.0,), ([1.0, 0.0],))[1]
    3.0 [Array(1., dtype=float32, weak_type=True)]
    [Array(6., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True)]
    """

    __slots__ = ("series",)
    series: Series

    def __init__(self, trace: Trace, primal: Value, terms: Series | Sequence[Value]) -> None:
        self._trace, self.primal = trace, primal
        self.series = terms if isinstance(terms, Series) else Series(terms)

    @property
    def terms(self) -> list[Value]:
        """The coefficients beyond the first that are known: xₖ, the k-th derivative over k!. None is zero.

        Example: of x = 3 + t, `[1.0]`.
        """
        return self.series.terms

    def __repr__(self) -> str:
        return f"Traced<{self.aval.str_short()}>with<JetTrace> primal={self.primal!r} terms={self.terms!r}"


#: How operations are applied to series, by primitive or class of primitives:
#: `rule(trace, primitive, primals, series, params)` gives result and `Series`, or a list of each; None for the series
#: of a constant. Where there is none, `by_derivative` is the rule.
series_rules = Rules()


class JetTrace(Trace):
    """The trace of functions of series up to `order`: each operation's result is known to that order when the
    function goes on.

    `tag` makes no difference: traces tell themselves apart.

    >>> from pullback.core.trace import current
    >>> from pullback.derivatives import jet
    >>> jet(lambda x: print(type(current()).__name__, current().order) or x, (1.0,), ([1.0, 0.0],))[0]
    JetTrace 2
    Array(1., dtype=float32, weak_type=True)
    """

    __slots__ = ("order",)

    def __init__(self, tag: object, parent_trace: Trace, order: int) -> None:
        del tag
        self.parent, self.order = parent_trace, order

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        primals: list[Value] = []
        series: list[Series | None] = []
        active = False
        for a in args:
            if a.__class__ is JetTracer and a._trace is self:
                active = True
                primals.append(a.primal)
                series.append(a.series)
            else:
                primals.append(a if a.__class__ is ConcreteArray or isinstance(a, Array) else as_array(a))
                series.append(None)
        parent = self.parent
        try:
            set_current(parent)
            if not active:
                return parent.process(primitive, args, params)
            out, found = self.applied(primitive, primals, series, params)
            if primitive.multiple_results:
                return [self.result(o, s) for o, s in zip(out, found)]
            return self.result(out, found)
        finally:
            set_current(self)

    def applied(
        self, primitive: Primitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
    ) -> tuple[Any, Any]:
        """Result and series of an operation, by its rule (of several results, a list of each)."""
        if primitive.no_derivative is not None:
            out = primitive.bind(*primals, **params)
            return out, [None] * len(out) if primitive.multiple_results else None
        rule = series_rules.find(primitive) or by_derivative
        found: tuple[Any, Any] = rule(self, primitive, primals, series, params)
        return found

    def result(self, primal: Value, series: Series | None) -> Value:
        """The result of an operation, under the parent: with all coefficients up to the order; without any, a
        constant."""
        if series is None or not dtypes.is_inexact(primal.dtype):
            return primal
        terms = [shaped(x, primal) for x in series.up_to(self.order)]
        return JetTracer(self, primal, Series(terms)) if terms else primal

    def wrap(self, primal: Value, series: Series | None) -> Value:
        """A value of this trace."""
        return primal if series is None else JetTracer(self, primal, series)

    def unwrap(self, x: Value) -> tuple[Value, Series | None]:
        """Primal and series (None of a constant) of a value of this trace."""
        if x.__class__ is JetTracer and x._trace is self:
            return x.primal, x.series
        if x.__class__ is not ConcreteArray:
            self.check_constant(x)
        return x, None

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        pairs = [self.unwrap(a) for a in args]
        parent = self.parent
        try:
            set_current(parent)
            if call.is_closed and all([s is None for _, s in pairs]):
                return parent.process_call(call, [p for p, _ in pairs], params)
            outs = lifted_call(self, call, [p for p, _ in pairs], [s for _, s in pairs], params)
            return [self.result(*o) for o in outs]
        finally:
            set_current(self)


def lifted_call(
    trace: JetTrace, call: CallPrimitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> list[tuple[Value, Series | None]]:
    """Results of a call and their series. `through_calls` supplies it."""
    raise NotImplementedError("pullback.derivatives.taylor.through_calls has not been imported")


def shaped(term: Value, primal: Value) -> Value:
    """A coefficient in the shape of its primal, which one that was not broadcast does not have yet."""
    return term if term is None or term.shape == primal.shape else broadcast_to(term, primal.shape)


# ---- derivative rules, applied to series ---------------------------------------------------------


class Deferred(Standing, JetTrace):
    """The trace of derivative rules: series of results are computed on demand.

    Nothing is computed twice: the same operation on the same series is the same series (`memo`). That is how a result
    meets itself in its own derivative, and why rules that refer to one another (sin and cos; the polygamma functions,
    of which each needs the next) cost a polynomial in the order.

    It stands for the trace `alias`, in which the rules were called and whose tracers they may close over; `met` says
    whether they did.

    Example: the rule of tanh, 1 - tanh(x)² times x', where tanh(x) is what is being computed.
    """

    __slots__ = ("alias", "memo", "met", "shifts")

    def __init__(self, parent: Trace, alias: JetTrace, memo: dict[Key, Any] | None = None) -> None:
        super().__init__(None, parent, alias.order)
        self.alias, self.met = alias, False
        # Results by operation and operands' identities, with the operands, which keep their identities alive.
        self.memo: dict[Any, Any] = {} if memo is None else memo
        #: Constants that were shifted, by identity: from where, by how much, and they themselves.
        self.shifts: dict[int, tuple[Any, float, Any]] = {}

    @staticmethod
    def of(trace: JetTrace) -> Deferred:
        """One for a rule called under `trace`: `trace` itself, if it is one."""
        return trace if isinstance(trace, Deferred) else Deferred(trace.parent, trace)

    def own(self, x: JetTracer) -> Value:
        self.met = True
        return self.wrap(x.primal, x.series)

    def result(self, primal: Value, series: Series | None) -> Value:
        return JetTracer(self, primal, series) if series is not None and dtypes.is_inexact(primal.dtype) else primal

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        args = tuple([self.adopt(a if isinstance(a, Array) else as_array(a)) for a in args])
        shifted = self._shifted(primitive, args)
        if shifted is not None:
            return shifted
        compute = partial(super().process, primitive, args, params)
        if primitive.is_collective or primitive.effects_of(params):
            return compute()
        return self.mine(self.remembered(self.key(primitive, args, params), (args, params), compute))

    def _shifted(self, primitive: Primitive, args: Sequence[Value]) -> Value:
        """A constant plus or minus a whole number, each sum once: rules that step up and down an order, as that of
        spherical harmonics does, come back to where they were. None if it is nothing of that kind."""
        if primitive is not add_p and primitive is not sub_p:
            return None
        x, step = args
        if step.__class__ is not ConcreteArray or step.shape or not dtypes.is_float(step.dtype):
            return None
        by = float(step._value)
        if not by.is_integer() or self.unwrap(x)[1] is not None:
            return None
        base, offset, _ = self.shifts.get(id(x), (x, 0.0, None))
        offset += by if primitive is add_p else -by
        if not offset:
            return base
        key = ("shifted", _identity_of_operand(base), offset, step.dtype, step.weak_type)

        def compute() -> Value:
            shift = concrete(np.asarray(offset, step.dtype), step.weak_type)
            found = under(self.parent, add_p.bind, base, shift)
            self.shifts[id(found)] = base, offset, found
            return found

        return self.remembered(key, base, compute)

    def key(self, operation: object, args: Sequence[Value], *parts: object) -> Key:
        """What an operation on these operands is known by; None if its parameters cannot be compared."""
        found = (operation, *map(_identity_of_operand, args), *map(identity, parts))
        try:
            hash(found)
        except TypeError:
            return None
        return found

    def remembered(self, key: Key, kept: object, compute: Callable[[], Any]) -> Any:
        """What is known by `key`, or else what `compute` gives. `kept` is what the key has identities of."""
        if key is None:
            return compute()
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = (compute(), kept)
        return found[0]

    def mine(self, found: Result) -> Result:
        """What is remembered, which another trace with this memory may have found."""
        if isinstance(found, list):
            return list(map(self.mine, found))
        if (
            found.__class__ is JetTracer
            and found._trace is not self
            and self.memo is getattr(found._trace, "memo", None)
        ):
            return self.wrap(found.primal, found.series)
        return found

    def derivative(self, primal: Value, series: Series | None) -> Tangent:
        """x'(t) of a value x(t): itself a value of this trace, or a constant; None is zero."""
        if series is None:
            return None
        first = series[1]
        if first is None:
            t = primal.aval.to_tangent_aval()
            first = zeros(t.shape, t.dtype)
        first = shaped(first, primal)
        return first if series.degree == 1 else self.wrap(first, series.derivative())

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        args = tuple(map(self.adopt, args))
        pairs = [self.unwrap(a) for a in args]
        if call.is_closed and all([s is None for _, s in pairs]):
            return super().process_call(call, args, params)
        return deferred_call(self, call, args, params)


def deferred_call(trace: Deferred, call: CallPrimitive, args: Sequence[Value], params: Params) -> list[Value]:
    """Results of a call of a program, or with a derivative of its own, under `trace`. `through_calls` supplies it."""
    raise NotImplementedError("pullback.derivatives.taylor.through_calls has not been imported")


def _identity_of_operand(x: Value) -> Key:
    if x.__class__ is JetTracer:
        return "series", id(x.series)
    if x.__class__ is ConcreteArray and not x.shape:  # numbers are equal by value
        return x.dtype, x.weak_type, x._value.tobytes()
    return id(x)


_VALUES = (str, bytes, int, float, complex, type(None), PyTreeDef, ShapedArray, np.dtype)


def identity(x: object, depth: int = 8) -> Key:
    """What a parameter is known by. Functions are the same if they are of the same code and close over the same: each
    call of a function with a rule makes its parameters anew."""
    if not depth or isinstance(x, _VALUES):
        return x if depth else id(x)
    parts: Sequence[object]
    if isinstance(x, FunctionType):
        parts = (x.__code__, *map(_contents, x.__closure__ or ()), x.__defaults__, x.__kwdefaults__)
    elif isinstance(x, partial):
        parts = (x.func, x.args, x.keywords)
    elif isinstance(x, Held):
        parts = x.values
    elif isinstance(x, (tuple, list)):
        parts = x
    elif isinstance(x, dict):
        parts = [part for pair in x.items() for part in pair]
    else:
        return id(x)
    return tuple([identity(part, depth - 1) for part in parts])


def _contents(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # there is nothing in it yet
        return None


class Derivative:
    """y' of the results y of an operation at values x of which some are series: `rule(xs, ts)`, where ts are the x'
    (None is zero), gives the results' tangents. It is applied, under `trace`, when it is first asked for.

    Example: of tanh at a series x: 1 - tanh(x)² times x'.
    """

    __slots__ = ("trace", "_at", "_rule", "_found", "_series")

    def __init__(
        self, trace: Deferred, primals: Sequence[Value], series: Sequence[Series | None],
        rule: Callable[[Sequence[Value], Sequence[Tangent]], Sequence[Tangent]],
    ) -> None:  # fmt: skip
        self.trace, self._at, self._rule = trace, (primals, series), rule
        self._found: list[tuple[Any, Series | None]] | None = None
        self._series: dict[int, Series] = {}

    def tangents(self) -> list[tuple[Value, Series | None]]:
        """y' of each result: primal and series; (None, None) is zero."""
        if self._found is None:
            trace = self.trace
            xs, ts = list(map(trace.wrap, *self._at)), list(map(trace.derivative, *self._at))
            found = [None if t is None else trace.adopt(t) for t in under(trace, self._rule, xs, ts)]
            self._found = [(None, None) if t is None else trace.unwrap(t) for t in found]
        return self._found

    def series(self, i: int) -> Series:
        """The series of result number `i`."""
        found = self._series.get(i)
        if found is None:
            found = self._series[i] = Series(step=lambda k: over(self._coefficient(i, k - 1), k))
        return found

    def _coefficient(self, i: int, k: int) -> Value:
        """Coefficient k of y'."""
        first, series = self.tangents()[i]
        return first if not k else None if series is None else series[k]


def by_derivative(
    trace: JetTrace, primitive: Primitive, primals: Sequence[Value], series: Sequence[Series | None], params: Params
) -> tuple[Any, Any]:
    """Result and series of an operation, by its derivative rule."""
    out = primitive.bind(*primals, **params)
    outs = out if primitive.multiple_results else [out]
    deferred = Deferred.of(trace)

    def rule(xs: Sequence[Value], ts: Sequence[Tangent]) -> Sequence[Tangent]:
        _, t_out = primitive.jvp(xs, ts, **params)
        return [None] * len(outs) if t_out is None else t_out if primitive.multiple_results else [t_out]

    derivative = Derivative(deferred, primals, series, rule)
    found = [derivative.series(i) for i in range(len(outs))]
    if deferred is not trace:
        # For its own derivative; what is computed under a deferred trace is remembered there.
        args = list(map(deferred.wrap, primals, series))
        known = list(map(deferred.result, outs, found))
        result = known if primitive.multiple_results else known[0]
        deferred.remembered(deferred.key(primitive, args, params), (args, params), lambda: result)
    return (out, found) if primitive.multiple_results else (out, found[0])


__all__ = ["Deferred", "Derivative", "JetTrace", "JetTracer", "Series", "by_derivative", "series_rules"]
