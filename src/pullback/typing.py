"""Types for annotations."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from pullback.core.array import Array as Array

#: What operations accept as an array. (Checkers of types at run time look for a `Union`.)
ArrayLike = Union[Array, np.ndarray, np.bool_, np.number, bool, int, float, complex]  # noqa: UP007
#: What is accepted as a dtype.
DTypeLike = Any

__all__ = ["ArrayLike", "DTypeLike"]
