"""The errors users meet, and the two helpers that point them at their own line.

Every error of a tracer names what the value is, where the operation was asked for and what to do
instead.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from opcode import opmap
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pullback.core.names import Tree, Value
    from pullback.core.trace import Tracer

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


#: Files and folders of libraries that do not want to be shown either (`exclude`).
_excluded: tuple[str, ...] = ()


def is_internal(filename: str) -> bool:
    """Whether a source file belongs to this package, or to a library that wants it so, and is left
    out of what users are shown."""
    return filename.startswith((_PACKAGE, *_excluded))


def exclude(path: str) -> None:
    """Treat files whose paths begin with `path` as this package's own."""
    global _excluded
    if path not in _excluded:
        _excluded = (*_excluded, path)
        _is_internal.clear()


def user_frame() -> FrameType | None:
    """The innermost frame on the stack that is not Pullback's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def user_line() -> str:
    """`file:line (function)` of the user's innermost frame, for messages."""
    frame = user_frame()
    if frame is None:
        return "<unknown>"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"


_STORE_SUBSCR = opmap["STORE_SUBSCR"]


def is_stored() -> bool:
    """Whether the method that asks was called for an assignment `a[i] = x`: NumPy then asks an `x`
    without axes for its number, as `float(x)` does, and would store it without its derivative."""
    frame = sys._getframe(2)
    code, i = frame.f_code.co_code, frame.f_lasti
    while i > 0 and code[i] == 0:  # the caches that belong to an instruction
        i -= 2
    return code[i] == _STORE_SUBSCR


