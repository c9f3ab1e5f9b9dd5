"""Which devices there are, and moving trees of arrays between them and the host (see
`pullback.xla.placement`)."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from pullback.core import array, dtypes
from pullback.core.array import Array, ConcreteArray, as_array
from pullback.core.staging import is_staging
from pullback.core.trace import Tracer, current
from pullback.core.tree import leaf_error, tree_flatten
from pullback.lax.creation import device_put_p
from pullback.xla import devices as _arrays
from pullback.xla.devices import live_arrays as live_arrays
from pullback.xla.placement import Device as Device
from pullback.xla.placement import default_platform
from pullback.xla.placement import devices as devices


def local_devices(
    process_index: int | None = None, backend: str | None = None, host_id: int | None = None
) -> list[Device]:
    """The devices of this process. Raises ValueError for other processes, RuntimeError for
    platforms that are not there.

    >>> local_devices(backend="cpu")[0].process_index
    0
    """
    number = host_id if process_index is None else process_index
    found = devices(backend)
    if number is not None and number not in {d.process_index for d in found}:
        raise ValueError(f"Unknown process_index {number}: there are {process_count(backend)} processes")
    return found


def device_count(backend: str | None = None) -> int:
    """How many devices there are, of a platform or the default one. Raises RuntimeError for platforms
    that are not there.

    >>> device_count() == len(devices())
    True
    """
    return len(devices(backend))


def local_device_count(backend: str | None = None) -> int:
    """How many devices this process has, of a platform or the default one. Raises RuntimeError for
    platforms that are not there.

    >>> local_device_count("cpu") >= 1
    True
    """
    return len(local_devices(backend=backend))


def default_backend() -> str:
    """The platform that is used where none is named: "cpu", or that of a plugin.

    >>> default_backend() == devices()[0].platform
    True
    """
    return default_platform()


def process_index(backend: str | None = None) -> int:
    """The number of this process among those that take part: 0, if it is the only one.

    >>> process_index("cpu")
    0
    """
    return devices(backend)[0].process_index


def process_count(backend: str | None = None) -> int:
    """How many processes take part.

    >>> process_count("cpu")
    1
    """
    return len(process_indices(backend))


def process_indices(backend: str | None = None) -> list[int]:
    """The numbers of the processes that take part, in order.

    >>> process_indices("cpu")
    [0]
    """
    return sorted({d.process_index for d in devices(backend)})


def device_put(x: Any, device: Any = None, *, src: Any = None, donate: Any = False, may_alias: Any = None) -> Any:
    """`x` (a tree of arrays, NumPy arrays and scalars) as Arrays on `device`: a device, a sharding
    (see `pullback.sharding`), or a tree of these for parts of `x`.

    Without a device, or with a `memory.Space`, arrays that are on one stay there, and the others go
    to the default one. Traced values are put where a transformation traces them, and stay where the
    program runs in one that is compiled. Raises ValueError for what is no device and for shardings
    that do not fit, NotImplementedError for those over several devices and for the host's memory of
    another device (`Space.Host`), TypeError for leaves that are no arrays.

    >>> device_put([1.0, np.arange(3)], devices("cpu")[0])
    [Array(1., dtype=float32, weak_type=True), Array([0, 1, 2], dtype=int32)]
    """
    del src, donate, may_alias
    leaves, tree = tree_flatten(x)
    places = _per_leaf(device, x, len(leaves))
    arrays = []
    for leaf in leaves:
        try:
            arrays.append(as_array(leaf))
        except TypeError:
            raise leaf_error(x, leaf, "device_put") from None
        current().check_constant(arrays[-1])
    return tree.unflatten([_put(a, d) for a, d in zip(arrays, places)])


def _put(x: Array, device: Device | None) -> Array:
    if isinstance(x, Tracer) or is_staging():
        return x if device is None else device_put_p.bind(x, device=device)
    return _arrays.put(x, device)  # type: ignore[arg-type]


def _per_leaf(device: Any, x: Any, count: int) -> list[Device | None]:
    if device is None or isinstance(device, Device):
        return [device] * count
    from pullback.lax import placing  # shardings come into it
    from pullback.memory import Space, check_space

    if isinstance(device, Space):
        check_space(device, x)
        return [None] * count

    return placing.devices_of("device_put", device, x)


def device_get(x: Any) -> Any:
    """`x`, a tree, with every Array as a NumPy array of its shape and dtype, which cannot be written to;
    other leaves, and typed keys, which NumPy does not have, stay as they are.

    >>> import pullback.numpy as jnp
    >>> device_get({"w": jnp.arange(3), "name": "layer"})
    {'name': 'layer', 'w': array([0, 1, 2], dtype=int32)}
    """
    leaves, tree = tree_flatten(x)
    for leaf in leaves:  # all on their way before the first is waited for
        if isinstance(leaf, ConcreteArray):
            leaf.copy_to_host_async()
    return tree.unflatten([_fetched(leaf) if isinstance(leaf, Array) else leaf for leaf in leaves])


def _fetched(x: Array) -> Any:
    if dtypes.is_key(x.dtype):
        return _arrays.on_host(x) if isinstance(x, ConcreteArray) else x
    return np.asarray(_arrays.on_host(x) if isinstance(x, ConcreteArray) else x)


def copy_to_host_async(x: Any) -> Any:
    """`x`, a tree, with every Array in it on its way to the host's memory: `device_get` of it then waits
    for less. Nothing happens to arrays that are there.

    >>> import pullback.numpy as jnp
    >>> device_get(copy_to_host_async([jnp.ones(2)]))
    [array([1., 1.], dtype=float32)]
    """
    for leaf in tree_flatten(x)[0]:
        if isinstance(leaf, ConcreteArray):
            leaf.copy_to_host_async()
    return x


def block_until_ready(x: Any) -> Any:
    """`x`, a tree, when all arrays in it have been computed: programs run asynchronously, and a measured
    time without it is that of starting them.

    >>> import pullback as pb
    >>> import pullback.numpy as jnp
    >>> y = block_until_ready(pb.jit(jnp.tanh)(jnp.ones((500, 500))))
    >>> y.is_ready()
    True
    """
    leaves = (x,) if x.__class__ is ConcreteArray else tree_flatten(x)[0]
    buffers = [b for leaf in leaves if isinstance(leaf, ConcreteArray) and (b := leaf._buffer) is not None]
    if buffers:
        array.wait_for_buffers(buffers)
    return x


def host_id(backend: str | None = None) -> int:
    """`process_index`, by its former name: a DeprecationWarning says so.

    >>> with warnings.catch_warnings(action="ignore"):
    ...     host_id("cpu") == process_index("cpu")
    True
    """
    _renamed("host_id", "process_index")
    return process_index(backend)


def host_count(backend: str | None = None) -> int:
    """`process_count`, by its former name: a DeprecationWarning says so.

    >>> with warnings.catch_warnings(action="ignore"):
    ...     host_count("cpu") == process_count("cpu")
    True
    """
    _renamed("host_count", "process_count")
    return process_count(backend)


def host_ids(backend: str | None = None) -> list[int]:
    """`process_indices`, by its former name: a DeprecationWarning says so.

    >>> with warnings.catch_warnings(action="ignore"):
    ...     host_ids("cpu") == process_indices("cpu")
    True
    """
    _renamed("host_ids", "process_indices")
    return process_indices(backend)


def _renamed(before: str, now: str) -> None:
    warnings.warn(f"{before} is now called {now}", DeprecationWarning, stacklevel=3)


def print_environment_info(return_string: bool = False) -> str | None:
    """Print what a report of a fault should say: versions, Python, devices, the platform, XLA_FLAGS
    if they are set. With `return_string` it is returned instead.

    >>> print_environment_info(return_string=True).partition(":")[0]
    'pullback'
    """
    import platform
    import sys
    from importlib import metadata

    import pullback

    found = devices()
    kinds = ", ".join(dict.fromkeys(d.device_kind for d in found))
    lines = [f"pullback: {pullback.__version__}"]
    lines += [f"{name}: {metadata.version(name)}" for name in ("jaxlib", "numpy", "scipy", "ml_dtypes", "optree")]
    lines += [
        f"python: {sys.version}",
        f"devices: {len(found)} of platform {default_backend()} ({kinds})",
        f"process_count: {process_count()}",
        f"platform: {platform.uname()}",
        *([f"XLA_FLAGS={os.environ['XLA_FLAGS']}"] if "XLA_FLAGS" in os.environ else []),
    ]
    text = "\n".join(lines)
    if return_string:
        return text
    sys.stdout.write(text + "\n")
    return None


def effects_barrier() -> None:
    """Wait until side effects of everything dispatched so far have happened: they have when a
    program's results are returned.

    >>> import pullback as pb
    >>> pb.jit(lambda x: pb.debug.print("x = {}", x))(3)
    x = 3
    >>> effects_barrier()
    """


__all__ = [
    "Device",
    "block_until_ready",
    "copy_to_host_async",
    "default_backend",
    "device_count",
    "device_get",
    "device_put",
    "devices",
    "effects_barrier",
    "host_count",
    "host_id",
    "host_ids",
    "live_arrays",
    "local_device_count",
    "local_devices",
    "print_environment_info",
    "process_count",
    "process_index",
    "process_indices",
]
