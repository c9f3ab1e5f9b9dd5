"""How arrays are laid out over devices: meshes, partition specifications, shardings.

These are descriptions, and hold for any number of devices: a mesh of all devices of a machine can
be made, and a sharding over it says which device has which part of an array. What an array is put
on is one device: `device_of_sharding` gives it, and refuses shardings over several.
"""

from __future__ import annotations

import enum
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from pullback.core.errors import user_line
from pullback.core.scopes import NOTHING, Entered, Scope
from pullback.core.types import Shape, integers
from pullback.xla import placement
from pullback.xla.placement import Device


class AxisType(enum.Enum):
    """Who decides how arrays are laid out along an axis of a mesh: the compiler (`Auto`), types
    (`Explicit`), or the program (`Manual`).

    >>> make_mesh((1, 1), ("x", "y"), (AxisType.Auto, AxisType.Explicit)).explicit_axes
    ('y',)
    """

    Auto = enum.auto()
    Explicit = enum.auto()
    Manual = enum.auto()

    def __repr__(self) -> str:
        return self.name


class _Unconstrained:
    """The entry of a `PartitionSpec` that leaves an axis to the compiler."""

    def __repr__(self) -> str:
        return "UNCONSTRAINED"

    def __reduce__(self) -> str:
        return "UNCONSTRAINED"


UNCONSTRAINED = _Unconstrained()


class PartitionSpec:
    """Over which axes of a mesh each axis of an array is divided: a name, several, or None.

    Axes without an entry are not divided. `unreduced` and `reduced` name axes of the mesh over which
    there is a sum still to be taken, and one that has been taken.

    >>> spec = PartitionSpec("data", None, ("x", "y"))
    >>> spec, len(spec), spec[0]
    (P('data', None, ('x', 'y')), 3, 'data')
    """

    __slots__ = ("_partitions", "_unreduced", "_reduced")
    UNCONSTRAINED = UNCONSTRAINED

    def __init__(self, *partitions: Any, unreduced: Any = frozenset(), reduced: Any = frozenset()) -> None:
        self._partitions = tuple([_entry(p) for p in partitions])
        self._unreduced, self._reduced = _names("unreduced", unreduced), _names("reduced", reduced)
        for what, names in (("unreduced", self._unreduced), ("reduced", self._reduced)):
            twice = names & {n for p in self._partitions for n in _axes_of(p)}
            if twice:
                raise ValueError(f"PartitionSpec: {what} axes cannot divide an axis as well: {sorted(twice)} in {self}")
        if self._unreduced & self._reduced:
            raise ValueError(
                f"PartitionSpec: axes cannot be unreduced and reduced: {sorted(self._unreduced & self._reduced)}"
            )

    @property
    def partitions(self) -> tuple[Any, ...]:
        """The entries.

        >>> PartitionSpec(("x", "y"), None).partitions
        (('x', 'y'), None)
        """
        return self._partitions

    @property
    def unreduced(self) -> frozenset[Any]:
        """Axes over which a sum is still to be taken.

        >>> PartitionSpec("x", unreduced={"y"}).unreduced
        frozenset({'y'})
        """
        return self._unreduced

    @property
    def reduced(self) -> frozenset[Any]:
        """Axes over which a sum has been taken.

        >>> PartitionSpec("x", reduced={"y"}).reduced
        frozenset({'y'})
        """
        return self._reduced

    def update(self, **changes: Any) -> PartitionSpec:
        """A copy with `partitions`, `unreduced` or `reduced` changed.

        >>> PartitionSpec("x", None).update(partitions=("y",))
        P('y',)
        """
        return PartitionSpec(
            *changes.pop("partitions", self._partitions),
            **{"unreduced": self._unreduced, "reduced": self._reduced} | changes,
        )

    def index(self, value: Any) -> int:
        """The first place of an entry. Raises ValueError if it is not there.

        >>> PartitionSpec("x", None, "y").index("y")
        2
        """
        return self._partitions.index(_entry(value))

    def count(self, value: Any) -> int:
        """How often an entry is there.

        >>> PartitionSpec("x", None, None).count(None)
        2
        """
        return self._partitions.count(_entry(value))

    def __len__(self) -> int:
        return len(self._partitions)

    def __getitem__(self, i: Any) -> Any:
        return self._partitions[i]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._partitions)

    def __add__(self, other: Any) -> PartitionSpec:
        if isinstance(other, PartitionSpec):
            return PartitionSpec(
                *self,
                *other,
                unreduced=self._unreduced | other._unreduced,
                reduced=self._reduced | other._reduced,
            )
        return self.update(partitions=(*self, *other)) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> PartitionSpec:
        return self.update(partitions=(*other, *self)) if isinstance(other, tuple) else NotImplemented

    def _key(self) -> tuple[Any, ...]:
        return self._partitions, self._unreduced, self._reduced

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartitionSpec) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt_spec, self._key()

    def __repr__(self) -> str:
        entries = [repr(p) for p in self._partitions]
        for what, names in (("unreduced", self._unreduced), ("reduced", self._reduced)):
            if names:
                entries.append(f"{what}={{{', '.join(map(repr, sorted(names)))}}}")
        return f"P({', '.join(entries)}{',' if len(entries) == len(self) == 1 else ''})"


