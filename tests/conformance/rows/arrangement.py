"""Rows of `lax/arrangement.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax import arrangement as lax
from pullback.lax.arrangement import StaticIndex
from pullback.xla.devices import HOST
from tests.conformance.table import Row, sample

X = sample((3, 4))
Y = sample((2, 4), seed=1)
Z = sample((3, 4), np.complex128, seed=2)
INTEGERS = sample((3, 4), np.int8)
FLAGS = sample((3, 4), np.bool_)
EMPTY = np.zeros((0, 4))
SPECIAL = np.array([[np.nan, -0.0, np.inf], [0.0, -np.inf, 1.0]])
I, J = np.int32(1), np.int32(2)
FAR, NEGATIVE = np.int32(9), np.int32(-9)


def static(*index: object) -> dict[str, StaticIndex]:
    return {"index": StaticIndex(index)}  # type: ignore[arg-type]


ROWS: list[Row] = [
    Row("concatenate", "rows", lambda x, y: lax.concatenate([x, y, x], 0), (X, Y)),
    Row("concatenate", "columns", lambda x, y: lax.concatenate([x, y], 1), (X, Z.real)),
    Row("concatenate", "complex", lambda x, y: lax.concatenate([x, y], 0), (Z, Z[:1])),
    Row("concatenate", "int8", lambda x, y: lax.concatenate([x, y], 0), (INTEGERS, INTEGERS[:2]), order=0),
    Row("concatenate", "bool-empty", lambda x, y: lax.concatenate([x, y], 0), (FLAGS, FLAGS[:0]), order=0),
    Row("pad", "outside", lambda x, v: lax.pad(x, v, [(1, 2, 0), (0, 1, 0)]), (X, np.float64(0.7))),
    Row("pad", "interior", lambda x, v: lax.pad(x, v, [(1, 0, 2), (2, 1, 1)]), (X, np.float64(0.7))),
    Row("pad", "negative", lambda x, v: lax.pad(x, v, [(-1, 2, 1), (1, -4, 2)]), (X, np.float64(0.7))),
    Row("pad", "all-cut", lambda x, v: lax.pad(x, v, [(-3, 2, 0), (0, 0, 0)]), (X, np.float64(0.7))),
    Row("pad", "complex", lambda x, v: lax.pad(x, v, [(1, 1, 1), (-1, 0, 0)]), (Z, np.complex128(1 - 2j))),
    Row("pad", "empty", lambda x, v: lax.pad(x, v, [(1, 1, 3), (0, -2, 0)]), (EMPTY, np.float64(2.0))),
    Row("pad", "special", lambda x, v: lax.pad(x, v, [(0, 1, 0), (1, 0, 1)]), (SPECIAL, np.float64(np.nan)), order=0),
    Row("pad", "int8", lambda x, v: lax.pad(x, v, [(-1, 1, 1), (1, 0, 0)]), (INTEGERS, np.int8(7)), order=0),
    Row("slice", "plain", lambda x: lax.slice(x, (1, 0), (3, 3)), (X,)),
    Row("slice", "strides", lambda x: lax.slice(x, (0, 1), (3, 4), (2, 2)), (X,)),
    Row("slice", "empty", lambda x: lax.slice(x, (2, 1), (2, 4), (2, 2)), (X,)),
    Row("slice", "complex", lambda x: lax.slice(x, (1, 0), (3, 4), (1, 3)), (Z,)),
    Row("slice", "bool", lambda x: lax.slice(x, (1, 0), (3, 3)), (FLAGS,), order=0),
    Row("rev", "one", lambda x: lax.rev(x, (1,)), (X,)),
    Row("rev", "both", lambda x: lax.rev(x, (0, 1)), (Z,)),
    Row("rev", "empty-int8", lambda x: lax.rev(x, (0,)), (INTEGERS[:0],), order=0),
    Row("iota", "int32", lambda: lax.iota(np.int32, 5), (), order=0),
    Row("iota", "wraps", lambda: lax.iota(np.int8, 200), (), order=0),
    Row("iota", "bfloat16", lambda: lax.broadcasted_iota(ml_dtypes.bfloat16, (2, 3), 1), (), order=0),
    Row("iota", "complex", lambda: lax.broadcasted_iota(np.complex128, (2, 3), 0), (), order=0),
    Row("iota", "empty", lambda: lax.iota(np.float64, 0), (), order=0),
    Row("bitcast_convert_type", "same", lambda x: lax.bitcast_convert_type(x, np.int64), (X,), order=0),
    Row("bitcast_convert_type", "narrower", lambda x: lax.bitcast_convert_type(x, np.uint8), (X,), order=0),
    Row("bitcast_convert_type", "wider", lambda x: lax.bitcast_convert_type(x, np.float32), (INTEGERS,), order=0),
    Row("bitcast_convert_type", "int4", lambda x: lax.bitcast_convert_type(x, ml_dtypes.int4), (INTEGERS,), order=0),
    Row("bitcast_convert_type", "special", lambda x: lax.bitcast_convert_type(x, np.uint64), (SPECIAL,), order=0),
    Row("copy", "float64", lax.copy_p.bind, (X,)),
    Row("copy", "complex", lax.copy_p.bind, (Z,)),
    Row("copy", "bool", lax.copy_p.bind, (FLAGS,), order=0),
    Row("optimization_barrier", "two", lambda x, y: list(lax.optimization_barrier((x, y))), (X, Z)),
    Row("optimization_barrier", "int8", lambda x: list(lax.optimization_barrier((x,))), (INTEGERS,), order=0),
    Row("device_put", "host", lambda x: lax.device_put_p.bind(x, device=HOST), (X,)),
    Row("device_put", "bool", lambda x: lax.device_put_p.bind(x, device=HOST), (FLAGS,), order=0),
    Row("split", "rows", lambda x: lax.split(x, (1, 2), 0), (X,)),
    Row("split", "columns", lambda x: lax.split(x, (1, 0, 3), 1), (Z,)),
    Row("split", "bool", lambda x: lax.split(x, (1, 3), -1), (FLAGS,), order=0),
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
    Row("static_index", "mixed", lambda x: lax.static_index_p.bind(x, **static(1, None, slice(0, 3, 2))), (X,)),
    Row("static_index", "reversed", lambda x: lax.static_index_p.bind(x, **static(slice(2, None, -2), slice(3, 0, -1))), (X,)),
    Row("static_index", "element", lambda x: lax.static_index_p.bind(x, **static(2, 1)), (Z,)),
    Row("static_index", "new-axis-last", lambda x: lax.static_index_p.bind(x, **static(slice(None), slice(None), None)), (X,)),
    Row("static_index", "empty", lambda x: lax.static_index_p.bind(x, **static(slice(2, 2, 1), None)), (X,)),
    Row("static_index", "bool", lambda x: lax.static_index_p.bind(x, **static(0)), (FLAGS,), order=0),
    Row("static_update", "mixed", lambda x, y: lax.static_update_p.bind(x, y, **static(1, None, slice(0, 3, 2))), (X, X[:1, :2])),
    Row(
        "static_update", "reversed", lambda x, y: lax.static_update_p.bind(x, y, **static(slice(2, None, -2), slice(3, 0, -1))),
        (X, Y[:, :3]),
    ),
    Row("static_update", "element", lambda x, y: lax.static_update_p.bind(x, y, **static(2, 1)), (Z, Z[0, 0])),
    Row("static_update", "empty", lambda x, y: lax.static_update_p.bind(x, y, **static(slice(2, 2, 1))), (X, EMPTY)),
    Row("static_update", "int8", lambda x, y: lax.static_update_p.bind(x, y, **static(slice(1, 3, 1))), (INTEGERS, INTEGERS[:2]), order=0),
]  # fmt: skip
