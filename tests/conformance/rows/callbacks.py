"""Rows of `lax/callbacks.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback import lax
from pullback.core.types import ShapeDtypeStruct
from pullback.lax.callbacks import debug_callback, io_callback, pure_callback
from pullback.lax.placing import inspect_sharding_p
from tests.conformance.table import Row, sample


def sine(method: str) -> Any:
    def function(x: Any) -> Any:
        return pure_callback(np.sin, ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method=method)

    return function


def inspected(x: Any) -> Any:
    inspect_sharding_p.bind(x, callback=lambda sharding: None)
    return lax.mul(x, 2.0)


def watched(x: Any) -> Any:
    debug_callback(lambda value: None, (x,), {}, ordered=False)
    return lax.mul(x, 2.0)


NOTE = "callbacks have no derivative: custom_jvp gives them one"
ROWS = [
    Row("pure_callback", method, sine(method), (sample((2, 3)),), order=0, note=NOTE)
    for method in ("sequential", "expand_dims", "broadcast_all")
]

ROWS += [
    Row("io_callback", "results", lambda x: io_callback(np.sin, ShapeDtypeStruct(x.shape, x.dtype), x), (sample((3,)),), order=0,
        note="no JVP, which is an error; test_debug.py has the effects"),
    Row("inspect_sharding", "nothing", inspected, (sample((3,)),), order=0, note="test_debug.py has the effects"),
    Row("debug_callback", "nothing", watched, (sample((3,)),), order=0, note="test_debug.py has the effects"),
]  # fmt: skip
