"""Rows of `export/`."""

from __future__ import annotations

import numpy as np

from pullback.core.types import ShapeDtypeStruct
from pullback.export.exported import export
from pullback.lax import functions as lax
from pullback.transforms.jit import jit
from tests.conformance.table import Row, sample

MATRIX = sample((2, 3), np.float32)
STRUCT = ShapeDtypeStruct((2, 3), np.float32)
INTEGERS = ShapeDtypeStruct((3,), np.int32)
NOTE = "its derivative is that of its VJP, in reverse mode only, and its shapes are fixed: tests/test_export.py"

ROWS = [
    Row("call_exported", "one-result", export(jit(lambda x: lax.sin(x)))(STRUCT).call, (MATRIX,), order=0, vmap=False, note=NOTE),
    Row("call_exported", "several-results", export(jit(lambda x, i: [lax.mul(x, x), lax.add(i, i)]))(STRUCT, INTEGERS).call,
        (MATRIX, np.arange(3, dtype=np.int32)), order=0, vmap=False, note=NOTE),
]  # fmt: skip
