"""The current trace: who is asked when an operation is bound.

`Primitive.bind` hands every operation to the current trace. At the base is `EVAL`, which computes
with NumPy; each active transformation has installed a trace of its own whose `parent` was current
before. A trace's `process` takes its own tracers apart, applies the primitive's rule *with the
parent as current trace*, and wraps the results. Arguments that are not its tracers are constants to
it, so closures over values of enclosing transformations never confuse perturbations.

The current trace is a context variable: each thread and each asynchronous task has its own, and
whoever sets it puts back what was there. A signal's handler may raise after any call of a C
function and on entry to any Python function, so these are the ways to do it:

    token = entered[trace]      # for a new trace; `under` does this
    try:
        ...
    finally:
        reset_current(token)

    try:                        # for the parent, while trace `self` is the current one
        set_current(parent)
        ...
    finally:
        set_current(self)

Either what is to be put back is known before something is set, and setting stands within `try`; or
setting is a subscription, which calls a C function as well, but without a place behind it, before
its result is stored, at which a handler could run. Putting back is one call of a C function, the
first that `finally` makes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.core import config, dtypes
from pullback.core.array import Array, ConcreteArray, as_array, concrete
from pullback.core.errors import (
    ConcretizationTypeError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
    UnexpectedTracerError,
    is_stored,
    see,
    user_line,
)
from pullback.core.scopes import NOTHING, Entered
from pullback.core.types import ShapedArray, intern

if TYPE_CHECKING:
    from typing import NoReturn

    from pullback.core.names import (
        Argument,
        Attribute,
        AxisName,
        Call,
        Function,
        NumPyValue,
        Operand,
        Result,
        Static,
        Tree,
    )
    from pullback.core.primitive import Primitive

Params = dict[str, Any]


class Trace:
    """One active transformation. Abstract: each transformation's file has its own.

    Example: `JVPTrace`, the trace of `jvp`.
    """

    __slots__ = ("parent", "__weakref__")
    parent: Trace

    #: Names and sizes of the mapped axes that this trace adds, of which collectives speak:
    #: `{"batch": 8}`.
    axes: Mapping[Any, int] = {}
    #: Whether it is over, so that its tracers stand for nothing any more.
    #: Example: a `core.staging.Finished`.
    finished = False

    @property
    def main(self) -> Trace:
        """What tells its tracers from those of other traces: itself."""
        return self

    def knows(self, x: Tracer) -> bool:
        """Whether `x` is one of this trace's tracers, or something to it."""
        return x._trace is self and not self.finished

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        """Apply `primitive` to `args`, of which some may be this trace's tracers."""
        raise NotImplementedError(f"{type(self).__name__} must define process")

    def process_call(self, call: Call, args: Sequence[Operand], params: Params) -> Result:
        """Apply a call primitive: one whose parameters hold Python functions (custom rules,
        checkpoint)."""
        raise NotImplementedError(f"{type(self).__name__} must define process_call")

    def check_constant(self, x: object) -> None:
        """Raises UnexpectedTracerError if `x` is a tracer that belongs neither to this trace nor to
        one around it: it has leaked."""
        if not isinstance(x, Tracer):
            return
        for trace in (self, *suspended.get()):
            while trace is not EVAL:
                if trace.knows(x):
                    return
                trace = trace.parent
        raise UnexpectedTracerError(x)


