"""The runtime behind devices.

`get_backend().platform` is the platform's name; what a client has beside that is jaxlib's.
"""

from __future__ import annotations

from typing import Any

from pullback.transforms.jit import clear_caches
from pullback.xla import placement
from pullback.xla.placement import Device, default_placement, default_platform


def get_backend(platform: Any = None) -> Any:
    """The runtime's client for a platform, the default one if none is named. Raises RuntimeError
    for platforms that are not there.

    >>> get_backend("cpu").platform
    'cpu'
    """
    if platform is not None and not isinstance(platform, str):
        return platform  # a client
    return placement.devices(platform)[0].placement.target.platform.client


def backends() -> dict[str, Any]:
    """The clients of the platforms that start, by name; the default one is among them.

    >>> "cpu" in backends()
    True
    """
    default_platform()
    found = {}
    for name in dict.fromkeys([default_platform(), "cpu"]):
        found[name] = get_backend(name)
    return found


def backend_xla_version(platform: str | None = None) -> int | None:
    """The version of XLA's interface that a platform has, where it tells; None where it does not.
    Raises RuntimeError for platforms that are not there.

    >>> version = backend_xla_version("cpu")
    >>> version is None or version > 0
    True
    """
    version = getattr(get_backend(platform), "xla_version", None)
    return None if version is None else int(version)


def get_default_device() -> Device:
    """The device on which programs run if nothing else says where.

    >>> get_default_device().platform
    'cpu'
    """
    return default_placement().device


def clear_backends() -> None:
    """Forget all programs. Platforms that have started go on: arrays that are on them stay valid.

    >>> import pullback as pb
    >>> f = pb.jit(lambda x: x + 1)
    >>> x = f(1.0)
    >>> clear_backends()
    >>> f(x)  # compiled anew
    Array(3., dtype=float32, weak_type=True)
    """
    clear_caches()


#: The same: programs in memory are all that is forgotten.
clear_in_memory_compilation_cache = clear_backends

__all__ = [
    "backend_xla_version",
    "backends",
    "clear_backends",
    "clear_in_memory_compilation_cache",
    "get_backend",
    "get_default_device",
]
