"""Rows of `lax/creation.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.experimental.xla_metadata import set_xla_metadata
from pullback.lax import creation as lax
from pullback.xla.placement import HOST
from tests.conformance.table import Row, sample

X = sample((3, 4))
Z = sample((3, 4), np.complex128, seed=2)
INTEGERS = sample((3, 4), np.int8)
FLAGS = sample((3, 4), np.bool_)

ROWS: list[Row] = [
    Row("iota", "int32", lambda: lax.iota(np.int32, 5), (), order=0),
    Row("iota", "wraps", lambda: lax.iota(np.int8, 200), (), order=0),
    Row("iota", "bfloat16", lambda: lax.broadcasted_iota(ml_dtypes.bfloat16, (2, 3), 1), (), order=0),
    Row("iota", "complex", lambda: lax.broadcasted_iota(np.complex128, (2, 3), 0), (), order=0),
    Row("iota", "empty", lambda: lax.iota(np.float64, 0), (), order=0),
    Row("copy", "float64", lax.copy_p.bind, (X,)),
    Row("copy", "complex", lax.copy_p.bind, (Z,)),
    Row("copy", "bool", lax.copy_p.bind, (FLAGS,), order=0),
    Row("optimization_barrier", "two", lambda x, y: list(lax.optimization_barrier((x, y))), (X, Z)),
    Row("optimization_barrier", "int8", lambda x: list(lax.optimization_barrier((x,))), (INTEGERS,), order=0),
    Row("device_put", "host", lambda x: lax.device_put_p.bind(x, device=HOST), (X,)),
    Row("sharding_constraint", "host", lambda x: lax.sharding_constraint_p.bind(x, device=HOST), (X,)),
    Row("xla_metadata_value", "texts", lambda x: set_xla_metadata(x, stage="a", n=1), (X,)),
    Row("device_put", "bool", lambda x: lax.device_put_p.bind(x, device=HOST), (FLAGS,), order=0),
]  # fmt: skip