def _rebuilt_spec(partitions: Any, unreduced: Any, reduced: Any) -> PartitionSpec:
    return PartitionSpec(*partitions, unreduced=unreduced, reduced=reduced)


def _entry(p: Any) -> Any:
    """An entry of a specification in its one form: () is None, and a tuple of one name is the
    name."""
    if isinstance(p, (tuple, list)):
        return tuple(p) if len(p) > 1 else p[0] if p else None
    return p


def _axes_of(p: Any) -> tuple[Any, ...]:
    return () if p is None or p is UNCONSTRAINED else p if isinstance(p, tuple) else (p,)


def _names(what: str, names: Any) -> frozenset[Any]:
    if not isinstance(names, (set, frozenset)):
        raise TypeError(f"PartitionSpec: {what} must be a set of names, got {names!r:.100}")
    return frozenset(names)


# ---- meshes --------------------------------------------------------------------------------------


class _Axes:
    """What meshes with and without devices have in common: named axes with sizes and types."""

    __slots__ = ("axis_names", "axis_sizes", "axis_types")
    axis_names: tuple[Any, ...]
    axis_sizes: tuple[int, ...]
    axis_types: tuple[AxisType, ...]

    def _set(self, sizes: Sequence[int], names: Any, types: Any) -> None:
        kind = type(self).__name__
        self.axis_names = (names,) if isinstance(names, str) else tuple(names)
        self.axis_sizes = tuple(sizes)
        if len(self.axis_names) != len(self.axis_sizes):
            raise ValueError(
                f"{kind}: there must be a name for each axis: got {len(self.axis_sizes)} axes, of sizes {self.axis_sizes}, and the names "
                f"{self.axis_names}, at {user_line()}"
            )
        if len(set(self.axis_names)) != len(self.axis_names):
            raise ValueError(f"{kind}: the names of axes must differ, got {self.axis_names}, at {user_line()}")
        types = (
            (types or AxisType.Auto,) * len(self.axis_names) if types is None or isinstance(types, AxisType) else types
        )
        self.axis_types = tuple(types)
        wrong = next((t for t in self.axis_types if not isinstance(t, AxisType)), None)
        if wrong is not None:
            raise TypeError(f"{kind}: axis_types must be members of AxisType, got {wrong!r:.100}")
        if len(self.axis_types) != len(self.axis_names):
            raise ValueError(
                f"{kind}: there must be a type for each of the axes {self.axis_names}, got {self.axis_types}"
            )

    @property
    def shape(self) -> OrderedDict[Any, int]:
        """The size of each axis by name."""
        return OrderedDict(self.shape_tuple)

    @property
    def shape_tuple(self) -> tuple[tuple[Any, int], ...]:
        """Names and sizes of the axes."""
        return tuple(zip(self.axis_names, self.axis_sizes))

    @property
    def size(self) -> int:
        """How many devices there are, or are meant."""
        return math.prod(self.axis_sizes) if self.axis_names else 0

    @property
    def empty(self) -> bool:
        """Whether there are none."""
        return self.size == 0

    def _of_type(self, wanted: AxisType) -> tuple[Any, ...]:
        return tuple(n for n, t in zip(self.axis_names, self.axis_types) if t is wanted)

    auto_axes = property(lambda self: self._of_type(AxisType.Auto), doc="The axes of type Auto.")
    explicit_axes = property(lambda self: self._of_type(AxisType.Explicit), doc="The axes of type Explicit.")
    manual_axes = property(lambda self: self._of_type(AxisType.Manual), doc="The axes of type Manual.")

    def _are_all(self, wanted: AxisType) -> bool:
        return bool(self.axis_types) and set(self.axis_types) == {wanted}

    are_all_axes_auto = property(lambda self: self._are_all(AxisType.Auto))
    are_all_axes_explicit = property(lambda self: self._are_all(AxisType.Explicit))
    are_all_axes_manual = property(lambda self: self._are_all(AxisType.Manual))

    def _described(self) -> str:
        axes = ", ".join(f"{n!r}: {s}" for n, s in self.shape_tuple) or "()"
        types = ", ".join(map(repr, self.axis_types)) + ("," if len(self.axis_types) == 1 else "")
        return f"{axes}, axis_types=({types})"


