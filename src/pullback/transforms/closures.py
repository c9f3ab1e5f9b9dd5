"""Functions that close over traced values, run again: what the rules of a custom-rule function are
to the traces.

A trace hands a call of Python functions to its parent, which does not know the trace's own tracers;
but the functions may close over some. So they are run under a trace that stands for the first one:
as its tracers' primals (`Primal`), or as what they were to it (`Again`). A function in a program is
run long after the program was traced, and closes over tracers of that time; under a `Replay` they
are the values that the program's operands have now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pullback.core.linear import Node
from pullback.core.staging import StagedTracer
from pullback.core.trace import Params, Through, Trace, Tracer, current, under
from pullback.lax.shape import batch_first
from pullback.transforms.jvp import JVPTrace, JVPTracer
from pullback.transforms.linearize import LinearizeTrace, LinearizeTracer
from pullback.transforms.vmap import BatchTrace, BatchTracer

if TYPE_CHECKING:
    from pullback.core.names import Function, Key, Operand, Result, Value
    from pullback.core.primitive import Primitive
    from pullback.transforms.call import CallPrimitive

Flat = Callable[..., Sequence[Any]]


class Residual:
    """What a forward rule tells its backward rule: arrays, and a static `layout`, comparable, that
    says what they are.

    Example: `Residual((x, y), treedef)`.
    """

    __slots__ = ("arrays", "layout")

    def __init__(self, arrays: Sequence[Value], layout: Key) -> None:
        self.arrays, self.layout = arrays, layout


class _Adopting(Trace):
    """Mixin: a trace that takes tracers of others for something of its own.

    Example: a custom rule that closes over a tracer of an outer `vmap`.
    """

    __slots__ = ()

    def adopt(self, x: Value) -> Value:
        """What `x` is to this trace."""
        raise NotImplementedError(f"{type(self).__name__} must define adopt")

    def adopt_all(self, results: Result) -> Result:
        """The same for all that a function or a rule gives."""
        if isinstance(results, Residual):
            return Residual([self.adopt(x) for x in results.arrays], results.layout)
        if isinstance(results, (list, tuple)):
            return [self.adopt_all(x) for x in results]
        return self.adopt(results)

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        return super().process(primitive, tuple(map(self.adopt, args)), params)

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        return super().process_call(call, tuple(map(self.adopt, args)), params)

    def run(self, fun: Function, *args: Value) -> Value:
        """`fun(*args)` under this trace, whose results are adopted, too."""
        return self.adopt_all(under(self, fun, *args))


class Standing(_Adopting):
    """Mixin: stands for the trace `alias`, whose tracers it adopts by `own`.

    Example: a rule that is run later, as if the `jvp` around it were still there.
    """

    __slots__ = ()
    alias: Trace

    def own(self, x: Value) -> Value:
        raise NotImplementedError(f"{type(self).__name__} must define own")

    def knows(self, x: Tracer) -> bool:
        return x._trace is self or self.alias.knows(x)

    def adopt(self, x: Value) -> Value:
        if not isinstance(x, Tracer):
            return x
        if isinstance(self.alias, _Adopting):
            x = self.alias.adopt(x)
        return self.own(x) if isinstance(x, Tracer) and x._trace is self.alias else x


# ---- the three transformations, entered again ----------------------------------------------------


class _JVPAgain(Standing, JVPTrace):
    """Example: a rule closes over x of `jvp(f, (x,), (t,))`, and is run after f."""

    __slots__ = ("alias",)

    def __init__(self, parent: Trace, alias: JVPTrace) -> None:
        super().__init__(parent)
        self.alias = alias

    def own(self, x: JVPTracer) -> Value:
        return self.wrap(x.primal, x.tangent)


class _LinearizeAgain(Standing, LinearizeTrace):
    """Example: the same under `grad`."""

    __slots__ = ("alias",)

    def __init__(self, parent: Trace, alias: LinearizeTrace) -> None:
        super().__init__(parent)
        self.alias = alias

    def own(self, x: LinearizeTracer) -> Value:
        return self.wrap(x.primal, x.node)


class _BatchAgain(Standing, BatchTrace):
    """Example: the same under `vmap`."""

    __slots__ = ("alias",)

    def __init__(self, parent: Trace, alias: BatchTrace) -> None:
        super().__init__(parent, alias.size, alias.axis_name)
        self.alias = alias

    def own(self, x: BatchTracer) -> Value:
        return self.wrap(x.value, x.axis)


def jvp_again(fun: Flat, trace: JVPTrace, primals: Sequence[Value]) -> list[Value]:
    """The tangents of `fun(*primals)`, a function that was called under `trace`, in what it closes
    over."""
    again = _JVPAgain(current(), trace)
    return [again.unwrap(o)[1] for o in again.run(fun, *primals)]


def linearize_again(fun: Flat, trace: LinearizeTrace, primals: Sequence[Value]) -> list[Node | None]:
    """The nodes of the tangents of `fun(*primals)`, a function that was called under `trace`, in
    what it closes over."""
    again = _LinearizeAgain(current(), trace)
    return [again.unwrap(o)[1] for o in again.run(fun, *primals)]


def batch_again(
    fun: Flat, trace: BatchTrace, args: Sequence[Value], axes: Sequence[int | None]
) -> tuple[list[Value], list[int | None]]:
    """Results of a function that was called under `trace`, and where they have the batch axis."""
    again = _BatchAgain(current(), trace)
    pairs = [again.unwrap(o) for o in again.run(fun, *map(again.wrap, args, axes))]
    return [v for v, _ in pairs], [b for _, b in pairs]


def batched(fun: Flat, trace: BatchTrace, axes: Sequence[int | None]) -> Flat:
    """`fun` on arguments with batch axes `axes`; results all have theirs in front."""

    def batched_fun(*args: Value) -> list[Value]:
        outs, out_axes = batch_again(fun, trace, args, axes)
        return [batch_first(o, b, trace.size) for o, b in zip(outs, out_axes)]

    return batched_fun


# ---- a transformation, left ----------------------------------------------------------------------

#: The parameters of calls that are functions.
FUNCTIONS = ("fun", "rule", "fwd", "bwd")


class Primal(Standing, Through):
    """Stands for `alias` by its tracers' primals, on its parent. `met` says whether there were any.

    Example: a `custom_jvp` function that closes over a value being differentiated.
    """

    __slots__ = ("alias", "met")

    def __init__(self, parent: Trace, alias: Trace) -> None:
        super().__init__(parent)
        self.alias, self.met = alias, False

    def own(self, x: Value) -> Value:
        self.met = True
        return x.primal

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        if not call.is_closed:
            params = {k: _noting(f, self) if k in FUNCTIONS else f for k, f in params.items()}
        return super().process_call(call, args, params)


def _noting(fun: Function, outer: Primal) -> Function:
    def primal(*args: Value) -> Value:
        trace = Primal(current(), outer.alias)
        results = trace.run(fun, *args)
        outer.met = outer.met or trace.met
        return results

    return primal


def primal_functions(params: Params, trace: Trace) -> tuple[Params, Callable[[], bool]]:
    """The parameters of a call under `trace` for its parent: in their functions, `trace`'s tracers
    are their primals. And whether the function itself, or the rule that was run instead of it, has
    met any."""
    met = False

    def wrapped(fun: Function) -> Function:
        def primal(*args: Value) -> Value:
            nonlocal met
            stand_in = Primal(current(), trace)
            results = stand_in.run(fun, *args)
            met = met or stand_in.met
            return results

        return primal

    return {k: wrapped(f) if k in FUNCTIONS else f for k, f in params.items()}, lambda: met


# ---- a program, replayed -------------------------------------------------------------------------


class Closure:
    """The tracers that a function in a program closes over, which are leading operands of its
    equation.

    Example: `a` in `custom_jvp(lambda x: a * x)`, where a is traced.
    """

    __slots__ = ("tracers",)

    def __init__(self, tracers: Sequence[Tracer]) -> None:
        # A variable alone: its tracer has the trace, and the trace all equations.
        self.tracers = [x._var if isinstance(x, StagedTracer) else x for x in tracers]

    def __len__(self) -> int:
        return len(self.tracers)

    def __repr__(self) -> str:
        return f"{len(self)} values"


class Replay(_Adopting, Through):
    """Takes tracers of a `Closure` for given values.

    Example: the function is run again with other values of a.
    """

    __slots__ = ("values",)

    def __init__(self, parent: Trace, closure: Closure, values: Sequence[Value]) -> None:
        super().__init__(parent)
        self.values = {id(x): v for x, v in zip(closure.tracers, values)}

    def knows(self, x: Tracer) -> bool:
        return id(x._var if isinstance(x, StagedTracer) else x) in self.values

    def adopt(self, x: Value) -> Value:
        if not isinstance(x, Tracer):
            return x
        return self.values.get(id(x._var if isinstance(x, StagedTracer) else x), x)

    def process_call(self, call: CallPrimitive, args: Sequence[Operand], params: Params) -> Result:
        if not call.is_closed:
            params = {k: self._replayed(f) if k in FUNCTIONS else f for k, f in params.items()}
        return super().process_call(call, args, params)

    def _replayed(self, fun: Function) -> Function:
        def replayed(*args: Value) -> Value:
            trace = Replay.__new__(Replay)
            trace.parent, trace.values = current(), self.values
            return trace.run(fun, *args)

        return replayed
