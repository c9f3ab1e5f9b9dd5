"""DLPack: arrays from other libraries, and dtypes that it knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.numpy.conversion import from_dlpack as _from_dlpack

_NAMES = frozenset(
    ["bool", *(f"{k}{n}" for k in ("int", "uint") for n in (8, 16, 32, 64))]
    + ["float16", "float32", "float64", "complex64", "complex128"]
)


def from_dlpack(external_array: Any, device: Any = None, copy: bool | None = None) -> Array:
    """A copy of an array that supports DLPack on the CPU (a PyTorch tensor, for one), on `device`, a
    device or a sharding.

    Nothing that is done to `external_array` afterwards changes it. See `numpy.from_dlpack`.

    >>> from_dlpack(np.arange(3, dtype="int32"))
    Array([0, 1, 2], dtype=int32)
    """
    return _from_dlpack(external_array, device=device, copy=copy)


def is_supported_dtype(dtype: Any) -> bool:
    """Whether arrays of `dtype` can go to and come from other libraries: NumPy's own dtypes, because
    its DLPack has no bfloat16.

    >>> is_supported_dtype("float32"), is_supported_dtype("float8_e4m3fn")
    (True, False)
    """
    return dtypes.name(np.dtype(dtype)) in _NAMES


__all__ = ["from_dlpack", "is_supported_dtype"]
