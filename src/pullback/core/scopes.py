"""Scopes: what holds in a context until a block ends, however it ends. `with scope: ...`, or
`@scope` above a function.

A scope is a value: the same object may be entered again while it is entered, and by several
threads, tasks and generators at once, because what has been entered stands in a context variable
and nothing in the object. Blocks may end in another order than that in which they began
(generators): each takes away what it added.

A signal's handler may raise on entry to any Python function, so to `__exit__` too, before it has
done anything. What `with` keeps is therefore not a method, but a function to which a guard is
attached: when `with` lets go of it, what has not been taken away is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar, Token
from functools import partial, wraps
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from pullback.core.names import Attribute, Tree

F = TypeVar("F", bound=Callable[..., Any])


class _Exit:
    """`__exit__` of scopes: as `with` asks for it before it enters, and as `contextlib.ExitStack`
    and others call it afterwards.

    Example: `with scope:` asks for it first, and finds what it puts back.
    """

    def __get__(self, scope: Scope | None, owner: type | None = None) -> Attribute:
        if scope is None:
            return _leave_innermost
        depth = scope.depth(scope.variable.get())
        done: list[bool] = []
        leave = partial(_leave, scope, depth, done)
        leave.guard = _Guard(scope, depth, done)  # type: ignore[attr-defined]
        return leave


class _Guard:
    """Takes away what a block that could not do it has left.

    Example: a signal's handler that raises between entering and the block.
    """

    __slots__ = ("scope", "depth", "done", "thread")

    def __init__(self, scope: Scope, depth: int, done: list[bool]) -> None:
        self.thread, self.done = get_ident(), done
        self.scope, self.depth = scope, depth

    def __del__(self) -> None:
        if not self.done and self.thread == get_ident():
            self.scope.leave(self.depth)


def _leave(scope: Scope, depth: int, done: list[bool], *_: object) -> None:
    # If nothing was entered since this was asked for, it is called by hand, after `__enter__`.
    scope.leave(min(depth, scope.depth(scope.variable.get()) - 1))
    done.append(True)


def _leave_innermost(scope: Scope, *_: object) -> None:
    scope.leave(scope.depth(scope.variable.get()) - 1)


class Entered(tuple[Any, ...]):
    """What has been entered in a context, outermost first.

    Example: within two `named_scope`s, the names of both.
    """

    #: With what the variable leaves the context again, which makes others in it quicker to find.
    token: Token[Any] | None = None


NOTHING = Entered()


class Scope:
    """A context manager and decorator: adds `entry` to what `variable` says has been entered.

    Example: `config.debug_nans(True)` is one, for a `with` or over a function.
    """

    variable: ContextVar[Any]
    entry: Any

    def depth(self, now: Entered) -> int:
        """How often this scope has been entered where `now` is what has been entered."""
        return now.count(self.entry)

    def added(self, now: Entered) -> Entered:
        """`now`, and this scope entered once more."""
        return type(now)((*now, self.entry))

    def removed(self, now: Entered) -> Entered:
        """`now` without the innermost time that this scope was entered."""
        last = len(now) - 1 - now[::-1].index(self.entry)
        return type(now)(now[:last] + now[last + 1 :])

    def __enter__(self) -> None:
        now = self.variable.get()
        new = self.added(now)
        try:
            token = self.variable.set(new)
            new.token = now.token if now else token
        except BaseException:
            self.variable.set(now)
            raise

    __exit__ = _Exit()

    def leave(self, depth: int) -> None:
        """Be entered `depth` times at most."""
        while self.depth(now := self.variable.get()) > max(depth, 0):
            new = self.removed(now)
            new.token = now.token
            if new or new.token is None:
                self.variable.set(new)
            else:
                try:
                    self.variable.reset(new.token)
                except (
                    ValueError,
                    RuntimeError,
                ):  # set in another context, from which this one was copied; or reset already
                    self.variable.set(type(new)())

    def __call__(self, fun: F) -> F:
        if not callable(fun):
            raise TypeError(f"{self!r} decorates functions, got {fun!r}")
        within: Any
        if inspect.iscoroutinefunction(fun):

            async def within(*args: Tree, **kwargs: Tree) -> Tree:
                with self:
                    return await fun(*args, **kwargs)

        elif inspect.isgeneratorfunction(fun):

            def within(*args: Tree, **kwargs: Tree) -> Tree:
                with self:
                    return (yield from fun(*args, **kwargs))

        elif inspect.isasyncgenfunction(fun):

            async def within(*args: Tree, **kwargs: Tree) -> Tree:
                with self:
                    async for x in fun(*args, **kwargs):
                        yield x

        else:

            def within(*args: Tree, **kwargs: Tree) -> Tree:
                with self:
                    return fun(*args, **kwargs)

        return cast(F, wraps(fun)(within))


class Replacement(Scope):
    """A scope in which `replaced` has another value, whatever it had; that it has again behind it.
    `variable` keeps the values whose place others have taken, outermost first.

    Example: `ensure_compile_time_eval`, in which evaluation takes the current trace's place.
    """

    replaced: ContextVar[Any]
    new: Any

    def instead(self) -> object:
        """The value to be had in the block that begins."""
        return self.new

    def depth(self, now: Entered) -> int:
        return len(now)

    def added(self, now: Entered) -> Entered:
        return Entered((*now, self.replaced.get()))

    def removed(self, now: Entered) -> Entered:
        self.replaced.set(now[-1])
        return Entered(now[:-1])

    def __enter__(self) -> None:
        new = self.instead()
        super().__enter__()
        self.replaced.set(new)
