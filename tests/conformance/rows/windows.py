"""Rows of `lax/windows.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.lax import functions as lax
from pullback.lax import reduce_window
from tests.conformance.table import Row, sample


def windows(computation: Any, initial: Any, *arguments: Any, **options: Any) -> Any:
    return lambda x: reduce_window(x, initial, computation, *arguments, **options)


X = sample((5, 4))
ROWS = []
for name, function, neutral in (("sum", lax.add, 0.0), ("max", lax.max, -np.inf), ("min", lax.min, np.inf)):
    primitive = f"reduce_window_{name}"
    ROWS += [
        Row(primitive, "plain", windows(function, neutral, (2, 2)), (X,)),
        Row(primitive, "strides-same", windows(function, neutral, (3, 2), (2, 1), "SAME"), (X,)),
        Row(primitive, "dilated", windows(function, neutral, (2, 1), (1, 2), ((1, 0), (0, -1)), (1, 2), (2, 1)), (X,), order=1),
        Row(primitive, "initial", windows(function, 0.5, (2, 2)), (X,), order=1),
        Row(primitive, "float32", windows(function, neutral, (2, 2)), (X.astype(np.float32),), order=1, tol=1e-2),
        Row(primitive, "float16", windows(function, neutral, (2, 2)), (X.astype(np.float16),), order=0),
        Row(primitive, "integers", windows(function, 1, (2, 2)), (sample((5, 4), np.int32),), order=0),
        Row(primitive, "nan", windows(function, neutral, (2,)), (np.array([1.0, np.nan, 2.0, np.inf, -np.inf]),), order=0),
        Row(primitive, "empty", windows(function, neutral, (2,)), (np.zeros((1,)),), order=0),
    ]  # fmt: skip
