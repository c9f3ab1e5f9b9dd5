"""Types for annotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.array import Array as Array

#: What operations accept as an array.
ArrayLike = Array | np.ndarray | np.bool_ | np.number | bool | int | float | complex
#: What is accepted as a dtype.
DTypeLike = Any

__all__ = ["ArrayLike", "DTypeLike"]
