"""Devices: where programs run, and arrays that live elsewhere than in the host's memory.

`HOST`, the first CPU device, is where NumPy evaluates: its arrays are `ConcreteArray`s, and go wherever the arrays are with which they are
combined. An array on any other device is a `DeviceArray`: operations on it are compiled one by one and run there.

Platforms other than the CPU are PJRT plugins: libraries that the wheels made for JAX bring along (their entry points are in the group
`jax_plugins`), and those named by `PJRT_NAMES_AND_LIBRARY_PATHS`. They are looked for when the first program is compiled or
somebody asks for devices, never on import.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pullback.core import config
from pullback.core.array import Array, ConcreteArray, concrete, has_value
from pullback.core.errors import user_line
from pullback.core.locks import new_lock
from pullback.core.stage import is_staging
from pullback.core.types import ShapedArray, committed_to_host, numbered

if TYPE_CHECKING:
    from pullback.xla import pjrt

logger = logging.getLogger("pullback")


class Device:
    """A place where arrays live and programs run. `devices()` gives those there are."""

    __slots__ = ("platform", "id", "_target")

    def __init__(self, platform: str, id: int, target: pjrt.Target | None = None) -> None:
        self.platform, self.id, self._target = platform, id, target

    @property
    def target(self) -> pjrt.Target:
        """The device as the runtime has it."""
        if self._target is None:  # HOST, which is there before the runtime is
            from pullback.xla import pjrt

            self._target = pjrt.cpu().devices[0]
        return self._target

    @property
    def device_kind(self) -> str:
        """The model of the device."""
        return "cpu" if self.platform == "cpu" else str(self.target.device.device_kind)

    @property
    def process_index(self) -> int:
        """The number of the process that the device belongs to."""
        return 0 if self.platform == "cpu" else int(self.target.device.process_index)

    @property
    def local_hardware_id(self) -> int | None:
        """The number of the hardware on this machine, where it has one."""
        number = self.target.device.local_hardware_id
        return None if number is None else int(number)

    def memory_stats(self) -> dict[str, Any] | None:
        """Memory in use and available in bytes; None where the platform does not tell (CPUs)."""
        stats: dict[str, Any] | None = self.target.device.memory_stats()
        return stats

    def __repr__(self) -> str:
        return f"{self.platform.capitalize()}Device(id={self.id})"

    def __str__(self) -> str:
        return f"{self.platform}:{self.id}"


HOST = Device("cpu", 0)

# ---- platforms --------------------------------------------------------------------------------------------------

#: Names that stand for whichever of several platforms is there.
_ALIASES = {"gpu": ("cuda", "rocm")}
_lock = new_lock(0, globals(), "_lock")
_started: dict[str, list[Device] | RuntimeError] = {}


@lru_cache(maxsize=1)
def plugins() -> dict[str, Path]:
    """The PJRT plugins that are installed: platform and library.

    A plugin's Python code, which is written for JAX, is not run: its library is found beside it.
    """
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    found: dict[str, Path] = {}
    for pair in filter(None, os.environ.get("PJRT_NAMES_AND_LIBRARY_PATHS", "").split(",")):
        name, _, path = pair.partition(":")
        found[name] = Path(path)
    modules = {e.name: e.module for e in entry_points(group="jax_plugins")}
    for name, module in (*modules.items(), ("tpu", "libtpu")):
        try:
            spec = find_spec(module)
        except ImportError:
            continue
        for folder in (spec and spec.submodule_search_locations) or ():
            libraries = sorted(p for p in Path(folder).glob("*.so") if "plugin" in p.name or p.name == "libtpu.so")
            if libraries:
                found.setdefault(name.removeprefix("xla_").rstrip("0123456789"), libraries[0])
    return found


def platform_devices(name: str) -> list[Device]:
    """The devices of a platform, which is started first if it is not running. Raises RuntimeError saying why there are none."""
    with _lock:
        found = _started.get(name)
        if found is None:
            try:
                found = _start(name)
            except RuntimeError as error:
                found = error
            _started[name] = found
    if isinstance(found, RuntimeError):
        raise found
    return found


def _start(name: str) -> list[Device]:
    from pullback.xla import pjrt

    if name == "cpu":
        first, *others = pjrt.cpu().devices
        return [HOST, *(Device("cpu", t.id, t) for t in others)]
    if name in _ALIASES:
        there = [p for p in _ALIASES[name] if p in plugins()]
        if not there:
            raise RuntimeError(f"Unknown backend {name!r}: no plugin for {' or '.join(_ALIASES[name])} is installed")
        return platform_devices(there[0])
    library = plugins().get(name)
    if library is None:
        known = ", ".join(map(repr, ("cpu", *plugins())))
        raise RuntimeError(f"Unknown backend {name!r}: the platforms that are installed are {known}")
    try:
        platform = pjrt.plugin(name, library)
    except pjrt.XlaRuntimeError as error:
        raise RuntimeError(f"Unable to initialize backend {name!r}: {str(error).partition(chr(10))[0]}") from None
    return [Device(name, t.id, t) for t in platform.devices]


def forget_started() -> None:
    """Forget the platforms that have been started."""
    _started.clear()
    HOST._target = None
    _first_that_starts.cache_clear()


def default_platform() -> str:
    """The platform that is used where none is named: the first that starts.

    They are tried in the order of the option `platforms`, which `PULLBACK_PLATFORMS` or `JAX_PLATFORMS` sets; plugins before the CPU if
    it is not set. A platform that does not start is reported in one line.
    """
    chosen = config.platforms.value or os.environ.get("JAX_PLATFORMS")
    return _first_that_starts(chosen)


@lru_cache
def _first_that_starts(chosen: str | None) -> str:
    for name in (n.strip() for n in (chosen.split(",") if chosen else (*plugins(), "cpu"))):
        if name == "cpu" or not name:
            return "cpu"
        try:
            platform_devices(name)
        except RuntimeError as error:
            logger.warning("%s; using the CPU instead", error)
        else:
            return name
    return "cpu"


def devices(backend: str | None = None) -> list[Device]:
    """The devices of a platform, the default one if none is named. Raises RuntimeError for platforms that are not there."""
    return platform_devices(default_platform() if backend is None else backend)


def default_device() -> Device:
    """Where compiled programs run if nothing else says where: the option `default_device`, or the first device."""
    chosen = config.default_device.value
    if chosen is None:
        name = default_platform()
        return HOST if name == "cpu" else platform_devices(name)[0]
    return devices(chosen)[0] if isinstance(chosen, str) else chosen


def _check_device(value: Any) -> Any:
    global _chosen
    _chosen = _chosen or value is not None
    if value is None or isinstance(value, Device):
        return value
    if isinstance(value, str) and (value == "cpu" or value in _ALIASES or value in plugins()):
        return value
    raise ValueError(f"default_device must be a device (of `devices()`), the name of a platform or None, got {value!r}")


config.default_device.check = _check_device  # type: ignore[method-assign]

# ---- arrays on devices ------------------------------------------------------------------------------------------


class DeviceArray(ConcreteArray):
    """An array on a device other than the host.

    It has no NumPy value: operations find that out and are compiled (`process`); what the host needs, it copies.
    `committed` arrays were put where they are, the others computed there.
    """

    __slots__ = ("on", "committed")
    on: Device
    committed: bool

    @classmethod
    def made(cls, buffer: Any, type: ShapedArray, on: Device, committed: bool) -> DeviceArray:
        """The array of a buffer of the device `on`."""
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
        self._buffer._copy_single_device_array_to_host_async()

    def process(self, primitive: Any, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """An operation one of whose operands is this array."""
        from pullback.xla import checks
        from pullback.xla.dispatch import apply_primitive

        out = apply_primitive(primitive, args, params)
        if checks.checking():
            checks.check_results(primitive.name, out if primitive.multiple_results else [out])
        return out

    def __copy__(self) -> DeviceArray:
        from pullback.xla import pjrt

        buffer = pjrt.put(on_host(self)._value, self.on.target)
        return DeviceArray.made(buffer, self.aval, self.on, self.committed)

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
    from pullback.xla.dispatch import view_of_buffer

    if x._buffer is None:
        raise RuntimeError(f"Array has been deleted with shape={x._type.str_short()}; used at {user_line()}")
    return concrete(view_of_buffer(x._buffer, x.dtype), x.weak_type)


def _by_copy(name: str) -> Callable[..., Any]:
    def method(self: DeviceArray, *args: Any, **kwargs: Any) -> Any:
        return getattr(on_host(self), name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = getattr(ConcreteArray, name).__doc__
    return method


for _name in (
    "__array__", "__dlpack__", "__dlpack_device__", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__repr__",
    "__str__", "__format__", "__reduce__", "item", "tolist", "tobytes",
):  # fmt: skip
    setattr(DeviceArray, _name, _by_copy(_name))


@lru_cache(maxsize=1 << 14)
def _placed_type(type: ShapedArray, weak: bool, on: Device, committed: bool) -> ShapedArray:
    return numbered(type.shape, type.dtype, weak)


def _placed(type: ShapedArray, on: Device, committed: bool) -> ShapedArray:
    """The one object that stands for a type on a device, by which compiled programs are found."""
    return _placed_type(type, type.weak_type, on, committed)


def commit_to_host(x: ConcreteArray) -> ConcreteArray:
    """An array of the host, committed to it.

    It is an ordinary one with a type of its own, which only those look at who decide where a program runs. Where there are no other
    devices, nothing has to be decided, and it is `x` itself.
    """
    if sum(len(found) for found in _started.values() if isinstance(found, list)) < 2 or x.committed:
        return x
    out = ConcreteArray()
    out._buffer, out.weak_type, out._type = x._buffer, x.weak_type, _placed(x._type, HOST, True)
    if has_value(x):
        out._value = x._value
    committed_to_host.add(out._type.number)
    return out


def put(x: ConcreteArray, on: Device | None) -> ConcreteArray:
    """The array on a device; on the default one, but not committed to it, for None."""
    committed = on is not None
    if on is None:
        if isinstance(x, DeviceArray):
            return x
        on = default_device()
    if on is HOST:
        return commit_to_host(on_host(x)) if committed else on_host(x)
    if device_of(x) is on:
        return DeviceArray.made(x._buffer, x.aval, on, True) if committed else x
    return DeviceArray.made(buffer_on(x, on), x.aval, on, committed)


#: Whether somebody has set the option `default_device`: until then, arrays are made without asking for it.
_chosen = config.default_device.value is not None


def placed(x: Any, device: Any = None) -> Any:
    """An array that has just been made, on `device` and committed to it, or on the one that the option `default_device` names.

    In programs that are being traced it stays where the program runs. Raises ValueError for what is no device.
    """
    if device is None:
        if not _chosen or x.__class__ is not ConcreteArray or (on := default_device()) is HOST or is_staging():
            return x
        return DeviceArray.made(buffer_on(x, on), x.aval, on, False)
    if not isinstance(device, Device):
        raise ValueError(
            f"{device!r:.100} of type {type(device).__name__!r} is not a device, of those that `devices()` gives; there are no shardings yet, "
            f"at {user_line()}"
        )
    return put(x, device) if isinstance(x, ConcreteArray) and not is_staging() else x


def placed_like(x: Any, model: Any, device: Any = None) -> Any:
    """An array that has just been made in the likeness of `model`: `placed`, and without `device` where `model` has been put."""
    if device is None and model.__class__ is DeviceArray and model.committed:
        device = model.on
    return placed(x, device)


def no_sharding(name: str, sharding: Any) -> None:
    """Raises TypeError unless the argument `sharding` or `out_sharding` of the function `name` is None."""
    if sharding is not None:
        raise TypeError(
            f"{name}: an array is on one device, and there are no shardings yet: sharding must be None, got {sharding!r:.100} of type "
            f"{type(sharding).__name__!r}, at {user_line()}; to choose the device, use device_put"
        )


def buffer_on(x: ConcreteArray, on: Device) -> Any:
    """The contents of an array in the memory of a device other than the host."""
    from pullback.xla import pjrt

    if isinstance(x, DeviceArray):
        if x.on is on and x._buffer is not None:
            return x._buffer
        x = on_host(x)
    return pjrt.put(x._value, on.target)


def device_of(x: ConcreteArray) -> Device:
    """Where an array is."""
    return x.on if isinstance(x, DeviceArray) else HOST


def are_ordinary(arrays: Sequence[ConcreteArray]) -> bool:
    """Whether all are on the host, and nothing is known to be committed to it. (False is no statement.)"""
    if committed_to_host:
        return False
    for x in arrays:  # noqa: SIM110 - a loop is faster
        if x.__class__ is not ConcreteArray:
            return False
    return True


def common_device(arrays: Sequence[ConcreteArray], name: str) -> Device:
    """Where a program runs on these arguments: where those are that are committed, where the others are, or the default device.

    Raises ValueError if arguments are committed to different devices.
    """
    if are_ordinary(arrays):
        return default_device()
    elsewhere = [x for x in arrays if x.__class__ is DeviceArray]
    committed = [x for x in arrays if x.committed]
    if not (elsewhere or committed):
        return default_device()
    first = (committed or elsewhere)[0]
    on = device_of(first)
    other = next((x for x in committed if device_of(x) is not on), None)
    if other is not None:
        raise ValueError(
            f"Received incompatible devices for {name}. Got an argument of type {first.aval.str_short()} on device {on} and an argument "
            f"of type {other.aval.str_short()} on device {device_of(other)}, at {user_line()}: move one of them with device_put"
        )
    return on


def brought(
    run: Callable[[Sequence[ConcreteArray]], list[ConcreteArray]], device: Device, committed: bool
) -> Callable[[Sequence[ConcreteArray]], list[ConcreteArray]]:
    """The runner of a program for arguments that are not all ordinary arrays of the host: those that are free to move are brought to the host,
    if it runs there, and its results are committed if an argument is."""
    if device is not HOST:
        return run

    def run_there(args: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        outs = run([on_host(x) for x in args])
        return [commit_to_host(x) for x in outs] if committed else outs

    if hasattr(run, "lets_go"):
        run_there.lets_go = run.lets_go  # type: ignore[attr-defined]
    return run_there


def live_arrays(platform: str | None = None) -> list[ConcreteArray]:
    """All Arrays that are alive, have not been deleted and are on a platform (the default one if it is None)."""
    import gc

    name = default_platform() if platform is None else platform
    if platform is not None and platform != "cpu":
        platform_devices(platform)
    arrays = [x for x in gc.get_objects() if isinstance(x, ConcreteArray)]
    return [x for x in arrays if device_of(x).platform == name and not x.is_deleted()]


__all__ = [
    "HOST",
    "Device",
    "DeviceArray",
    "buffer_on",
    "common_device",
    "default_device",
    "default_platform",
    "device_of",
    "devices",
    "live_arrays",
    "on_host",
    "plugins",
    "put",
]
