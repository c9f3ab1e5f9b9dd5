"""Transformations of other people's, written as JAX's are: a class of traces, which are told each
operation, and a class of tracers, which are the values.

    class CountTrace(Trace):
        def process_primitive(self, primitive, tracers, params):
            ...

    with take_current_trace() as parent:
        with set_current_trace(CountTrace(parent)):
            ...

Operations whose parameters are functions (calls with rules of their own) are told as equations,
with the program in their parameters; those of `custom_jvp`, as functions, to a trace that has a
method `process_custom_jvp_call(primitive, fun, jvp, tracers, *, symbolic_zeros)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any
from weakref import ref

from pullback.core import dtypes
from pullback.core import trace as base
from pullback.core.array import as_array
from pullback.core.scopes import NOTHING, Entered, Replacement
from pullback.core.staging import is_staging
from pullback.core.trace import EVAL, Params, current, current_trace, named_axes, set_current
from pullback.core.types import ShapedArray
from pullback.extend.linear_util import wrap_init
from pullback.extend.primitive import StandsFor
from pullback.transforms.custom_jvp import custom_jvp_call_p
from pullback.transforms.custom_rules import zero_from_primal


class TraceTag:
    """What tells the traces of one transformation from those of another.

    >>> TraceTag() == TraceTag()
    False
    """


class Trace(base.Trace, metaclass=StandsFor):
    """Base of traces. Subclasses define `process_primitive(primitive, tracers, params)`, which gives
    the results of an operation; `parent_trace` is the one around it.

    While `process_primitive` runs, the trace around it is the current one. A trace that prints what
    is done:

    >>> class Printing(Trace):
    ...     def process_primitive(self, primitive, tracers, params):
    ...         print(primitive, *tracers)
    ...         return primitive.bind(*tracers, **params)
    >>> import pullback.numpy as jnp
    >>> with take_current_trace() as parent, set_current_trace(Printing(parent)):
    ...     y = jnp.sqrt(16.0) + 1
    sqrt 16.0
    add 4.0 1.0
    >>> y
    Array(5., dtype=float32, weak_type=True)
    """

    stands_for = base.Trace
    #: What tells its tracers from those of other traces, if a subclass says it: a `TraceTag`.
    main: Any = None

    def __init__(self, parent_trace: base.Trace | None = None) -> None:
        if parent_trace is not None:
            self.parent = self.parent_trace = parent_trace

    def process_primitive(self, primitive: Any, tracers: Sequence[Any], params: Params) -> Any:
        """The results of `primitive` on `tracers`, of which some may be this trace's: one, or a list
        if the primitive has several. Subclasses define it.

        >>> from pullback.lax import sin_p
        >>> Trace(current()).process_primitive(sin_p, (1.0,), {})
        Traceback (most recent call last):
          ...
        NotImplementedError: Trace must define process_primitive
        """
        raise NotImplementedError(f"{type(self).__name__} must define process_primitive")

    def full_raise(self, x: Any) -> Any:
        """`x` as something that operations of this trace take: itself.

        >>> Trace(current()).full_raise(2.0)
        2.0
        """
        return x

    def process(self, primitive: Any, args: tuple[Any, ...], params: Params) -> Any:
        try:
            set_current(self.parent)
            return self.process_primitive(primitive, args, params)
        finally:
            set_current(self)

    def process_call(self, call: Any, args: Sequence[Any], params: Params) -> Any:
        operands = tuple([a if isinstance(a, base.Tracer) else as_array(a) for a in args])
        if call is custom_jvp_call_p and hasattr(self, "process_custom_jvp_call"):
            fun, jvp = wrap_init(params["fun"]), wrap_init(partial(_flat_jvp, params["rule"]))
            try:
                set_current(self.parent)
                return self.process_custom_jvp_call(call, fun, jvp, operands, symbolic_zeros=False)
            finally:
                set_current(self)
        captured, params = call.as_equation([a.aval for a in operands], params)
        return self.process(call, (*captured, *operands), params)


def _flat_jvp(rule: Callable[..., Any], *primals_and_tangents: Any) -> list[Any]:
    """The rule of a `custom_jvp` function, of primals and then tangents to results and then their
    tangents."""
    half = len(primals_and_tangents) // 2
    tangents = [None if t.dtype == dtypes.float0 else t for t in primals_and_tangents[half:]]
    outs, ts = rule(primals_and_tangents[:half], tangents)
    return [*outs, *[zero_from_primal(o) if t is None else t for o, t in zip(outs, ts)]]


class Tracer(base.Tracer, metaclass=StandsFor):
    """Base of tracers. Subclasses say their type by `aval`, a property or what is given when they are
    made.

    A value that remembers a unit, which operations pass on:

    >>> class Quantity(Tracer):
    ...     def __init__(self, trace, value, unit):
    ...         super().__init__(trace, value.aval)
    ...         self.value, self.unit = value, unit
    >>> class Units(Trace):
    ...     def process_primitive(self, primitive, tracers, params):
    ...         values = [x.value if isinstance(x, Quantity) else x for x in tracers]
    ...         units = [x.unit for x in tracers if isinstance(x, Quantity)]
    ...         return Quantity(self, primitive.bind(*values, **params), units[0])
    >>> import pullback.numpy as jnp
    >>> trace = Units(current())
    >>> with set_current_trace(trace):
    ...     y = -2 * Quantity(trace, jnp.asarray(3.0), "m")
    >>> y.value, y.unit
    (Array(-6., dtype=float32, weak_type=True), 'm')
    """

    stands_for = base.Tracer

    def __init__(self, trace: base.Trace, aval: ShapedArray | None = None) -> None:
        self._trace, self._aval = trace, aval

    @property
    def aval(self) -> ShapedArray:
        """The type.

        >>> import pullback as pb
        >>> pb.jit(lambda x: print(x.aval))(pb.numpy.ones(3))
        float32[3]
        """
        return self._aval  # type: ignore[return-value]

    shape = property(lambda self: self.aval.shape)
    dtype = property(lambda self: self.aval.dtype)
    weak_type = property(lambda self: self.aval.weak_type)

    def full_lower(self) -> Any:
        """The value in its simplest form: here, itself.

        >>> x = Tracer(current(), ShapedArray((), "float32"))
        >>> x.full_lower() is x
        True
        """
        return self


#: The traces whose place others have taken.
_replaced: ContextVar[Entered] = ContextVar("replaced_traces", default=NOTHING)


class take_current_trace(Replacement):
    """`with take_current_trace() as trace: ...` gives the current trace; within, operations are
    evaluated. That is how a transformation finds the trace that its own is to have as parent.

    >>> import pullback as pb
    >>> def f(x):
    ...     with take_current_trace() as trace:
    ...         print(type(trace).__name__, pb.numpy.ones(2).sum())
    ...     return x
    >>> pb.jit(f)(1.0)
    JaxprTrace 2.0
    Array(1., dtype=float32, weak_type=True)
    """

    variable, replaced = _replaced, current_trace
    new: base.Trace = EVAL

    def __enter__(self) -> base.Trace:  # type: ignore[override]
        before = current()
        super().__enter__()
        return before


class set_current_trace(take_current_trace):
    """`with set_current_trace(trace): ...` has operations processed by `trace`, whose parent is the
    trace that was current, if it has none.

    >>> class Counting(Trace):
    ...     count = 0
    ...     def process_primitive(self, primitive, tracers, params):
    ...         self.count += 1
    ...         return primitive.bind(*tracers, **params)
    >>> import pullback.numpy as jnp
    >>> trace = Counting()
    >>> with set_current_trace(trace):
    ...     y = jnp.sin(jnp.cos(0.0))
    >>> trace.count, y.round(4)
    (2, Array(0.8415, dtype=float32, weak_type=True))
    """

    def __init__(self, trace: base.Trace, check_leaks: bool = False) -> None:
        del check_leaks
        self.new = trace

    def instead(self) -> base.Trace:
        trace = self.new
        if isinstance(trace, Trace) and not hasattr(trace, "parent"):
            around = getattr(trace, "parent_trace", None)
            trace.parent = current() if around is None else around
        return trace


def find_top_trace(_: Any) -> base.Trace:
    """The current trace: what operations are told to. The argument is not looked at.

    >>> find_top_trace(())
    EvalTrace
    """
    return current()


class OpaqueTraceState:
    """Stands for the transformation that is active where it was made; compares equal within it.

    >>> get_opaque_trace_state() == get_opaque_trace_state()
    True
    """

    __slots__ = ("_trace",)

    def __init__(self, trace: base.Trace) -> None:
        self._trace = ref(trace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpaqueTraceState) and (self._trace() is not None) and self._trace() is other._trace()

    def __hash__(self) -> int:
        return hash(self._trace)


def get_opaque_trace_state(convention: str | None = None) -> OpaqueTraceState:
    """What stands for the transformation that is active: equal as long as the same one is.

    >>> import pullback as pb
    >>> outside = get_opaque_trace_state()
    >>> pb.jit(lambda x: print(get_opaque_trace_state() == outside))(1.0)
    False
    """
    del convention
    return OpaqueTraceState(current())


def unsafe_get_axis_names_DO_NOT_USE() -> list[Any]:
    """The names of the mapped axes around. For libraries that adapt to JAX's internals; programs use
    `lax.axis_size`, which raises NameError where an axis is not mapped.

    >>> import pullback as pb
    >>> _ = pb.vmap(lambda x: print(unsafe_get_axis_names_DO_NOT_USE()), axis_name="i")(pb.numpy.ones(2))
    ['i']
    """
    return [name for name, _ in named_axes()]


def nonempty_axis_env_DO_NOT_USE() -> bool:
    """Whether there are mapped axes with names around.

    >>> nonempty_axis_env_DO_NOT_USE()
    False
    """
    return bool(named_axes())


def unsafe_am_i_under_a_jit_DO_NOT_USE() -> bool:
    """Whether what is done now ends up in a program.

    >>> import pullback as pb
    >>> unsafe_am_i_under_a_jit_DO_NOT_USE()
    False
    >>> pb.jit(lambda x: print(unsafe_am_i_under_a_jit_DO_NOT_USE()))(1.0)
    True
    """
    return is_staging()


def unsafe_am_i_under_a_vmap_DO_NOT_USE() -> bool:
    """Whether a mapped axis is around, with or without a name.

    >>> import pullback as pb
    >>> _ = pb.vmap(lambda x: print(unsafe_am_i_under_a_vmap_DO_NOT_USE()))(pb.numpy.ones(2))
    True
    """
    from pullback.transforms.vmap import BatchTrace

    trace = current()
    while trace is not EVAL:
        if isinstance(trace, BatchTrace):
            return True
        trace = trace.parent
    return False


__all__ = [
    "Trace",
    "TraceTag",
    "Tracer",
    "find_top_trace",
    "get_opaque_trace_state",
    "nonempty_axis_env_DO_NOT_USE",
    "set_current_trace",
    "take_current_trace",
    "unsafe_am_i_under_a_jit_DO_NOT_USE",
    "unsafe_am_i_under_a_vmap_DO_NOT_USE",
    "unsafe_get_axis_names_DO_NOT_USE",
]
