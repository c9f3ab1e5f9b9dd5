"""Rows of `lax/shape.py`."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pullback.lax import shape as lax
from pullback.lax.shape import convert, reduce_sum_p
from tests.conformance.table import Row, sample

X = sample((3, 4))
CUBE = sample((2, 3, 2))
Z = sample((3, 4), np.complex128, seed=2)
INTEGERS = sample((3, 4), np.int8)
FLAGS = sample((3, 4), np.bool_)
EMPTY = np.zeros((0, 4))
SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 3.7, -3.7, 1e300, -1e300, 255.5])

ROWS: list[Row] = [
    Row("broadcast_in_dim", "new-axes", lambda x: lax.broadcast_in_dim(x, (2, 3, 5, 4), (1, 3)), (X,)),
    Row("broadcast_in_dim", "stretched", lambda x: lax.broadcast_in_dim(x, (3, 2, 4), (0, 2)), (X[:1],)),
    Row("broadcast_in_dim", "scalar", lambda x: lax.broadcast_in_dim(x, (2, 3), ()), (np.float64(1.5),)),
    Row("broadcast_in_dim", "to-empty", lambda x: lax.broadcast_in_dim(x, (0, 4), (0, 1)), (X[:1],)),
    Row("broadcast_in_dim", "complex", lambda x: lax.broadcast_in_dim(x, (3, 4, 2), (0, 1)), (Z,)),
    Row("broadcast_in_dim", "bool", lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1, 2)), (FLAGS,), order=0),
    Row("broadcast_in_dim", "bfloat16", lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1, 2)), (X.astype(ml_dtypes.bfloat16),), order=0),
    Row("reduce_sum", "rows", lambda x: reduce_sum_p.bind(x, axes=(1,)), (X,)),
    Row("reduce_sum", "outer", lambda x: reduce_sum_p.bind(x, axes=(0, 2)), (CUBE,)),
    Row("reduce_sum", "all", lambda x: reduce_sum_p.bind(x, axes=(0, 1)), (Z,)),
    Row("reduce_sum", "none", lambda x: reduce_sum_p.bind(x, axes=()), (X,)),
    Row("reduce_sum", "empty", lambda x: reduce_sum_p.bind(x, axes=(0,)), (EMPTY,)),
    Row("reduce_sum", "int8-wraps", lambda x: reduce_sum_p.bind(x, axes=(0,)), (np.full((3, 2), 100, np.int8),), order=0),
    Row("reduce_sum", "float16-wide", lambda x: reduce_sum_p.bind(x, axes=(0,)), (np.full(4096, 1, np.float16),), order=0),
    Row("reduce_sum", "special", lambda x: reduce_sum_p.bind(x, axes=(0,)), (SPECIAL,), order=0),
    Row("reshape", "merge", lambda x: lax.reshape(x, (12,)), (X,)),
    Row("reshape", "split", lambda x: lax.reshape(x, (3, 2, 1, -1)), (X,)),
    Row("reshape", "transposed", lambda x: lax.reshape(x, (2, 6), (1, 0)), (Z,)),
    Row("reshape", "empty", lambda x: lax.reshape(x, (2, 0)), (EMPTY,)),
    Row("reshape", "bool", lambda x: lax.reshape(x, (2, 6)), (FLAGS,), order=0),
    Row("transpose", "matrix", lambda x: lax.transpose(x, (1, 0)), (X,)),
    Row("transpose", "cycle", lambda x: lax.transpose(x, (2, 0, 1)), (CUBE,)),
    Row("transpose", "complex", lambda x: lax.transpose(x, (1, 0)), (Z,)),
    Row("transpose", "int8", lambda x: lax.transpose(x, (1, 0)), (INTEGERS,), order=0),
    Row("convert_element_type", "real-to-complex", lambda x: lax.convert_element_type(x, np.complex128), (X,)),
    Row("convert_element_type", "complex-to-real", lambda x: convert(x, np.dtype(np.float64)), (Z,)),
    Row("convert_element_type", "to-int8", lambda x: lax.convert_element_type(x, np.int8), (SPECIAL,), order=0),
    Row("convert_element_type", "to-int64", lambda x: lax.convert_element_type(x, np.int64), (SPECIAL,), order=0),
    Row("convert_element_type", "to-uint64", lambda x: lax.convert_element_type(x, np.uint64), (SPECIAL,), order=0),
    Row("convert_element_type", "to-bool", lambda x: lax.convert_element_type(x, np.bool_), (SPECIAL,), order=0),
    Row("convert_element_type", "to-bfloat16", lambda x: lax.convert_element_type(x, ml_dtypes.bfloat16), (SPECIAL,), order=0),
    Row("convert_element_type", "int-wraps", lambda x: lax.convert_element_type(x, np.uint8), (INTEGERS,), order=0),
    Row("convert_element_type", "bool-to-float", lambda x: lax.convert_element_type(x, np.float32), (FLAGS,), order=0),
    Row("convert_element_type", "complex-to-bool", lambda x: convert(x, np.dtype(np.bool_)), (Z * (Z.real > 0),), order=0),
]  # fmt: skip