def filter_traceback(error: BaseException) -> None:
    """Drop this package's frames from the traceback of `error`, unless nothing else would be left.

    `PULLBACK_TRACEBACK=full` in the environment keeps them.
    """
    if os.environ.get("PULLBACK_TRACEBACK") == "full":
        return
    kept: list[TracebackType] = []
    tb = error.__traceback__
    while tb is not None:
        if not is_internal(tb.tb_frame.f_code.co_filename):
            kept.append(tb)
        tb = tb.tb_next
    if not kept:
        return
    rebuilt: TracebackType | None = None
    for tb in reversed(kept):
        rebuilt = TracebackType(rebuilt, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    error.__traceback__ = rebuilt


F = TypeVar("F", bound=Callable[..., Any])


def user_api(fun: F) -> F:
    """`fun`, a function that users call: tracebacks of its errors are without this package's
    frames.

    >>> user_api(len)("abc")
    3
    """

    @wraps(fun)
    def called(*args: Tree, **kwargs: Tree) -> Tree:
        try:
            return fun(*args, **kwargs)
        except Exception as error:
            filter_traceback(error)
            raise

    return called  # type: ignore[return-value]


#: A place in a program: a code object and the offset of an instruction in it. Cheap to take,
#: decoded when it is shown.
Location = tuple[CodeType, int]


class CallersLocation(tuple[Any, ...]):
    """The `Location` of a call of something of ours that staged the operation: another call stages
    the same at another place.

    Example: two calls of one solver in two lines of the user's share its program.
    """

    __slots__ = ()


_is_internal: dict[str, bool] = {}
#: The code of `core.jaxpr.bind_equation`, whose argument `eqn` knows where it comes from.
replaying: CodeType | None = None
#: The code of `core.staging.stage_flat`: what is beyond its frame has not been staged, but had
#: something staged.
staging: CodeType | None = None


def source_location() -> Location | None:
    """The place in the user's code from which the current operation was asked for; of an equation
    that is applied again, its own."""
    frame: FrameType | None = sys._getframe(2)
    outside = False
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        internal = _is_internal.get(file)
        if internal is None:
            internal = _is_internal[file] = is_internal(file)
        if not internal:
            place = code, frame.f_lasti
            return CallersLocation(place) if outside else place
        if code is staging:
            outside = True
        elif code is replaying:
            location: Location | None = frame.f_locals["eqn"].location
            if location is not None:
                return location
        frame = frame.f_back
    return None


@lru_cache(1 << 14)
def line_of(location: Location) -> int:
    """The line number of a place. (The offset itself is no name for it: CPython gives another one
    once it has specialized the instruction.)"""
    code, offset = location
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def describe_location(location: Location | None) -> str:
    """`file:line (function)`."""
    if location is None:
        return "<unknown>"
    code = location[0]
    return f"{code.co_filename}:{line_of(location)} ({code.co_name})"


def see(page: str) -> str:
    """What a message ends with: the short name of the page of the documentation (docs/errors) that
    says more.

    >>> "shapes differ" + see("shapes")
    'shapes differ [see errors/shapes]'
    """
    return f" [see errors/{page}]"


class Explained(Exception):
    """Base of errors whose messages end with the name of the page, `page`, that explains their type.

    Example: `TracerBoolConversionError`, explained by errors/tracer-bool.
    """

    page: str

    def __init_subclass__(cls) -> None:
        # Users import them from there.
        if cls.__module__ == __name__:
            cls.__module__ = "pullback.errors"

    def __str__(self) -> str:
        return super().__str__() + see(self.page)


class JAXTypeError(Explained, TypeError):
    """Base class of the type errors that tracing raises.

    >>> import pullback as pb
    >>> try:
    ...     pb.jit(lambda x: 1 if x else 0)(1.0)
    ... except JAXTypeError as error:
    ...     type(error).__name__
    'TracerBoolConversionError'
    """

    page = "tracers"


class JAXIndexError(Explained, IndexError):
    """Base class of the index errors that tracing raises.

    >>> import pullback as pb
    >>> try:
    ...     pb.jit(lambda x: x[x > 0])(pb.numpy.ones(2))
    ... except JAXIndexError as error:
    ...     type(error).__name__
    'NonConcreteBooleanIndexError'
    """

    page = "tracers"


class JaxRuntimeError(Explained, RuntimeError):
    """A failure while a program runs: what a callback raises in a compiled program, what XLA cannot do.

    >>> import pullback as pb
    >>> def fail(x):
    ...     raise ValueError("no")
    >>> try:
    ...     pb.jit(lambda x: pb.pure_callback(fail, x, x))(1.0)
    ... except JaxRuntimeError as error:
    ...     "ValueError: no" in str(error)
    True
    """

    page = "runtime"


class OutOfMemoryError(JaxRuntimeError, MemoryError):
    """An array is larger than any memory: known before anything is computed.

    >>> import pullback as pb
    >>> try:
    ...     pb.jit(lambda x: pb.numpy.broadcast_to(x, (1 << 62, 4)))(1.0)
    ... except OutOfMemoryError as error:
    ...     print(str(error).partition(" takes ")[0])
    RESOURCE_EXHAUSTED: Out of memory: an array of shape (4611686018427387904, 4) and dtype float32
    """

    page = "out-of-memory"


class JaxprTypeError(Explained, TypeError):
    """A jaxpr that does not type-check: an equation whose result has another type than its variable, or a
    variable that is used before it is defined. All that are made are checked with `enable_checks`.

    >>> import pullback as pb
    >>> from pullback.core.jaxpr import check_jaxpr
    >>> program = pb.make_jaxpr(pb.numpy.sin)(1.0).jaxpr
    >>> try:
    ...     check_jaxpr(program.replace(invars=[], outvars=program.invars))
    ... except JaxprTypeError as error:
    ...     "before it is defined" in str(error)
    True
    """

    page = "jaxpr-types"


class ConcretizationTypeError(JAXTypeError):
    """A concrete value was needed where only an abstract one (a tracer) exists.

    >>> import pullback as pb
    >>> try:
    ...     pb.jit(float)(1.0)
    ... except ConcretizationTypeError as error:
    ...     print(type(error).__name__)
    ConcretizationTypeError
    """

    page = "concretization"

    def __init__(self, tracer: Tracer, context: str = "") -> None:
        context = context or (
            "Python asked for the number itself. Convert to another type with `x.astype`, compute with `pullback.numpy`, or keep the value "
            "out of the transformation (`static_argnums`)."
        )
        super().__init__(f"A concrete value was needed, but {_describe(tracer)} has none, at {user_line()}. {context}")


class TracerBoolConversionError(ConcretizationTypeError):
    """`bool()` of an abstract tracer: `if`, `while`, `and`, `or`, `assert` on a traced value.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> pb.jit(lambda x: x if x > 0 else -x)(1.0)
    Traceback (most recent call last):
        ...
    pullback.errors.TracerBoolConversionError: ...
    >>> pb.jit(lambda x: jnp.where(x > 0, x, -x))(-1.0)
    Array(1., dtype=float32, weak_type=True)
    """

    page = "tracer-bool"

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(
            tracer,
            "A Python `if`, `while`, `and`, `or` or `not` asked for its truth value. Use `pullback.numpy.where` or "
            "`pullback.lax.cond`, or keep the value out of the transformation (`static_argnums`).",
        )


class TracerIntegerConversionError(JAXTypeError):
    """A traced value used where Python needs an integer (an index, a size, a range).

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> pb.jit(lambda i: [1, 2, 3][i])(0)
    Traceback (most recent call last):
        ...
    pullback.errors.TracerIntegerConversionError: ...
    >>> pb.jit(lambda i: jnp.array([1, 2, 3])[i])(0)
    Array(1, dtype=int32)
    """

    page = "tracer-integer"

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(
            f"{_describe(tracer)} was used as a Python integer at {user_line()}. Shapes, ranges and list indices must "
            "be known while tracing: index an Array instead of a list, or pass the value as a static argument."
        )


class TracerArrayConversionError(JAXTypeError):
    """A traced value handed to NumPy where it needs the numbers: to `numpy.asarray`, as an index into
    a NumPy array, or to be written into one.

    >>> import numpy as np
    >>> import pullback as pb
    >>> pb.jit(lambda x: np.asarray(x))(1.0)
    Traceback (most recent call last):
        ...
    pullback.errors.TracerArrayConversionError: ...
    """

    page = "tracer-array"

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(
            f"{_describe(tracer)} cannot become a NumPy array, at {user_line()}. NumPy's functions take traced values, "
            "but what must have the numbers cannot: instead of `np.asarray(x)` or `np.array([x, y])` write "
            "`pullback.numpy.asarray(x)` or `np.stack([x, y])`; instead of `a[x]`, with a NumPy array, "
            "`pullback.numpy.asarray(a)[x]`; instead of `a[i] = x`, `a = pullback.numpy.asarray(a).at[i].set(x)`; or call "
            "what is NumPy's alone by `pullback.pure_callback`."
        )


class NonConcreteBooleanIndexError(JAXIndexError):
    """A traced boolean mask used as an index: the shape of the result would depend on its values.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> x = jnp.array([-1.0, 2.0])
    >>> pb.jit(lambda x: x[x > 0].sum())(x)
    Traceback (most recent call last):
        ...
    pullback.errors.NonConcreteBooleanIndexError: ...
    >>> pb.jit(lambda x: jnp.sum(x, where=x > 0))(x)
    Array(2., dtype=float32)
    """

    page = "boolean-index"

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(
            f"The boolean index {_describe(tracer)} at {user_line()} would give a result whose shape depends on traced "
            "values. Use `pullback.numpy.where(mask, x, fill)` or pass `size=` to `nonzero`."
        )


class UnexpectedTracerError(JAXTypeError):
    """A tracer used after the transformation that made it has returned.

    >>> import pullback as pb
    >>> kept = []
    >>> pb.jit(lambda x: kept.append(2 * x))(1.0)
    >>> kept[0] + 1
    Traceback (most recent call last):
        ...
    pullback.errors.UnexpectedTracerError: the traced value ... was used at ...
    """

    page = "leaked-tracer"

    def __init__(self, tracer: Value, context: str = "") -> None:
        context = context or (
            "outside the transformation that made it: it leaked, by a global, an attribute or a closure. Return such values from the "
            "transformed function instead of storing them."
        )
        super().__init__(f"{_describe(tracer)} was used at {user_line()}, {context}")


class KeyReuseError(Explained, RuntimeError):
    """A random key consumed twice (with `debug_key_reuse`).

    >>> import pullback as pb
    >>> with pb.debug_key_reuse():
    ...     key = pb.random.key(0)
    ...     x = pb.random.normal(key) + pb.random.uniform(key)
    Traceback (most recent call last):
        ...
    pullback.errors.KeyReuseError: A random key is used at ... that was used up at ...
    """

    page = "key-reuse"


class InconclusiveDimensionOperation(Explained):
    """A comparison of symbolic dimensions without a definite answer.

    >>> from pullback import export
    >>> (n,) = export.symbolic_shape("n")
    >>> n >= 1                                                # as all dimensions are
    True
    >>> n >= 3
    Traceback (most recent call last):
        ...
    pullback.errors.InconclusiveDimensionOperation: ...
    """

    page = "symbolic-dimensions"


class TypePromotionError(Explained, ValueError):
    """Data types without an implicit common type.

    >>> import pullback.numpy as jnp
    >>> jnp.ones(2, "float8_e4m3fn") + jnp.ones(2, "float8_e5m2")
    Traceback (most recent call last):
        ...
    pullback.errors.TypePromotionError: ...
    """

    page = "type-promotion"


def _describe(tracer: Value) -> str:
    try:
        origin = tracer.origin()
        return f"the traced value {tracer!r}" + (f" ({origin})" if origin else "")
    except Exception as error:  # a half-built tracer must not hide the error that is being reported
        return f"a traced value ({type(tracer).__name__}, whose repr failed: {error!r})"
