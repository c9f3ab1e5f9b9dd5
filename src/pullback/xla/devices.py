"""Arrays on devices: those that live elsewhere than in the host's memory, and where arrays and
programs go.

The host's arrays are `ConcreteArray`s, and go wherever the arrays are with which they are combined.
An array on any other device is a `DeviceArray`: operations on it are compiled one by one and run
there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from pullback.core import array, config
from pullback.core.array import Array, ConcreteArray, concrete, has_value
from pullback.core.errors import JaxRuntimeError, see, user_line
from pullback.core.staging import is_staging
from pullback.core.trace import Tracer
from pullback.core.types import ShapedArray, committed_to_host, numbered
from pullback.xla.placement import (
    ON_HOST,
    Device,
    Placement,
    default_placement,
    default_platform,
    is_platform,
    number_of_devices,
    platform_devices,
)

logger = logging.getLogger("pullback.transfers")


class DeviceArray(ConcreteArray):
    """An array on a device other than the host.

    It has no NumPy value: operations find that out and are compiled (`process`); what the host
    needs, it copies. `committed` arrays were put where they are, the others computed there.
    """

    __slots__ = ("on", "committed")
    on: Placement
    committed: bool

    @classmethod
    def made(cls, buffer: Any, type: ShapedArray, on: Placement, committed: bool) -> DeviceArray:
        """The array of a buffer that lies at `on`."""
        out = cls()
        out._buffer, out.weak_type, out.on, out.committed = buffer, type.weak_type, on, committed
        out._type = _placed(type, on, committed)
        return out

    def __getattr__(self, name: str) -> Any:
        if name == "_value":
            raise AttributeError("an array on another device has no NumPy value")
        return super().__getattr__(name)

    @property
    def shape(self) -> Any:
        return self._type.shape

    @property
    def dtype(self) -> Any:
        return self._type.dtype

    @property
    def ndim(self) -> int:
        return len(self._type.shape)

    @property
    def size(self) -> int:
        return Array.size.fget(self)  # type: ignore[attr-defined,no-any-return]

    def copy_to_host_async(self) -> None:
        """Begin to bring the contents into the host's memory."""
        _guard(config.transfer_guard_device_to_host, self, ON_HOST, True)
        self._buffer._copy_single_device_array_to_host_async()

    def process(self, primitive: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """An operation one of whose operands is this array. `xla.eager`, which compiles it,
        supplies it."""
        raise NotImplementedError("pullback.xla.eager has not been imported")

    def __copy__(self) -> DeviceArray:
        return DeviceArray.made(_put(on_host(self), self.on), self.aval, self.on, self.committed)

    def __deepcopy__(self, memo: Any) -> DeviceArray:
        return self.__copy__()

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return iter([self[i] for i in range(len(self))])  # type: ignore[index]


def on_host(x: ConcreteArray) -> ConcreteArray:
    """The array with its contents in the host's memory."""
    if not isinstance(x, DeviceArray):
        return x
    if x._buffer is None:
        raise RuntimeError(
            f"Array has been deleted with shape={x._type.str_short()}; used at {user_line()}{see('deleted-arrays')}"
        )
    return concrete(array.view_of_buffer(x._buffer, x.dtype), x.weak_type)


def fetched(x: ConcreteArray, explicit: bool = False) -> ConcreteArray:
    """`on_host(x)`, where that is a transfer that the option `transfer_guard` is about."""
    if isinstance(x, DeviceArray):
        _guard(config.transfer_guard_device_to_host, x, ON_HOST, explicit)
    return on_host(x)


def sent(x: ConcreteArray, on: Placement, explicit: bool = False) -> Any:
    """`buffer_on(x, on)`, where that is a transfer that the option `transfer_guard` is about."""
    here = placement_of(x)
    if here is not on:
        guards = config.transfer_guard_host_to_device, config.transfer_guard_device_to_device
        _guard(guards[here is not ON_HOST], x, on, explicit)
    return buffer_on(x, on)


def _guard(option: config.Option, x: ConcreteArray, to: Placement, explicit: bool) -> None:
    level = option.value
    if level is None or level == "allow" or (explicit and not level.endswith("explicit")):
        return
    way = option.name.removeprefix("transfer_guard_").replace("_", "-")
    what = f"{way} transfer of {x.aval.str_short()} from {placement_of(x)} to {to}, at {user_line()}"
    if level.startswith("log"):
        logger.warning(what)
    else:
        raise JaxRuntimeError(
            f"Disallowed {what}: {option.name} is {level!r}. device_put and device_get are explicit transfers"
        )


def _by_copy(name: str) -> Callable[..., Any]:
    def method(self: DeviceArray, *args: Any, **kwargs: Any) -> Any:
        return getattr(fetched(self), name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = getattr(ConcreteArray, name).__doc__
    return method


for _name in (
    "__array__", "__dlpack__", "__dlpack_device__", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__repr__",
    "__str__", "__format__", "__reduce__", "item", "tolist", "tobytes",
):  # fmt: skip
    setattr(DeviceArray, _name, _by_copy(_name))


@lru_cache(maxsize=1 << 14)
def _placed(type: ShapedArray, on: Placement, committed: bool) -> ShapedArray:
    """The one object that stands for a type at a place, by which compiled programs are found."""
    return numbered(type.shape, type.dtype, type.weak_type)


def commit_to_host(x: ConcreteArray) -> ConcreteArray:
    """An array of the host, committed to it.

    It is an ordinary one with a type of its own, which only those look at who decide where a
    program runs. Where there are no other devices, nothing has to be decided, and it is `x` itself.
    """
    if number_of_devices() < 2 or x.committed:
        return x
    out = ConcreteArray()
    out._buffer, out.weak_type, out._type = x._buffer, x.weak_type, _placed(x._type, ON_HOST, True)
    if has_value(x):
        out._value = x._value
    committed_to_host.add(out._type.number)
    return out


def put(x: ConcreteArray, device: Device | None, is_new: bool = False) -> ConcreteArray:
    """The array on a device; on the default one, but not committed to it, for None. One that `is_new`
    is made there."""
    committed = device is not None
    if device is None:
        if isinstance(x, DeviceArray):
            return x
        on = default_placement()
    else:
        on = device.placement
    if on is ON_HOST:
        x = on_host(x) if is_new else fetched(x, explicit=True)
        return commit_to_host(x) if committed else x
    if placement_of(x) is on:
        return DeviceArray.made(x._buffer, x.aval, on, True) if committed else x
    buffer = buffer_on(x, on) if is_new else sent(x, on, explicit=True)
    return DeviceArray.made(buffer, x.aval, on, committed)


#: Whether somebody has set the option `default_device`: until then, arrays are made without asking
#: for it.
_chosen = config.default_device.value is not None


def _check_device(value: Any) -> Any:
    global _chosen
    _chosen = _chosen or value is not None
    if value is None or isinstance(value, Device) or (isinstance(value, str) and is_platform(value)):
        return value
    raise ValueError(f"default_device must be a device (of `devices()`), the name of a platform or None, got {value!r}")


config.default_device.check = _check_device  # type: ignore[method-assign]


def placed(x: Any, device: Any = None) -> Any:
    """An array that has just been made, on `device` and committed to it, or on the one that the
    option `default_device` names.

    `device` may be a sharding. In programs that are being traced it stays where the program runs.
    Raises ValueError for what is no device.
    """
    if device is None:
        if not _chosen or x.__class__ is not ConcreteArray or (on := default_placement()) is ON_HOST or is_staging():
            return x
        return DeviceArray.made(buffer_on(x, on), x.aval, on, False)
    if not isinstance(device, Device):
        from pullback.xla import meshes

        device = meshes.device_for("device", device, x.shape)
    return put(x, device, is_new=True) if isinstance(x, ConcreteArray) and not is_staging() else x


def placed_like(x: Any, model: Any, device: Any = None) -> Any:
    """An array that has just been made in the likeness of `model`: `placed`, and without `device`
    where `model` has been put."""
    if device is None and model.__class__ is DeviceArray and model.committed:
        device = model.on.device
    return placed(x, device)


def beside(x: Any, *models: Any) -> Any:
    """An array of the host's, if it is free to move, beside the first of `models` that is
    elsewhere.

    It is as committed as that. What is not computed on the device of an argument goes there by
    this: constant derivatives, and what the host finds by looking at values (`nonzero`).

    >>> beside(concrete(1.0), 2.0).device
    CpuDevice(id=0)
    """
    if x.__class__ is not ConcreteArray:
        return x
    for model in models:
        known = model.concrete() if isinstance(model, Tracer) else model
        if known.__class__ is DeviceArray and not x.committed and not is_staging():
            return DeviceArray.made(buffer_on(x, known.on), x.aval, known.on, known.committed)
    return x


def no_sharding(name: str, sharding: Any) -> None:
    """Raises TypeError unless the argument `sharding` or `out_sharding` of the function `name` is
    None."""
    if sharding is not None:
        raise TypeError(
            f"{name}: an array is on one device, and there are no shardings yet: sharding must be None, got {sharding!r:.100} of type "
            f"{type(sharding).__name__!r}, at {user_line()}; to choose the device, use device_put"
        )


def buffer_on(x: ConcreteArray, on: Placement) -> Any:
    """The contents of an array in the memory of another placement than the host's."""
    if isinstance(x, DeviceArray):
        if x.on is on and x._buffer is not None:
            return x._buffer
        x = on_host(x)
    return _put(x, on)


def _put(x: ConcreteArray, on: Placement) -> Any:
    from pullback.xla import buffers

    return buffers.put(x._value, on.target)


def placement_of(x: ConcreteArray) -> Placement:
    """Where an array is."""
    return x.on if isinstance(x, DeviceArray) else ON_HOST


def device_of(x: ConcreteArray) -> Device:
    """The device that an array is on."""
    return placement_of(x).device


def are_ordinary(arrays: Sequence[ConcreteArray]) -> bool:
    """Whether all are on the host, and nothing is known to be committed to it. (False is no
    statement.)"""
    if committed_to_host:
        return False
    for x in arrays:  # noqa: SIM110 - a loop is faster
        if x.__class__ is not ConcreteArray:
            return False
    return True


def common_placement(arrays: Sequence[ConcreteArray], name: str) -> Placement:
    """Where a program runs on these arguments: where those are that are committed, where the others
    are, or on the default device.

    Raises ValueError if arguments are committed to different devices.
    """
    if are_ordinary(arrays):
        return default_placement()
    elsewhere = [x for x in arrays if x.__class__ is DeviceArray]
    committed = [x for x in arrays if x.committed]
    if not (elsewhere or committed):
        return default_placement()
    first = (committed or elsewhere)[0]
    on = placement_of(first)
    other = next((x for x in committed if placement_of(x) is not on), None)
    if other is not None:
        raise ValueError(
            f"Received incompatible devices for {name}. Got an argument of type {first.aval.str_short()} on device {on} and an argument "
            f"of type {other.aval.str_short()} on device {placement_of(other)}, at {user_line()}: move one of them with device_put"
        )
    return on


def live_arrays(platform: str | None = None) -> list[ConcreteArray]:
    """All Arrays that are alive, have not been deleted and are on a platform (the default one if it
    is None). Raises RuntimeError for platforms that are not there.

    >>> import pullback.numpy as jnp
    >>> x = jnp.ones((123, 4))
    >>> before = sum(a.shape == x.shape for a in live_arrays("cpu"))
    >>> x.delete()
    >>> before - sum(a.shape == (123, 4) for a in live_arrays("cpu"))
    1
    """
    import gc

    name = default_platform() if platform is None else platform
    if platform is not None and platform != "cpu":
        platform_devices(platform)
    arrays = [x for x in gc.get_objects() if isinstance(x, ConcreteArray)]
    return [x for x in arrays if device_of(x).platform == name and not x.is_deleted()]
