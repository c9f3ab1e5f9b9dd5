"""Programs of several processes: there are none yet, and this module says so.

A program that is started as one process of one runs as it is.
"""

from __future__ import annotations

from typing import Any

from pullback.core.errors import user_line
from pullback.core.types import integer

_initialized = False


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    local_device_ids: Any = None,
    cluster_detection_method: str | None = None,
    initialization_timeout: int = 300,
    heartbeat_timeout_seconds: int = 100,
    shutdown_timeout_seconds: int = 300,
    coordinator_bind_address: str | None = None,
    slice_index: int | None = None,
    partition_index: int | None = None,
) -> None:
    """Join the processes of a program, of which there can be one: `num_processes` must be 1.

    Nothing is connected to, and the other arguments are not used. Raises NotImplementedError for
    more processes, ValueError without `num_processes` (clusters are not looked for: each of their
    processes would take itself for the only one) or for a `process_id` that is not there, and
    RuntimeError the second time.

    >>> initialize("localhost:1234", num_processes=1, process_id=0)
    >>> is_initialized()
    True
    >>> shutdown()
    """
    global _initialized
    del (
        coordinator_address,
        local_device_ids,
        cluster_detection_method,
        initialization_timeout,
        heartbeat_timeout_seconds,
    )
    del shutdown_timeout_seconds, coordinator_bind_address, slice_index, partition_index
    if num_processes is None:
        raise ValueError(
            f"distributed.initialize: num_processes must be given, at {user_line()}: clusters are not looked for, and a program is one process"
        )
    count = integer(num_processes, "distributed.initialize: num_processes")
    if count != 1:
        raise NotImplementedError(
            f"distributed.initialize: a program is one process yet, got num_processes={count}, at {user_line()}"
        )
    if process_id is not None and integer(process_id, "distributed.initialize: process_id") != 0:
        raise ValueError(
            f"distributed.initialize: the only process has process_id 0, got {process_id}, at {user_line()}"
        )
    if _initialized:
        raise RuntimeError(f"distributed.initialize was called before, and takes effect once, at {user_line()}")
    _initialized = True


def is_initialized() -> bool:
    """Whether `initialize` has been called (and `shutdown` not yet).

    >>> is_initialized()
    False
    """
    return _initialized


def shutdown() -> None:
    """Undo `initialize`; nothing, if it was not called.

    >>> shutdown()
    >>> is_initialized()
    False
    """
    global _initialized
    _initialized = False


__all__ = ["initialize", "is_initialized", "shutdown"]
