"""Putting arrays where shardings say: `with_sharding_constraint`, and what `device_put` asks for."""

from __future__ import annotations

from typing import Any

from pullback.core.array import ConcreteArray, as_array
from pullback.core.effects import Effect
from pullback.core.errors import user_line
from pullback.core.primitive import Primitive
from pullback.core.staging import is_staging
from pullback.core.tree import leaf_error, tree_flatten
from pullback.core.types import ShapedArray
from pullback.lax.creation import sharding_constraint_p
from pullback.xla.devices import put
from pullback.xla.formats import Format
from pullback.xla.meshes import PartitionSpec, Sharding, SingleDeviceSharding, device_for, get_mesh
from pullback.xla.placement import HOST, Device


class InspectSharding(Primitive):
    """Tells the function `callback` where the operand is, when that is known: at once in eager code,
    and when a program is lowered for a device. It has no results.

    >>> import sys
    >>> inspect_sharding_p.bind(1.0, callback=lambda s: sys.stdout.write(str(s.device_set)))
    {CpuDevice(id=0)}[]
    """

    name = "inspect_sharding"
    multiple_results = True
    effects = frozenset({Effect.SHOWS})

    def type_of(self, x: Any, *, callback: Any) -> list[ShapedArray]:
        return []

    def evaluate(self, x: Any, *, callback: Any) -> list[Any]:
        callback(SingleDeviceSharding(HOST))
        return []

    def lower(self, emit: Any, x: Any, *, callback: Any) -> list[Any]:
        if emit.device is not None:
            callback(SingleDeviceSharding(emit.device))
        return []

    def jvp(self, primals: Any, tangents: Any, *, callback: Any) -> Any:
        return self.bind(*primals, callback=callback), []

    def batch(self, size: int, args: Any, axes: Any, *, callback: Any) -> Any:
        return self.bind(*args, callback=callback), []


inspect_sharding_p = InspectSharding()


def devices_of(name: str, places: Any, x: Any) -> list[Device | None]:
    """The device for each leaf of `x`; None where there is none for it.

    `places` is a tree of devices and shardings that is a prefix of `x`. Raises ValueError.
    """
    given, tree = tree_flatten(places, is_leaf=lambda p: p is None)
    out: list[Device | None] = []
    for place, part in zip(given, tree.flatten_up_to(x)):
        if isinstance(place, Format):
            place = place.sharding
        shapes = [tuple(getattr(leaf, "shape", ())) for leaf in tree_flatten(part)[0]]
        out += [None if place is None else device_for(name, place, shape) for shape in shapes]
    return out


def with_sharding_constraint(x: Any, shardings: Any) -> Any:
    """`x`, a tree of arrays, laid out as `shardings` say: a sharding, a `PartitionSpec` for the mesh
    of the program, or a tree of these that is a prefix of `x`; None leaves an array alone.

    It may stand in programs, and is linear. On one device it says where the array is. Raises
    TypeError for what is no sharding, ValueError for shardings that do not fit the array,
    RuntimeError for a `PartitionSpec` where no mesh is set, NotImplementedError for shardings over
    several devices.

    >>> import pullback as pb
    >>> sharding = pb.NamedSharding(pb.make_mesh((1,), ("data",)), pb.P("data"))
    >>> with_sharding_constraint(pb.numpy.ones(2), sharding)
    Array([1., 1.], dtype=float32)
    """
    given = tree_flatten(shardings, is_leaf=lambda p: p is None)[0]
    for place in given:
        if place is not None and not isinstance(place, (Sharding, PartitionSpec)):
            raise TypeError(
                f"with_sharding_constraint: {place!r:.100} of type {type(place).__name__!r} is no sharding, at {user_line()}"
            )
        if isinstance(place, PartitionSpec) and get_mesh().empty:
            raise RuntimeError(
                f"with_sharding_constraint: {place} speaks of the mesh of the program, and none is set, at {user_line()}: use "
                "`with set_mesh(mesh):`, or give a NamedSharding"
            )
    leaves, tree = tree_flatten(x)
    arrays = []
    for leaf in leaves:
        try:
            arrays.append(as_array(leaf))
        except TypeError:
            raise leaf_error(x, leaf, "with_sharding_constraint") from None
    places = devices_of("with_sharding_constraint", shardings, tree.unflatten(arrays))
    return tree.unflatten([a if d is None else _placed(a, d) for a, d in zip(arrays, places)])


def _placed(x: Any, device: Device) -> Any:
    if isinstance(x, ConcreteArray) and not is_staging():
        return put(x, device)
    return sharding_constraint_p.bind(x, device=device)


__all__ = ["with_sharding_constraint"]