class Tracer(Array):
    """An array as a transformation sees it. Abstract: subclasses know shape and dtype, and maybe a
    concrete value.

    Example: `x` in `grad(f)(2.0)` while f runs.
    """

    # Underscored, like the slots of subclasses whose names NumPy has for methods: `x.trace()` is
    # the sum of the diagonal.
    __slots__ = ("_trace",)
    _trace: Trace
    #: Whether it has a derivative that Python's numbers would not have.
    #: Example: `x` in `grad(f)(2.0)` while f runs.
    differentiated = False

    @property
    def _type(self) -> ShapedArray:
        """The type, as the one object that stands for it."""
        return intern(self.shape, self.dtype, self.weak_type)

    def _check_alive(self) -> None:
        if self._trace.finished:
            current().check_constant(self)  # unless it is something to a trace that stands for that one

    def concrete(self) -> ConcreteArray | None:
        """The value as it is without the transformation, where it is known."""
        return None

    def origin(self) -> str:
        """Where the value comes from, for messages: an argument, or the result of an operation.
        Empty where nobody knows."""
        primal = getattr(self, "primal", None)
        return primal.origin() if isinstance(primal, Tracer) else ""

    def _known(self, error: type[Exception]) -> ConcreteArray:
        value = self.concrete()
        if value is None:
            raise error(self)
        return value

    def __bool__(self) -> bool:
        return bool(self._known(TracerBoolConversionError))

    def __int__(self) -> int:
        if is_stored():
            raise TracerArrayConversionError(self)
        return int(self._known(ConcretizationTypeError))

    def __float__(self) -> float:
        if is_stored():
            raise TracerArrayConversionError(self)
        self._check_undifferentiated("float")
        return float(self._known(ConcretizationTypeError))

    def __complex__(self) -> complex:
        if is_stored():
            raise TracerArrayConversionError(self)
        self._check_undifferentiated("complex")
        return complex(self._known(ConcretizationTypeError))

    def __index__(self) -> int:
        return self._known(TracerIntegerConversionError).__index__()

    def item(self, *args: int) -> Result:
        return self._known(ConcretizationTypeError).item(*args)

    def tolist(self) -> Result:
        self._check_undifferentiated("tolist")
        return self._known(ConcretizationTypeError).tolist()

    def _check_undifferentiated(self, what: str) -> None:
        """Raise ConcretizationTypeError if Python would get a number without its derivative."""
        if self.differentiated and dtypes.is_inexact(self.dtype):
            raise ConcretizationTypeError(
                self,
                f"Python asked for the number of a value that is being differentiated (`{what}`), and what it computes with it would "
                "have no derivative. Compute with `pullback.numpy` (not `math`), compare the value itself (`x > 1`), or say that it is a "
                "constant: `float(pullback.lax.stop_gradient(x))`.",
            )

    def tobytes(self, order: Argument = "C") -> bytes:
        return self._known(ConcretizationTypeError).tobytes(order)

    def __array__(self, *args: Argument, **kwargs: Argument) -> NoReturn:
        raise TracerArrayConversionError(self)

    def __iter__(self) -> Result:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return iter([self[i] for i in range(self.shape[0])])

    def __format__(self, spec: str) -> str:
        value = self.concrete()
        return format(repr(self)) if value is None or not spec else format(value, spec)

    def __copy__(self) -> Tracer:
        self._check_alive()
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Tracer:
        return self

    def __reduce__(self) -> str | tuple[object, ...]:
        raise ConcretizationTypeError(self, "Tracers cannot be pickled.")

    def __repr__(self) -> str:
        return f"Traced<{self.aval.str_short()}>with<{type(self._trace).__name__}>"


class PrimalTracer(Tracer):
    """A value of the parent trace, the primal, with what a transformation keeps of its derivatives.
    Abstract.

    Example: `JVPTracer`, whose primal has a tangent.
    """

    __slots__ = ("primal",)
    differentiated = True
    primal: Any

    shape = property(lambda self: self.primal.shape, doc="That of the value.")
    dtype = property(lambda self: self.primal.dtype, doc="That of the value.")
    weak_type = property(lambda self: self.primal.weak_type, doc="That of the value.")

    def concrete(self) -> ConcreteArray | None:
        primal = self.primal
        return primal.concrete() if isinstance(primal, Tracer) else primal


