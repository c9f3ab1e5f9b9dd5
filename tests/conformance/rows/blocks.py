"""Rows of `lax/blocks.py`."""

from __future__ import annotations

import numpy as np

from pullback.lax import blocks as lax
from tests.conformance.table import Row, sample

X = sample((3, 4))
Y = sample((2, 4), seed=1)
Z = sample((3, 4), np.complex128, seed=2)
INTEGERS = sample((3, 4), np.int8)
FLAGS = sample((3, 4), np.bool_)
I, J = np.int32(1), np.int32(2)
FAR, NEGATIVE = np.int32(9), np.int32(-9)

ROWS: list[Row] = [
    Row("dynamic_slice", "inside", lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 2)), (X, I, J)),
    Row("dynamic_slice", "clamped", lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 3)), (X, FAR, NEGATIVE)),
    Row("dynamic_slice", "complex", lambda x, i, j: lax.dynamic_slice(x, (i, j), (1, 4)), (Z, I, J)),
    Row("dynamic_slice", "empty", lambda x, i, j: lax.dynamic_slice(x, (i, j), (0, 4)), (X, FAR, J)),
    Row("dynamic_slice", "int8", lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 2)), (INTEGERS, I, J), order=0),
    Row("dynamic_slice", "uint8", lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 2)), (FLAGS, np.uint8(250), np.uint8(1)), order=0),
    Row("dynamic_update_slice", "inside", lambda x, y, i, j: lax.dynamic_update_slice(x, y, (i, j)), (X, Y[:, :2], I, J)),
    Row("dynamic_update_slice", "clamped", lambda x, y, i, j: lax.dynamic_update_slice(x, y, (i, j)), (X, Y[:, :3], FAR, NEGATIVE)),
    Row("dynamic_update_slice", "complex", lambda x, y, i, j: lax.dynamic_update_slice(x, y, (i, j)), (Z, Z[:1, 1:], I, J)),
    Row("dynamic_update_slice", "bool", lambda x, y, i, j: lax.dynamic_update_slice(x, y, (i, j)), (FLAGS, FLAGS[:2, :2], I, J), order=0),
]  # fmt: skip
