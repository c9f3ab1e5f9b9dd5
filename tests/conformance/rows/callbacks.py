"""Rows of `lax/callbacks.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback import lax
from pullback.core.array import as_array
from pullback.core.types import ShapedArray, ShapeDtypeStruct
from pullback.lax.callbacks import debug_callback, io_callback, linear_callback_p, pure_callback
from pullback.lax.placing import inspect_sharding_p
from tests.conformance.table import Row, sample


def sine(method: str) -> Any:
    def function(x: Any) -> Any:
        return pure_callback(np.sin, ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method=method)

    return function


def scaled(method: str) -> Any:
    """Python's product with a constant, which is its own transpose."""
    times = lambda a, x: [np.asarray(a) * np.asarray(x)]

    def function(x: Any) -> Any:
        x = as_array(x)
        return linear_callback_p.bind(
            as_array(np.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)), x,
            callback=times, transposed=times, count=1, result_types=[ShapedArray(x.shape, x.dtype)], vmap_method=method,
        )[0]  # fmt: skip

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
    Row("linear_callback", method, scaled(method), (sample((2, 3)),))
    for method in ("sequential", "expand_dims", "broadcast_all")
]

ROWS += [
    Row("io_callback", "results", lambda x: io_callback(np.sin, ShapeDtypeStruct(x.shape, x.dtype), x), (sample((3,)),), order=0,
        note="no JVP, which is an error; test_debug.py has the effects"),
    Row("inspect_sharding", "nothing", inspected, (sample((3,)),), order=0, note="test_debug.py has the effects"),
    Row("debug_callback", "nothing", watched, (sample((3,)),), order=0, note="test_debug.py has the effects"),
]  # fmt: skip
