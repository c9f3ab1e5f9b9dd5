"""Looking into running programs: print, callback, breakpoint. They work in eager code, under every
transformation and in compiled code."""

from __future__ import annotations

import pdb
import string
import sys
from collections.abc import Callable
from typing import Any

from pullback.core.errors import user_frame, user_line
from pullback.core.staging import JaxprTrace
from pullback.core.trace import EVAL, Tracer, current
from pullback.core.tree import tree_flatten
from pullback.lax.callbacks import debug_callback as _debug_callback


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
    fmt: str, *args: Any, ordered: bool = False, partitioned: bool = False, skip_format_check: bool = False, _use_logging: bool = False,
    **kwargs: Any,
) -> None:  # fmt: skip
    """Print `fmt.format(*args, **kwargs)` with the values that the arguments have when the program
    runs.

    Derivatives print the primal values; under vmap each element is printed. With `ordered`, lines
    come in program order. Raises KeyError or IndexError if the format string asks for an argument
    that is not given, ValueError if it leaves one out.

    >>> import pullback as pb
    >>> import pullback.debug
    >>> pb.jit(lambda x: pullback.debug.print("x = {}", x))(2.0)
    x = 2.0
    """
    del partitioned, _use_logging
    if not skip_format_check:
        try:
            _Checking().vformat(fmt, [_Anything()] * len(args), {k: _Anything() for k in kwargs})
        except (LookupError, ValueError) as error:
            raise type(error)(f"debug.print at {user_line()}: {error.args[0]}") from None

    def show(*values: Any, **named: Any) -> None:
        sys.stdout.write(fmt.format(*values, **named) + "\n")

    _debug_callback(show, args, kwargs, ordered)


def callback(
    callback: Callable[..., Any], *args: Any, ordered: bool = False, partitioned: bool = False, **kwargs: Any
) -> None:
    """Call `callback(*args, **kwargs)` with the values that the arguments have when the program
    runs. Its result is dropped."""
    del partitioned
    _debug_callback(callback, args, kwargs, ordered)


def breakpoint(
    *, backend: str | None = None, filter_frames: bool = True, num_frames: int | None = None, ordered: bool = False, token: Any = None,
    **kwargs: Any,
) -> None:  # fmt: skip
    """Stop in pdb at the caller's line, when the program comes there.

    In a function that is staged (by `jit`, as a loop's body or a branch) that is when it runs, and
    local variables have the values of that run; a branch that is not taken does not stop. `ordered`
    is that of `callback`. Elsewhere it is at once.
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


__all__ = ["breakpoint", "callback", "print"]
