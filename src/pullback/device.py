"""Devices: while evaluation is NumPy's, there is one, the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.trace import Tracer
from pullback.core.tree import leaf_error, tree_flatten


class Device:
    """A place where arrays live and programs run."""

    platform = "cpu"
    device_kind = "cpu"
    id = 0
    process_index = 0

    def __repr__(self) -> str:
        return "CpuDevice(id=0)"

    def __str__(self) -> str:
        return "cpu:0"


_CPU = Device()


def _check_backend(backend: Any) -> None:
    if backend not in (None, "cpu"):
        raise RuntimeError(f"Unknown backend {backend!r}: the only platform is 'cpu'")


def devices(backend: str | None = None) -> list[Device]:
    """All devices. Raises RuntimeError for a platform that is not there."""
    _check_backend(backend)
    return [_CPU]


def local_devices(
    process_index: int | None = None, backend: str | None = None, host_id: int | None = None
) -> list[Device]:
    """The devices of this process."""
    _check_backend(backend)
    return [_CPU]


def device_count(backend: str | None = None) -> int:
    """How many devices there are."""
    return len(devices(backend))


def local_device_count(backend: str | None = None) -> int:
    """How many devices this process has."""
    return len(devices(backend))


def default_backend() -> str:
    """The platform used by default: "cpu"."""
    return "cpu"


def process_index(backend: str | None = None) -> int:
    """The number of this process: 0."""
    _check_backend(backend)
    return 0


def process_count(backend: str | None = None) -> int:
    """How many processes take part: 1."""
    _check_backend(backend)
    return 1


def device_put(x: Any, device: Any = None, *, src: Any = None, donate: Any = False, may_alias: Any = None) -> Any:
    """`x` (a tree of arrays, NumPy arrays and scalars) as Arrays on `device`."""
    del src, donate, may_alias
    if device is not None and not isinstance(device, Device):
        raise ValueError(f"device_put: {device!r} is not a device; those there are: {devices()}")
    leaves, tree = tree_flatten(x)
    out = []
    for leaf in leaves:
        try:
            out.append(as_array(leaf))
        except TypeError:
            raise leaf_error(x, leaf, "device_put") from None
    return tree.unflatten(out)


def device_get(x: Any) -> Any:
    """`x` with every Array as a NumPy array."""
    leaves, tree = tree_flatten(x)
    return tree.unflatten([np.asarray(leaf) if isinstance(leaf, Array) else leaf for leaf in leaves])


def block_until_ready(x: Any) -> Any:
    """`x`, when all arrays in it have been computed."""
    buffers = [leaf._buffer for leaf in tree_flatten(x)[0] if leaf.__class__ is ConcreteArray]
    buffers = [b for b in buffers if b is not None]
    if buffers:
        from pullback.xla.pjrt import wait

        wait(buffers)
    return x


def effects_barrier() -> None:
    """Wait until side effects of everything dispatched so far have happened."""


def device_of(x: Any) -> Device:
    """The device an Array lives on. Raises ConcretizationTypeError for tracers."""
    if isinstance(x, Tracer):
        from pullback.core.errors import ConcretizationTypeError

        raise ConcretizationTypeError(x, "A traced value has no device.")
    return _CPU
