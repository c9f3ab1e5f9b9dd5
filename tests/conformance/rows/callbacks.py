"""pure_callback."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.core.types import ShapeDtypeStruct
from pullback.lax.callbacks import pure_callback
from tests.conformance.table import Row, sample


def sine(method: str) -> Any:
    def function(x: Any) -> Any:
        return pure_callback(np.sin, ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method=method)

    return function


NOTE = "callbacks have no derivative: custom_jvp gives them one"
ROWS = [
    Row("pure_callback", method, sine(method), (sample((2, 3)),), order=0, note=NOTE)
    for method in ("sequential", "expand_dims", "broadcast_all")
]
