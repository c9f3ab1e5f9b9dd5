"""Forked processes: the threads of XLA's runtime are not in them, so that a program given to it would wait for ever.

The child is told so when it tries. Everything that NumPy evaluates works there: Arrays on the host keep their contents. Those on other
devices, and those that had not been computed, are gone.

A lost thread may hold any of the runtime's locks, so the child calls nothing of it, not even to ask or to free: what is needed of it is taken
before the fork, and what belongs to it is never freed.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from threading import get_ident
from typing import Any

from pullback.core import config
from pullback.core.array import ConcreteArray, has_value
from pullback.core.errors import JaxRuntimeError
from pullback.core.jaxpr import program_caches
from pullback.xla import devices, exits, pjrt

#: What belongs to the runtime. It is never freed: that would wait for its threads.
_left: list[Any] = []
#: Arrays that have been given a view of their buffer for the child, by the thread that forks.
_shown: dict[int, list[ConcreteArray]] = {}


def prepare() -> None:
    """Take what the child needs of the runtime, before the fork: the contents of the Arrays on the host that have been computed."""
    if not pjrt.is_running():
        return
    shown = _shown[get_ident()] = []
    for x in gc.get_objects():
        if issubclass(type(x), ConcreteArray) and not isinstance(x, devices.DeviceArray):
            with suppress(JaxRuntimeError, RuntimeError, AttributeError):  # failed, deleted, or not filled yet
                if x._buffer is not None and not has_value(x) and x._buffer.is_ready():
                    x._type  # noqa: B018
                    x._value  # noqa: B018
                    shown.append(x)


def resume() -> None:
    """Take the views away again, in the parent: what is looked at cannot be donated."""
    for x in _shown.pop(get_ident(), ()):
        with suppress(AttributeError):  # deleted in the meantime
            if x._buffer is not None:
                del x._value


def leave() -> None:
    """Leave the runtime that this process has from its parent. To be called in the child, where one thread runs."""
    from pullback.xla import dispatch

    _shown.clear()
    exits.forget()
    runtime = pjrt.leave()
    if not runtime:
        return
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_left))  # not when the process ends, either
    _left.append(runtime)
    _left.append(dict(devices._started))
    for x in gc.get_objects():
        kind = type(x)
        if kind is dispatch.Compiled:
            _left.append((x.executable, x.run))
            x.run = _refuse
        elif issubclass(kind, ConcreteArray):
            with suppress(AttributeError):  # not filled yet
                buffer = x._buffer
                if buffer is not None:
                    _left.append((buffer, x._value if has_value(x) else None))
                    x._type  # noqa: B018 - taken before the buffer goes
                    x._buffer = None
    for cache in program_caches:
        cache.clear()
    dispatch.forget_lent()
    devices.forget_started()
    config.config.update("xla_for_large_arrays", False)


def _refuse(args: Any) -> Any:
    return pjrt.cpu()  # which raises