class EvalTrace(Trace):
    """The base: operations are computed by NumPy at once.

    Example: `EVAL.process(sin_p, (x,), {})` is `numpy.sin` of x's value, as an Array.
    """

    __slots__ = ("checking",)
    #: Whether `debug_nans` or `debug_infs` may be on somewhere, so that every result must be looked
    #: at.
    #: Example: with `debug_nans`, `log(-1.0)` raises.
    checking: bool

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        # The hot path of everything eager: one and two operands are written out, and the checks
        # come after the call.
        token = floating_point_errors[IGNORED]
        try:
            if len(args) == 2:
                x, y = args
                # No keywords are quicker than none unpacked.
                value = (
                    primitive.evaluate(x._value, y._value, **params)
                    if params
                    else primitive.evaluate(x._value, y._value)
                )
                weak = x.weak_type and y.weak_type
            elif len(args) == 1:
                (x,) = args
                value = primitive.evaluate(x._value, **params) if params else primitive.evaluate(x._value)
                weak = x.weak_type
            else:
                value = primitive.evaluate(*[a._value for a in args], **params)
                weak = bool(args) and all([a.weak_type for a in args])
        except (AttributeError, ValueError, TypeError, IndexError) as error:
            failure = error
        else:
            if self.checking:
                _check_floats(primitive, value)
            if not primitive.plain:
                weakness = primitive.weakness
                if primitive.multiple_results:
                    if weakness == "each":
                        return [concrete(v, a.weak_type) for v, a in zip(value, args)]
                    weak = weak and weakness == "all"
                    return [concrete(v, weak) for v in value]
                if weakness == "first":
                    weak = args[0].weak_type
                elif weakness == "cases":
                    weak = all([a.weak_type for a in args[1:]])
                else:
                    weak = params["weak_type"] if weakness == "param" else False
            out = ConcreteArray()
            out._value, out.weak_type = value, weak
            return out
        finally:
            reset_floating_point_errors(token)
        try:
            return self._process_others(failure, primitive, args, params)
        finally:
            del failure  # which holds this frame, and so every operand

    def _process_others(
        self, error: Exception, primitive: Primitive, args: tuple[Operand, ...], params: Params
    ) -> Result:
        """The operation on operands that are not all Arrays of NumPy values; if they are, the error
        is the user's."""
        outer = _suspended_for(args)
        if outer is not None:
            return under(outer, outer.process, primitive, args, params)
        if primitive.takes_arrays:
            out = primitive.apply(args, params)
            if self.checking:
                several = primitive.multiple_results
                values = [np.asarray(x) if dtypes.is_inexact(x.dtype) else x for x in (out if several else [out])]
                _check_floats(primitive, values if several else values[0])
            return out
        if all(a.__class__ is ConcreteArray for a in args):
            if isinstance(error, AttributeError) or not _is_of_numpy(error):
                raise error
            raise _explained(error, primitive, args, params) from None
        arrays = tuple(evaluable(a) for a in args)
        elsewhere = next((a for a in arrays if a.__class__ is not ConcreteArray), None)
        if elsewhere is not None:  # on a device, which has its own way of computing
            return elsewhere.process(primitive, arrays, params)
        return self.process(primitive, arrays, params)

    def process_call(self, call: Call, args: Sequence[Operand], params: Params) -> Result:
        outer = _suspended_for(args)
        if outer is not None:
            return under(outer, outer.process_call, call, args, params)
        return call.apply(args, params)

    def __repr__(self) -> str:
        return "EvalTrace"


EVAL = EvalTrace()
EVAL.parent, EVAL.checking = EVAL, False
current_trace: ContextVar[Trace] = ContextVar("current_trace", default=EVAL)
current = current_trace.get
set_current = current_trace.set
reset_current = current_trace.reset
#: The traces whose place `EVAL` has taken for a while (`ensure_compile_time_eval`), outermost first.
suspended: ContextVar[Entered] = ContextVar("suspended", default=NOTHING)


def _suspended_for(args: Sequence[Operand]) -> Trace | None:
    """Where `EVAL` has taken a trace's place, and something traced is among `args`: that trace."""
    traces = suspended.get()
    if not traces or not any([isinstance(a, Tracer) for a in args]):
        return None
    return next((t for t in reversed(traces) if t is not EVAL), None)


