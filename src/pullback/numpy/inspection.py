"""What the array API standard (version 2024.12, "Inspection") lets libraries ask of this namespace."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.dtypes import DType
from pullback.numpy import types
from pullback.numpy.creation import zeros
from pullback.numpy.promotion import here
from pullback.xla.devices import device_of
from pullback.xla.placement import Device, devices

_DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]
_DTYPES += ["complex64", "complex128"]


class NamespaceInfo:
    """What `__array_namespace_info__()` gives: capabilities, devices and dtypes.

    Where a method takes a `device`, it must be one of `devices()`, or None; the answers are the same
    for all of them. Raises ValueError for others.

    >>> import pullback.numpy as jnp
    >>> jnp.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float32')
    """

    __slots__ = ()

    def capabilities(self) -> dict[str, Any]:
        """Which optional parts of the standard there are: those whose shapes depend on values, in
        code that is not compiled, and arrays of up to 64 axes.

        >>> import pullback.numpy as jnp
        >>> jnp.__array_namespace_info__().capabilities()["boolean indexing"]
        True
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """Where arrays are made for which no device is named.

        >>> import pullback.numpy as jnp
        >>> jnp.__array_namespace_info__().default_device() == jnp.zeros(2).device
        True
        """
        return device_of(zeros(()))  # type: ignore[arg-type]

    def devices(self) -> list[Device]:
        """The devices that there are.

        >>> import pullback.numpy as jnp
        >>> jnp.zeros(2).device in jnp.__array_namespace_info__().devices()
        True
        """
        return list(devices())

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The dtypes of what is made of Python's numbers, and of indices, by kind: by the option
        `enable_x64`, of 32 or 64 bits.

        >>> import pullback.numpy as jnp
        >>> jnp.__array_namespace_info__().default_dtypes()["indexing"]
        dtype('int32')
        """
        self._check(device)
        kinds = {"real floating": float, "complex floating": complex, "integral": int, "indexing": int}
        return {name: dtypes.default_dtype(kind) for name, kind in kinds.items()}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """The standard's dtypes that there are, by name: those of a `kind` that `isdtype` knows, or
        of a tuple of kinds. (There are others: `float16`, `bfloat16`, ...)

        Those of 64 bits are there if the option `enable_x64` is on. Raises ValueError for an unknown
        kind.

        >>> import pullback.numpy as jnp
        >>> list(jnp.__array_namespace_info__().dtypes(kind=("bool", "complex floating")))
        ['bool', 'complex64']
        """
        self._check(device)
        there = {name: np.dtype(name) for name in _DTYPES if dtypes.canonicalize(np.dtype(name)) == np.dtype(name)}
        return {name: dtype for name, dtype in there.items() if kind is None or types.isdtype(dtype, kind)}

    def _check(self, device: Any) -> None:
        if device is not None and device not in devices():
            raise here(ValueError, f"{device!r} is no device; there are {devices()}")


def __array_namespace_info__() -> NamespaceInfo:
    """What there is in this namespace, by the array API standard: see `NamespaceInfo`.

    >>> import pullback.numpy as jnp
    >>> sorted(jnp.__array_namespace_info__().default_dtypes())
    ['complex floating', 'indexing', 'integral', 'real floating']
    """
    return NamespaceInfo()


__all__ = ["__array_namespace_info__"]
