"""Which memory of its device an array is in."""

from __future__ import annotations

import enum
from typing import Any

from pullback.core.errors import user_line
from pullback.core.tree import tree_leaves
from pullback.xla.devices import DeviceArray


class Space(enum.Enum):
    """Memory of a device: its own, or the host's that it can reach. Arrays here are in the device's
    own, and the host's device has one memory only.

    >>> import pullback as pb
    >>> pb.device_put(2.0, Space.Device)
    Array(2., dtype=float32, weak_type=True)
    """

    Device = enum.auto()
    Host = enum.auto()
    Any = enum.auto()


def check_space(space: Space, x: Any) -> None:
    """Raises ValueError unless `space` names one memory, NotImplementedError if an array of the tree
    `x` would have to leave its device's own."""
    if space is Space.Any:
        raise ValueError(f"device_put: Space.Any does not say where to put an array, at {user_line()}")
    elsewhere = next((a for a in tree_leaves(x) if isinstance(a, DeviceArray)), None)
    if space is Space.Host and elsewhere is not None:
        raise NotImplementedError(
            f"device_put: the host's memory of {elsewhere.device} cannot be used, at {user_line()}: to bring the array to the host, "
            "use device_put(x, devices('cpu')[0])"
        )


__all__ = ["Space"]
