"""Looking into programs: while they run (print, log, callback, breakpoint; where arrays are), in eager code, under every
transformation and in compiled code; and before (explain, picture, memory_over_time)."""

from __future__ import annotations

import logging
import pdb
import string
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.core.array import as_array
from pullback.core.errors import user_frame, user_line
from pullback.core.staging import JaxprTrace
from pullback.core.trace import EVAL, Tracer, current
from pullback.core.tree import leaf_error, tree_flatten
from pullback.explaining.explanation import Explanation as Explanation
from pullback.explaining.explanation import MemoryOverTime as MemoryOverTime
from pullback.explaining.explanation import Picture as Picture
from pullback.explaining.explanation import explain as explain
from pullback.explaining.explanation import memory_over_time as memory_over_time
from pullback.explaining.explanation import picture as picture
from pullback.lax.callbacks import debug_callback as _debug_callback

logger = logging.getLogger("pullback.debug")


class _Checking(string.Formatter):
    """A formatter that refuses arguments it was not asked to show."""

    def check_unused_args(self, used_args: Any, args: Any, kwargs: Any) -> None:
        unused = [repr(k) for k in (*range(len(args)), *kwargs) if k not in used_args]
        if unused:
            raise ValueError(
                f"the format string does not use argument(s) {', '.join(unused)}; did you mean to use an f-string? Traced values have no "
                "text: pass them as arguments"
            )

    def get_value(self, key: Any, args: Any, kwargs: Any) -> Any:
        try:
            return super().get_value(key, args, kwargs)
        except LookupError as error:
            raise type(error)(f"the format string asks for argument {key!r}, which is not given") from None


class _Anything:
    """Stands for a value of any type while a format string is checked."""

    def __format__(self, spec: str) -> str:
        return ""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __getitem__(self, key: Any) -> _Anything:
        return self


def print(
    fmt: str | None = None, *args: Any, ordered: bool = False, partitioned: bool = False, skip_format_check: bool = False,
    _use_logging: bool = False, **kwargs: Any,
) -> Callable[..., None] | None:  # fmt: skip
    """Print `fmt.format(*args, **kwargs)` with the values that the arguments have when the program
    runs.

    Derivatives print the primal values; under vmap each element is printed. With `ordered`, lines
    come in program order. Without `fmt` the result is a function that takes it and the arguments, of
    whatever names: `print(ordered=True)("x = {x}, {ordered}", x=x, ordered=y)`. Raises KeyError or
    IndexError if the format string asks for an argument that is not given, ValueError if it leaves
    one out, TypeError for arguments without a format string.

    >>> import pullback as pb
    >>> import pullback.debug
    >>> pb.jit(lambda x: pullback.debug.print("x = {}", x))(2.0)
    x = 2.0
    >>> pb.jit(lambda x: pullback.debug.print(ordered=True)("x = {x}", x=x))(2.0)
    x = 2.0
    """
    del partitioned

    def show(fmt: str, /, *args: Any, **kwargs: Any) -> None:
        if not isinstance(fmt, str):
            raise TypeError(f"debug.print takes a format string first, got {fmt!r:.100}, at {user_line()}")
        if not skip_format_check:
            try:
                _Checking().vformat(fmt, [_Anything()] * len(args), {k: _Anything() for k in kwargs})
            except (LookupError, ValueError) as error:
                raise type(error)(f"debug.print at {user_line()}: {error.args[0]}") from None

        def write(*values: Any, **named: Any) -> None:
            text = fmt.format(*values, **named)
            if _use_logging:
                logger.info(text)
            else:
                sys.stdout.write(text + "\n")

        _debug_callback(write, args, kwargs, ordered)

    return _called(show, fmt, args, kwargs, "debug.print")


def log(
    fmt: str | None = None, *args: Any, ordered: bool = False, partitioned: bool = False, skip_format_check: bool = False,
    **kwargs: Any,
) -> Callable[..., None] | None:  # fmt: skip
    """As `print`, to the logger "pullback.debug" of `logging`, at level INFO.

    >>> import logging, sys
    >>> logger.setLevel(logging.INFO); logger.addHandler(handler := logging.StreamHandler(sys.stdout))
    >>> log("x = {}", 2.0)
    x = 2.0
    >>> logger.setLevel(logging.NOTSET); logger.removeHandler(handler)
    """
    options: dict[str, Any] = {"ordered": ordered, "partitioned": partitioned, "skip_format_check": skip_format_check}
    return print(fmt, *args, **options, _use_logging=True, **kwargs)


