"""Shardings: how arrays are laid out over devices.

Meshes of all devices that a machine has can be made, and shardings over them say which device has
which part of an array. An array is on one device: `device_put` and `reshard` take shardings of one,
and refuse others with NotImplementedError.

    mesh = pb.make_mesh((1,), ("data",))
    x = pb.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
"""

from __future__ import annotations

from typing import Any

from pullback.core.errors import user_line
from pullback.core.tree import tree_flatten
from pullback.lax.placing import with_sharding_constraint
from pullback.xla.meshes import AbstractMesh as AbstractMesh
from pullback.xla.meshes import AxisType as AxisType
from pullback.xla.meshes import Mesh as Mesh
from pullback.xla.meshes import NamedSharding as NamedSharding
from pullback.xla.meshes import PartitionSpec as PartitionSpec
from pullback.xla.meshes import Sharding as Sharding
from pullback.xla.meshes import SingleDeviceSharding as SingleDeviceSharding
from pullback.xla.meshes import get_abstract_mesh as get_abstract_mesh
from pullback.xla.meshes import get_mesh as get_mesh
from pullback.xla.meshes import make_mesh as make_mesh
from pullback.xla.meshes import set_mesh as set_mesh
from pullback.xla.meshes import use_abstract_mesh as use_abstract_mesh
from pullback.xla.placement import Device

P = PartitionSpec


def make_single_device_sharding(device: Device, *, memory_kind: str | None = None) -> SingleDeviceSharding:
    """The sharding that puts arrays on `device`. Raises TypeError for what is no device, ValueError for
    another kind of memory than "device".

    >>> import pullback as pb
    >>> where = make_single_device_sharding(pb.devices("cpu")[0])
    >>> pb.device_put(pb.numpy.ones(2), where).sharding == where
    True
    """
    return SingleDeviceSharding(device, memory_kind=memory_kind)


def reshard(xs: Any, out_shardings: Any) -> Any:
    """`xs`, a tree of arrays, laid out as `out_shardings` say: a `NamedSharding`, a `PartitionSpec`
    for the mesh of the program, or a tree of these.

    Raises TypeError for anything else, and what `lax.with_sharding_constraint` raises.

    >>> import pullback as pb
    >>> reshard(pb.numpy.ones(2), NamedSharding(make_mesh((1,), ("data",)), P("data")))
    Array([1., 1.], dtype=float32)
    """
    for given in tree_flatten(out_shardings)[0]:
        if not isinstance(given, (NamedSharding, PartitionSpec)):
            raise TypeError(
                f"reshard takes a NamedSharding or a PartitionSpec, got {given!r:.100} of type {type(given).__name__!r}, at {user_line()}"
            )
    return with_sharding_constraint(xs, out_shardings)


__all__ = [
    "AbstractMesh",
    "AxisType",
    "Mesh",
    "NamedSharding",
    "PartitionSpec",
    "Sharding",
    "SingleDeviceSharding",
    "get_abstract_mesh",
    "get_mesh",
    "make_mesh",
    "make_single_device_sharding",
    "reshard",
    "set_mesh",
    "use_abstract_mesh",
]
