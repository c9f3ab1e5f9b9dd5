"""Where programs run and arrays live: devices, the platforms that have them, and placements.

`HOST`, the first CPU device, is where NumPy evaluates. Platforms other than the CPU are PJRT
plugins: libraries that the wheels made for JAX bring along (their entry points are in the group
`jax_plugins`), and those named by `PJRT_NAMES_AND_LIBRARY_PATHS`. They are looked for when the
first program is compiled or somebody asks for devices, never on import.

Users name devices. Everything below them that is compiled, kept or put somewhere asks for a
`Placement`, which has one device today: arrays know theirs, the caches have it in their keys, and
the runtime's side of it is its `target`.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pullback.core import config
from pullback.core.locks import new_lock
from pullback.xla import forks

if TYPE_CHECKING:
    from pullback.xla import pjrt

logger = logging.getLogger("pullback")


class Device:
    """A place where arrays live and programs run. `devices()` gives those there are.

    >>> import pullback as pb
    >>> pb.devices("cpu")[0], str(pb.devices("cpu")[0]), pb.devices("cpu")[0].device_kind
    (CpuDevice(id=0), 'cpu:0', 'cpu')
    """

    __slots__ = ("platform", "id", "placement")

    def __init__(self, platform: str, id: int, target: pjrt.Target | None = None) -> None:
        self.platform, self.id = platform, id
        #: This device alone.
        self.placement = Placement((self,), target)

    @property
    def _found(self) -> Any:
        """The device as the runtime has it."""
        return self.placement.target.devices[0]

    @property
    def device_kind(self) -> str:
        """The model of the device.

        >>> import pullback as pb
        >>> pb.devices("cpu")[0].device_kind
        'cpu'
        """
        return "cpu" if self.platform == "cpu" else str(self._found.device_kind)

    @property
    def process_index(self) -> int:
        """The number of the process that the device belongs to.

        >>> import pullback as pb
        >>> pb.devices("cpu")[0].process_index
        0
        """
        return 0 if self.platform == "cpu" else int(self._found.process_index)

    @property
    def local_hardware_id(self) -> int | None:
        """The number of the hardware on this machine; None where it has none.

        >>> import pullback as pb
        >>> pb.devices("cpu")[0].local_hardware_id in (None, 0)
        True
        """
        number = self._found.local_hardware_id
        return None if number is None else int(number)

    def memory_stats(self) -> dict[str, Any] | None:
        """Memory in use and available in bytes, by name; None where the platform does not tell (CPUs).

        >>> import pullback as pb
        >>> pb.devices("cpu")[0].memory_stats() is None
        True
        """
        stats: dict[str, Any] | None = self._found.memory_stats()
        return stats

    def __reduce__(self) -> Any:
        # Copied as itself, and pickled by platform and number: so meshes and shardings are, too.
        return _device, (self.platform, self.id)

    def __repr__(self) -> str:
        return f"{self.platform.capitalize()}Device(id={self.id})"

    def __str__(self) -> str:
        return f"{self.platform}:{self.id}"


class Placement:
    """Where an array lies or a program runs: devices of one platform, in order; today, one.

    There is one object for equal placements, so that `is` compares them and keys have them by
    identity.

    >>> import pullback as pb
    >>> pb.devices("cpu")[0].placement.devices, pb.devices("cpu")[0].placement is ON_HOST
    ((CpuDevice(id=0),), True)
    """

    __slots__ = ("devices", "platform", "_target")

    def __init__(self, devices: tuple[Device, ...], target: pjrt.Target | None = None) -> None:
        self.devices, self.platform, self._target = devices, devices[0].platform, target

    @property
    def device(self) -> Device:
        """The only device."""
        (device,) = self.devices
        return device

    @property
    def target(self) -> pjrt.Target:
        """The placement as the runtime has it."""
        if self._target is None:  # the host's, which is there before the runtime is
            from pullback.xla import pjrt

            self._target = pjrt.cpu().targets[0]
        return self._target

    def __repr__(self) -> str:
        return ", ".join(map(repr, self.devices))

    def __str__(self) -> str:
        return ", ".join(map(str, self.devices))


HOST = Device("cpu", 0)
#: Where ordinary arrays are.
ON_HOST = HOST.placement

# ---- platforms -----------------------------------------------------------------------------------

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
    """The devices of a platform, which is started first if it is not running. Raises RuntimeError
    saying why there are none."""
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
        _, *others = pjrt.cpu().targets
        return [HOST, *(Device("cpu", t.ids[0], t) for t in others)]
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
    return [Device(name, t.ids[0], t) for t in platform.targets]


def number_of_devices() -> int:
    """How many devices the platforms have that have been started."""
    return sum(len(found) for found in _started.values() if isinstance(found, list))


def is_platform(name: str) -> bool:
    """Whether there may be a platform called so: the CPU, or one that is installed."""
    return name == HOST.platform or name in _ALIASES or name in plugins()


@forks.in_child
def _forget_started() -> Any:
    left = dict(_started), ON_HOST._target
    _started.clear()
    ON_HOST._target = None
    _first_that_starts.cache_clear()
    return left


def default_platform() -> str:
    """The platform that is used where none is named: the first that starts.

    They are tried in the order of the option `platforms`, which `PULLBACK_PLATFORMS` or
    `JAX_PLATFORMS` sets; plugins before the CPU if it is not set. A platform that does not start is
    reported in one line.
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
    """The devices of a platform, the default one if none is named. Raises RuntimeError for
    platforms that are not there.

    >>> devices("cpu")[0]
    CpuDevice(id=0)
    >>> devices("abacus")
    Traceback (most recent call last):
        ...
    RuntimeError: Unknown backend 'abacus': ...
    """
    return platform_devices(default_platform() if backend is None else backend)


def _device(platform: str, id: int) -> Device:
    """The device of this process that another one has pickled. Raises RuntimeError if there is none."""
    for device in platform_devices(platform):
        if device.id == id:
            return device
    raise RuntimeError(
        f"there is no device {id} of the platform {platform!r} in this process, which has {platform_devices(platform)}"
    )


def default_placement() -> Placement:
    """Where compiled programs run if nothing else says where: on the device that the option
    `default_device` names, or on the first one."""
    chosen = config.default_device.value
    if isinstance(chosen, Device):
        return chosen.placement
    name = default_platform() if chosen is None else chosen
    return ON_HOST if name == HOST.platform else platform_devices(name)[0].placement