class AbstractMesh(_Axes):
    """A mesh of which only names, sizes and types of the axes are known.

    >>> AbstractMesh((2, 4), ("x", "y")).size
    8
    """

    __slots__ = ("abstract_device",)

    def __init__(
        self, axis_sizes: Any, axis_names: Any, axis_types: Any = None, *, abstract_device: Any = None
    ) -> None:
        self._set(integers(axis_sizes, "AbstractMesh: axis_sizes"), axis_names, axis_types)
        self.abstract_device = abstract_device

    @property
    def abstract_mesh(self) -> AbstractMesh:
        """The mesh itself.

        >>> mesh = AbstractMesh((2,), ("x",))
        >>> mesh.abstract_mesh is mesh
        True
        """
        return self

    def update(self, axis_sizes: Any = None, axis_names: Any = None, axis_types: Any = None) -> AbstractMesh:
        """A copy with other sizes, names or types of axes. Raises ValueError if their numbers differ.

        >>> AbstractMesh((2, 4), ("x", "y")).update(axis_sizes=(8, 1)).shape["x"]
        8
        """
        return AbstractMesh(
            self.axis_sizes if axis_sizes is None else axis_sizes,
            self.axis_names if axis_names is None else axis_names,
            self.axis_types if axis_types is None else axis_types,
            abstract_device=self.abstract_device,
        )

    def update_axis_types(self, name_to_type: Mapping[Any, AxisType]) -> AbstractMesh:
        """A copy in which some axes, by name, have other types.

        >>> AbstractMesh((2, 4), ("x", "y")).update_axis_types({"y": AxisType.Manual})
        AbstractMesh('x': 2, 'y': 4, axis_types=(Auto, Manual))
        """
        return self.update(axis_types=tuple(name_to_type.get(n, t) for n, t in zip(self.axis_names, self.axis_types)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, AbstractMesh)
            and (self.shape_tuple, self.axis_types) == (other.shape_tuple, other.axis_types)
            and self.abstract_device == other.abstract_device
        )

    def __hash__(self) -> int:
        return hash((self.shape_tuple, self.axis_types))

    def __repr__(self) -> str:
        return f"AbstractMesh({self._described()})"


