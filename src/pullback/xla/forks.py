"""Forked processes: the threads of XLA's runtime are not in them, so that a program given to it
would wait for ever.

The child is told so when it tries. Everything that NumPy evaluates works there: Arrays on the host
keep their contents. Those on other devices, and those that had not been computed, are gone.

A lost thread may hold any of the runtime's locks, so the child calls nothing of it, not even to ask
or to free: what is needed of it is taken before the fork, and what belongs to it is never freed.
Whoever keeps something of the runtime's says here how it is let go of (`in_child`); this file knows
nobody, and everybody may know it.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Any

from pullback.core.array import ConcreteArray, has_value
from pullback.core.errors import JaxRuntimeError
from pullback.core.jaxpr import program_caches

#: The runtime's clients in this process (`pjrt.Platform`).
running: list[Any] = []
#: Whether this process was forked from one that had a client.
_left = False
#: What belongs to the runtime of a parent. It is never freed: that would wait for its threads.
_never_freed: list[Any] = []
#: Arrays that have been given a view of their buffer for the child, by the thread that forks.
_shown: dict[int, list[ConcreteArray]] = {}
_resets: list[Callable[[], Any]] = []


def in_child(reset: Callable[[], Any]) -> Callable[[], Any]:
    """Decorator: `reset()` is called in a forked child whose parent had a client. It forgets what
    is of the runtime, and returns it, without touching it: that is never freed.

    >>> @in_child
    ... def forget_scratch():
    ...     forgotten = list(scratch)
    ...     scratch.clear()
    ...     return forgotten
    >>> scratch = []
    """
    _resets.append(reset)
    return reset


def check() -> None:
    """Raise RuntimeError in a process that was forked from one in which XLA was running."""
    if _left:
        raise RuntimeError(
            "XLA was running when this process was forked, and its threads are not in the child: nothing compiled can run here. "
            "Start processes by 'spawn' or 'forkserver' (multiprocessing.set_start_method), or fork before anything is compiled"
        )


def _prepare() -> None:
    """Take what the child needs of the runtime, before the fork: the contents of the Arrays that
    have been computed."""
    if not running:
        return
    shown = _shown[get_ident()] = []
    for x in gc.get_objects():
        if issubclass(type(x), ConcreteArray):
            # Failed, deleted, not filled yet, or on another device.
            with suppress(JaxRuntimeError, RuntimeError, AttributeError):
                if x._buffer is not None and not has_value(x) and x._buffer.is_ready():
                    x._type  # noqa: B018
                    x._value  # noqa: B018
                    shown.append(x)


def _resume() -> None:
    """Take the views away again, in the parent: what is looked at cannot be donated."""
    for x in _shown.pop(get_ident(), ()):
        with suppress(AttributeError):  # deleted in the meantime
            if x._buffer is not None:
                del x._value


def _leave() -> None:
    """Leave the runtime that this process has from its parent. To be called in the child, where one
    thread runs."""
    global _left
    _shown.clear()
    if not running:
        return
    _left = True
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_never_freed))  # not when the process ends, either
    _never_freed.extend(running)
    running.clear()
    for x in gc.get_objects():
        if issubclass(type(x), ConcreteArray):
            with suppress(AttributeError):  # not filled yet
                buffer = x._buffer
                if buffer is not None:
                    _never_freed.append((buffer, x._value if has_value(x) else None))
                    x._type  # noqa: B018 - taken before the buffer goes
                    x._buffer = None
    _never_freed.extend([reset() for reset in _resets])
    for cache in program_caches:
        cache.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_prepare, after_in_parent=_resume, after_in_child=_leave)
