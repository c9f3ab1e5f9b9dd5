"""The forward Laplacian: values with their first derivatives and their Laplacian, in one pass.

With coordinates x₁ … xₙ, every value y of a computation has *slopes* ∂y/∂xₖ and a *curvature*
Σₖ ∂²y/∂xₖ². For y = g(u), with u the operands of an operation,

    ∂y/∂xₖ      = Σᵢ gᵢ ∂uᵢ/∂xₖ
    Σₖ ∂²y/∂xₖ² = Σᵢ gᵢ Σₖ ∂²uᵢ/∂xₖ² + Σᵢⱼ gᵢⱼ Σₖ ∂uᵢ/∂xₖ ∂uⱼ/∂xₖ

so slopes and curvature can be carried along with the values: no n Hessian columns, and no backward
pass. What is constant has neither; what is linear in x has no curvature, and what depends on few
coordinates has few rows of slopes (`laplacian_rows`). The rules of operations are in
`laplacian_rules`, by class; whatever has no rule there is differentiated twice along each direction,
which serves every operation and every call with a derivative of its own. Other calls, loops and
branches are lifted.

Source: R. Li et al., "A computational framework for neural network-based variational Monte Carlo with
Forward Laplacian", Nature Machine Intelligence 6 (2024).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pullback.control.reduce import ProgramReduction
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.linear import zeros
from pullback.core.primitive import Fusion
from pullback.core.trace import Params, PrimalTracer, Trace, current, set_current, under
from pullback.core.types import ShapedArray
from pullback.derivatives.laplacians.laplacian_rows import Pattern, collected, united, with_axes
from pullback.lax.shape import batch_first, move_axis, reduce_sum_p, strong
from pullback.transforms.call import OwnDerivative
from pullback.transforms.closures import Standing
from pullback.transforms.jvp import JVPTrace
from pullback.transforms.lifting import Bundle, Kind, Lifting, Outcome, Rules, leaves_of, plain
from pullback.transforms.vmap import batch_flat

if TYPE_CHECKING:
    from pullback.core.names import Function, Operand, Result, Value
    from pullback.core.primitive import Primitive
    from pullback.core.types import Shape
    from pullback.transforms.call import CallPrimitive

#: From how many coordinates on fewer rows are kept than there are coordinates.
FEW = 8

# ---- values --------------------------------------------------------------------------------------


class Local(NamedTuple):
    """A value with its derivatives: `slopes` of shape (rows, *shape of the value), None of a
    constant; `pattern` says which coordinates the rows are by, None for all of them, in their order;
    `curvature` is the Laplacian, None for zero.

    Example: x itself has slopes 1 in one row, and no curvature.
    """

    value: Any
    slopes: Any = None
    pattern: Pattern | None = None
    curvature: Any = None


class Spread(NamedTuple):
    """The kind of bundles of values with derivatives: their pattern, whether there is a curvature,
    and along which axis the slopes have their rows."""

    pattern: Pattern | None
    curved: bool
    axis: int = 0


def bundle_of(x: Local) -> Bundle:
    """A value with its derivatives, as a bundle."""
    if x.slopes is None:
        return plain(x.value)
    slopes = strong(x.slopes)
    if x.curvature is None:
        return Bundle(Spread(x.pattern, False), (x.value, slopes))
    return Bundle(Spread(x.pattern, True), (x.value, slopes, strong(x.curvature)))


def local_of(x: Bundle) -> Local:
    """What `bundle_of` was made of."""
    if x.kind is None:
        return Local(x.leaves[0])
    value, slopes, *rest = x.leaves
    return Local(value, move_axis(slopes, x.kind.axis, 0), x.kind.pattern, rest[0] if rest else None)


class LaplacianTracer(PrimalTracer):
    """A value of the parent trace, with its derivatives.

    Example: `x` in f, under `laplacian(f)(x)`.
    """

    __slots__ = ("local",)
    local: Local

    def __repr__(self) -> str:
        return f"Traced<{self.aval.str_short()}>with<LaplacianTrace> primal={self.primal!r}"


class LaplacianTrace(Trace):
    """Applies the rules of operations (`laplacian_rules`); `coordinates` is the number of them.

    Example: `sin(x)` under it also computes cos(x) times the slopes of x.
    """

    __slots__ = ("coordinates",)

    def __init__(self, parent: Trace, coordinates: int) -> None:
        self.parent, self.coordinates = parent, coordinates

    def wrap(self, x: Local) -> Value:
        if x.slopes is None:
            return x.value
        tracer = LaplacianTracer()
        tracer._trace, tracer.primal, tracer.local = self, x.value, x
        return tracer

    def unwrap(self, x: Value) -> Local:
        """Value and derivatives of a value of this trace."""
        if x.__class__ is LaplacianTracer and x._trace is self:
            return x.local
        if x.__class__ is not ConcreteArray:
            self.check_constant(x)
        return Local(x)

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        operands = [
            a.local if a.__class__ is LaplacianTracer and a._trace is self else Local(a if isinstance(a, Array) else as_array(a))
            for a in args
        ]  # fmt: skip
        parent = self.parent
        try:
            set_current(parent)
            if primitive.no_derivative is not None or all([x.slopes is None for x in operands]):
                return parent.process(primitive, tuple([x.value for x in operands]), params)
            found = laplacian_rules.find(primitive) or along_directions
            out = found(self.coordinates, primitive, operands, params)
        finally:
            set_current(self)
        return [self.wrap(o) for o in out] if primitive.multiple_results else self.wrap(out)

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        operands = [self.unwrap(a) for a in args]
        parent = self.parent
        try:
            set_current(parent)
            if call.is_closed and all([x.slopes is None for x in operands]):
                return parent.process_call(call, [x.value for x in operands], params)
            _, outs = ForwardLaplacian(self.coordinates, self).call(call, list(map(bundle_of, operands)), params)
        finally:
            set_current(self)
        return [self.wrap(local_of(o)) for o in outs]


def dense(coordinates: int, x: Local) -> Value:
    """The slopes of a value, one row for each coordinate."""
    return x.slopes if x.pattern is None else collected(x.slopes, x.pattern.numbers, coordinates)


def _all_dense(coordinates: int, operands: Sequence[Local]) -> list[Any]:
    """The slopes of all, one row for each coordinate; None of constants."""
    return [None if x.slopes is None else dense(coordinates, x) for x in operands]


# ---- as a lifting --------------------------------------------------------------------------------


class ForwardLaplacian(Lifting):
    """Values are of kind None or, with derivatives, of a `Spread`. `trace` is given where one
    transforms a call.

    Example: makes a `scan` of values with derivatives of a `scan`.
    """

    name = "laplacian"
    rules = Rules()

    def __init__(self, coordinates: int, trace: LaplacianTrace | None = None) -> None:
        self.coordinates, self._trace = coordinates, trace
        self.key = "laplacian", coordinates

    @property
    def within(self) -> LaplacianTrace:
        """The trace in which the call is made that is being transformed: custom rules close over
        values of it."""
        assert self._trace is not None, "calls of Python functions are made under a trace"
        return self._trace

    def run(self, fun: Function, operands: Sequence[Bundle]) -> Outcome:
        trace = LaplacianTrace(current(), self.coordinates)
        outs = under(trace, fun, *[trace.wrap(local_of(x)) for x in operands])
        return None, [bundle_of(trace.unwrap(as_array(o))) for o in outs]

    def count(self, kind: Kind) -> int:
        return 1 if kind is None else 2 + kind.curved

    def types(self, kind: Kind, t: ShapedArray) -> list[ShapedArray]:
        if kind is None:
            return [t]
        tangent = t.to_tangent_aval().update(weak_type=False)
        shape = (*t.shape[: kind.axis], self._rows(kind), *t.shape[kind.axis :])
        return [t, tangent.update(shape=shape), *([tangent] if kind.curved else [])]

    def _rows(self, kind: Spread) -> int:
        return self.coordinates if kind.pattern is None else kind.pattern.count

    def join(self, a: Kind, b: Kind) -> Kind:
        if a is None or b is None:
            return a if b is None else b
        return Spread(a.pattern if a.pattern == b.pattern else None, a.curved or b.curved)

    def widen(self, x: Bundle, kind: Kind) -> Bundle:
        value, slopes, pattern, curvature = local_of(x)
        if slopes is None:
            _, t, *_ = self.types(kind, value.aval)
            slopes = zeros(t.shape, t.dtype)
        elif pattern != kind.pattern:
            slopes = dense(self.coordinates, local_of(x))
        if kind.curved and curvature is None:
            curvature = zeros(value.shape, slopes.dtype)
        return Bundle(kind, leaves_of([bundle_of(Local(value, slopes, kind.pattern, curvature))]))

    def settled(self, x: Bundle) -> Bundle:
        return bundle_of(local_of(x)) if x.kind is not None and x.kind.axis else x

    def stacked(self, x: Bundle) -> Bundle:
        if x.kind is None:
            return x
        local = local_of(x)
        # One program for all steps, and one pattern.
        numbers = None if local.pattern is None else local.pattern.numbers
        if numbers is not None and numbers.size and (numbers == numbers[:, :1]).all():
            pattern, slopes = Pattern(numbers[:, 0]), local.slopes
        else:
            pattern, slopes = None, dense(self.coordinates, local)
        value, _, *curvature = x.leaves
        return Bundle(Spread(pattern, x.kind.curved, 1), (value, move_axis(strong(slopes), 0, 1), *curvature))

    def of_step(self, kind: Kind) -> Kind:
        return None if kind is None else kind._replace(axis=0)

    def of_loop(self, kind: Kind) -> Kind:
        return None if kind is None else kind._replace(axis=1)


@ForwardLaplacian.rules.of(ProgramReduction)
def _reduction(how: ForwardLaplacian, call: ProgramReduction, operands: Sequence[Bundle], params: Params) -> Outcome:
    """As what it expands to: what is reduced together has one shape, and slopes have another."""
    return how.run(partial(call.expand, **params), operands)


# ---- twice along each direction ------------------------------------------------------------------


def along_directions(coordinates: int, primitive: Primitive, operands: Sequence[Local], params: Params) -> Any:
    """The results of an operation, differentiated twice along each row of slopes."""
    values = [x.value for x in operands]
    shape = max([v.shape for v in values], key=len)
    in_place = primitive.fusion is Fusion.ELEMENTWISE
    if in_place and all([x.value.shape == shape for x in operands if x.slopes is not None]):
        pattern, rows, slopes = aligned(coordinates, operands, shape)
    else:
        pattern, rows, slopes = None, coordinates, _all_dense(coordinates, operands)
    curvatures = [x.curvature for x in operands]
    if any([c is not None for c in curvatures]):
        outs, firsts = primitive.jvp(values, curvatures, **params)
    else:
        outs, firsts = primitive.bind(*values, **params), None
    several = primitive.multiple_results
    outs, firsts = (outs, firsts) if several else ([outs], [firsts])

    def along(trace: JVPTrace, args: Sequence[Value]) -> Sequence[Value]:
        found = under(trace, primitive.bind, *args, **params)
        return found if several else [found]

    found = _locals(outs, firsts, rows, pattern, values, slopes, JVPTrace, along)
    return found if several else found[0]


@ForwardLaplacian.rules.of(OwnDerivative)
def _own_derivative(how: ForwardLaplacian, call: OwnDerivative, operands: Sequence[Bundle], params: Params) -> Outcome:
    """The derivatives are those that the call's rule has, and in what it closes over those of the
    function."""
    trace, known = how.within, list(map(local_of, operands))
    values, slopes = [x.value for x in known], _all_dense(how.coordinates, known)
    apply = lambda *xs: current().process_call(call, xs, params)
    second = AlongCurvature(current(), trace)
    pairs = [second.unwrap(o) for o in second.run(apply, *map(second.wrap, values, [x.curvature for x in known]))]

    def along(trace: Any, args: Sequence[Value]) -> Sequence[Value]:
        return trace.run(apply, *args)

    found = _locals(
        [o for o, _ in pairs], [t for _, t in pairs], how.coordinates, None, values, slopes,
        lambda outer: AlongRow(outer, trace), along,
    )  # fmt: skip
    return None, list(map(bundle_of, found))


def _locals(
    outs: Sequence[Value], firsts: Sequence[Any], rows: int, pattern: Pattern | None, values: Sequence[Value],
    slopes: Sequence[Any], inner: Callable[[JVPTrace], JVPTrace], apply: Callable[[JVPTrace, Sequence[Value]], Sequence[Value]],
) -> list[Local]:  # fmt: skip
    """Results with derivatives: `firsts` are the operation's derivatives along the curvatures, and
    the second ones are found by `apply`, along rows of `slopes`, under traces of forward mode."""

    def along(*given: Value) -> list[Value]:
        outer = JVPTrace(current())
        trace = inner(outer)
        rest = iter(given)
        ts = [None if s is None else next(rest) for s in slopes]
        # The point moves along u̇, the tangent u̇ stays: the derivative of ∂g(u)·u̇ is then ∂²g(u)[u̇, u̇].
        args = [trace.wrap(outer.wrap(v, t), t) for v, t in zip(values, ts)]
        tangents = [trace.unwrap(o)[1] for o in apply(trace, args)]
        pairs = [(None, None) if t is None else outer.unwrap(t) for t in tangents]
        return [x for pair in pairs for x in pair]

    found, axes = batch_flat(
        along, rows, [s for s in slopes if s is not None], [0] * sum([s is not None for s in slopes])
    )
    parts = [None if x is None else batch_first(x, b, rows) for x, b in zip(found, axes)]
    result = []
    for i, (out, first) in enumerate(zip(outs, firsts or [None] * len(outs))):
        t, second = parts[2 * i], parts[2 * i + 1]
        if second is not None:
            second = reduce_sum_p.bind(second, axes=(0,))
            first = second if first is None else first + second
        if t is None and first is not None:
            t = zeros((rows, *out.shape), first.dtype)
        result.append(Local(out, t, None if t is None else pattern, first))
    return result


class AlongRow(Standing, JVPTrace):
    """Stands for a `LaplacianTrace`, under a trace that maps the rows of slopes and one of forward
    mode: its tracers have their slopes as tangents under both.

    Example: a custom rule that closes over x of `laplacian(f)(x)`.
    """

    __slots__ = ("alias",)
    alias: LaplacianTrace

    def __init__(self, parent: Trace, alias: LaplacianTrace) -> None:
        super().__init__(parent)
        self.alias = alias

    def own(self, x: LaplacianTracer) -> Value:
        outer: Any = self.parent
        rows: Any = outer.parent
        slopes = under(rows.parent, dense, self.alias.coordinates, x.local)
        t = rows.wrap(slopes, 0)
        return self.wrap(outer.wrap(x.primal, t), t)


class AlongCurvature(Standing, JVPTrace):
    """Stands for a `LaplacianTrace`: its tracers have their curvatures as tangents.

    Example: a custom rule that closes over x² of `laplacian(f)(x)`.
    """

    __slots__ = ("alias",)

    def __init__(self, parent: Trace, alias: LaplacianTrace) -> None:
        super().__init__(parent)
        self.alias = alias

    def own(self, x: LaplacianTracer) -> Value:
        return self.wrap(x.primal, x.local.curvature)


def aligned(coordinates: int, operands: Sequence[Local], shape: Shape) -> tuple[Pattern | None, int, list[Any]]:
    """For operands of an operation that has an element of a result, which is of `shape`, from the
    elements at the same place: a pattern, the number of its rows, and the operands' slopes in it (None
    of constants), which broadcast to the result's."""
    known = [x for x in operands if x.slopes is not None]
    patterns = [x.pattern for x in known if x.pattern is not None]
    if len(patterns) == len(known):
        pattern, places = united(tuple(patterns))
        if len(known) == 1 or is_few(pattern.count, coordinates):
            if pattern.numbers.shape[1:] != shape:
                pattern = Pattern(np.broadcast_to(with_axes(pattern.numbers, len(shape)), (pattern.count, *shape)))
            rest = iter(places)
            rows = [None if x.slopes is None else _placed(x, next(rest), pattern.count) for x in operands]
            return pattern, pattern.count, [None if r is None else with_axes(r, len(shape)) for r in rows]
    every = _all_dense(coordinates, operands)
    return None, coordinates, [None if r is None else with_axes(r, len(shape)) for r in every]


def _placed(x: Local, places: Any, count: int) -> Value:
    """The slopes of a value in the rows of a pattern that has `count` of them."""
    return x.slopes if places is None else collected(with_axes(x.slopes, places.ndim - 1), places, count)


def is_few(rows: int, coordinates: int) -> bool:
    """Whether so many rows are worth a pattern."""
    return 2 * rows <= coordinates


#: What operations make of operands with derivatives: `rule(number of coordinates, primitive,
#: operands, params)` → the result, or a list of them, by operation or class.
laplacian_rules = Rules()