def callback(
    callback: Callable[..., Any] | None = None,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    **kwargs: Any,
) -> Callable[..., None] | None:
    """Call `callback(*args, **kwargs)` with the values that the arguments have when the program
    runs. Its result is dropped.

    With `ordered`, calls happen in program order. Without `callback` the result is a function that
    takes it and its arguments, of whatever names. Raises TypeError for arguments without a callback.

    >>> import pullback as pb
    >>> seen = []
    >>> pb.jit(lambda x: callback(ordered=True)(lambda ordered: seen.append(float(ordered)), ordered=x))(2.0)
    >>> seen
    [2.0]
    """
    del partitioned

    def call(callback: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        _debug_callback(callback, args, kwargs, ordered)

    return _called(call, callback, args, kwargs, "debug.callback")


def _called(call: Callable[..., None], first: Any, args: Any, kwargs: Any, name: str) -> Callable[..., None] | None:
    """The two forms of a function: what is called, and what gives the function to call."""
    if first is not None:
        return call(first, *args, **kwargs)
    if args or kwargs:
        given = ", ".join([*map(repr, args), *kwargs])
        raise TypeError(f"{name} was given arguments ({given}) and nothing to do with them, at {user_line()}")
    return call


def inspect_array_sharding(value: Any, *, callback: Callable[[Any], None]) -> None:
    """Call `callback(sharding)` with where each array of the tree `value` is.

    In a program that is at once for arrays that are there, and when the program is compiled for
    those that are traced: not again when it runs, and not in programs that are exported. Raises
    TypeError for leaves that are no arrays.

    >>> import pullback as pb
    >>> pb.jit(lambda x: inspect_array_sharding(x + 1, callback=lambda s: sys.stdout.write(f"{s}")))(1.0)
    SingleDeviceSharding(device=CpuDevice(id=0), memory_kind=device)
    """
    from pullback.lax.placing import inspect_sharding_p

    leaves, _ = tree_flatten(value)
    arrays = []
    for leaf in leaves:
        try:
            arrays.append(as_array(leaf))
        except TypeError:
            raise leaf_error(value, leaf, "inspect_array_sharding") from None
    for array in arrays:
        if isinstance(array, Tracer):
            inspect_sharding_p.bind(array, callback=callback)
        else:
            callback(array.sharding)


def visualize_array_sharding(arr: Any, **kwargs: Any) -> None:
    """Print which part of an array of one or two axes is on which device; `kwargs` are those of
    `visualize_sharding`. Of traced arrays it is printed when the program is compiled.

    >>> import pullback as pb
    >>> visualize_array_sharding(pb.numpy.zeros(8), use_color=False)
    ┌───────┐
    │ CPU 0 │
    └───────┘
    """
    inspect_array_sharding(arr, callback=lambda sharding: visualize_sharding(np.shape(arr), sharding, **kwargs))


def visualize_sharding(
    shape: Sequence[int], sharding: Any, *, use_color: bool = True, scale: float = 1.0, min_width: int = 9, max_width: int = 80,
    color_map: Callable[[float], Any] | None = None,
) -> None:  # fmt: skip
    """Print which part of an array of `shape` is on which device, by `rich`.

    The picture is in proportion to the array, 10 lines high times `scale`, and between `min_width`
    (for each part) and `max_width` characters wide; an array of one axis is a row. With `use_color`
    parts have colours, on terminals that show some: `color_map(x)` for x in [0, 1], as numbers
    (r, g, b) in [0, 1] or as what rich calls a colour. Raises ValueError for arrays of no axis or of
    more than two, or without elements, TypeError for what is no sharding.

    >>> import pullback as pb
    >>> visualize_sharding((4, 8), pb.sharding.SingleDeviceSharding(pb.devices()[0]), use_color=False, scale=0.4)
    ┌──────────────────┐
    │                  │
    │      CPU 0       │
    │                  │
    └──────────────────┘
    """
    from pullback import sharding_pictures

    sharding_pictures.show(shape, sharding, use_color, scale, min_width, max_width, color_map)


def breakpoint(
    *, backend: str | None = None, filter_frames: bool = True, num_frames: int | None = None, ordered: bool = False, token: Any = None,
    **kwargs: Any,
) -> None:  # fmt: skip
    """Stop in pdb at the caller's line, when the program comes there.

    In a function that is staged (by `jit`, as a loop's body or a branch) that is when it runs, and
    local variables have the values of that run; a branch that is not taken does not stop. `ordered`
    is that of `callback`. Elsewhere it is at once.

    >>> import pullback as pb
    >>> def f(x):
    ...     y = pb.numpy.sin(x)
    ...     pb.debug.breakpoint()                             # in pdb, `p y` shows a number
    ...     return y
    >>> pb.make_jaxpr(f)(1.0).eqns[1].primitive.name
    'debug_callback'
    """
    del backend, filter_frames, num_frames, token, kwargs
    frame = user_frame()
    traces: list[Any] = [current()]
    while traces[-1] is not EVAL:
        traces.append(traces[-1].parent)
    if frame is None or not any(isinstance(t, JaxprTrace) for t in traces):
        pdb.Pdb().set_trace(frame)
        return
    leaves, tree = tree_flatten(dict(frame.f_locals))
    known = [isinstance(x, Tracer) and any(x._trace is t for t in traces) for x in leaves]
    names, file, line = frame.f_globals, frame.f_code.co_filename, frame.f_lineno
    del frame

    def stop(*values: Any) -> None:
        rest = iter(values)
        variables = tree.unflatten([next(rest) if k else x for x, k in zip(leaves, known)])
        # A frame of its own that looks like the user's: that one is over.
        here = compile("\n" * (line - 1) + "__pullback_stop__()", file, "exec")
        exec(here, {**names, "__pullback_stop__": lambda: pdb.Pdb().set_trace(sys._getframe(1))}, variables)

    _debug_callback(stop, [x for x, k in zip(leaves, known) if k], {}, ordered)


__all__ = [
    "Explanation", "MemoryOverTime", "Picture", "breakpoint", "callback", "explain", "inspect_array_sharding", "log", "memory_over_time",
    "picture", "print", "visualize_array_sharding", "visualize_sharding",
]  # fmt: skip
