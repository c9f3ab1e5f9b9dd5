"""DLPack: arrays from other libraries, and dtypes that it knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core import dtypes
from pullback.core.array import Array
from pullback.core.capsules import CODES
from pullback.numpy.conversion import from_dlpack as _from_dlpack


def from_dlpack(external_array: Any, device: Any = None, copy: bool | None = None) -> Array:
    """A copy of an array that supports DLPack on the CPU (a PyTorch tensor, for one), on `device`, a
    device or a sharding; with `copy=False`, an array in the same memory.

    Nothing that is done to `external_array` afterwards changes the copy. See `numpy.from_dlpack`,
    whose errors these are.

    >>> from_dlpack(np.arange(3, dtype="int32"))
    Array([0, 1, 2], dtype=int32)
    """
    return _from_dlpack(external_array, device=device, copy=copy)


def is_supported_dtype(dtype: Any) -> bool:
    """Whether arrays of `dtype` can go to and come from other libraries: those of DLPack 1.1 of at
    least 8 bits.

    >>> is_supported_dtype("float32"), is_supported_dtype("bfloat16"), is_supported_dtype("int4")
    (True, True, False)
    """
    found = np.dtype(dtype)
    return (dtypes.is_numpys(found) and found.kind in "biufc") or found in CODES


__all__ = ["from_dlpack", "is_supported_dtype"]
