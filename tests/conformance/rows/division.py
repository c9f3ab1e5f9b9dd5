"""Rows of `lax/division.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax.division import floor_div_p, mod_p
from tests.conformance.rows.elementwise import LEFT, RIGHT
from tests.conformance.table import Row

X, Y = np.array([5.3, -5.3, 5.3, -5.3, 0.4]), np.array([2.0, 2.0, -2.0, -2.0, 0.7])
ROWS: list[Row] = []

for name, primitive in (("mod", mod_p), ("floor_div", floor_div_p)):
    smooth = 2 if name == "mod" else 0
    note = "" if smooth else "a step function"
    ROWS += [
        Row(name, "float64", primitive.bind, (X, Y), order=smooth, note=note),
        Row(name, "scalar", primitive.bind, (X[:, None], np.asarray(0.7)), order=smooth, note=note),
        Row(name, "float32", primitive.bind, (X.astype(np.float32), Y.astype(np.float32)), tol=1e-2, order=0, note=note),
        Row(name, "float16", primitive.bind, (X.astype(np.float16), Y.astype(np.float16)), order=0, note=note),
        Row(name, "bfloat16", primitive.bind, (X.astype(ml_dtypes.bfloat16), Y.astype(ml_dtypes.bfloat16)), order=0, note=note),
        Row(name, "special", primitive.bind, (LEFT, RIGHT), order=0, note=note),
    ]  # fmt: skip