class Mesh(_Axes, Scope):
    """Devices in an array whose axes have names. Raises ValueError unless there is a name for each
    axis of `devices`.

    As a context it is the mesh of the program, as with `set_mesh`.

    >>> import pullback as pb
    >>> mesh = Mesh([pb.devices("cpu")[0]], ("data",))
    >>> mesh.shape["data"], mesh.devices
    (1, array([CpuDevice(id=0)], dtype=object))
    """

    __slots__ = ("devices",)

    def __init__(self, devices: Any, axis_names: Any, axis_types: Any = None) -> None:
        array = np.array(devices, object)
        wrong = next((d for d in array.flat if not isinstance(d, Device)), None)
        if wrong is not None:
            raise TypeError(
                f"Mesh: {wrong!r:.100} is not a device; `devices()` gives those there are, at {user_line()}"
            )
        array.flags.writeable = False
        self.devices = array
        self._set(array.shape, axis_names, axis_types)

    @property
    def device_ids(self) -> np.ndarray[Any, Any]:
        """The numbers of the devices, in the same shape.

        >>> import pullback as pb
        >>> Mesh([[pb.devices("cpu")[0]]], ("x", "y")).device_ids.shape
        (1, 1)
        """
        return np.array([d.id for d in self.devices.flat], int).reshape(self.devices.shape)

    @property
    def local_devices(self) -> list[Device]:
        """Those of this process.

        >>> import pullback as pb
        >>> Mesh([pb.devices("cpu")[0]], ("x",)).local_devices
        [CpuDevice(id=0)]
        """
        return list(self.devices.flat)

    @property
    def local_mesh(self) -> Mesh:
        """The mesh of those of this process.

        >>> mesh = make_mesh((1,), ("x",))
        >>> mesh.local_mesh == mesh
        True
        """
        return self

    @property
    def is_multi_process(self) -> bool:
        """Whether several processes take part.

        >>> make_mesh((1,), ("x",)).is_multi_process
        False
        """
        return len({d.process_index for d in self.devices.flat}) > 1

    @property
    def abstract_mesh(self) -> AbstractMesh:
        """Names, sizes and types of the axes.

        >>> import pullback as pb
        >>> Mesh([pb.devices("cpu")[0]], ("x",)).abstract_mesh
        AbstractMesh('x': 1, axis_types=(Auto,))
        """
        return AbstractMesh(self.axis_sizes, self.axis_names, self.axis_types)

    def update(self, devices: Any = None, axis_names: Any = None, axis_types: Any = None) -> Mesh:
        """A copy with other devices, names or types of axes. Raises ValueError if their numbers differ.

        >>> make_mesh((1, 1), ("x", "y")).update(axis_names=("rows", "columns")).axis_names
        ('rows', 'columns')
        """
        return Mesh(
            self.devices if devices is None else devices,
            self.axis_names if axis_names is None else axis_names,
            self.axis_types if axis_types is None else axis_types,
        )

    @property
    def variable(self) -> ContextVar[Any]:  # type: ignore[override]
        """What says which meshes have been entered (see `core.scopes`).

        >>> with make_mesh((1,), ("x",)) as mesh:
        ...     mesh.variable.get()[-1] is mesh
        True
        """
        return _meshes

    @property
    def entry(self) -> Mesh:
        """What a block adds to these: the mesh itself.

        >>> mesh = make_mesh((1,), ("x",))
        >>> mesh.entry is mesh
        True
        """
        return self

    def __enter__(self) -> Mesh:  # type: ignore[override]
        super().__enter__()
        return self

    def _key(self) -> tuple[Any, ...]:
        return tuple(self.devices.flat), self.shape_tuple, self.axis_types

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mesh) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Mesh({self._described()})" if self.axis_names else "Mesh()"


