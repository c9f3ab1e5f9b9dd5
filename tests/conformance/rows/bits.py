"""Rows of `lax/bits.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax import bits as lax
from tests.conformance.table import Row, sample

X = sample((3, 4))
INTEGERS = sample((3, 4), np.int8)
SPECIAL = np.array([[np.nan, -0.0, np.inf], [0.0, -np.inf, 1.0]])

ROWS: list[Row] = [
    Row("bitcast_convert_type", "same", lambda x: lax.bitcast_convert_type(x, np.int64), (X,), order=0),
    Row("bitcast_convert_type", "narrower", lambda x: lax.bitcast_convert_type(x, np.uint8), (X,), order=0),
    Row("bitcast_convert_type", "wider", lambda x: lax.bitcast_convert_type(x, np.float32), (INTEGERS,), order=0),
    Row("bitcast_convert_type", "int4", lambda x: lax.bitcast_convert_type(x, ml_dtypes.int4), (INTEGERS,), order=0),
    Row("bitcast_convert_type", "special", lambda x: lax.bitcast_convert_type(x, np.uint64), (SPECIAL,), order=0),
]  # fmt: skip

ROWS += [
    Row(
        "reduce_precision", f"{x.dtype}-{exponent}-{mantissa}",
        lambda x, e=exponent, m=mantissa: lax.reduce_precision(x, e, m), (x,), order=0,
        note="tangents are rounded like values, so differences do not apply",
    )
    for x in (
        np.array([1.1, -1e30, 1e-30, 65520.0, np.nan, np.inf, -0.0, 2.5]),
        np.array([1.1, 3.0, -0.07], np.float32),
        np.array([1.1, 3.0, -0.07], ml_dtypes.bfloat16),
    )
    for exponent, mantissa in ((5, 10), (4, 0), (11, 52))
]  # fmt: skip
