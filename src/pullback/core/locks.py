"""Locks of modules, and forks. The threads that held locks in the parent are not in a child, and
would never let go there.

Before this process forks, it waits until nobody holds one, and until what other threads import of
this package and of those that it uses is there. The child makes the locks anew.
"""

from __future__ import annotations

# Whose locks are taken for forks, too: after these, as it is loaded before.
import logging  # noqa: F401
import os
import sys
import time
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

#: Where locks are, in the order in which they are taken.
_holders: list[tuple[int, dict[str, Any], str]] = []
_taken: list[Any] = []
#: Packages whose imports are waited for (none of them waits for anything of the user's), and for
#: how many seconds at most.
_PACKAGES = sys.stdlib_module_names | {"pullback", "jaxlib", "optree", "numpy", "ml_dtypes", "scipy", "opt_einsum"}
_PATIENCE = 30.0


def new_lock(rank: int, holder: dict[str, object], name: str) -> AbstractContextManager[object]:
    """A lock, to be found under `name` in `holder` (a module's `globals()`) each time it is needed:
    `with _lock: ...`.

    Who has one takes only others of a higher rank. The thread that has it may enter again, as a
    signal's handler or an import within an import does.
    """
    _holders.append((rank, holder, name))
    _holders.sort(key=lambda h: h[0])
    return RLock()


def _before() -> None:
    # Not for ever: an import may be waiting for what somebody else has taken for the fork.
    end = time.monotonic() + _PATIENCE
    while True:
        while _is_importing() and time.monotonic() < end:
            time.sleep(0.001)
        for _, holder, name in _holders:
            lock = holder[name]
            lock.acquire()
            _taken.append(lock)
        if not _is_importing() or time.monotonic() >= end:
            return
        _in_parent()  # another import has begun in the meantime


def _is_importing() -> bool:
    """Whether another thread is importing something that children need."""
    return len(sys._current_frames()) > 1 and any(
        [
            getattr(getattr(module, "__spec__", None), "_initializing", False)
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in _PACKAGES
        ]
    )


def _in_parent() -> None:
    while _taken:
        _taken.pop().release()


def _in_child() -> None:
    _taken.clear()
    # Python's own locks of modules: a thread may have taken one for a module that was not there
    # yet.
    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    for name, reference in list(locks.items()):
        held = reference()
        if held is not None and getattr(held, "owner", None) not in (None, get_ident()):
            locks.pop(name, None)
            if getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False):
                del sys.modules[name]  # which would never be whole
    for _, holder, name in _holders:
        holder[name] = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