_NO_MESH = Mesh(np.empty(0, object), ("",))
_NO_MESH.axis_names = _NO_MESH.axis_sizes = _NO_MESH.axis_types = ()
_NO_ABSTRACT_MESH = AbstractMesh((), ())
_meshes: ContextVar[Entered] = ContextVar("meshes", default=NOTHING)
_abstract_meshes: ContextVar[Entered] = ContextVar("abstract_meshes", default=NOTHING)


class set_mesh(Scope):
    """Make `mesh` that of the program (None: no mesh), from now on, or within a `with` block.

    >>> mesh = make_mesh((1,), ("data",))
    >>> with set_mesh(mesh):
    ...     get_mesh() == mesh
    True
    """

    def __init__(self, mesh: Mesh | None) -> None:
        if mesh is not None and not isinstance(mesh, Mesh):
            raise ValueError(f"set_mesh: expected a Mesh, got {mesh!r:.100} of type {type(mesh).__name__!r}")
        self.entry = _NO_MESH if mesh is None else mesh
        super().__enter__()

    variable = _meshes

    def __enter__(self) -> None:
        """The mesh is that of the program already; the end of the block takes it away."""


class use_abstract_mesh(Scope):
    """Within a `with` block, `get_abstract_mesh` gives `mesh`. Raises ValueError for anything but an
    AbstractMesh.

    >>> with use_abstract_mesh(AbstractMesh((4,), ("data",))):
    ...     get_abstract_mesh().shape["data"]
    4
    """

    variable = _abstract_meshes

    def __init__(self, mesh: AbstractMesh) -> None:
        if not isinstance(mesh, AbstractMesh):
            raise ValueError(f"use_abstract_mesh: expected an AbstractMesh, got {mesh!r:.100}")
        self.entry = mesh


def get_mesh() -> Mesh:
    """The mesh of the program; an empty one if none is set.

    >>> get_mesh().empty
    True
    >>> with set_mesh(make_mesh((1,), ("data",))):
    ...     get_mesh().axis_names
    ('data',)
    """
    now = _meshes.get()
    return now[-1] if now else _NO_MESH


def get_abstract_mesh() -> AbstractMesh:
    """Names, sizes and types of the axes of the mesh of the program; an empty one if none is set.

    >>> with set_mesh(make_mesh((1,), ("data",))):
    ...     get_abstract_mesh()
    AbstractMesh('data': 1, axis_types=(Explicit,))
    """
    chosen = _abstract_meshes.get()
    if chosen:
        return chosen[-1]
    mesh = get_mesh()
    return mesh.abstract_mesh if mesh.axis_names else _NO_ABSTRACT_MESH


def make_mesh(axis_shapes: Any, axis_names: Any, axis_types: Any = None, *, devices: Any = None) -> Mesh:
    """A mesh of the first devices there are, or of the first of `devices`, with axes of these sizes,
    of type `Explicit` unless `axis_types` says otherwise.

    Raises ValueError if there are fewer devices than it takes.

    >>> mesh = make_mesh((1, 1), ("batch", "model"))
    >>> mesh.axis_names, mesh.devices.shape, mesh.axis_types
    (('batch', 'model'), (1, 1), (Explicit, Explicit))
    """
    sizes = integers(axis_shapes, "make_mesh: axis_shapes")
    there = list(placement.devices() if devices is None else devices)
    wanted = math.prod(sizes)
    if wanted > len(there):
        raise ValueError(
            f"make_mesh: a mesh of shape {sizes} takes {wanted} devices, and there are {len(there)}, at {user_line()}"
        )
    names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
    array = np.empty(wanted, object)
    array[:] = there[:wanted]
    return Mesh(array.reshape(sizes), names, (AxisType.Explicit,) * len(names) if axis_types is None else axis_types)


# ---- shardings -----------------------------------------------------------------------------------


