"""Where operations come from: the line in the user's code, and the scopes around.

with user_context(eqn.source_info.traceback):
    ...                                      # is said to come from where `eqn` does
"""

from __future__ import annotations

import os

from pullback.core.errors import Location, describe_location, exclude, source_location
from pullback.core.jaxpr import NameStack, SourceInfo
from pullback.core.scopes import Entered
from pullback.core.staging import Origin, name_stack, named_scope, replaced_name_stack


def new_source_info() -> SourceInfo:
    """That of nothing: no place, no scopes.

    >>> summarize(new_source_info())
    '<unknown>'
    """
    return SourceInfo(None, NameStack())


def current() -> SourceInfo:
    """That of an operation that is asked for here.

    >>> with extend_name_stack("encoder"):
    ...     str(current().name_stack)
    'encoder'
    """
    return SourceInfo(source_location(), current_name_stack())


def current_name_stack() -> NameStack:
    """The scopes around.

    >>> with extend_name_stack("encoder"), extend_name_stack("layer"):
    ...     str(current_name_stack())
    'encoder/layer'
    """
    return NameStack(tuple(name_stack()))


def new_name_stack(name: str = "") -> NameStack:
    """A stack of one scope, or of none.

    >>> str(new_name_stack("decoder"))
    'decoder'
    """
    return NameStack((name,) if name else ())


def summarize(source_info: SourceInfo, num_frames: int = 1) -> str:
    """`file:line (function)`, for messages.

    >>> import pullback as pb
    >>> def doubled(x):
    ...     return 2 * x
    >>> summarize(pb.make_jaxpr(doubled)(1.0).eqns[0].source_info).endswith(":2 (doubled)")
    True
    >>> summarize(new_source_info())
    '<unknown>'
    """
    del num_frames
    return describe_location(source_info.traceback)


#: `with extend_name_stack(name): ...` adds a scope, as `named_scope` does.
extend_name_stack = named_scope


class transform_name_stack(named_scope):
    """`with transform_name_stack("jvp"): ...` adds a scope for what a transformation does, written
    `jvp()`.

    >>> with extend_name_stack("encoder"), transform_name_stack("jvp"):
    ...     str(current_name_stack())
    'encoder/jvp()'
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}()")


class set_name_stack(replaced_name_stack):
    """`with set_name_stack(stack): ...` has these scopes around, and no others.

    >>> with extend_name_stack("encoder"), set_name_stack(new_name_stack("decoder")):
    ...     str(current_name_stack())
    'decoder'
    """

    def __init__(self, name_stack: NameStack) -> None:
        super().__init__(name_stack.stack)


def reset_name_stack() -> set_name_stack:
    """`with reset_name_stack(): ...` has no scopes around.

    >>> with extend_name_stack("encoder"), reset_name_stack():
    ...     str(current_name_stack())
    ''
    """
    return set_name_stack(NameStack())


class user_context(replaced_name_stack):
    """`with user_context(traceback): ...` says of operations that are staged within that they come
    from `traceback`, the field of that name of a `SourceInfo`, and are in the scopes of
    `name_stack`. None leaves either as it is. The compiler is told so; `JaxprEqn.source` is the
    line that staged them.

    An equation that takes the place of another one, and is compiled as if it came from where that
    did:

    >>> import pullback as pb
    >>> old = pb.make_jaxpr(lambda x: 2 * x)(1.0).eqns[0]
    >>> def f(x):
    ...     with user_context(old.source_info.traceback):
    ...         return x + x
    >>> file, line = summarize(old.source_info).split(" (")[0].rsplit(":", 1)
    >>> f'"{file}":{line}' in pb.jit(f).lower(1.0).as_text(debug_info=True)
    True
    """

    def __init__(self, traceback: Location | None, *, name_stack: NameStack | None = None) -> None:
        super().__init__(() if name_stack is None else name_stack.stack)
        self._keeps_names = name_stack is None
        self._origin = () if traceback is None else (Origin(traceback),)

    def instead(self) -> Entered:
        return Entered((*(name_stack() if self._keeps_names else self.new), *self._origin))


def register_exclusion(path: str) -> None:
    """Leave files whose paths begin with `path` out of what users are shown: operations come from the
    lines that call them, and tracebacks of errors are without them. A library calls it with its own
    folder.

    >>> register_exclusion("/opt/my_library/")
    """
    exclude(os.fspath(path))


__all__ = [
    "NameStack",
    "SourceInfo",
    "current",
    "current_name_stack",
    "extend_name_stack",
    "new_name_stack",
    "new_source_info",
    "register_exclusion",
    "reset_name_stack",
    "set_name_stack",
    "summarize",
    "transform_name_stack",
    "user_context",
]
