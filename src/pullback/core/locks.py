"""Locks of modules, which forked processes make anew: the thread that held one in the parent is not in the child, and never lets go."""

from __future__ import annotations

import os
from threading import RLock
from typing import Any

_holders: list[tuple[dict[str, Any], str]] = []


def new_lock(holder: dict[str, Any], name: str) -> Any:
    """A lock, to be found under `name` in `holder` (a module's `globals()`) each time it is needed: `with _lock: ...`.

    The thread that has it may enter again, as a signal's handler or an import within an import does.
    """
    _holders.append((holder, name))
    return RLock()


def _renew() -> None:
    for holder, name in _holders:
        holder[name] = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