class Sharding:
    """Which devices an array is on, and which part of it each has. The base of all of them.

    >>> import pullback.numpy as jnp
    >>> isinstance(jnp.ones(2).sharding, Sharding)
    True
    """

    @property
    def _devices(self) -> tuple[Device, ...]:
        raise NotImplementedError(f"{type(self).__name__} must say which devices it has")

    def _parts(self, ndim: int) -> list[int]:
        """Into how many parts each axis is divided."""
        return [1] * ndim

    @property
    def device_set(self) -> set[Device]:
        """The devices.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).device_set
        {CpuDevice(id=0)}
        """
        return set(self._devices)

    @property
    def addressable_devices(self) -> set[Device]:
        """The devices of this process.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).addressable_devices
        {CpuDevice(id=0)}
        """
        return self.device_set

    @property
    def num_devices(self) -> int:
        """How many devices there are.

        >>> NamedSharding(make_mesh((1, 1), ("x", "y")), PartitionSpec("x")).num_devices
        1
        """
        return len(self._devices)

    @property
    def is_fully_addressable(self) -> bool:
        """Whether this process has all devices: programs are one process yet.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).is_fully_addressable
        True
        """
        return True

    @property
    def has_addressable_devices(self) -> bool:
        """Whether this process has any of the devices.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).has_addressable_devices
        True
        """
        return True

    @property
    def memory_kind(self) -> str:
        """The kind of memory: that of the device.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).memory_kind
        'device'
        """
        return "device"

    @property
    def is_fully_replicated(self) -> bool:
        """Whether every device has the whole array.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).is_fully_replicated
        True
        """
        return len(self._devices) == 1

    def with_memory_kind(self, kind: str) -> Sharding:
        """The sharding in another kind of memory. Raises ValueError: devices have one.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).with_memory_kind("device")
        SingleDeviceSharding(device=CpuDevice(id=0), memory_kind=device)
        """
        _check_memory(type(self).__name__, kind)
        return self

    def shard_shape(self, global_shape: Shape) -> Shape:
        """The shape of the part that a device has. Raises ValueError if parts would be unequal.

        >>> import pullback as pb
        >>> mesh = Mesh(np.full((2, 3), pb.devices("cpu")[0]), ("x", "y"))
        >>> NamedSharding(mesh, PartitionSpec("y", "x")).shard_shape((6, 8))
        (2, 4)
        """
        parts = self._parts(len(global_shape))
        for i, (n, p) in enumerate(zip(global_shape, parts)):
            if n % p:
                raise ValueError(
                    f"{self} divides axis {i} into {p} parts, and the shape {tuple(global_shape)} has {n} along it, which is no multiple, "
                    f"at {user_line()}"
                )
        return tuple(n // p for n, p in zip(global_shape, parts))

    def devices_indices_map(self, global_shape: Shape) -> dict[Device, tuple[slice, ...]]:
        """For each device the part that it has of an array of this shape, as an index.

        >>> import pullback as pb
        >>> SingleDeviceSharding(pb.devices("cpu")[0]).devices_indices_map((3,))
        {CpuDevice(id=0): (slice(None, None, None),)}
        """
        self.shard_shape(global_shape)
        return {d: (slice(None),) * len(global_shape) for d in self._devices}

    addressable_devices_indices_map = devices_indices_map

    def is_equivalent_to(self, other: Sharding, ndim: int) -> bool:
        """Whether arrays of `ndim` axes are laid out in the same way by both.

        >>> mesh = make_mesh((1,), ("x",))
        >>> NamedSharding(mesh, PartitionSpec("x")).is_equivalent_to(NamedSharding(mesh, PartitionSpec()), 1)
        True
        """
        if self._devices != other._devices:
            return False
        shape = tuple(math.lcm(a, b) for a, b in zip(self._parts(ndim), other._parts(ndim)))
        return self.devices_indices_map(shape) == other.devices_indices_map(shape)


def _check_memory(name: str, kind: Any) -> None:
    if kind not in (None, "device"):
        raise ValueError(
            f"{name}: arrays are in the memory of their device; memory_kind must be 'device', got {kind!r}"
        )


class SingleDeviceSharding(Sharding):
    """All of the array on one device. Raises TypeError for what is no device.

    >>> import pullback as pb
    >>> SingleDeviceSharding(pb.devices("cpu")[0]).shard_shape((2, 3))
    (2, 3)
    """

    __slots__ = ("_device",)

    def __init__(self, device: Device, *, memory_kind: str | None = None) -> None:
        if not isinstance(device, Device):
            raise TypeError(f"SingleDeviceSharding: {device!r:.100} is not a device; `devices()` gives those there are")
        _check_memory("SingleDeviceSharding", memory_kind)
        self._device = device

    @property
    def _devices(self) -> tuple[Device, ...]:
        return (self._device,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SingleDeviceSharding) and self._device is other._device

    def __hash__(self) -> int:
        return hash(("single", self._device))

    def __repr__(self) -> str:
        return f"SingleDeviceSharding(device={self._device!r}, memory_kind=device)"


class NamedSharding(Sharding):
    """Each axis of the array divided over those axes of a mesh that `spec` says.

    Raises ValueError for names that the mesh does not have, and for one that divides two axes.

    >>> mesh = make_mesh((1,), ("data",))
    >>> NamedSharding(mesh, PartitionSpec("data")).shard_shape((4, 2))
    (4, 2)
    """

    __slots__ = ("mesh", "spec")

    def __init__(self, mesh: Mesh | AbstractMesh, spec: PartitionSpec, memory_kind: str | None = None) -> None:
        if not isinstance(mesh, (Mesh, AbstractMesh)):
            raise TypeError(f"NamedSharding: mesh must be a Mesh, got {mesh!r:.100}")
        if not isinstance(spec, PartitionSpec):
            raise TypeError(f"NamedSharding: spec must be a PartitionSpec, got {spec!r:.100}")
        _check_memory("NamedSharding", memory_kind)
        used = [n for p in spec for n in _axes_of(p)]
        for name in (*used, *spec.unreduced, *spec.reduced):
            if name not in mesh.axis_names:
                raise ValueError(
                    f"NamedSharding: {name!r} of {spec} is not among the axes {mesh.axis_names} of the mesh, at {user_line()}"
                )
            if used.count(name) > 1:
                raise ValueError(f"NamedSharding: {spec} divides two axes over {name!r}, at {user_line()}")
        self.mesh, self.spec = mesh, spec

    @property
    def _devices(self) -> tuple[Device, ...]:
        if isinstance(self.mesh, AbstractMesh):
            raise ValueError(f"{self} has an abstract mesh, which has no devices, at {user_line()}")
        return tuple(self.mesh.devices.flat)

    def _parts(self, ndim: int) -> list[int]:
        if len(self.spec) > ndim:
            raise ValueError(
                f"{self} has entries for {len(self.spec)} axes, and the array has {ndim}, at {user_line()}"
            )
        sizes = self.mesh.shape
        parts = [math.prod(sizes[n] for n in _axes_of(p)) for p in self.spec]
        return parts + [1] * (ndim - len(parts))

    @property
    def is_fully_replicated(self) -> bool:
        """Whether every device has the whole array.

        >>> import pullback as pb
        >>> mesh = Mesh(np.full((2, 3), pb.devices("cpu")[0]), ("x", "y"))
        >>> NamedSharding(mesh, PartitionSpec()).is_fully_replicated
        True
        """
        return math.prod(self._parts(len(self.spec))) == 1

    @property
    def replicated_axes(self) -> frozenset[Any]:
        """The axes of the mesh along which devices have the same.

        >>> sharding = NamedSharding(make_mesh((1, 1), ("x", "y")), PartitionSpec("x"))
        >>> sharding.replicated_axes
        frozenset({'y'})
        """
        used = {n for p in self.spec for n in _axes_of(p)}
        return frozenset(n for n in self.mesh.axis_names if n not in used)

    def update(self, **changes: Any) -> NamedSharding:
        """A copy with `mesh` or `spec` changed.

        >>> sharding = NamedSharding(make_mesh((1,), ("x",)), PartitionSpec("x"))
        >>> sharding.update(spec=PartitionSpec(None, "x")).spec
        P(None, 'x')
        """
        return NamedSharding(**{"mesh": self.mesh, "spec": self.spec} | changes)

    def devices_indices_map(self, global_shape: Shape) -> dict[Device, tuple[slice, ...]]:
        """For each device the part that it has of an array of this shape, as an index.

        >>> sharding = NamedSharding(make_mesh((1,), ("x",)), PartitionSpec(None, "x"))
        >>> sharding.devices_indices_map((3, 2))
        {CpuDevice(id=0): (slice(None, None, None), slice(None, None, None))}
        """
        sizes = self.shard_shape(global_shape)
        parts = self._parts(len(global_shape))
        axes = [_axes_of(p) for p in self.spec] + [()] * (len(global_shape) - len(self.spec))
        shape = self.mesh.shape
        found = {}
        for place, device in zip(np.ndindex(*self.mesh.axis_sizes), self._devices):
            at = dict(zip(self.mesh.axis_names, place))
            index = []
            for n, p, names in zip(sizes, parts, axes):
                i = 0
                for name in names:
                    i = i * shape[name] + at[name]
                index.append(slice(None) if p == 1 else slice(i * n, (i + 1) * n))
            found[device] = tuple(index)
        return found

    addressable_devices_indices_map = devices_indices_map

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedSharding) and (self.mesh, self.spec) == (other.mesh, other.spec)

    def __hash__(self) -> int:
        return hash((self.mesh, self.spec))

    def __repr__(self) -> str:
        return f"NamedSharding(mesh={self.mesh}, spec={self.spec}, memory_kind=device)"