class Through(Trace):
    """Has everything done by the parent; the base of traces that look at what passes.

    Example: `Quiet` of `core.passes`.
    """

    __slots__ = ()

    def __init__(self, parent: Trace) -> None:
        self.parent = parent

    def process(self, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Result:
        try:
            set_current(self.parent)
            return self.parent.process(primitive, args, params)
        finally:
            set_current(self)

    def process_call(self, call: Call, args: Sequence[Operand], params: Params) -> Result:
        try:
            set_current(self.parent)
            return self.parent.process_call(call, args, params)
        finally:
            set_current(self)


def _by_subscription(function: Function) -> Attribute:
    """An object `f` whose `f[x]` is `function(x)`, a function of C. See the module's text."""
    return type("BySubscription", (), {"__slots__": (), "__getitem__": function})()


#: `token = entered[trace]` makes `trace` the current one, until `reset_current(token)`.
entered = _by_subscription(set_current)


def under(trace: Trace, fun: Function, /, *args: Tree, **kwargs: Tree) -> Tree:
    """`fun(*args, **kwargs)` with `trace` as the current one."""
    # A variable that is reset leaves the context, in which others are then found sooner.
    token = entered[trace]
    try:
        return fun(*args, **kwargs)
    finally:
        reset_current(token)


def named_axes() -> tuple[AxisName, ...]:
    """Names and sizes of the mapped axes around: what collectives in a program refer to."""
    axes: list[Any] = []
    trace = current()
    while trace is not EVAL:
        axes += trace.axes.items()
        trace = trace.parent
    return tuple(axes)


def find_axis(name: AxisName) -> Trace:
    """The innermost active trace that maps an axis called `name`. Raises NameError if there is
    none."""
    trace = current()
    while trace is not EVAL:
        if name in trace.axes:
            return trace
        trace = trace.parent
    raise NameError(
        f"unbound axis name: {name!r}, at {user_line()}. It must be the axis_name of an enclosing vmap{see('axis-names')}"
    )


def known_value(x: Array) -> NumPyValue:
    """The NumPy value of an array where it is known (outside `jit`), else None."""
    if x.__class__ is not ConcreteArray:
        known = x.concrete() if isinstance(x, Tracer) else x
        return None if known is None else np.asarray(known)
    return x._value


def evaluable(x: Operand) -> ConcreteArray:
    """`x` as an array with data. Raises UnexpectedTracerError for tracers, TypeError for what is no
    array."""
    x = as_array(x)
    if isinstance(x, ConcreteArray):
        return x
    raise UnexpectedTracerError(x)


def _is_of_numpy(error: Exception) -> bool:
    """Whether NumPy or Python itself raised an error, and not somebody who has error classes of his
    own (a callback, a check)."""
    return type(error).__module__.partition(".")[0] in ("builtins", "numpy")


def _explained(error: Exception, primitive: Primitive, args: tuple[Operand, ...], params: Params) -> Exception:
    types = ", ".join(str(a.aval) for a in args)
    kind = next(
        t for t in (ValueError, TypeError, IndexError) if isinstance(error, t)
    )  # NumPy has subclasses of its own
    return kind(f"{primitive.name}({types}): {error} (called at {user_line()})")


# ---- floating-point signals ----------------------------------------------------------------------
# Infinities and NaNs are results here, not warnings, and the user's own `numpy.seterr` must neither
# change our results nor be changed by us. `numpy.errstate` costs 0.66 µs an operation; setting the
# context variable behind it costs 0.08 µs.
#
#     token = floating_point_errors[IGNORED]
#     try: ...
#     finally:
#         reset_floating_point_errors(token)
try:
    from numpy._core.umath import _extobj_contextvar, _make_extobj

    IGNORED: Any = _make_extobj(all="ignore")
    floating_point_errors = _by_subscription(_extobj_contextvar.set)
    reset_floating_point_errors: Callable[[Any], Any] = _extobj_contextvar.reset
except ImportError:  # a NumPy that keeps it elsewhere: the same, by its public interface
    IGNORED = "ignore"
    floating_point_errors = _by_subscription(partial(np.seterr))

    def reset_floating_point_errors(token: Static) -> None:
        np.seterr(**token)


def without_floating_point_errors(fun: Function, *args: Tree) -> Tree:
    """`fun(*args)`, where NumPy reports no overflow and the like."""
    token = floating_point_errors[IGNORED]
    try:
        return fun(*args)
    finally:
        reset_floating_point_errors(token)


def _check_floats(primitive: Primitive, out: NumPyValue) -> None:
    for value in out if primitive.multiple_results else [out]:
        if not dtypes.is_inexact(value.dtype):
            continue
        if config.debug_nans.value and np.isnan(value).any():
            raise FloatingPointError(
                f"invalid value (nan) encountered in {primitive.name} at {user_line()}{see('nan')}"
            )
        if config.debug_infs.value and np.isinf(value).any():
            raise FloatingPointError(
                f"invalid value (inf) encountered in {primitive.name} at {user_line()}{see('nan')}"
            )


def _update_checking() -> None:
    # Only ever switched on: another context may still be checking when this one stops.
    EVAL.checking = EVAL.checking or is_checking()


def is_checking() -> bool:
    """Whether operations are looked at here, one by one."""
    return bool(config.debug_nans.value or config.debug_infs.value or config.debug_key_reuse.value)


config.debug_nans.on_change = config.debug_infs.on_change = _update_checking
_update_checking()
