"""The end of the process while daemon threads are in compiled programs that call Python.

XLA calls Python from threads of its own, and aborts the process if that fails, as it does when the
interpreter is going. So the interpreter waits until calls that have begun are over, and no thread
begins another.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from typing import Any

from pullback.xla.forks import in_child

#: Calls of programs with callbacks that are under way.
_inside: dict[object, None] = {}
#: How many seconds are waited for them.
_PATIENCE = 10.0
_ending = False


def waited_for(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`run`, whose calls are over before the interpreter goes."""

    def counted(args: Any) -> Any:
        if _ending and threading.current_thread().daemon:
            threading.Event().wait()  # as long as there is a process
        call = object()
        try:
            _inside[call] = None
            return run(args)
        finally:
            _inside.pop(call, None)

    return counted


def _wait() -> None:
    global _ending
    _ending = True
    end = time.monotonic() + _PATIENCE
    while _inside and time.monotonic() < end:
        time.sleep(0.001)


@in_child
def _forget() -> None:
    """Forget the calls of the process from which this one was forked."""
    _inside.clear()


atexit.register(_wait)