def device_of_sharding(name: str, sharding: Sharding | PartitionSpec, shape: Shape) -> Device:
    """The device that an array of `shape` is put on by a sharding, or by a specification for the
    mesh of the program.

    Raises ValueError if the sharding does not fit the shape, or if there is no mesh, and
    NotImplementedError for shardings over several devices.
    """
    if isinstance(sharding, PartitionSpec):
        mesh = get_mesh()
        if not mesh.axis_names:
            raise ValueError(
                f"{name}: {sharding} speaks of the mesh of the program, and none is set, at {user_line()}: use `with set_mesh(mesh):`, or "
                "give a NamedSharding"
            )
        sharding = NamedSharding(mesh, sharding)
    sharding.shard_shape(shape)
    if sharding.num_devices != 1:
        raise NotImplementedError(
            f"{name}: an array is on one device, and {sharding} has {sharding.num_devices}, at {user_line()}: give one of them, or a "
            "sharding over a mesh of one"
        )
    return sharding._devices[0]


def device_for(name: str, place: Any, shape: Shape) -> Device:
    """The device that an array of `shape` is put on by `place`, a device or what
    `device_of_sharding` takes. Raises ValueError for anything else."""
    if isinstance(place, Device):
        return place
    if not isinstance(place, (Sharding, PartitionSpec)):
        raise ValueError(
            f"{name}: {place!r:.100} of type {type(place).__name__!r} is not a device, of those that `devices()` gives, and no sharding, "
            f"at {user_line()}"
        )
    return device_of_sharding(name, place, shape)


__all__ = [
    "AbstractMesh", "AxisType", "Mesh", "NamedSharding", "PartitionSpec", "Sharding", "SingleDeviceSharding",
    "device_for", "device_of_sharding", "get_abstract_mesh", "get_mesh", "make_mesh", "set_mesh", "use_abstract_mesh",
]  # fmt: skip
