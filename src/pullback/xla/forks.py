"""Forked processes: the threads of XLA's runtime are not in them, so that a program given to it would wait for ever.

The child is told so when it tries. Everything that NumPy evaluates works there: Arrays on the host keep their contents. Those on other
devices, and those that had not been computed, are gone.
"""

from __future__ import annotations

import gc
from typing import Any

from pullback.core import config
from pullback.core.array import ConcreteArray
from pullback.core.jaxpr import program_caches
from pullback.xla import devices, pjrt

#: What belongs to the runtime. It is never freed: that would wait for its threads.
_left: list[Any] = []


def leave() -> None:
    """Leave the runtime that this process has from its parent. To be called in the child, where one thread runs."""
    from pullback.xla import dispatch

    runtime = pjrt.leave_cpu()
    if runtime is None:
        return
    _left.append(runtime)
    for x in gc.get_objects():
        kind = type(x)
        if kind is dispatch.Compiled:
            _left.append(x.executable)
            x.run = _refuse
        elif issubclass(kind, ConcreteArray) and x._buffer is not None:
            _keep_contents(x)
    for cache in program_caches:
        cache.clear()
    dispatch.forget_lent()
    devices.forget_started()
    config.config.update("xla_for_large_arrays", False)


def _keep_contents(x: ConcreteArray) -> None:
    buffer = x._buffer
    _left.append(buffer)
    x._type  # noqa: B018 - taken before the buffer goes
    if not isinstance(x, devices.DeviceArray) and buffer.is_ready():
        x._value  # noqa: B018
    x._buffer = None


def _refuse(args: Any) -> Any:
    return pjrt.cpu()  # which raises
